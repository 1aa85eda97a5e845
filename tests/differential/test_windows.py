"""Every window and its previous twin, at random instants and around clock changes, equals the oracle's."""

from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from metrics.calendar import Calendar
from metrics.windows import windows_at
from oracle.windows import WINDOWS, Floor, Span, WindowPair, window_pair

FROM_MS, TO_MS = 1_451_606_400_000, 1_577_836_800_000  # 2016 to 2019: a leap year, Brazil's last summer times
HALF_HOUR_MS = 1_800_000

FLOORS = (
    Floor(),
    Floor(zone="America/New_York", week_start="sunday", holidays=(date(2017, 11, 23), date(2017, 12, 25))),
    Floor(zone="America/Sao_Paulo", fiscal_year_start_month=4),  # its clocks change at midnight
    Floor(zone="Asia/Kathmandu", fiscal_year_start_month=7, business_days=("sunday", "monday", "friday")),
    Floor(zone="Australia/Lord_Howe", fiscal_year_start_month=10),  # its clocks change by half an hour
    Floor(zone="America/Havana"),  # it has days with two midnights
)


def calendar_of(floor: Floor) -> Calendar:
    return Calendar(
        floor.zone,
        week_start=floor.week_start,
        fiscal_year_start_month=floor.fiscal_year_start_month,
        business_days=floor.business_days,
        holidays=floor.holidays,
    )


def clock_changes(zone: str) -> list[int]:
    """Return the half hours at which the zone's offset is another than at the half hour before."""
    tz, found, last = ZoneInfo(zone), [], None
    for time_ms in range(FROM_MS, TO_MS, HALF_HOUR_MS):
        offset = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(tz).utcoffset()
        if last is not None and offset != last:
            found.append(time_ms)
        last = offset
    return found


def instants(floor: Floor) -> list[int]:
    random = Random(floor.zone)
    anywhere = [random.randrange(FROM_MS, TO_MS) for _ in range(400)]
    on_the_half_hour = [time_ms // HALF_HOUR_MS * HALF_HOUR_MS for time_ms in anywhere[:200]]
    days = (-1, 0, 1, 2, 3, 5, 7, 28, 31, 92, 365)  # so that twins end inside the changed hour, too
    changes = clock_changes(floor.zone)
    around = [
        change_ms + day * 86_400_000 + step * HALF_HOUR_MS
        for change_ms in random.sample(changes, min(6, len(changes)))
        for day in days
        for step in (-3, -1, 0, 1, 2)
    ]
    return anywhere + on_the_half_hour + around


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.zone)
def test_windows_and_twins_equal_the_oracle_in_every_zone(floor: Floor) -> None:
    calendar = calendar_of(floor)
    for as_of_ms in instants(floor):
        expected = {name: window_pair(name, as_of_ms, floor) for name in WINDOWS}
        actual = {
            window.name: WindowPair(
                Span(window.start_ms, window.end_ms), Span(window.previous_start_ms, window.previous_end_ms)
            )
            for window in windows_at(as_of_ms, calendar, WINDOWS)
        }
        assert actual == expected, (floor.zone, as_of_ms)
