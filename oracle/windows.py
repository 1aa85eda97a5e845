"""Windows the slow, obvious way: (name, as-of) in, the window and its previous twin as [start, end) out.

Written from the sentences that define the windows, with nothing but the standard library; it shares
no line and no constant with the product. Local times are plain naive datetimes; of a wall time that a
clock change repeats the first pass is meant, of one that it skips the first moment after the gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ROLLING_SECONDS: Mapping[str, int] = {
    "5m": 300,
    "1h": 3_600,
    "24h": 24 * 3_600,
    "7d": 7 * 24 * 3_600,
    "30d": 30 * 24 * 3_600,
    "90d": 90 * 24 * 3_600,
}
BUSINESS_DAYS: Mapping[str, int] = {"1bd": 1, "5bd": 5}
TO_DATE = ("today", "wtd", "mtd", "qtd", "ytd")
WINDOWS: tuple[str, ...] = (*ROLLING_SECONDS, *TO_DATE, *BUSINESS_DAYS)

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Floor:
    """What the floor's settings say, in the words of the settings file."""

    zone: str = "UTC"
    currency: str = "USD"
    week_start: str = "monday"
    fiscal_year_start_month: int = 1
    business_days: tuple[str, ...] = WEEKDAYS[:5]
    holidays: tuple[date, ...] = ()
    stage_probability: Mapping[str, float] = field(default_factory=dict)
    hours: tuple[str, str] = ("09:00", "18:00")
    hours_of: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    response_sla_minutes: int = 60
    stalled_after_days: int = 14


@dataclass(frozen=True)
class Span:
    """[start, end) in milliseconds since the Unix epoch."""

    start_ms: int
    end_ms: int

    def holds(self, time_ms: int) -> bool:
        return self.start_ms <= time_ms < self.end_ms


@dataclass(frozen=True)
class WindowPair:
    now: Span
    previous: Span


def window_pair(name: str, as_of_ms: int, floor: Floor) -> WindowPair:
    """Return the named window that ends at as-of, and its previous twin."""
    if name in ROLLING_SECONDS:
        length_ms = ROLLING_SECONDS[name] * 1000
        start_ms = as_of_ms - length_ms
        return WindowPair(Span(start_ms, as_of_ms), Span(start_ms - length_ms, start_ms))
    if name in BUSINESS_DAYS:
        return _business_pair(BUSINESS_DAYS[name], as_of_ms, floor)
    return _to_date_pair(name, as_of_ms, floor)


def local_of(time_ms: int, floor: Floor) -> datetime:
    """Return the wall time of an instant as a naive datetime."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return moment.astimezone(ZoneInfo(floor.zone)).replace(tzinfo=None, fold=0)


def instant_of(local: datetime, floor: Floor) -> int:
    """Return the first instant at which the floor's clock shows this wall time or a later one."""
    moment = local.replace(tzinfo=ZoneInfo(floor.zone), fold=0).astimezone(UTC)
    time_ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if local_of(time_ms, floor) != local:  # skipped: clocks change on full minutes, so look at each
        time_ms = (time_ms // 60_000 - 180) * 60_000
        while local_of(time_ms, floor) < local:
            time_ms += 60_000
    return time_ms


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a naive wall time is meant


def _months_later(first: date, months: int) -> date:
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _period_start(name: str, day: date, floor: Floor) -> date:
    if name == "today":
        return day
    if name == "wtd":
        return day - timedelta(days=(day.weekday() - WEEKDAYS.index(floor.week_start)) % 7)
    first = day.replace(day=1)
    if name == "mtd":
        return first
    months_in = (day.month - floor.fiscal_year_start_month) % 12
    return _months_later(first, -(months_in % 3 if name == "qtd" else months_in))


def _previous_period_start(name: str, start: date) -> date:
    if name == "today":
        return start - timedelta(days=1)
    if name == "wtd":
        return start - timedelta(days=7)
    return _months_later(start, {"mtd": -1, "qtd": -3, "ytd": -12}[name])


def _same_date_a_year_before(local: datetime) -> datetime:
    try:
        return local.replace(year=local.year - 1)
    except ValueError:  # 29 February: the year before has no such date, its February is over
        return local.replace(year=local.year - 1, month=3, day=1, hour=0, minute=0, second=0, microsecond=0)


def _to_date_pair(name: str, as_of_ms: int, floor: Floor) -> WindowPair:
    local = local_of(as_of_ms, floor)
    start = _period_start(name, local.date(), floor)
    before = _previous_period_start(name, start)
    if name == "ytd":
        previous_end = _same_date_a_year_before(local)
    else:
        elapsed = local - _midnight(start)
        previous_end = min(_midnight(before) + elapsed, _midnight(start))
    start_ms = instant_of(_midnight(start), floor)
    previous = Span(instant_of(_midnight(before), floor), min(instant_of(previous_end, floor), start_ms))
    return WindowPair(Span(start_ms, as_of_ms), previous)


def _is_business_day(day: date, floor: Floor) -> bool:
    return WEEKDAYS[day.weekday()] in floor.business_days and day not in floor.holidays


def _business_days_before(local: datetime, count: int, floor: Floor) -> datetime:
    """Go back to the same wall time `count` business days before; weekends and holidays do not count.

    From a non-business day the count starts at the end of the last business day, which is 24:00 of
    that day: one business day before it is that day's 00:00.
    """
    day, clock = local.date(), local - _midnight(local.date())
    if not _is_business_day(day, floor):
        while not _is_business_day(day, floor):
            day -= timedelta(days=1)
        clock = timedelta(days=1)
    for _ in range(count):
        day -= timedelta(days=1)
        while not _is_business_day(day, floor):
            day -= timedelta(days=1)
    return _midnight(day) + clock


def _business_pair(count: int, as_of_ms: int, floor: Floor) -> WindowPair:
    local = local_of(as_of_ms, floor)
    start_ms = instant_of(_business_days_before(local, count, floor), floor)
    previous_ms = instant_of(_business_days_before(local, 2 * count, floor), floor)
    return WindowPair(Span(start_ms, as_of_ms), Span(previous_ms, start_ms))
