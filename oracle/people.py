"""Work per rep and business day, growth and velocity, the slow, obvious way. Without a roster.

Written from the sentences of the KPIs; shares no line with the product.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction

from oracle.windows import WEEKDAYS, Floor, Span, WindowPair, instant_of, local_of, window_pair

Completed = Iterable[tuple[str, int | None]]
"""Rep and time of completed activities."""


def business_days(span: Span, floor: Floor) -> Fraction:
    """Return the business days in the span, each by the share of it that lies inside."""
    total = Fraction(0)
    # A zone may repeat or skip midnights, so begin a day early and leave empty shares out.
    day = local_of(span.start_ms, floor).date() - timedelta(days=1)
    while (start_ms := _midnight(day, floor)) < span.end_ms:
        end_ms = _midnight(day + timedelta(days=1), floor)
        inside = min(end_ms, span.end_ms) - max(start_ms, span.start_ms)
        works = WEEKDAYS[day.weekday()] in floor.business_days and day not in floor.holidays
        if works and inside > 0:
            total += Fraction(inside, end_ms - start_ms)
        day += timedelta(days=1)
    return total


def _midnight(day: datetime | object, floor: Floor) -> int:
    return instant_of(datetime.fromisoformat(f"{day}T00:00"), floor)


def people_numbers(completed: Completed, span: Span, floor: Floor) -> dict[str, Fraction | None]:
    done = [rep for rep, time_ms in completed if time_ms is not None and span.holds(time_ms)]
    days = len({rep for rep in done if rep}) * business_days(span, floor) if any(done) else Fraction(0)
    return {"rep_days": days, "activities_per_rep_day": len(done) / days if days else None}


def growth(now: Fraction | None, before: Fraction | None) -> Fraction | None:
    return None if now is None or not before else now / before - 1


def pair_a_year_before(name: str, as_of_ms: int, floor: Floor) -> WindowPair:
    """Return the window of that name as it stood at the same local date and time a year before."""
    local = local_of(as_of_ms, floor)
    try:
        then = local.replace(year=local.year - 1)
    except ValueError:  # 29 February: the end of 28 February is meant
        then = local.replace(year=local.year - 1, month=3, day=1, hour=0, minute=0, second=0, microsecond=0)
    return window_pair(name, instant_of(then, floor), floor)


def velocity(
    open_deals: int, win_rate: Fraction | None, average: Fraction | None, cycle_seconds: Fraction | None
) -> Fraction | None:
    """Return money per day."""
    if win_rate is None or average is None or not cycle_seconds:
        return None
    return open_deals * win_rate * average / (cycle_seconds / 86_400)


def velocity_error(value: Fraction | None, cycle: Fraction | None, error: Fraction | None) -> Fraction | None:
    """Return how far the velocity may be off when its cycle may be off by `error`."""
    if value is None or cycle is None or error is None:
        return None
    left = abs(cycle) - error
    return abs(value) * error / left + abs(value) / 10**9 if left > 0 else Fraction(10**30)
