"""Business time: how much of the floor's opening hours lies between two instants. Reads no clock.

A business day is open from its first to its last minute by the local clock; nights, days off and holidays
take no time. On days of a clock change the hours that really pass count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Final

from metrics.calendar import WEEKDAYS, Calendar

MINUTES_PER_DAY: Final = 1440
_DAY: Final = timedelta(days=1)
_EARLIEST_MS: Final = 315_532_800_000  # 1980-01-01; before it and after the next no business is done
_LATEST_MS: Final = 7_258_118_400_000  # 2200-01-01
_DAYS_WITHOUT_BUSINESS_MAX: Final = 3660
_CACHED_DAYS_MAX: Final = 20_000


@dataclass(frozen=True)
class BusinessHours:
    """`hours` gives each weekday's first and last minute, counted from local midnight."""

    calendar: Calendar
    hours: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(WEEKDAYS, (540, 1080)))
    _days: dict[date, tuple[int, int] | None] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for weekday, (opens, closes) in self.hours.items():
            if weekday not in WEEKDAYS:
                raise ValueError(f"{weekday!r} is no weekday; use one of {', '.join(WEEKDAYS)}")
            if not 0 <= opens < closes <= MINUTES_PER_DAY:
                raise ValueError(f"the hours of {weekday} do not end after they begin")

    def between_ms(self, start_ms: int, end_ms: int) -> int:
        """Return the business time in [start, end); 0 when it ends before it starts."""
        start_ms, end_ms = max(start_ms, _EARLIEST_MS), min(end_ms, _LATEST_MS)
        total_ms = 0
        if start_ms >= end_ms:
            return total_ms
        day, last = self.calendar.date_of(start_ms), self.calendar.date_of(end_ms)
        while day <= last:
            hours = self._open(day)
            if hours is not None:
                total_ms += max(0, min(hours[1], end_ms) - max(hours[0], start_ms))
            day += _DAY
        return total_ms

    def deadline_ms(self, start_ms: int, business_ms: int) -> int | None:
        """Return the last instant up to which no more than this much business time has passed.

        What ends exactly at closing time is not over before the next opening. None when no business
        day follows for ten years, or the start lies outside 1980 to 2200.
        """
        if not _EARLIEST_MS <= start_ms < _LATEST_MS:
            return None
        left_ms, day, idle_days = business_ms, self.calendar.date_of(start_ms), 0
        while idle_days <= _DAYS_WITHOUT_BUSINESS_MAX:
            hours = self._open(day)
            idle_days += 1
            if hours is not None and hours[1] > start_ms:
                begin_ms = max(hours[0], start_ms)
                if left_ms < hours[1] - begin_ms:
                    return begin_ms + left_ms
                left_ms -= hours[1] - begin_ms
                idle_days = 0
            day += _DAY
        return None

    def _open(self, day: date) -> tuple[int, int] | None:
        if day not in self._days:
            if len(self._days) >= _CACHED_DAYS_MAX:
                self._days.clear()
            self._days[day] = self._computed(day)
        return self._days[day]

    def _computed(self, day: date) -> tuple[int, int] | None:
        hours = self.hours.get(WEEKDAYS[day.weekday()])
        if hours is None or not self.calendar.is_business_day(day):
            return None
        opens_ms, closes_ms = (self._instant_ms(day, minute) for minute in hours)
        return (opens_ms, closes_ms) if opens_ms < closes_ms else None

    def _instant_ms(self, day: date, minute: int) -> int:
        if minute == MINUTES_PER_DAY:
            return self.calendar.instant_ms(day + _DAY)
        return self.calendar.instant_ms(day, time(minute // 60, minute % 60))


def minute_of(text: str) -> int:
    """Return the minute of the day that "HH:MM" names; "24:00" is its end. Raise ValueError otherwise."""
    hours, colon, minutes = text.partition(":")
    if colon and len(hours) == len(minutes) == 2 and hours.isdigit() and minutes.isdigit():
        minute = 60 * int(hours) + int(minutes)
        if int(minutes) < 60 and minute <= MINUTES_PER_DAY:
            return minute
    raise ValueError(f"{text!r} is no time of day; write HH:MM, from 00:00 to 24:00")
