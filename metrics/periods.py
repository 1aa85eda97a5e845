"""A period as people write it in, its first and last local day out: 2026, 2026-Q4, 2026-11, 2026-W47. Pure.

Reference records and settings name periods so, for targets and for market sizes. Reads no clock.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from metrics.calendar import Calendar, months_before

YearNamedBy = Literal["start", "end"]
"""A fiscal year from April 2026 to March 2027 is called 2026 by its start, 2027 by its end."""

FORMS: Final = "2026, 2026-Q4, 2026-11, 2026-W47 or 2026-11-01/2026-12-01"
_YEAR_MIN, _YEAR_MAX = 1980, 2200
_MONTHLIKE: Final = re.compile(r"(\d{4})(?:-(?:Q([1-4])|W(\d{2})|(\d{2})))?", re.ASCII)
_THURSDAY: Final = 4


@dataclass(frozen=True, slots=True)
class Period:
    """The local days `[start, end)` under the name they were given."""

    name: str
    start: date
    end: date

    def bounds_ms(self, calendar: Calendar) -> tuple[int, int]:
        return calendar.instant_ms(self.start), calendar.instant_ms(self.end)

    def days(self) -> int:
        return (self.end - self.start).days


def parse_period(text: str, calendar: Calendar, *, year_named_by: YearNamedBy = "end") -> Period:
    """Return the period; ValueError names what would do.

    Years and quarters are the fiscal ones. A week is the floor's week that holds the Thursday of the ISO
    week of that number. `from/to` names the first day and the first day after.
    """
    match = _MONTHLIKE.fullmatch(text)
    if match is None:
        return _custom(text)
    year = int(match[1])
    if not _YEAR_MIN <= year <= _YEAR_MAX:
        raise ValueError(f"{text!r} lies outside the years {_YEAR_MIN} to {_YEAR_MAX}")
    quarter, week, month = match[2], match[3], match[4]
    if week is not None:
        return _week(text, year, int(week), calendar)
    if month is not None:
        if not 1 <= int(month) <= 12:
            raise ValueError(f"{text!r} has no month {month}; use 01 to 12")
        return _months(text, date(year, int(month), 1), 1)
    first = _first_day_of_year(year, calendar.fiscal_year_start_month, year_named_by)
    if quarter is not None:
        return _months(text, months_before(first, -3 * (int(quarter) - 1)), 3)
    return _months(text, first, 12)


def _months(text: str, first: date, months: int) -> Period:
    return Period(text, first, months_before(first, -months))


def _first_day_of_year(year: int, start_month: int, year_named_by: YearNamedBy) -> date:
    begins_before = start_month > 1 and year_named_by == "end"
    return date(year - begins_before, start_month, 1)


def _week(text: str, year: int, week: int, calendar: Calendar) -> Period:
    try:
        thursday = date.fromisocalendar(year, week, _THURSDAY)
    except ValueError:
        raise ValueError(f"{text!r} has no week {week:02}; use W01 to W52, or W53 in a long year") from None
    start = calendar.week_start_of(thursday)
    return Period(text, start, start + timedelta(days=7))


def _custom(text: str) -> Period:
    first, slash, after = text.partition("/")
    try:
        if not slash or len(first) != len("2026-11-01") or len(after) != len(first):
            raise ValueError
        start, end = date.fromisoformat(first), date.fromisoformat(after)
    except ValueError:
        raise ValueError(f"{text!r} is no period; write {FORMS}") from None
    if not start < end:
        raise ValueError(f"{text!r} ends before it begins; the second date is the first day after the period")
    if start.year < _YEAR_MIN or end.year > _YEAR_MAX:
        raise ValueError(f"{text!r} lies outside the years {_YEAR_MIN} to {_YEAR_MAX}")
    return Period(text, start, end)
