"""An instant and the calendar in, the alert's windows with the weeks they are compared with out. No sums.

The baseline of a trailing window is the same window one to four weeks before: it ends at the same local
time of day and weekday. The weeks never overlap each other or the window itself, so that no outcome
counts twice: where a holiday makes a trailing window reach further back, it is cut there. A one-day
window skips the weeks in which that weekday was a day off.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from metrics.business_hours import BusinessHours
from metrics.calendar import Calendar

ALERT_WINDOWS: Final[dict[str, int]] = {"1bd": 1, "5bd": 5}
BASELINE_WEEKS: Final = 4


class Interval(NamedTuple):
    """`[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class AlertWindow:
    name: str
    now: Interval
    baseline: tuple[Interval, ...]


def alert_windows(as_of_ms: int, calendar: Calendar) -> tuple[AlertWindow, ...]:
    return tuple(_alert_window(name, days, as_of_ms, calendar) for name, days in ALERT_WINDOWS.items())


def _alert_window(name: str, days: int, as_of_ms: int, calendar: Calendar) -> AlertWindow:
    now = Interval(calendar.business_days_before_ms(as_of_ms, days), as_of_ms)
    open_day = calendar.is_business_day(calendar.date_of(as_of_ms))
    baseline: list[Interval] = []
    before_ms = now.start_ms
    for week in range(1, BASELINE_WEEKS + 1):
        same_time_ms = _weeks_before_ms(as_of_ms, week, calendar)
        if days == 1 and open_day and not calendar.is_business_day(calendar.date_of(same_time_ms)):
            continue
        start_ms = max(
            calendar.business_days_before_ms(same_time_ms, days),
            _weeks_before_ms(as_of_ms, week + 1, calendar),
        )
        end_ms = min(same_time_ms, before_ms)
        if start_ms < end_ms:
            baseline.append(Interval(start_ms, end_ms))
            before_ms = start_ms
    return AlertWindow(name, now, tuple(baseline))


def _weeks_before_ms(time_ms: int, weeks: int, calendar: Calendar) -> int:
    day = calendar.date_of(time_ms) - timedelta(days=7 * weeks)
    return calendar.instant_ms(day, calendar.wall_time_of(time_ms))


def business_open(as_of_ms: int, hours: BusinessHours) -> bool:
    """Say whether the floor is at work: a stale pipe matters only then."""
    return hours.between_ms(as_of_ms, as_of_ms + 1) > 0
