"""Commission plans and what was sold in, what it earns out, the slow, obvious way: as exact fractions.

Written from the sentences that define it; shares no line with the product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from oracle.currencies import MINOR_DIGITS
from oracle.reference import midnight
from oracle.windows import Floor, Span, window_pair

_WINDOW = {"month": "mtd", "quarter": "qtd", "year": "ytd"}


@dataclass(frozen=True)
class Tier:
    start: Fraction
    end: Fraction | None
    rate: Fraction


@dataclass(frozen=True)
class Version:
    """One version of a plan, in the words of its settings. Without `reps` it is everybody's."""

    plan: str
    valid_from: date
    kpi: str
    period: str
    tiers: Sequence[Tier]
    reps: Sequence[str] = ()


@dataclass(frozen=True)
class Part:
    """What was sold while a version held, in the period that runs."""

    version: Version
    span: Span


def parts_of(versions: Iterable[Version], at_ms: int, floor: Floor) -> list[Part]:
    """Return the parts of one plan's running period, oldest first; none before its first version holds."""
    held = sorted(versions, key=lambda each: each.valid_from)
    held = [each for each in held if midnight(each.valid_from, floor) <= at_ms]
    if not held:
        return []
    began_ms = window_pair(_WINDOW[held[-1].period], at_ms, floor).now.start_ms
    ends = [midnight(each.valid_from, floor) for each in held[1:]]
    parts = []
    for version, end_ms in zip(held, [*ends, at_ms], strict=True):
        start_ms = max(began_ms, midnight(version.valid_from, floor))
        if start_ms < end_ms or version is held[-1]:
            parts.append(Part(version, Span(start_ms, end_ms)))
    return parts


def earned(sold: Iterable[tuple[Version, Fraction]]) -> Fraction:
    """Return what the amounts earn, one after another: each goes on where the one before it got to."""
    total = reached = Fraction(0)
    for version, amount in sold:
        for tier in version.tiers:
            total += tier.rate * (_within(tier, reached + amount) - _within(tier, reached))
        reached += amount
    return total


def _within(tier: Tier, amount: Fraction) -> Fraction:
    """Return how much of an amount lies in a tier."""
    top = amount if tier.end is None else min(amount, tier.end)
    return max(Fraction(0), top - tier.start)


def rounded(amount: Fraction, currency: str) -> Fraction:
    """Return the nearest amount the currency can pay; of two, the even one."""
    scale = 10 ** MINOR_DIGITS[currency]
    return Fraction(round(amount * scale), scale)
