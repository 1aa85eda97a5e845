"""The floor's calendar: an instant in, the local boundaries around it out. Reads no clock, holds no numbers.

A local day is `[its first instant, the next day's first instant)`. A midnight that a clock change
skips is replaced by the first instant after the skip; of a midnight that happens twice the first counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MIDNIGHT: Final = time()

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)
_HOUR_MS: Final = 3_600_000

# An hour of 800 days is one entry; ten times that is a caller walking through history, not a need.
_CACHE_ENTRIES_MAX: Final = 200_000


@dataclass(frozen=True)
class Calendar:
    """`zone` is an IANA zone or its name; weekdays are lower-case English names, as in the settings."""

    zone: ZoneInfo
    week_start: str
    fiscal_year_start_month: int
    business_days: frozenset[str]
    holidays: frozenset[date]
    _days: dict[int, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    def __init__(
        self,
        zone: ZoneInfo | str = "UTC",
        *,
        week_start: str = "monday",
        fiscal_year_start_month: int = 1,
        business_days: Iterable[str] = WEEKDAYS[:5],
        holidays: Iterable[date] = (),
    ) -> None:
        put = object.__setattr__
        put(self, "zone", ZoneInfo(zone) if isinstance(zone, str) else zone)
        put(self, "week_start", week_start)
        put(self, "fiscal_year_start_month", fiscal_year_start_month)
        put(self, "business_days", frozenset(business_days))
        put(self, "holidays", frozenset(holidays))
        put(self, "_days", {})
        self._check()

    def _check(self) -> None:
        unknown = sorted((self.business_days | {self.week_start}) - set(WEEKDAYS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no weekday; use one of {', '.join(WEEKDAYS)}")
        if not self.business_days:
            raise ValueError("business_days is empty; name at least one weekday")
        if not 1 <= self.fiscal_year_start_month <= 12:
            raise ValueError(f"fiscal_year_start_month is {self.fiscal_year_start_month}; use 1 to 12")

    # --- instants and local days

    def day_start_ms(self, time_ms: int) -> int:
        """Return the first instant of the local day that holds the time."""
        hour = time_ms // _HOUR_MS
        day = self._days.get(hour)
        if day is None or not day[0] <= time_ms < day[1]:
            day = self._day_around(time_ms)
            if len(self._days) >= _CACHE_ENTRIES_MAX:
                self._days.clear()
            self._days[hour] = day
        return day[0]

    def _day_around(self, time_ms: int) -> tuple[int, int]:
        day = self.date_of(time_ms)
        return self.instant_ms(day), self.instant_ms(day + _DAY)

    def date_of(self, time_ms: int) -> date:
        """Return the local day that holds the time."""
        day = self._local(time_ms).date()
        # A clock set back over midnight shows yesterday's date once more; that hour stays with the new day.
        return day + _DAY if time_ms >= self.instant_ms(day + _DAY) else day

    def wall_time_of(self, time_ms: int) -> time:
        """Return the local time of day; both passes of a repeated hour show the same."""
        local = self._local(time_ms)
        if local.date() < self.date_of(time_ms):
            return MIDNIGHT
        return local.time().replace(fold=0)

    def instant_ms(self, day: date, wall: time = MIDNIGHT) -> int:
        """Return when the local clock first shows this time on the day; if skipped, the next instant."""
        local = datetime.combine(day, wall, tzinfo=self.zone)
        instant = (local.astimezone(UTC) - _EPOCH) // _MS
        if self._local(instant).replace(tzinfo=None) == local.replace(tzinfo=None):
            return instant
        after = (local.replace(fold=1).astimezone(UTC) - _EPOCH) // _MS
        before = (local.replace(fold=0).astimezone(UTC) - _EPOCH) // _MS
        return self._clock_change_ms(after, before)

    def _clock_change_ms(self, low: int, high: int) -> int:
        """Return the first instant in (low, high] that has the offset of `high`."""
        offset = self._local(high).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if self._local(middle).utcoffset() == offset:
                high = middle
            else:
                low = middle
        return high

    def _local(self, time_ms: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=time_ms)).astimezone(self.zone)

    # --- starts of periods, as local days

    def week_start_of(self, day: date) -> date:
        return day - timedelta(days=(day.weekday() - WEEKDAYS.index(self.week_start)) % 7)

    def month_start_of(self, day: date) -> date:
        return day.replace(day=1)

    def quarter_start_of(self, day: date) -> date:
        """Return the first day of the fiscal quarter."""
        months_into_quarter = (day.month - self.fiscal_year_start_month) % 3
        return months_before(day.replace(day=1), months_into_quarter)

    def year_start_of(self, day: date) -> date:
        """Return the first day of the fiscal year."""
        months_into_year = (day.month - self.fiscal_year_start_month) % 12
        return months_before(day.replace(day=1), months_into_year)

    # --- business days

    def is_business_day(self, day: date) -> bool:
        return WEEKDAYS[day.weekday()] in self.business_days and day not in self.holidays

    def business_days_before_ms(self, time_ms: int, count: int) -> int:
        """Return the same local time `count` business days earlier.

        A time on a day off stands for the end of the last business day: one business day before any
        time on a Saturday is the end of Thursday, that is the start of Friday.
        """
        day, wall = self.date_of(time_ms), self.wall_time_of(time_ms)
        on_business_day = self.is_business_day(day)
        day = self._business_day_at_or_before(day)
        for _ in range(count):
            day = self._business_day_at_or_before(day - _DAY)
        return self.instant_ms(day, wall) if on_business_day else self.instant_ms(day + _DAY)

    def _business_day_at_or_before(self, day: date) -> date:
        while not self.is_business_day(day):
            day -= _DAY
        return day


def months_before(first_of_month: date, months: int) -> date:
    """Return the first day of the month so many months earlier."""
    index = first_of_month.year * 12 + first_of_month.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def rfc3339(time_ms: int) -> str:
    """Return the instant in UTC, to the millisecond: `2026-11-21T09:30:00.123Z`."""
    try:
        instant = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return f"{instant.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
