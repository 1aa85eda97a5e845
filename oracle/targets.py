"""Targets the slow, obvious way: books and targets in, the figures of running ones out, as exact fractions.

Written from the sentences that define them; shares no line and no constant with the product. A period is
walked day by day, and of every day the share that lies before the instant is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from oracle import periods
from oracle.joins import local_midnight
from oracle.levels import NOBODY, key_of
from oracle.numbers import Books, Deal, numbers_by_key, open_deals, within
from oracle.periods import later
from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

SUMS = frozenset(("revenue", "deals_won", "deals_lost", "deals_created", "calls", "activities", "talk_time"))
"""KPIs that add up over days, and so can be paced."""
NOW = frozenset(("open_deals", "pipeline_value"))


@dataclass(frozen=True)
class Goal:
    """A target in the words of its record."""

    kpi: str
    level: str
    key: str
    period: str
    value: Fraction


@dataclass(frozen=True)
class Custom:
    """What the settings say of pacing."""

    weekday_weights: Mapping[str, str] = field(default_factory=dict)
    ramp_months: int = 0
    commit: Fraction = Fraction(4, 5)
    best_case: Fraction = Fraction(1, 2)
    year_named_by: str = "end"
    began: Mapping[str, date] = field(default_factory=dict)
    """First days of reps."""


Figures = dict[str, Fraction]


def days_of(period: str, floor: Floor, custom: Custom) -> list[date]:
    return periods.days_of(period, floor, custom.year_named_by)


def _weight(day: date, floor: Floor, custom: Custom) -> Fraction:
    name = WEEKDAYS[day.weekday()]
    if day in floor.holidays:
        return Fraction(0)
    if name in custom.weekday_weights:
        return Fraction(custom.weekday_weights[name])
    return Fraction(1 if name in floor.business_days else 0)


def _ramp(day: date, goal: Goal, custom: Custom) -> Fraction:
    began = custom.began.get(goal.key)
    if goal.level != "rep" or began is None or not custom.ramp_months:
        return Fraction(1)
    if day < began:
        return Fraction(0)
    over = 0
    while over < custom.ramp_months and later(began, over + 1) <= day:
        over += 1
    return Fraction(over + 1, custom.ramp_months + 1)


def _share_over(day: date, as_of_ms: int, floor: Floor) -> Fraction:
    start_ms = instant_of(local_midnight(day), floor)
    end_ms = instant_of(local_midnight(day + timedelta(days=1)), floor)
    return Fraction(min(max(as_of_ms - start_ms, 0), end_ms - start_ms), end_ms - start_ms)


def _due(deals: Sequence[Deal], days: Sequence[date], floor: Floor) -> list[Deal]:
    wanted = set(days)
    return [
        deal
        for deal in deals
        if deal.overdue_ms is not None
        and local_of(deal.overdue_ms, floor).date() - timedelta(days=1) in wanted
    ]


def _own(goal: Goal, deals: Sequence[Deal]) -> list[Deal]:
    return [deal for deal in deals if goal.level == "floor" or key_of(deal, goal.level) == goal.key]


def _actual(goal: Goal, books: Books, span: Span) -> Fraction | None:
    assert goal.key != NOBODY
    if goal.kpi in NOW:
        mine = _own(goal, open_deals(books.deals, span.end_ms))
        return Fraction(len(mine)) if goal.kpi == "open_deals" else _sum(mine)
    numbers = numbers_by_key(within(books, span), goal.level, span).get(goal.key)
    if numbers is None:
        return Fraction(0) if goal.kpi in SUMS else None
    return numbers[goal.kpi, None]


def _sum(deals: Sequence[Deal]) -> Fraction:
    return sum((deal.amount for deal in deals), Fraction(0))


def figures(goal: Goal, books: Books, as_of_ms: int, floor: Floor, custom: Custom) -> Figures | None:
    """Return every figure that has a value; None while the period does not run."""
    days = days_of(goal.period, floor, custom)
    start_ms = instant_of(local_midnight(days[0]), floor)
    end_ms = instant_of(local_midnight(days[-1] + timedelta(days=1)), floor)
    if not start_ms <= as_of_ms < end_ms:
        return None
    actual = _actual(goal, books, Span(start_ms, as_of_ms))
    found = {"quota": goal.value}
    if actual is None:
        return found
    found |= {"quota_actual": actual, "quota_attainment": actual / goal.value}
    if goal.kpi in SUMS:
        found |= _paced(goal, actual, days, as_of_ms, floor, custom)
    if goal.kpi == "revenue":
        still_open = _own(goal, open_deals(books.deals, as_of_ms))
        due = _due(still_open, days, floor)
        found["forecast_weighted"] = actual + sum((d.amount * d.probability for d in due), Fraction(0))
        found["forecast_commit"] = actual + _sum([d for d in due if d.probability >= custom.commit])
        found["forecast_best_case"] = actual + _sum([d for d in due if d.probability >= custom.best_case])
        if actual < goal.value:
            found["pipeline_coverage"] = _sum(still_open) / (goal.value - actual)
    return found


def _paced(
    goal: Goal, actual: Fraction, days: Sequence[date], as_of_ms: int, floor: Floor, custom: Custom
) -> Figures:
    total = elapsed = left = Fraction(0)
    for day in days:
        weight, share = _weight(day, floor, custom), _share_over(day, as_of_ms, floor)
        ramped = weight * _ramp(day, goal, custom)
        total += ramped
        elapsed += ramped * share
        left += weight * (1 - share)
    found: Figures = {}
    if total:
        found["pace_expected"] = goal.value * elapsed / total
        found["pace_delta"] = actual - found["pace_expected"]
    if left and actual < goal.value:
        found["required_per_day"] = (goal.value - actual) / left
    if elapsed:
        found["forecast_pace"] = actual * total / elapsed
    return found
