"""When a snapshot begins: with every tick, and in between soon after a change, within half a core."""

import pytest

from metrics.pace import REST_SECONDS_MIN, SETTLE_SECONDS, SETTLE_SECONDS_MAX, Pace


def pace_after(began: float, ended: float, *, spent: float) -> Pace:
    pace = Pace(1.0)
    pace.begins(began)
    pace.ended(ended, spent)
    return pace


def test_where_nothing_changes_the_next_tick_is_waited_for() -> None:
    pace = pace_after(10.0, 10.1, spent=0.05)
    assert pace.seconds_left(10.4) == pytest.approx(0.6)
    assert pace.seconds_left(11.0) == 0


def test_a_change_begins_a_snapshot_once_no_other_followed_for_a_moment() -> None:
    pace = pace_after(10.0, 10.1, spent=0.05)
    pace.changed(10.5)
    assert pace.seconds_left(10.5) == pytest.approx(SETTLE_SECONDS)
    pace.changed(10.508)
    assert pace.seconds_left(10.508) == pytest.approx(SETTLE_SECONDS)
    assert pace.seconds_left(10.508 + SETTLE_SECONDS) == 0


def test_changes_without_end_hold_no_snapshot_up() -> None:
    pace, now = pace_after(10.0, 10.1, spent=0.01), 10.5
    pace.changed(now)
    while pace.seconds_left(now) > 0:
        now += 0.005
        pace.changed(now)
    assert now == pytest.approx(10.5 + SETTLE_SECONDS_MAX, abs=0.006)


def test_computing_rests_as_long_as_it_took_of_a_processor_and_a_moment_at_least() -> None:
    for spent, rest in ((0.3, 0.3), (0.0, REST_SECONDS_MIN)):
        pace = pace_after(10.0, 10.4, spent=spent)
        pace.changed(10.4)
        assert pace.seconds_left(10.4) == pytest.approx(rest)


def test_what_was_computed_beside_is_rested_for_bit_by_bit() -> None:
    pace = Pace(1.0)
    pace.spent_beside(0.12)
    for began, rest in ((10.0, 0.1), (11.0, 0.1), (12.0, 0.07), (13.0, 0.05)):
        assert pace.owes == (began < 13.0)
        pace.begins(began)
        pace.ended(began + 0.2, 0.05)
        pace.changed(began + 0.1)
        assert pace.seconds_left(began + 0.2) == pytest.approx(rest)


def test_also_a_tick_that_is_due_waits_until_computing_has_rested() -> None:
    pace = pace_after(10.0, 12.0, spent=1.5)
    pace.changed(11.0)
    assert pace.seconds_left(12.0) == pytest.approx(1.5)


def test_what_changed_before_a_snapshot_begins_is_in_it() -> None:
    pace = pace_after(10.0, 10.1, spent=0.01)
    pace.changed(10.5)
    pace.begins(10.6)
    pace.ended(10.7, 0.01)
    assert pace.seconds_left(10.9) == pytest.approx(0.7)
