"""Reference records as frozen types: targets, roster, rates, market sizes, stages. A leaf: no I/O, no lookup.

A record says what holds from a date on; it is replaced whole by a newer record of the same id. Money is
exact, in major units; dates are local days of the floor. A record whose value is None is withdrawn.
"""

from datetime import date
from decimal import Decimal

from msgspec import Struct


class Target(Struct, frozen=True, tag="target", gc=False):
    """What one KPI should reach in one period. `key` is the team or rep id; "" for the floor.

    `period` is "2026", "2026-Q4" (fiscal where the calendar is), "2026-11", "2026-W47", or
    "2026-11-01/2026-12-01", whose second date is the first day after.
    """

    kpi: str
    level: str
    key: str
    period: str
    value: Decimal | None
    currency: str | None = None

    @property
    def id(self) -> str:
        return f"target:{self.kpi}:{self.level}:{self.key}:{self.period}"


class RosterSpell(Struct, frozen=True, tag="rep", gc=False):
    """A rep's membership of a team over [active_from, active_to). None means without end."""

    rep_id: str
    name: str | None = None
    team_id: str | None = None
    region: str | None = None
    active_from: date | None = None
    active_to: date | None = None

    @property
    def id(self) -> str:
        return f"rep:{self.rep_id}:{self.active_from or ''}"


class Rate(Struct, frozen=True, tag="rate", gc=False):
    """One unit of `currency` is `rate` units of the reporting currency from `valid_from` on."""

    currency: str
    rate: Decimal | None
    valid_from: date

    @property
    def id(self) -> str:
        return f"rate:{self.currency}:{self.valid_from}"


class MarketSize(Struct, frozen=True, tag="market", gc=False):
    """What the whole market buys in a period (written as a target's)."""

    period: str
    value: Decimal | None
    currency: str | None = None

    @property
    def id(self) -> str:
        return f"market:{self.period}"


class Stage(Struct, frozen=True, tag="stage", gc=False):
    """A pipeline stage: its place in the order and the share of its deals that is won."""

    stage: str
    pipeline: str | None = None
    order: int | None = None
    probability: float | None = None

    @property
    def id(self) -> str:
        return f"stage:{self.pipeline or ''}:{self.stage}"


class ReferenceProblem(Struct, frozen=True, gc=False):
    """A record that cannot be used, and why, with the fix. The others stand."""

    record: str
    problem: str


Reference = Target | RosterSpell | Rate | MarketSize | Stage
