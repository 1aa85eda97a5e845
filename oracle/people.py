"""What is said per rep and business day, growth and velocity, the slow, obvious way.

Written from the sentences of the KPIs; shares no line with the product.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache

from oracle.levels import NOBODY, Spell
from oracle.reference import Books as Facts
from oracle.reference import Reference
from oracle.windows import WEEKDAYS, Floor, Span, WindowPair, instant_of, local_of, window_pair

Completed = Sequence[tuple[str, int | None, str]]
"""Rep, time and kind of completed activities."""


def business_days(span: Span, floor: Floor) -> Fraction:
    """Return the business days in the span, each by the share of it that lies inside."""
    total = Fraction(0)
    # A zone may repeat or skip midnights, so begin a day early and leave empty shares out.
    day = local_of(span.start_ms, floor).date() - timedelta(days=1)
    while (start_ms := _midnight(day, floor)) < span.end_ms:
        end_ms = _midnight(day + timedelta(days=1), floor)
        inside = min(end_ms, span.end_ms) - max(start_ms, span.start_ms)
        works = WEEKDAYS[day.weekday()] in floor.business_days and day not in floor.holidays
        if works and inside > 0:
            total += Fraction(inside, end_ms - start_ms)
        day += timedelta(days=1)
    return total


@cache
def _midnight_in(day: date, zone: str) -> int:
    return instant_of(datetime.fromisoformat(f"{day}T00:00"), Floor(zone=zone))


def _midnight(day: date, floor: Floor) -> int:
    return _midnight_in(day, floor.zone)


_ROSTERED = ("floor", "team", "rep", "region")


class Presence:
    """Who was there when: as the roster says; without one, who did something in the span."""

    def __init__(self, known: Reference, floor: Floor) -> None:
        self._known, self._floor = known, floor
        self._spells = [(rep, each) for rep, own in known.placed(floor).spells.items() for each in own]
        self._spells_of: dict[tuple[str, str], list[Spell]] = {}
        for rep, spell in self._spells:
            for level in _ROSTERED:
                self._spells_of.setdefault((level, _place(rep, spell, level)), []).append(spell)
        self._days_of: dict[Span, Fraction] = {}
        self._market_of: dict[Span, Fraction | None] = {}

    def keys(self, level: str) -> set[str]:
        if level not in _ROSTERED:
            return set()
        return {key for own, key in self._spells_of if own == level}

    def numbers(
        self, completed: Completed, revenue: Fraction, level: str, key: str, span: Span
    ) -> dict[str, Fraction | None]:
        done = [
            (rep, kind) for rep, time_ms, kind in completed if time_ms is not None and span.holds(time_ms)
        ]
        found: dict[str, Fraction | None] = {}
        if level not in _ROSTERED:
            return found
        own = self._spells_of.get((level, key), [])
        overlaps = [
            Span(start_ms, end_ms)
            for each in own
            if (start_ms := max(each.start_ms, span.start_ms)) < (end_ms := min(each.end_ms, span.end_ms))
        ]
        if self._spells:
            days = sum((self._days(each) for each in overlaps), Fraction(0))
        else:
            reps_seen = {rep for rep, _ in done if rep}
            days = len(reps_seen) * self._days(span) if reps_seen else Fraction(0)
        found |= {"rep_days": days, "activities_per_rep_day": len(done) / days if days else None}
        if level in ("floor", "team", "region"):
            length = span.end_ms - span.start_ms
            there = sum(each.end_ms - each.start_ms for each in overlaps)
            reps = Fraction(there, length) if length else None
            trainings = sum(kind == "training" for _, kind in done)
            found["reps_on_roster"] = reps
            found["revenue_per_rep"] = revenue / reps if reps else None
            found["training_rate"] = trainings / reps if reps else None
        if level == "floor":
            market = self._market(span)
            found |= {"market": market, "market_share": revenue / market if market else None}
        return found

    def _days(self, span: Span) -> Fraction:
        if span not in self._days_of:
            self._days_of[span] = business_days(span, self._floor)
        return self._days_of[span]

    def _market(self, span: Span) -> Fraction | None:
        if not self._known.markets:
            return None
        if span not in self._market_of:
            self._market_of[span] = Facts((), self._known, self._floor).market(span)
        return self._market_of[span]


def _place(rep: str, spell: Spell, level: str) -> str:
    if level == "floor":
        return ""
    return {"rep": rep, "team": spell.team, "region": spell.region}[level] or NOBODY


def growth(now: Fraction | None, before: Fraction | None) -> Fraction | None:
    return None if now is None or not before else now / before - 1


def pair_a_year_before(name: str, as_of_ms: int, floor: Floor) -> WindowPair:
    """Return the window of that name as it stood at the same local date and time a year before."""
    local = local_of(as_of_ms, floor)
    try:
        then = local.replace(year=local.year - 1)
    except ValueError:  # 29 February: the end of 28 February is meant
        then = local.replace(year=local.year - 1, month=3, day=1, hour=0, minute=0, second=0, microsecond=0)
    return window_pair(name, instant_of(then, floor), floor)


def velocity(
    open_deals: int, win_rate: Fraction | None, average: Fraction | None, cycle_seconds: Fraction | None
) -> Fraction | None:
    """Return money per day."""
    if win_rate is None or average is None or not cycle_seconds:
        return None
    return open_deals * win_rate * average / (cycle_seconds / 86_400)


def velocity_error(value: Fraction | None, cycle: Fraction | None, error: Fraction | None) -> Fraction | None:
    """Return how far the velocity may be off when its cycle may be off by `error`."""
    if value is None or cycle is None or error is None:
        return None
    left = abs(cycle) - error
    return abs(value) * error / left + abs(value) / 10**9 if left > 0 else Fraction(10**30)
