"""A period as its record names it in, its local days out: 2026, 2026-Q4, 2026-11, 2026-W47, or from/to."""

from datetime import date, timedelta

from oracle.windows import WEEKDAYS, Floor


def days_of(period: str, floor: Floor, year_named_by: str) -> list[date]:
    """Return every day of the period; ValueError for a text that names none."""
    if "/" in period:
        first, after = (date.fromisoformat(part) for part in period.split("/"))
        return _days(first, after)
    year, _, rest = period.partition("-")
    if rest.startswith("W"):
        thursday = date.fromisocalendar(int(year), int(rest[1:]), 4)
        first = thursday
        while WEEKDAYS[first.weekday()] != floor.week_start:
            first -= timedelta(days=1)
        return _days(first, first + timedelta(days=7))
    if rest and not rest.startswith("Q"):
        first = date(int(year), int(rest), 1)
        return _days(first, later(first, 1))
    starts_before = year_named_by == "end" and floor.fiscal_year_start_month != 1
    first = date(int(year) - (1 if starts_before else 0), floor.fiscal_year_start_month, 1)
    if not rest:
        return _days(first, later(first, 12))
    first = later(first, 3 * (int(rest[1:]) - 1))
    return _days(first, later(first, 3))


def _days(first: date, after: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((after - first).days)]


def later(day: date, months: int) -> date:
    """Return the same day of a later month, or the first day after a month that is too short."""
    count = day.year * 12 + day.month - 1 + months
    try:
        return date(count // 12, count % 12 + 1, day.day)
    except ValueError:
        return later(date(count // 12, count % 12 + 1, 1), 1)
