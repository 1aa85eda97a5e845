"""Commission plans and amounts in, estimated commission out, exact to the minor unit. Pure.

A plan's tiers are `[from, to)` of the period's running amount; each part of the amount earns its tier's
rate. When a newer version of the plan takes effect within a period, what was sold before earns by the
old version and what is sold after by the new one, from the tier the amount has reached by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Final, Literal

from metrics.calendar import Calendar
from metrics.windows import Window

Visible = Literal["rep", "all"]
PlanPeriod = Literal["month", "quarter", "year"]

ZERO: Final = Decimal(0)


@dataclass(frozen=True)
class Tier:
    """`rate` of the amount within `[start, end)`; `end` None is without end."""

    start: Decimal
    end: Decimal | None
    rate: Decimal

    def earned(self, amount: Decimal) -> Decimal:
        top = amount if self.end is None else min(amount, self.end)
        return max(ZERO, top - self.start) * self.rate


@dataclass(frozen=True)
class PlanVersion:
    """One version of a plan. Without `reps` it is everybody's."""

    name: str
    valid_from: date
    kpi: str
    period: PlanPeriod
    tiers: tuple[Tier, ...]
    reps: tuple[str, ...] = ()
    visible: Visible = "rep"

    def earned(self, amount: Decimal) -> Decimal:
        return sum((tier.earned(amount) for tier in self.tiers), ZERO)


@dataclass(frozen=True)
class Plan:
    """All versions of one plan, oldest first."""

    name: str
    versions: tuple[PlanVersion, ...]

    def parts_at(self, time_ms: int, calendar: Calendar) -> tuple["PlanPart", ...]:
        """Cut the running period, up to now, where versions change."""
        today = calendar.date_of(time_ms)
        valid = [version for version in self.versions if version.valid_from <= today]
        if not valid:
            return ()
        start = _period_start(valid[-1].period, today, calendar)
        ends = [*(version.valid_from for version in valid[1:]), None]
        parts = []
        for version, end in zip(valid, ends, strict=True):
            start_ms = calendar.instant_ms(max(start, version.valid_from))
            end_ms = time_ms if end is None else calendar.instant_ms(end)
            # The version in force is there from its first instant on, when nothing is earned yet.
            if start_ms < end_ms or end is None:
                parts.append(PlanPart(version, start_ms, end_ms))
        return tuple(parts)


@dataclass(frozen=True)
class PlanPart:
    """The part of the running period in which a version holds: `[start_ms, end_ms)`."""

    version: PlanVersion
    start_ms: int
    end_ms: int

    @property
    def window(self) -> Window:
        name = f"commission:{self.version.name}:{self.version.valid_from}"
        return Window(name, self.start_ms, self.end_ms, self.start_ms, self.start_ms)


def _period_start(period: PlanPeriod, day: date, calendar: Calendar) -> date:
    if period == "month":
        return calendar.month_start_of(day)
    return calendar.quarter_start_of(day) if period == "quarter" else calendar.year_start_of(day)


def commission(parts: Sequence[tuple[PlanVersion, Decimal]], exponent: int) -> Decimal:
    """Return what the amounts earn, each by its version, in the order they were sold; rounded once."""
    earned, reached = ZERO, ZERO
    for version, amount in parts:
        earned += version.earned(reached + amount) - version.earned(reached)
        reached += amount
    return earned.quantize(Decimal(1).scaleb(-exponent), ROUND_HALF_EVEN)


def tier_problem(tiers: Sequence[Tier]) -> str | None:
    """Return what is wrong with the tiers, with the fix; None when they can be used."""
    if not tiers:
        return "there is no tier; give at least one, such as { from = 0, rate = 0.05 }"
    for tier in tiers:
        if not 0 <= tier.rate <= 1:
            return f"the tier from {tier.start} has the rate {tier.rate}; use a share such as 0.05 for 5 %"
        if tier.end is not None and tier.end <= tier.start:
            return f"the tier from {tier.start} ends at {tier.end}; let it end above its start"
    for below, above in pairwise(sorted(tiers, key=lambda tier: tier.start)):
        if below.end is None or below.end > above.start:
            end = "without end" if below.end is None else f"to {below.end}"
            return (
                f"the tiers from {below.start} {end} and from {above.start} overlap; "
                f"end the first at {above.start} at the latest"
            )
    return None
