"""Local days begin where the floor's clock says, on the odd days too."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from metrics.calendar import Calendar, rfc3339

HOUR_MS = 3_600_000


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "day", "starts", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00", 23),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00", 25),
        ("Asia/Kolkata", date(2026, 7, 1), "2026-06-30T18:30", 24),
        ("Asia/Kathmandu", date(2026, 7, 1), "2026-06-30T18:15", 24),
        ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-04T13:00", 24.5),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00", 23),  # 00:00 does not exist
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00", 25),  # 00:00 happens twice
        ("America/St_Johns", date(2010, 11, 7), "2010-11-07T02:30", 25),  # set back from 00:01 to 23:01
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00", 0),  # a day that never was
    ],
)
def test_a_day_lasts_from_its_first_instant_to_the_next_days(
    zone: str, day: date, starts: str, hours: float
) -> None:
    calendar = Calendar(zone)
    start_ms, end_ms = calendar.instant_ms(day), calendar.instant_ms(day + timedelta(days=1))
    assert start_ms == utc_ms(starts)
    assert end_ms - start_ms == hours * HOUR_MS
    for time_ms in range(start_ms, end_ms, HOUR_MS // 4):
        assert calendar.day_start_ms(time_ms) == start_ms
    if hours:
        assert calendar.day_start_ms(end_ms - 1) == start_ms
    assert calendar.day_start_ms(end_ms) == end_ms
    assert calendar.day_start_ms(start_ms - 1) < start_ms


def test_a_skipped_wall_time_stands_for_the_first_instant_after_the_gap() -> None:
    assert Calendar("Europe/Berlin").instant_ms(date(2026, 3, 29), time(2, 30)) == utc_ms("2026-03-29T01:00")


def test_of_a_repeated_wall_time_the_first_counts() -> None:
    assert Calendar("Europe/Berlin").instant_ms(date(2026, 10, 25), time(2, 30)) == utc_ms("2026-10-25T00:30")


def test_weeks_quarters_and_years_begin_as_the_floor_says() -> None:
    calendar = Calendar("UTC", week_start="sunday", fiscal_year_start_month=4)
    day = date(2026, 2, 18)
    assert calendar.week_start_of(day) == date(2026, 2, 15)
    assert calendar.month_start_of(day) == date(2026, 2, 1)
    assert calendar.quarter_start_of(day) == date(2026, 1, 1)
    assert calendar.year_start_of(day) == date(2025, 4, 1)


def test_business_days_skip_weekends_and_holidays() -> None:
    calendar = Calendar("UTC", holidays=[date(2026, 12, 25)])
    monday = utc_ms("2026-12-28T10:00")
    assert calendar.business_days_before_ms(monday, 1) == utc_ms("2026-12-24T10:00")
    saturday = utc_ms("2026-12-19T15:00")
    assert calendar.business_days_before_ms(saturday, 1) == utc_ms("2026-12-18T00:00")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"week_start": "Monday"}, "'Monday' is no weekday"),
        ({"business_days": []}, "business_days is empty"),
        ({"fiscal_year_start_month": 13}, "use 1 to 12"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused_with_the_fix(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calendar("UTC", **wrong)  # type: ignore[arg-type]


def test_equal_calendars_are_equal_whatever_they_looked_up() -> None:
    one, other = Calendar("Europe/Berlin"), Calendar("Europe/Berlin")
    one.day_start_ms(0)
    assert one == other
    assert hash(one) == hash(other)


def test_instants_are_written_in_utc_to_the_millisecond() -> None:
    assert rfc3339(utc_ms("2026-11-21T09:30") + 123) == "2026-11-21T09:30:00.123Z"
