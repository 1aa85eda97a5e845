"""The alert's raw material the slow way: what counts and an instant in, counts, baselines and CUSUM out.

Written from the sentences that define them; shares no line with the product. Local times are naive
datetimes of the floor's clock.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from oracle.books import Books
from oracle.levels import Placed, key_of
from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

MIDNIGHT = datetime.min.time()
NEWEST = 500
"""So many of the newest outcomes go through the CUSUM."""
HORIZON_MS = 30 * 24 * 3_600_000
FUNNELS = ("deal_win", "lead_conversion", "conversation_to_demo")


@dataclass(frozen=True)
class Outcome:
    """What was known at one instant of one trial: that it ended, that it succeeded, mostly both."""

    time_ms: int
    team: str
    won: int
    tried: int = 1
    """How often it counts on either side; mostly once or not at all."""


def outcomes_of(funnel: str, books: Books) -> list[Outcome]:
    """Return everything a funnel counts, each for the team it belonged to at its time."""
    found: list[Outcome] = []

    def add(member: Placed, time_ms: int | None, *, won: bool, tried: int = 1) -> None:
        if time_ms is not None:
            team = key_of(member, "team", time_ms, books.customers.roster)
            found.append(Outcome(time_ms, team, won, tried))

    if funnel == "deal_win":
        for deal in books.deals:
            if deal.status != "open":
                add(deal, deal.closed_ms, won=deal.status == "won")
    elif funnel == "lead_conversion":
        for lead in books.leads:
            if lead.created_ms is None:
                continue
            in_time = lead.converted_ms is not None and lead.converted_ms <= lead.created_ms + HORIZON_MS
            add(lead, lead.converted_ms if in_time else lead.created_ms + HORIZON_MS, won=in_time)
    else:
        for each in books.activities:
            if each.kind == "demo":
                add(each, each.booked_ms, won=True, tried=0)
            elif (each.kind == "call" and each.outcome == "connected") or (
                each.kind == "meeting" and each.took_place
            ):
                add(each, each.completed_ms, won=False)
    return found


def works(day: date, floor: Floor) -> bool:
    return WEEKDAYS[day.weekday()] in floor.business_days and day not in floor.holidays


def trailing(end_ms: int, days: int, floor: Floor) -> int:
    """Return the start of the trailing business days that end at an instant."""
    end = local_of(end_ms, floor)
    working = works(end.date(), floor)
    day, left = end.date(), days
    if not working:
        while not works(day, floor):
            day -= timedelta(days=1)
    while left:
        day -= timedelta(days=1)
        left -= works(day, floor)
    if working:
        return instant_of(datetime.combine(day, end.time()), floor)
    return instant_of(datetime.combine(day + timedelta(days=1), MIDNIGHT), floor)


def weeks_before(end_ms: int, weeks: int, floor: Floor) -> int:
    return instant_of(local_of(end_ms, floor) - timedelta(weeks=weeks), floor)


def baseline(as_of_ms: int, days: int, floor: Floor) -> list[Span]:
    """Return the same window one to four weeks before, cut so that none overlaps a later one."""
    found: list[Span] = []
    later_ms = trailing(as_of_ms, days, floor)
    today_works = works(local_of(as_of_ms, floor).date(), floor)
    for weeks in (1, 2, 3, 4):
        end_ms = weeks_before(as_of_ms, weeks, floor)
        if days == 1 and today_works and not works(local_of(end_ms, floor).date(), floor):
            continue
        start_ms = max(trailing(end_ms, days, floor), weeks_before(as_of_ms, weeks + 1, floor))
        span = Span(start_ms, min(end_ms, later_ms))
        if span.start_ms < span.end_ms:
            found.append(span)
            later_ms = span.start_ms
    return found


def tally(outcomes: Iterable[Outcome], spans: Sequence[Span], team: str | None) -> tuple[int, int]:
    """Return successes and trials; an outcome counts once, however many spans hold it."""
    held = [
        each
        for each in outcomes
        if team in (None, each.team) and any(span.holds(each.time_ms) for span in spans)
    ]
    return sum(each.won for each in held), sum(each.tried for each in held)


def cusum(outcomes: Iterable[Outcome], team: str | None, rate: float) -> float:
    """Return the height after all outcomes; those of one instant are one step."""
    fallen, height = 0.6 * rate, 0.0
    steps: dict[int, float] = {}
    for each in outcomes:
        if team in (None, each.team):
            step = each.won * math.log(fallen / rate)
            step += (each.tried - each.won) * math.log((1 - fallen) / (1 - rate))
            steps[each.time_ms] = steps.get(each.time_ms, 0.0) + step
    for time_ms in sorted(steps):
        height = max(0.0, height + steps[time_ms])
    return height


def newest(outcomes: Iterable[Outcome], team: str | None) -> list[Outcome]:
    """Return the newest outcomes: all of an instant, as long as fewer than `NEWEST` are later than it."""
    by_time: dict[int, list[Outcome]] = {}
    for each in outcomes:
        if team in (None, each.team):
            by_time.setdefault(each.time_ms, []).append(each)
    kept: list[Outcome] = []
    later = 0
    for time_ms in sorted(by_time, reverse=True):
        if later >= NEWEST:
            break
        kept += by_time[time_ms]
        sides = (sum(each.tried for each in by_time[time_ms]), sum(each.won for each in by_time[time_ms]))
        later += max(0, *sides)
    return kept
