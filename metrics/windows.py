"""An instant and the calendar in, the windows `[start, end)` ending there out. Reads no clock, sums nothing.

Each window comes with its previous twin:
rolling        the same length just before
today wtd mtd qtd   as many whole local days into the previous period, and the same local time of day;
               never past that period's end (31 March 10:00 looks at the whole of February)
ytd            the same local date and time a year before; for 29 February the end of 28 February
1bd 5bd        the same number of business days just before
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from metrics.calendar import MIDNIGHT, Calendar, months_before

_SECOND_MS: Final = 1000
_DAY_MS: Final = 86_400 * _SECOND_MS

ROLLING_MS: Final[dict[str, int]] = {
    "5m": 300 * _SECOND_MS,
    "1h": 3_600 * _SECOND_MS,
    "24h": _DAY_MS,
    "7d": 7 * _DAY_MS,
    "30d": 30 * _DAY_MS,
    "90d": 90 * _DAY_MS,
}
TO_DATE: Final = ("today", "wtd", "mtd", "qtd", "ytd")
BUSINESS_DAYS: Final[dict[str, int]] = {"1bd": 1, "5bd": 5}
WINDOW_NAMES: Final = (*ROLLING_MS, *TO_DATE, *BUSINESS_DAYS)

# The calendar needs a year before and a day after; Python's dates end at year 9999.
_AS_OF_MS_MIN: Final = -62_072_524_800_000  # 0003-01-01
_AS_OF_MS_MAX: Final = 253_339_228_800_000  # 9998-01-01


@dataclass(frozen=True, slots=True)
class Window:
    """Both intervals are `[start, end)`."""

    name: str
    start_ms: int
    end_ms: int
    previous_start_ms: int
    previous_end_ms: int


def windows_at(as_of_ms: int, calendar: Calendar, names: Iterable[str] = WINDOW_NAMES) -> tuple[Window, ...]:
    """Return the named windows that end at the instant, in the order asked for."""
    if not _AS_OF_MS_MIN <= as_of_ms < _AS_OF_MS_MAX:
        raise ValueError("the instant lies outside the years 3 to 9997")
    return tuple(_window(name, as_of_ms, calendar) for name in names)


def _window(name: str, as_of_ms: int, calendar: Calendar) -> Window:
    if name in ROLLING_MS:
        length_ms = ROLLING_MS[name]
        start_ms = as_of_ms - length_ms
        return Window(name, start_ms, as_of_ms, start_ms - length_ms, start_ms)
    if name in BUSINESS_DAYS:
        days = BUSINESS_DAYS[name]
        start_ms = calendar.business_days_before_ms(as_of_ms, days)
        previous_start_ms = calendar.business_days_before_ms(as_of_ms, 2 * days)
        return Window(name, start_ms, as_of_ms, previous_start_ms, start_ms)
    if name in TO_DATE:
        return _to_date(name, as_of_ms, calendar)
    raise ValueError(f"unknown window {name!r}; use one of {', '.join(WINDOW_NAMES)}")


def _to_date(name: str, as_of_ms: int, calendar: Calendar) -> Window:
    day = calendar.date_of(as_of_ms)
    start = _period_start(name, day, calendar)
    previous_start = _previous_period_start(name, start)
    if name == "ytd":
        previous_end_ms = _a_year_before_ms(as_of_ms, day, calendar)
    else:
        same_part = previous_start + (day - start)
        if same_part >= start:
            previous_end_ms = calendar.instant_ms(start)
        else:
            same_time_ms = calendar.instant_ms(same_part, calendar.wall_time_of(as_of_ms))
            previous_end_ms = min(same_time_ms, calendar.instant_ms(same_part + timedelta(days=1)))
    return Window(
        name, calendar.instant_ms(start), as_of_ms, calendar.instant_ms(previous_start), previous_end_ms
    )


def _period_start(name: str, day: date, calendar: Calendar) -> date:
    match name:
        case "wtd":
            return calendar.week_start_of(day)
        case "mtd":
            return calendar.month_start_of(day)
        case "qtd":
            return calendar.quarter_start_of(day)
        case "ytd":
            return calendar.year_start_of(day)
        case _:
            return day


def _previous_period_start(name: str, start: date) -> date:
    match name:
        case "today":
            return start - timedelta(days=1)
        case "wtd":
            return start - timedelta(days=7)
        case "mtd":
            return months_before(start, 1)
        case "qtd":
            return months_before(start, 3)
        case _:
            return months_before(start, 12)


def a_year_before_ms(time_ms: int, calendar: Calendar) -> int:
    """Return the same local date and time a year before; for 29 February the end of 28 February."""
    return _a_year_before_ms(time_ms, calendar.date_of(time_ms), calendar)


def _a_year_before_ms(as_of_ms: int, day: date, calendar: Calendar) -> int:
    if (day.month, day.day) == (2, 29):
        return calendar.instant_ms(date(day.year - 1, 3, 1), MIDNIGHT)
    return calendar.instant_ms(day.replace(year=day.year - 1), calendar.wall_time_of(as_of_ms))
