"""Business time: what nights, weekends, holidays and clock changes take away."""

from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from metrics.business_hours import BusinessHours, minute_of
from metrics.calendar import WEEKDAYS, Calendar
from oracle.joins import business_time, last_instant_in_time
from oracle.windows import Floor
from tests.product_path import calendar_of

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BERLIN = BusinessHours(Calendar("Europe/Berlin", holidays=[date(2026, 5, 1)]))


def at(text: str, zone: str = "Europe/Berlin") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-04-28T10:00", "2026-04-28T11:30", 1.5),
        ("2026-04-28T17:00", "2026-04-29T10:00", 2),  # over night
        ("2026-04-30T17:00", "2026-05-04T09:30", 1.5),  # a holiday and a weekend between
        ("2026-05-02T10:00", "2026-05-03T12:00", 0),
        ("2026-04-28T11:00", "2026-04-28T10:00", 0),
        ("2026-04-27T00:00", "2026-05-04T00:00", 4 * 9),
    ],
)
def test_only_opening_hours_count(start: str, end: str, hours: float) -> None:
    assert BERLIN.between_ms(at(start), at(end)) == hours * HOUR_MS


@pytest.mark.parametrize(
    ("start", "deadline"),
    [
        ("2026-04-28T10:00", "2026-04-28T11:00"),
        ("2026-04-28T17:30", "2026-04-29T09:30"),
        ("2026-04-28T20:00", "2026-04-29T10:00"),
        ("2026-04-30T17:30", "2026-05-04T09:30"),
        ("2026-04-28T17:00", "2026-04-29T09:00"),  # the hour ends at closing time: no time passes over night
    ],
)
def test_an_hour_ends_when_an_hour_of_business_has_passed(start: str, deadline: str) -> None:
    assert BERLIN.deadline_ms(at(start), HOUR_MS) == at(deadline)


def test_a_day_of_a_clock_change_has_the_hours_that_pass() -> None:
    hours = dict.fromkeys(WEEKDAYS, (0, 24 * 60))
    new_york = BusinessHours(Calendar("America/New_York", business_days=WEEKDAYS), hours)
    spring, autumn = at("2026-03-08T00:00", "America/New_York"), at("2026-11-01T00:00", "America/New_York")
    assert new_york.between_ms(spring, at("2026-03-09T00:00", "America/New_York")) == 23 * HOUR_MS
    assert new_york.between_ms(autumn, at("2026-11-02T00:00", "America/New_York")) == 25 * HOUR_MS


def test_weekdays_have_hours_of_their_own() -> None:
    hours = BusinessHours(Calendar("UTC"), {"friday": (8 * 60, 13 * 60)})
    week = at("2026-04-27T00:00", "UTC")
    assert hours.between_ms(week, week + 7 * DAY_MS) == 5 * HOUR_MS


def test_without_a_business_day_to_come_there_is_no_deadline() -> None:
    never = BusinessHours(Calendar("UTC"), {})
    assert never.deadline_ms(at("2026-04-27T00:00", "UTC"), HOUR_MS) is None
    assert never.between_ms(0, 10**14) == 0


def test_times_outside_all_reason_are_borne() -> None:
    far_ms = int(datetime(9999, 12, 31, 23, tzinfo=UTC).timestamp()) * 1000
    assert BERLIN.deadline_ms(far_ms, HOUR_MS) is None
    assert BERLIN.between_ms(far_ms - 1, far_ms) == 0


@pytest.mark.parametrize("text", ["9:00", "0900", "24:01", "12:60", "-1:00", "ab:cd", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write HH:MM"):
        minute_of(text)


def test_times_of_day() -> None:
    assert [minute_of(text) for text in ("00:00", "09:30", "24:00")] == [0, 570, 1440]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "America/Sao_Paulo"])
def test_business_time_equals_the_oracle_and_a_deadline_is_its_last_instant(zone: str) -> None:
    floor = Floor(zone=zone, holidays=(date(2018, 3, 9),), hours_of={"friday": ("00:30", "13:00")})
    product = BusinessHours(
        calendar_of(floor), dict.fromkeys(WEEKDAYS, (540, 1080)) | {"friday": (30, 13 * 60)}
    )
    random = Random(zone)
    for _ in range(150):
        start_ms = at("2018-01-01T00:00", "UTC") + random.randrange(365 * 96) * HOUR_MS // 4
        end_ms = start_ms + random.choice((1, HOUR_MS, random.randrange(20 * DAY_MS)))
        assert product.between_ms(start_ms, end_ms) == business_time(start_ms, end_ms, floor)
        length_ms = random.choice((HOUR_MS // 2, HOUR_MS, 9 * HOUR_MS, random.randrange(40 * HOUR_MS)))
        deadline_ms = product.deadline_ms(start_ms, length_ms)
        assert deadline_ms == last_instant_in_time(start_ms, length_ms, floor)
        assert deadline_ms is not None
        assert product.between_ms(start_ms, deadline_ms) <= length_ms
        assert product.between_ms(start_ms, deadline_ms + 1) > length_ms
