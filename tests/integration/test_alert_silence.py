"""Firing alerts that people are not told of: by night, on holidays, and while what explains them is known.

A real Prometheus and a real Alertmanager. Silence cannot be awaited, so each is measured by something else of
which people are told meanwhile, again and again.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.test_alerts import DAY_MS, at_work, banner, closed, closings, now_ms
from tests.integration.test_prometheus import until
from tests.integration.watched_floor import Watched, watched_floor

FALL, STALE, WORKER = "ConversionFallingFast", "SalesfloorDataStale", "SalesfloorWorkerDown"
SETTINGS = """
[floor]
business_days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
business_hours = {hours}
holidays = {holidays}

[metrics]
tick_ms = 200

[alerts]
evaluation_seconds = 1
stale_after_seconds = 4
group_wait_seconds = 0
group_interval_seconds = 1
repeat_seconds = 1
levels = ["floor"]
for_seconds = {{ ConversionFallingFast = 0, SalesfloorDataStale = 0, SalesfloorWorkerDown = 0 }}
keep_firing_seconds = {{ ConversionFallingFast = 600 }}
off = ["ConversionFallingSlow", "ConversionCusum", "TeamWithoutActivity"]
"""


def settings(hours: tuple[str, str] = ("00:00", "24:00"), holidays: tuple[str, ...] = ()) -> str:
    return SETTINGS.format(hours=list(hours), holidays=f"[{', '.join(holidays)}]")


def not_now() -> tuple[str, str]:
    """Return business hours that are hours away, in the same night."""
    return ("16:00", "20:00") if datetime.now(UTC).hour < 12 else ("04:00", "08:00")


def around_today() -> tuple[str, ...]:
    """Return three holidays: midnight may pass while the test runs."""
    today = datetime.now(UTC).date()
    return tuple(str(today + timedelta(days=off)) for off in (-1, 0, 1))


def notices_of(floor: Watched, name: str, *, more: int) -> None:
    """Wait until people were told so many times more of an alert that is repeated every second."""
    before = len(floor.told_of(name))
    until(lambda: True if len(floor.told_of(name)) >= before + more else None)


def silent_while_told_of(floor: Watched, cause: str, consequence: str) -> None:
    """Wait until the consequence is held back, and see that people are told of the cause alone."""
    until(lambda: floor.is_held_back(consequence) or None)
    notices_of(floor, cause, more=2)  # what was on its way then has arrived
    before = len(floor.told_of(consequence))
    notices_of(floor, cause, more=3)
    assert len(floor.told_of(consequence)) == before


def send_a_fall(floor: Watched) -> None:
    now = now_ms()
    for week in range(1, 5):
        floor.send(closed("North", won=50, lost=150, before_ms=now - 7 * DAY_MS * week))
    floor.send(closed("North", won=20, lost=280, before_ms=now))
    floor.wait_for(*closings(300))


def check_nights_and_holidays(floor: Watched) -> None:
    """A fall is on the wall's banner at any time; people hear of it when they are there, of pages at once."""
    assert banner(floor, FALL)["severity"] == "page"
    with floor.out_of_reach("worker"):
        notices_of(floor, WORKER, more=2)
        assert floor.told_of(FALL) == []
        floor.set_routes(settings(hours=not_now()))
        notices_of(floor, WORKER, more=3)
        assert floor.told_of(FALL) == []
    floor.set_routes(settings())
    notices_of(floor, FALL, more=1)


def check_cause_and_consequence(floor: Watched) -> None:
    """Without its worker the data gets old: people hear of the worker, of the data once it is back."""
    with floor.out_of_reach("worker"):
        silent_while_told_of(floor, WORKER, STALE)
    notices_of(floor, STALE, more=1)


def check_old_data(floor: Watched) -> None:
    """A fall that was told is not told again while nobody knows whether it is still true."""
    silent_while_told_of(floor, STALE, FALL)
    with at_work(floor):
        notices_of(floor, FALL, more=1)


@pytest.mark.timeout(180)
def test_people_are_spared_at_night_on_holidays_and_what_a_known_cause_explains(tmp_path: Path) -> None:
    with watched_floor(tmp_path, settings()) as floor:
        floor.set_routes(settings(holidays=around_today()))
        send_a_fall(floor)
        with at_work(floor):
            check_nights_and_holidays(floor)
        check_cause_and_consequence(floor)
        check_old_data(floor)
