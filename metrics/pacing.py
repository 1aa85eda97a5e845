"""Days and their weights in, how much of a period's work is done at an instant out. Exact; reads no clock.

A business day weighs 1, any other day 0, unless `weekday_weights` says otherwise; a holiday always weighs 0.
The running day counts by the share of it that is over: half of a 23-hour day is over after 11.5 hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Final

from metrics.calendar import WEEKDAYS, Calendar
from metrics.periods import Period, YearNamedBy

_DAY: Final = timedelta(days=1)
_CACHE_ENTRIES_MAX: Final = 50_000


@dataclass(frozen=True)
class Pacing:
    """From the settings: how targets are spread over days, and which open deals a forecast counts."""

    weekday_weights: Mapping[str, float] = field(default_factory=dict)
    ramp_months: int = 0
    """A rep's days weigh 1/(N+1) in the first month, 2/(N+1) in the second … and 1 after N months."""
    commit_probability: float = 0.8
    best_case_probability: float = 0.5
    year_named_by: YearNamedBy = "end"


@dataclass(frozen=True, slots=True)
class Progress:
    """Weights of a period at an instant. `business_days_left` knows no ramp: it is time left to work in."""

    total: Fraction
    elapsed: Fraction
    business_days_left: Fraction


class DayWeights:
    """Weights of days; keeps each period's running sums."""

    def __init__(self, calendar: Calendar, pacing: Pacing) -> None:
        self._calendar = calendar
        self._ramp_months = pacing.ramp_months
        given = {day: Fraction(Decimal(str(weight))) for day, weight in pacing.weekday_weights.items()}
        usual = {day: Fraction(day in calendar.business_days) for day in WEEKDAYS}
        self._by_weekday = tuple((usual | given)[day] for day in WEEKDAYS)
        self._sums: dict[tuple[date, date, date | None], list[Fraction]] = {}

    def weight(self, day: date) -> Fraction:
        return Fraction(0) if day in self._calendar.holidays else self._by_weekday[day.weekday()]

    def ramp(self, day: date, began_on: date | None) -> Fraction:
        """Return the share of a full day's weight that a rep who began on a day carries; 0 before it."""
        if began_on is None or not self._ramp_months:
            return Fraction(1)
        if day < began_on:
            return Fraction(0)
        months = (day.year - began_on.year) * 12 + day.month - began_on.month - (day.day < began_on.day)
        return Fraction(min(months, self._ramp_months) + 1, self._ramp_months + 1)

    def progress(self, period: Period, time_ms: int, *, began_on: date | None = None) -> Progress:
        """Return how far the period is; before it nothing is elapsed, after it everything."""
        ramped = self._sums_of(period, began_on)
        plain = self._sums_of(period, None)
        return Progress(
            total=ramped[-1],
            elapsed=self._before(ramped, period, time_ms),
            business_days_left=plain[-1] - self._before(plain, period, time_ms),
        )

    def _before(self, sums: list[Fraction], period: Period, time_ms: int) -> Fraction:
        day = self._calendar.date_of(time_ms)
        if day < period.start:
            return sums[0]
        if day >= period.end:
            return sums[-1]
        number = (day - period.start).days
        start_ms, end_ms = self._calendar.instant_ms(day), self._calendar.instant_ms(day + _DAY)
        share = Fraction(time_ms - start_ms, end_ms - start_ms)
        return sums[number] + (sums[number + 1] - sums[number]) * share

    def _sums_of(self, period: Period, began_on: date | None) -> list[Fraction]:
        """Return the weight before each day of the period, and of all of it."""
        began_on = began_on if self._ramp_months else None
        key = (period.start, period.end, began_on)
        if key not in self._sums:
            if len(self._sums) >= _CACHE_ENTRIES_MAX:
                self._sums.clear()
            days = (period.start + timedelta(days=number) for number in range(period.days()))
            weights = (self.weight(day) * self.ramp(day, began_on) for day in days)
            self._sums[key] = list(accumulate(weights, initial=Fraction(0)))
        return self._sums[key]
