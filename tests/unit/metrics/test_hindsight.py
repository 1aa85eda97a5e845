"""What becomes of a cohort counts in a window that ended after it came about, and in no other."""

from datetime import UTC, datetime

import pytest

from metrics.kpi_snapshot import KpiSnapshot
from metrics.measures import LAG_MS_MAX, hindsight_key, split_hindsight_key
from metrics.panes import EXACT, FINEST, Cell, Resolution
from metrics.snapshot import SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

DAY_MS = 86_400_000
NOW_MS = int(datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()) * 1000
ANN = Cell(rep="Ann", team="North")


def deal(days_ago: float, won_days_ago: float | None = None) -> list[Row]:
    created_ms = NOW_MS - round(days_ago * DAY_MS)
    rows = [Row(created_ms, ANN, "created")]
    if won_days_ago is not None:
        known_ms = NOW_MS - round(won_days_ago * DAY_MS)
        rows.append(Row(created_ms, ANN, "created_won", known_ms=known_ms))
    return rows


def taken(*deals: list[Row], at_ms: int = NOW_MS, strict: bool = False) -> KpiSnapshot:
    reader = FakeReader([row for rows in deals for row in rows])
    return take_snapshot(reader, at_ms, SnapshotConfig(), strict=strict)


def won_in(snapshot: KpiSnapshot, window: str, level: str = "floor") -> tuple[float, float]:
    [series] = [s for s in snapshot.series if (s.kpi.name, s.level) == ("deals_created_won", level)]
    assert series.previous is not None
    line = series.windows.index(window)
    return float(series.values[line, 0]), float(series.previous[line, 0])


@pytest.mark.parametrize("level", ["floor", "team", "rep"])
def test_a_twin_counts_what_was_won_before_its_own_end(level: str) -> None:
    soon, late = deal(45, won_days_ago=40), deal(45, won_days_ago=20)
    assert won_in(taken(soon, late, deal(45)), "30d", level) == (0, 1)
    assert won_in(taken(soon, late, deal(10, won_days_ago=1)), "30d", level) == (1, 1)


def test_a_past_instant_does_not_know_what_came_later() -> None:
    deals = deal(10, won_days_ago=8), deal(10, won_days_ago=3)
    assert won_in(taken(*deals), "30d")[0] == 2
    assert won_in(taken(*deals, at_ms=NOW_MS - 5 * DAY_MS), "30d")[0] == 1
    assert won_in(taken(*deals, at_ms=NOW_MS - 9 * DAY_MS), "30d")[0] == 0


def test_the_end_itself_is_not_in_the_window() -> None:
    won_ms = NOW_MS - 3 * DAY_MS
    assert won_in(taken(deal(10, won_days_ago=3), at_ms=won_ms), "30d")[0] == 0
    assert won_in(taken(deal(10, won_days_ago=3), at_ms=won_ms + 1), "30d")[0] == 1


def test_a_win_that_is_taken_back_leaves_no_trace_in_any_window() -> None:
    won = deal(45, won_days_ago=20)
    taken_back = won[1]._replace(value=-1)
    for at_ms in (NOW_MS, NOW_MS - 19 * DAY_MS, NOW_MS - 40 * DAY_MS):
        found = taken(won, [taken_back], at_ms=at_ms)
        assert all(won_in(found, window) == (0, 0) for window in ("30d", "90d", "qtd", "ytd"))


def test_the_age_of_a_cohort_is_the_mean_age_of_its_deals_at_the_windows_end() -> None:
    found = taken(deal(10), deal(20), deal(50))
    [age] = [s for s in found.series if (s.kpi.name, s.level) == ("win_rate_cohort_age", "floor")]
    assert age.previous is not None
    line = age.windows.index("30d")
    assert age.values[line, 0] == 15 * 86_400
    assert age.previous[line, 0] == 20 * 86_400, "of the twin, at the twin's end"
    assert found.value("win_rate_cohort_age", "floor", "all", "1h") is None


def test_the_age_of_a_past_cohort_is_told_only_where_panes_are_as_fine_as_events() -> None:
    since_ms = [NOW_MS - 40 * DAY_MS, *FINEST.since_ms[1:]]
    reader = FakeReader(deal(10) + deal(50), resolutions=(Resolution(tuple(since_ms)),))
    assert reader.slots[0].tier_at(NOW_MS - 50 * DAY_MS) != EXACT
    found = take_snapshot(reader, NOW_MS - DAY_MS, SnapshotConfig(), strict=True)
    assert found.value("win_rate_cohort_age", "floor", "all", "30d") == 9 * 86_400
    assert found.value("win_rate_cohort_age", "floor", "all", "90d") is None


def test_a_key_says_what_and_how_much_later() -> None:
    assert split_hindsight_key(hindsight_key(90, 12_345)) == (90, 12_345)
    assert split_hindsight_key(hindsight_key(1023, 10 * LAG_MS_MAX)) == (1023, LAG_MS_MAX)
    assert hindsight_key(90, 0) == hindsight_key(90, -1) == 90
