"""The line beside a number: where its points stand, what they say, and that corrections and time move it."""

from datetime import UTC, datetime

import pytest

from metrics.calendar import Calendar
from metrics.snapshot import Filters, SnapshotConfig, Snapshotter
from metrics.wall.trend import POINTS_MAX, TrendKey, Trends, marks_of
from metrics.windows import WINDOW_NAMES
from tests.panes import Row
from tests.unit.wall.floors import ANN, CONFIG, DAY_MS, HOUR_MS, NOW_MS, ROWS, image, won

MINUTE_MS = 60_000


def times(marks: tuple[int, ...]) -> list[str]:
    return [datetime.fromtimestamp(mark / 1000, UTC).strftime("%d %H:%M") for mark in marks]


@pytest.mark.parametrize("window", [*WINDOW_NAMES, None])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York"])
def test_every_window_has_points_before_now_in_order_and_not_too_many(window: str | None, zone: str) -> None:
    marks = marks_of(window, NOW_MS, Calendar(zone))
    assert 1 < len(marks) < POINTS_MAX
    assert list(marks) == sorted(set(marks))
    assert marks[-1] < NOW_MS


@pytest.mark.parametrize("window", [*WINDOW_NAMES, None])
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])  # 23 and 25 hours in Berlin
def test_a_clock_change_costs_no_point_and_adds_none(window: str | None, day: str) -> None:
    evening_ms = int(datetime.fromisoformat(f"{day}T22:30:00+00:00").timestamp() * 1000)
    marks = marks_of(window, evening_ms, Calendar("Europe/Berlin"))
    assert list(marks) == sorted(set(marks))
    assert len(marks) < POINTS_MAX


def test_a_to_date_line_begins_with_its_period() -> None:
    assert times(marks_of("today", NOW_MS, Calendar()))[:3] == ["20 00:00", "20 00:30", "20 01:00"]
    assert times(marks_of("wtd", NOW_MS, Calendar()))[0] == "16 00:00"
    assert times(marks_of("mtd", NOW_MS, Calendar()))[::10] == ["01 00:00", "11 00:00"]


def test_what_is_open_is_told_at_each_midnight_of_thirty_days() -> None:
    marks = times(marks_of(None, NOW_MS, Calendar()))
    assert (len(marks), marks[-1]) == (30, "20 00:00")


KEYS = (
    TrendKey("revenue", "today"),
    TrendKey("revenue", "mtd", "team", "north"),
    TrendKey("win_rate", "mtd"),
    TrendKey("open_deals", None),
    TrendKey("pipeline_value", None, "rep", "ann"),
    TrendKey("sales_cycle", "30d", quantile=0.5),
)


def lines(rows: tuple[Row, ...] = ROWS, at_ms: int = NOW_MS) -> Trends:
    trends = Trends(CONFIG)
    trends.refresh(image(rows), at_ms, KEYS)
    return trends


@pytest.mark.parametrize("key", KEYS, ids=[f"{key.kpi} {key.window} {key.level}" for key in KEYS])
def test_every_point_is_the_number_as_a_snapshot_of_that_instant_tells_it(key: TrendKey) -> None:
    line = lines().line(key)
    marks = marks_of(key.window, NOW_MS, CONFIG.calendar)
    assert len(line) == len(marks)
    then = Snapshotter(SnapshotConfig())
    filters = Filters(levels=(key.level,), kpis=(key.kpi,))
    for mark, value in list(zip(marks, line, strict=True))[::9]:
        taken = then.take_kpis(image(), mark, filters=filters)
        told = taken.value(key.kpi, key.level, key.key or "all", key.window, quantile=key.quantile)
        # Who had done nothing by then has no line in that snapshot; here it is 0, as for everybody else.
        assert (value or None) == (told or None)


def test_points_without_a_number_are_gaps() -> None:
    rate = lines().line(TrendKey("win_rate", "mtd"))
    assert rate[0] is None


BETWEEN_MARKS_MS = NOW_MS + 5 * MINUTE_MS


def test_a_correction_moves_past_points_within_a_minute() -> None:
    trends = lines(at_ms=BETWEEN_MARKS_MS)
    before = list(trends.line(KEYS[0]))
    twice = tuple(row._replace(value=2 * row.value) for row in ROWS)
    trends.refresh(image(twice), BETWEEN_MARKS_MS + MINUTE_MS - 1, KEYS)
    assert trends.line(KEYS[0]) == before
    trends.refresh(image(twice), BETWEEN_MARKS_MS + MINUTE_MS, KEYS)
    assert trends.line(KEYS[0]) == [2 * (value or 0) for value in before]
    assert any(before)


def test_while_history_pours_in_lines_follow_sooner() -> None:
    trends = Trends(CONFIG)
    trends.refresh(image(ROWS[:2]), BETWEEN_MARKS_MS, KEYS)
    trends.refresh(image(), BETWEEN_MARKS_MS + 5_000, KEYS)
    assert trends.line(KEYS[0]) == lines(at_ms=BETWEEN_MARKS_MS).line(KEYS[0])


def test_a_restart_changes_no_line() -> None:
    old = lines(at_ms=NOW_MS - 2 * DAY_MS)
    old.refresh(image(), NOW_MS, KEYS)
    assert [old.line(key) for key in KEYS] == [lines().line(key) for key in KEYS]


def test_lines_nobody_asks_for_any_more_are_forgotten() -> None:
    trends = lines()
    trends.refresh(image(), NOW_MS + 1000, KEYS[:1])
    assert set(trends._lines) == {KEYS[0]}
    assert len(trends._families) == 1


def test_a_clock_that_was_set_back_freezes_no_line() -> None:
    trends = lines()
    trends.refresh(image((*ROWS, *won(ANN, NOW_MS - 11 * HOUR_MS, 50_00))), NOW_MS - 1, KEYS)
    assert trends.line(KEYS[0]) != lines().line(KEYS[0])


def test_on_a_huge_floor_one_family_of_lines_is_computed_per_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.wall.trend._ROWS_AT_ONCE", 1)
    trends = Trends(CONFIG)
    families = len({(key.level, key.window) for key in KEYS})
    for step in range(1, families + 1):
        trends.refresh(image(), NOW_MS + step, KEYS)
        assert len(trends._families) == step
    assert all(trends.line(key) for key in KEYS)
