"""A floor's size and a seed in, a made-up history of closed deals and a fall in it out. Judges nothing.

Closings come by chance (Poisson) with the shape of a week and of a day; they stop at night, at weekends and
on holidays. Each carries a number by which it is won: below the chance of winning at its time. So the same
deals can be looked at with and without a fall.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.business_hours import BusinessHours
from metrics.calendar import Calendar

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Clocks go forward on 29 March; four public holidays lie in the weeks that are judged.
CALENDAR: Final = Calendar(
    "Europe/Berlin",
    holidays=[date(2026, 1, 1), date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 14)],
)
HOURS: Final = BusinessHours(CALENDAR)
FIRST_DAY: Final = date(2026, 1, 5)
WARM_UP_WEEKS: Final = 6
"""Four weeks of baseline, one for the trailing window, and one to settle."""

_DAY_SHAPE: Final = (1.15, 1.1, 1.05, 0.95, 0.75)
"""Monday to Friday; 1 is the average day."""
_HOUR_SHAPE: Final = (0.6, 1.1, 1.3, 0.9, 0.5, 1.0, 1.3, 1.3, 1.0)
"""The nine hours from opening; 1 is the average hour."""


@dataclass(frozen=True)
class FloorSize:
    trials_per_week: int
    rate: float
    """Share of trials that succeed while nothing is wrong."""


@dataclass(frozen=True)
class History:
    """Closings in the order of their time. `won` says who was won."""

    time_ms: Ints
    chance: NDArray[np.float64]
    won: Bools

    def fallen(self, since_ms: int, rate: float) -> "History":
        """Return the same closings with another chance of winning from an instant on."""
        late = self.time_ms >= since_ms
        return replace(self, won=np.where(late, self.chance < rate, self.won))


def business_days(first: date, weeks: int) -> Sequence[date]:
    days = (first + timedelta(days=n) for n in range(7 * weeks))
    return [day for day in days if CALENDAR.is_business_day(day)]


def opening_ms(day: date) -> tuple[int, int]:
    """Return when the floor opens and closes on a business day."""
    start_ms = CALENDAR.instant_ms(day)
    hours = HOURS.hours["monday"]
    return start_ms + hours[0] * 60_000, start_ms + hours[1] * 60_000


def history_of(size: FloorSize, weeks: int, random: np.random.Generator) -> History:
    times: list[Ints] = []
    for day in business_days(FIRST_DAY, weeks):
        opens_ms, closes_ms = opening_ms(day)
        hour_ms = (closes_ms - opens_ms) // len(_HOUR_SHAPE)
        per_hour = size.trials_per_week / 5 * _DAY_SHAPE[day.weekday()] / len(_HOUR_SHAPE)
        for number, count in enumerate(random.poisson(per_hour * np.array(_HOUR_SHAPE))):
            start_ms = opens_ms + number * hour_ms
            times.append(random.integers(start_ms, start_ms + hour_ms, count))
    time_ms = np.sort(np.concatenate(times))
    chance = random.random(len(time_ms))
    return History(time_ms, chance, chance < size.rate)
