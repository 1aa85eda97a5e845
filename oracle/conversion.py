"""The alert's raw material the slow way: closed deals and an instant in, counts, baselines and CUSUM out.

Written from the sentences that define them; shares no line with the product. Local times are naive
datetimes of the floor's clock.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

MIDNIGHT = datetime.min.time()


@dataclass(frozen=True)
class Closing:
    """One outcome: a trial that ended, and whether it was won."""

    time_ms: int
    team: str
    won: bool


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


def tally(closings: Iterable[Closing], spans: Sequence[Span], team: str | None) -> tuple[int, int]:
    """Return successes and trials; a closing counts once, however many spans hold it."""
    held = [
        closing
        for closing in closings
        if team in (None, closing.team) and any(span.holds(closing.time_ms) for span in spans)
    ]
    return sum(closing.won for closing in held), len(held)


def cusum(closings: Iterable[Closing], team: str | None, rate: float) -> float:
    """Return the height after all outcomes; those of one instant are one step."""
    fallen, height = 0.6 * rate, 0.0
    own = [closing for closing in closings if team in (None, closing.team)]
    for time_ms in sorted({closing.time_ms for closing in own}):
        step = sum(
            math.log(fallen / rate) if closing.won else math.log((1 - fallen) / (1 - rate))
            for closing in own
            if closing.time_ms == time_ms
        )
        height = max(0.0, height + step)
    return height
