"""Targets the slow, obvious way: books and targets in, the figures of running ones out, as exact fractions.

Written from the sentences that define them; shares no line and no constant with the product. A period is
walked day by day, and of every day the share that lies before the instant is taken.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

from oracle import periods
from oracle.formulas import Own, may_be_unknown, names_in, own_answers, words_in
from oracle.joins import local_midnight
from oracle.levels import NOBODY, key_of
from oracle.numbers import Answer, Books, Deal, Sample, answers, numbers_by_key, open_deals, valued, within
from oracle.periods import later
from oracle.reference import Reference
from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

SUMS = frozenset(("revenue", "deals_won", "deals_lost", "deals_created", "calls", "activities", "talk_time"))
"""Some of the KPIs that add up over days, and so can be paced."""
NOW = frozenset(("open_deals", "pipeline_value"))
AVERAGES = frozenset(("reps_on_roster",))
"""They are 0 of nothing and add up over no days."""


@dataclass(frozen=True)
class Goal:
    """A target in the words of its record."""

    kpi: str
    level: str
    key: str
    period: str
    value: Fraction
    currency: str = ""


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
    own: tuple[Own, ...] = ()
    """KPIs of the floor's own."""


Figures = dict[str, Fraction]
Known = Mapping[Sample, Answer]


def goals_of(given: Iterable[Goal], records: Iterable[Mapping[str, object]]) -> list[Goal]:
    """Return the targets of the settings and of the records; a record for the same replaces one of them, and
    one without a value withdraws it."""
    found = {(goal.kpi, goal.level, goal.key, goal.period): goal for goal in given}
    for record in records:
        if record["form"] != "target.set":
            continue
        kpi, level, key, period, currency = (
            str(record.get(name) or "") for name in ("kpi", "level", "key", "period", "currency")
        )
        place = kpi, level or "floor", key, period
        if isinstance(record["value"], Decimal):
            found[place] = Goal(*place, Fraction(record["value"]), currency)
        else:
            found.pop(place, None)
    return list(found.values())


def first_days(known: Reference) -> dict[str, date]:
    """Return each rep's first day, of those who have not always been there."""
    firsts: dict[str, list[date | None]] = {}
    for entry in known.roster:
        firsts.setdefault(entry.rep, []).append(entry.first)
    return {
        rep: min(days) for rep, own in firsts.items() if len(days := [day for day in own if day]) == len(own)
    }


def span_of(goal: Goal, floor: Floor, custom: Custom) -> Span:
    days = days_of(goal.period, floor, custom)
    return Span(
        instant_of(local_midnight(days[0]), floor),
        instant_of(local_midnight(days[-1] + timedelta(days=1)), floor),
    )


def in_money_of(goal: Goal, known: Reference, floor: Floor, custom: Custom) -> Goal | None:
    """Return the goal in the reporting currency, at the rate of its first day; None without one."""
    if not goal.currency:
        return goal
    rate = known.rate(goal.currency, span_of(goal, floor, custom).start_ms, floor)
    return None if rate is None else replace(goal, value=goal.value * rate)


@cache
def _of_an_empty_floor(own: tuple[Own, ...]) -> Mapping[str, tuple[Fraction | None, bool]]:
    """Return each KPI where nothing ever happened, and whether it tells what is so now."""
    found = with_means(answers(Books(), 90 * 86_400_000, Floor(), windows=("24h",), levels=("floor", "team")))
    of_own, _ = own_answers([each._replace(levels=("floor",)) for each in own], found, ("24h",))
    return {sample.kpi: (answer.value, not sample.window) for sample, answer in {**found, **of_own}.items()}


def with_means(found: Mapping[Sample, Answer]) -> dict[Sample, Answer]:
    """Name the mean of what also has quantiles as the list of KPIs does: as one of its own."""
    means = {
        sample._replace(kpi=f"{sample.kpi}_mean"): answer
        for sample, answer in found.items()
        if sample.kpi == "sales_cycle" and sample.quantile is None
    }
    return {**found, **means}


def adds_up(kpi: str, own: tuple[Own, ...] = ()) -> bool:
    """Say whether the KPI adds up over days, and so can be paced: it is 0, and not unknown, of nothing."""
    of_nothing, is_now = _of_an_empty_floor(own).get(kpi, (None, False))
    formulas = {each.name: each.formula for each in own}
    if kpi in formulas:
        parts = {name for name in names_in(formulas[kpi], formulas) if not adds_up(name, own)}
        if parts or any(may_be_unknown(each) for each in _formulas_in(kpi, formulas)):
            return False
    return of_nothing == 0 and not is_now and kpi not in AVERAGES


def _formulas_in(kpi: str, formulas: Mapping[str, str]) -> Iterator[str]:
    """Return the formula of a KPI of the floor's own, and of those it names."""
    yield formulas[kpi]
    for name in words_in(formulas[kpi]):
        if name in formulas:
            yield from _formulas_in(name, formulas)


def of_nothing(kpi: str, own: tuple[Own, ...] = ()) -> Fraction | None:
    return _of_an_empty_floor(own).get(kpi, (None, False))[0]


def is_of_now(kpi: str, own: tuple[Own, ...] = ()) -> bool:
    return _of_an_empty_floor(own).get(kpi, (None, False))[1]


def has_opinion(kpi: str, own: tuple[Own, ...] = ()) -> bool:
    """Say whether anything is known of the KPI; not of one that has a number where nothing ever happened."""
    return kpi in _of_an_empty_floor(own) and not of_nothing(kpi, own)


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


def _own_open(goal: Goal, books: Books, as_of_ms: int, floor: Floor) -> list[Deal]:
    """Return what is open, at the rate of the instant, where its rep is then."""
    roster = books.customers.roster
    return [
        valued(deal, books.known, as_of_ms, floor)
        for deal in open_deals(books.deals, as_of_ms)
        if goal.level == "floor" or key_of(deal, goal.level, as_of_ms - 1, roster) == goal.key
    ]


def _actual(
    goal: Goal, books: Books, span: Span, floor: Floor, known: Known | None, own: tuple[Own, ...]
) -> Fraction | None:
    assert goal.key != NOBODY
    if known is not None:
        window = "" if is_of_now(goal.kpi, own) else goal.period
        answer = known.get(Sample(goal.kpi, goal.level, goal.key, window))
        return of_nothing(goal.kpi, own) if answer is None else answer.value
    if goal.kpi in NOW:
        mine = _own_open(goal, books, span.end_ms, floor)
        return Fraction(len(mine)) if goal.kpi == "open_deals" else _sum(mine)
    numbers = numbers_by_key(within(books, span), goal.level, span).get(goal.key)
    if numbers is None:
        return Fraction(0) if goal.kpi in SUMS else None
    return numbers[goal.kpi, None]


def _sum(deals: Sequence[Deal]) -> Fraction:
    return sum((deal.amount for deal in deals), Fraction(0))


def figures(
    goal: Goal, books: Books, as_of_ms: int, floor: Floor, custom: Custom, known: Known | None = None
) -> Figures | None:
    """Return every figure that has a value; None while the period does not run.

    `known` answers by the goal's period as a window, if it is given; else the books are asked.
    """
    days, span = days_of(goal.period, floor, custom), span_of(goal, floor, custom)
    if not span.holds(as_of_ms):
        return None
    actual = _actual(goal, books, Span(span.start_ms, as_of_ms), floor, known, custom.own)
    found = {"quota": goal.value}
    if actual is None:
        return found
    found |= {"quota_actual": actual, "quota_attainment": actual / goal.value}
    if adds_up(goal.kpi, custom.own):
        found |= _paced(goal, actual, days, as_of_ms, floor, custom)
    if goal.kpi == "revenue":
        still_open = _own_open(goal, books, as_of_ms, floor)
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
