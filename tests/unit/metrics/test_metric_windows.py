"""Each window ends at the instant; its twin is the same part of what went before."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from metrics.calendar import Calendar
from metrics.windows import WINDOW_NAMES, windows_at

BERLIN = Calendar("Europe/Berlin")


def at(text: str, zone: str = "Europe/Berlin") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def shown(name: str, as_of: str, calendar: Calendar = BERLIN) -> tuple[str, str, str]:
    """Return (start, previous start, previous end) as wall times."""
    (window,) = windows_at(at(as_of, calendar.zone.key), calendar, [name])
    instants = (window.start_ms, window.previous_start_ms, window.previous_end_ms)
    wall = [datetime.fromtimestamp(ms / 1000, UTC).astimezone(calendar.zone) for ms in instants]
    first, second, third = (each.strftime("%Y-%m-%dT%H:%M") for each in wall)
    return first, second, third


@pytest.mark.parametrize(
    ("name", "as_of", "expected"),
    [
        ("24h", "2026-03-29T17:00", ("2026-03-28T16:00", "2026-03-27T16:00", "2026-03-28T16:00")),
        ("today", "2026-03-29T17:00", ("2026-03-29T00:00", "2026-03-28T00:00", "2026-03-28T17:00")),
        ("today", "2026-03-30T02:30", ("2026-03-30T00:00", "2026-03-29T00:00", "2026-03-29T03:00")),
        ("today", "2026-10-25T17:00", ("2026-10-25T00:00", "2026-10-24T00:00", "2026-10-24T17:00")),
        ("wtd", "2026-11-21T09:30", ("2026-11-16T00:00", "2026-11-09T00:00", "2026-11-14T09:30")),
        ("mtd", "2026-11-21T09:30", ("2026-11-01T00:00", "2026-10-01T00:00", "2026-10-21T09:30")),
        ("mtd", "2026-03-31T10:00", ("2026-03-01T00:00", "2026-02-01T00:00", "2026-03-01T00:00")),
        ("mtd", "2026-03-29T10:00", ("2026-03-01T00:00", "2026-02-01T00:00", "2026-03-01T00:00")),
        ("qtd", "2026-05-15T10:00", ("2026-04-01T00:00", "2026-01-01T00:00", "2026-02-14T10:00")),
        ("ytd", "2026-11-21T09:30", ("2026-01-01T00:00", "2025-01-01T00:00", "2025-11-21T09:30")),
        ("ytd", "2028-02-29T09:30", ("2028-01-01T00:00", "2027-01-01T00:00", "2027-03-01T00:00")),
        ("1bd", "2026-11-23T10:00", ("2026-11-20T10:00", "2026-11-19T10:00", "2026-11-20T10:00")),
        ("5bd", "2026-11-18T10:00", ("2026-11-11T10:00", "2026-11-04T10:00", "2026-11-11T10:00")),
        ("1bd", "2026-11-22T15:00", ("2026-11-20T00:00", "2026-11-19T00:00", "2026-11-20T00:00")),
    ],
)
def test_a_window_and_its_twin_begin_and_end_where_people_expect(
    name: str, as_of: str, expected: tuple[str, str, str]
) -> None:
    assert shown(name, as_of) == expected


def test_fiscal_periods_follow_the_fiscal_year() -> None:
    calendar = Calendar("Asia/Kolkata", fiscal_year_start_month=4)
    assert shown("ytd", "2026-02-10T09:00", calendar)[0] == "2025-04-01T00:00"
    assert shown("qtd", "2026-02-10T09:00", calendar)[0] == "2026-01-01T00:00"


def test_holidays_are_no_business_days() -> None:
    calendar = Calendar("Europe/Berlin", holidays=[date(2026, 11, 20)])
    assert shown("1bd", "2026-11-23T10:00", calendar)[0] == "2026-11-19T10:00"


def test_every_window_ends_at_the_instant_and_follows_its_twin() -> None:
    as_of_ms = at("2026-11-21T09:30")
    windows = windows_at(as_of_ms, BERLIN)
    assert [window.name for window in windows] == list(WINDOW_NAMES)
    for window in windows:
        assert window.end_ms == as_of_ms
        assert window.previous_start_ms < window.previous_end_ms <= window.start_ms < window.end_ms


def test_an_unknown_window_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown window '2h'; use one of 5m, 1h"):
        windows_at(0, BERLIN, ["2h"])


def test_an_instant_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        windows_at(1 << 60, BERLIN)
