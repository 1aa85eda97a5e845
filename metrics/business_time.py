"""Instants in, the business days that lie before them out, exactly. Reads no clock.

The running day counts by the share of it that is over: half of a 23-hour day is over after 11.5 hours.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import lcm
from typing import NamedTuple

from metrics.calendar import Calendar

_DAY = timedelta(days=1)
_YEARS_MAX_DAYS = 20_000


class BusinessDays(NamedTuple):
    """`before[i] / parts` business days lie between the first instant and the i-th."""

    before: list[int]
    parts: int


class BusinessTime:
    """Keeps the days it has looked at."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._start_ms: dict[date, int] = {}

    def days_before(self, instants_ms: Sequence[int]) -> BusinessDays:
        """Return the business days before each of the instants, which are in order."""
        first, last = (self._calendar.date_of(instants_ms[i]) for i in (0, -1))
        if (last - first).days > _YEARS_MAX_DAYS:
            raise ValueError("the instants lie too far apart")
        days = [first + n * _DAY for n in range((last - first).days + 1)]
        starts = [self._start_of(day) for day in (*days, last + _DAY)]
        lengths = [end - start for start, end in pairwise(starts)]
        parts = lcm(*{length for length in lengths if length})
        works = [
            self._calendar.is_business_day(day) and length > 0
            for day, length in zip(days, lengths, strict=True)
        ]
        full = [0]
        for each in works:
            full.append(full[-1] + parts * each)
        before = []
        for instant_ms in instants_ms:
            i = bisect_right(starts, instant_ms) - 1
            over = (instant_ms - starts[i]) * (parts // lengths[i]) if works[i] else 0
            before.append(full[i] + over)
        return BusinessDays([each - before[0] for each in before], parts)

    def _start_of(self, day: date) -> int:
        if day not in self._start_ms:
            if len(self._start_ms) > 4 * _YEARS_MAX_DAYS:
                self._start_ms.clear()
            self._start_ms[day] = self._calendar.instant_ms(day)
        return self._start_ms[day]
