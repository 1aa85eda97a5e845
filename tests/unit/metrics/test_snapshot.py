"""A snapshot says what the panes say: at the edges, when things were taken back, when panes are coarse."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from metrics.calendar import Calendar
from metrics.catalogue import BUILT_IN
from metrics.formula import KpiUnit
from metrics.kpi import Kpi
from metrics.kpi_snapshot import KpiSnapshot
from metrics.measures import bucket_of, bucket_value
from metrics.panes import UNBOUNDED_PAST_MS, Cell, FeedState, Resolution
from metrics.snapshot import Filters, SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AS_OF_MS = round(datetime(2026, 11, 18, 10, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
CONFIG = SnapshotConfig(calendar=Calendar("Europe/Berlin"), currency="EUR")

ANN = Cell(rep="Ann", team="Nord")
ANN_EUR = ANN._replace(currency="EUR")
ANN_USD = ANN._replace(currency="USD")
BOB = Cell(rep="Bob", team="Nord")


def taken(*rows: Row, as_of_ms: int = AS_OF_MS, config: SnapshotConfig = CONFIG) -> KpiSnapshot:
    return take_snapshot(FakeReader(rows), as_of_ms, config)


@pytest.mark.parametrize(
    "window", ["5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "ytd", "1bd", "5bd"]
)
def test_a_window_holds_its_start_and_not_its_end(window: str) -> None:
    (edges,) = (w for w in taken().windows if w.name == window)
    start_ms, end_ms, before_ms = edges.start_ms, edges.end_ms, edges.previous_start_ms
    at = {start_ms - 1: 1, start_ms: 2, start_ms + 1: 4, end_ms - 1: 8, end_ms: 16, end_ms + 1: 32}
    at |= {before_ms - 1: 64, before_ms: 128, edges.previous_end_ms - 1: 256}
    if edges.previous_end_ms == start_ms:
        at[start_ms - 1] += 256
    snapshot = taken(*(Row(time_ms, ANN, "won", count) for time_ms, count in at.items()))
    assert snapshot.value("deals_won", window=window) == 2 + 4 + 8
    (value,) = (
        v for v in snapshot.values() if (v.kpi.name, v.level, v.window) == ("deals_won", "floor", window)
    )
    within = [c for t, c in at.items() if before_ms <= t < edges.previous_end_ms]
    assert value.previous == sum(within)


def test_a_rolling_window_decays_by_itself() -> None:
    reader = FakeReader([Row(AS_OF_MS, ANN, "calls_done")])
    seen = [
        take_snapshot(reader, AS_OF_MS + after_ms, CONFIG).value("calls", "rep", "Ann", "1h")
        for after_ms in (0, 1, HOUR_MS, HOUR_MS + 1)
    ]
    assert seen == [None, 1, 1, 0]  # before its first call nobody knows of Ann


def test_ratios_of_a_team_come_from_its_sums() -> None:
    then = AS_OF_MS - 1000
    snapshot = taken(
        Row(then, ANN, "won", 1), Row(then, ANN, "lost", 3), Row(then, BOB, "won", 1),
    )  # fmt: skip
    assert snapshot.value("win_rate", "rep", "Ann", "1h") == 0.25
    assert snapshot.value("win_rate", "rep", "Bob", "1h") == 1
    assert snapshot.value("win_rate", "team", "Nord", "1h") == 0.4


def test_counts_are_zero_and_quotients_absent_where_nothing_happened() -> None:
    snapshot = taken(Row(AS_OF_MS - DAY_MS, ANN, "won"))
    assert snapshot.value("deals_won", "rep", "Ann", "5m") == 0
    assert snapshot.value("revenue", "rep", "Ann", "5m") == 0
    for quotient in ("win_rate", "average_deal_size", "sales_cycle_mean"):
        assert snapshot.value(quotient, "rep", "Ann", "5m") is None
    assert snapshot.value("sales_cycle", "rep", "Ann", "5m", quantile=0.5) is None


def test_an_empty_floor_shows_zeros_of_its_own_and_nobody_else() -> None:
    snapshot = taken()
    assert snapshot.value("revenue", window="today") == 0
    assert snapshot.value("open_deals") == 0
    assert {value.level for value in snapshot.values()} == {"floor"}
    assert snapshot.data_age_seconds is None


def test_what_is_open_is_the_sum_of_all_time_before_the_instant() -> None:
    open_cell = Cell(rep="Ann", team="Nord", currency="EUR", stage="offer")
    snapshot = taken(
        Row(AS_OF_MS - 700 * DAY_MS, open_cell, "open", 5),
        Row(AS_OF_MS - 700 * DAY_MS, open_cell, "open_weighted", 100),
        Row(AS_OF_MS - 700 * DAY_MS, open_cell, "open_weighted_millionths", 500_000),
        Row(AS_OF_MS - 1, open_cell, "open", -2),
        Row(AS_OF_MS, open_cell, "open", -1),
    )
    assert snapshot.value("open_deals") == 3
    assert snapshot.value("open_deals", "stage", "offer") == 3
    assert snapshot.value("weighted_pipeline", "rep", "Ann") == 1.005
    values = [value for value in snapshot.to_json_obj()["values"] if value["kpi"] == "open_deals"]  # type: ignore[index,union-attr,call-overload]
    assert {"kpi": "open_deals", "level": "rep", "key": {"rep": "Ann"}, "value": 3} in values


def test_a_stage_that_deals_have_left_shows_zero() -> None:
    cell = Cell(rep="Ann", stage="offer")
    snapshot = taken(Row(AS_OF_MS - 9, cell, "open"), Row(AS_OF_MS - 5, cell, "open", -1))
    assert snapshot.value("open_deals", "stage", "offer") == 0


def test_a_stage_is_known_of_open_deals_only() -> None:
    snapshot = taken(Row(AS_OF_MS - 9, ANN, "won"), Row(AS_OF_MS - 9, Cell(stage="offer"), "open"))
    assert snapshot.keys["stage"].labels == ("offer",)


def test_a_contribution_that_was_taken_back_leaves_nobody_behind() -> None:
    then = AS_OF_MS - 1000
    snapshot = taken(
        Row(then, Cell(rep="Typo", team="Tpyo"), "won"),
        Row(then, Cell(rep="Typo", team="Tpyo"), "won", -1),
        Row(then, Cell(rep="Typo", currency="USD"), "won_amount", 9),
        Row(then, Cell(rep="Typo", currency="USD"), "won_amount", -9),
        Row(then, ANN, "won"),
    )
    assert snapshot.keys["rep"].labels == ("Ann",)
    assert snapshot.keys["team"].labels == ("Nord",)
    assert snapshot.missing_rates == {}


def test_a_rep_has_the_team_of_the_newest_contribution_that_still_stands() -> None:
    south, west = ANN._replace(team="South"), ANN._replace(team="West")
    snapshot = taken(
        Row(AS_OF_MS - 30, ANN, "won"),
        Row(AS_OF_MS - 20, south, "won"),
        Row(AS_OF_MS - 10, west, "won"),
        Row(AS_OF_MS - 10, west, "won", -1),
        Row(AS_OF_MS - 5, ANN._replace(team=""), "calls_done"),
        Row(AS_OF_MS + 5, west, "won"),
        Row(AS_OF_MS - 40, west, "won"),
    )
    assert dict(zip(snapshot.keys["rep"].labels, snapshot.keys["rep"].teams or (), strict=True)) == {
        "Ann": "South"
    }


def test_money_of_another_currency_is_in_no_number_and_counted() -> None:
    then = AS_OF_MS - 1000
    snapshot = taken(
        Row(then, ANN_EUR, "won_amount", 1_250_050),
        Row(then, ANN_USD, "won"),
        Row(then, ANN_USD, "won_amount", 999),
        Row(then + 1, ANN_USD, "lost"),
        Row(then + 1, ANN_USD, "lost_amount", 999),
        Row(then, ANN_USD, "open", 2),
        Row(then + 1, ANN_USD, "open", -1),
        Row(then + 1, ANN_USD, "spend_amount", 5),
        Row(then + 2, ANN_USD, "spend_amount", 5),
        Row(then + 2, ANN_USD, "spend_amount", -5),
        Row(AS_OF_MS, ANN._replace(currency="GBP"), "won"),
        Row(AS_OF_MS, ANN._replace(currency="GBP"), "won_amount", 999),
    )
    assert snapshot.value("revenue", window="1h") == 12500.5
    assert snapshot.missing_rates == {"USD": 4}


def test_unassigned_is_who_is_not_said() -> None:
    snapshot = taken(Row(AS_OF_MS - 1, Cell(), "won"))
    assert snapshot.value("deals_won", "rep", "unassigned", "5m") == 1
    assert snapshot.keys["rep"].teams == ("unassigned",)


def test_over_the_budget_the_rest_is_summed_as_other() -> None:
    rows = [Row(AS_OF_MS - 1, Cell(rep=f"R{i}", team=f"T{i}"), "won", i + 1) for i in range(5)]
    config = SnapshotConfig(calendar=CONFIG.calendar, keys_per_level_max=3)
    snapshot = taken(*rows, config=config)
    assert snapshot.keys["rep"].labels == ("R3", "R4", "other")
    assert snapshot.keys["rep"].teams == ("T3", "T4", "other")
    assert snapshot.keys["rep"].over_budget == 3
    assert snapshot.value("deals_won", "rep", "other", "5m") == 1 + 2 + 3
    assert snapshot.value("deals_won", window="5m") == 15


def test_sums_that_64_bits_cannot_hold_are_still_exact() -> None:
    huge = (1 << 62) - 1
    rows = [Row(AS_OF_MS - 1 - i, ANN_EUR, "won_amount", huge) for i in range(4)]
    assert taken(*rows).value("revenue", window="5m") == 4 * huge / 100


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000])
def test_quantiles_are_within_one_percent_of_numpys(count: int) -> None:
    random = np.random.default_rng(count)
    cycles = random.lognormal(np.log(20 * DAY_MS), 1.2, count).astype(np.int64)
    rows = [Row(AS_OF_MS - 1 - i, ANN, "won_cycle", of=int(cycle)) for i, cycle in enumerate(cycles)]
    snapshot = taken(*rows)
    for quantile in (0.5, 0.9):
        exact = float(np.quantile(cycles, quantile)) / 1000
        assert snapshot.value("sales_cycle", window="5m", quantile=quantile) == pytest.approx(exact, rel=0.01)


def test_quantiles_interpolate_between_ranks_of_each_group() -> None:
    values = {"Ann": [0, 1000, 2000], "Bob": [5000]}
    rows = [
        Row(AS_OF_MS - 1, Cell(rep=rep, team="Nord"), "won_cycle", of=value)
        for rep, mine in values.items()
        for value in mine
    ]
    snapshot = taken(*rows, *(row._replace(measure="won") for row in rows))
    low, high = bucket_value(bucket_of(1000)), bucket_value(bucket_of(2000))
    assert snapshot.value("sales_cycle", "rep", "Ann", "5m", quantile=0.5) == low / 1000
    expected = (low + (high - low) * 0.8) / 1000
    assert snapshot.value("sales_cycle", "rep", "Ann", "5m", quantile=0.9) == pytest.approx(expected)
    assert (
        snapshot.value("sales_cycle", "rep", "Bob", "5m", quantile=0.9)
        == bucket_value(bucket_of(5000)) / 1000
    )


def test_a_floors_own_kpi_is_computed_like_a_built_in_one() -> None:
    mine = Kpi("calls_per_win", "Calls per win.", "calls / deals_won", KpiUnit.COUNT)
    late = Kpi("cover", "Open per won.", "open_deals / deals_won", KpiUnit.RATIO, ("floor",))
    config = SnapshotConfig(calendar=CONFIG.calendar, catalogue=BUILT_IN.with_custom([mine, late]))
    start_ms = AS_OF_MS - 2 * HOUR_MS
    rows = [
        Row(AS_OF_MS - 1, ANN, "calls_done", 5), Row(AS_OF_MS - 1, ANN, "won", 2),
        Row(start_ms, ANN, "open", 8), Row(AS_OF_MS - 1, ANN, "open", -2), Row(start_ms, ANN, "won", 4),
    ]  # fmt: skip
    snapshot = taken(*rows, config=config)
    assert snapshot.value("calls_per_win", "rep", "Ann", "1h") == 2.5
    (cover,) = (v for v in snapshot.values() if (v.kpi.name, v.window) == ("cover", "1h"))
    assert (cover.value, cover.previous) == (3, 2)  # open at each window's own end


COARSE = Resolution(
    (AS_OF_MS - HOUR_MS, AS_OF_MS - HOUR_MS, AS_OF_MS - HOUR_MS, AS_OF_MS - 40 * DAY_MS, UNBOUNDED_PAST_MS)
)


def test_strict_leaves_out_a_window_whose_edge_cuts_a_pane_and_says_why() -> None:
    as_of_ms = AS_OF_MS + 7 * 60_000
    snapshot = take_snapshot(FakeReader(resolutions=[COARSE]), as_of_ms, CONFIG, strict=True)
    shown = {window.name for window in snapshot.windows}
    assert shown == {"5m", "1h", "today", "wtd", "mtd", "qtd", "ytd"}
    reasons = {each.window: each.reason for each in snapshot.left_out if not each.previous_only}
    assert set(reasons) == {"24h", "7d", "30d", "90d", "1bd", "5bd"}
    assert reasons["24h"] == (
        "its start 2026-11-17T09:07:00.000Z lies inside the coarser pane that begins 2026-11-17T09:00:00.000Z"
    )
    without_twin = {each.window for each in snapshot.left_out if each.previous_only}
    assert without_twin == {"1h", "today", "wtd", "mtd", "qtd", "ytd"}
    previous = {value.window for value in snapshot.values() if value.previous is not None}
    assert previous == shown - without_twin


def test_on_a_panes_edge_coarse_panes_are_exact() -> None:
    snapshot = take_snapshot(FakeReader(resolutions=[COARSE]), AS_OF_MS, CONFIG, strict=True)
    left_out = {(each.window, each.previous_only) for each in snapshot.left_out}
    assert left_out == {("90d", False), ("30d", True), ("qtd", True), ("ytd", True)}


def test_an_instant_inside_a_coarse_pane_has_no_exact_number() -> None:
    snapshot = take_snapshot(
        FakeReader([Row(AS_OF_MS - DAY_MS, ANN, "open")], resolutions=[COARSE]),
        AS_OF_MS - 2 * HOUR_MS + 1,
        CONFIG,
        strict=True,
    )
    assert list(snapshot.values()) == []
    assert {each.window for each in snapshot.left_out} == {*CONFIG.windows, None}


def test_before_what_is_kept_nothing_is_whole() -> None:
    kept = Resolution((AS_OF_MS - 20 * DAY_MS,) * 5)
    snapshot = take_snapshot(FakeReader(resolutions=[kept]), AS_OF_MS, CONFIG, strict=True)
    left_out = {each.window for each in snapshot.left_out if not each.previous_only}
    assert left_out == {"30d", "90d", "qtd", "ytd"}
    assert "where the kept panes begin" in snapshot.left_out[-1].reason


def test_live_a_cut_window_begins_where_its_oldest_pane_does() -> None:
    as_of_ms = AS_OF_MS + 7 * 60_000
    pane_ms = AS_OF_MS - 24 * HOUR_MS
    snapshot = take_snapshot(FakeReader([Row(pane_ms, ANN, "won")], resolutions=[COARSE]), as_of_ms, CONFIG)
    (window,) = (w for w in snapshot.windows if w.name == "24h")
    assert window.start_ms == pane_ms
    assert snapshot.value("deals_won", window="24h") == 1
    assert snapshot.left_out == ()


def test_filters_keep_only_what_was_asked_for() -> None:
    filters = Filters(levels=("team", "product"), kpis=("deals_won", "open_deals"), windows=("7d",))
    rows = [Row(AS_OF_MS - 1, ANN, "won")]
    snapshot = take_snapshot(FakeReader(rows), AS_OF_MS, CONFIG, filters=filters)
    seen = {(value.level, value.kpi.name, value.window) for value in snapshot.values()}
    assert seen == {
        ("team", "deals_won", "7d"), ("team", "open_deals", None),
        ("product", "deals_won", "7d"), ("product", "open_deals", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (Filters(kpis=("revenu",)), "unknown KPI 'revenu'; did you mean revenue"),
        (Filters(levels=("planet",)), "unknown level 'planet'"),
        (Filters(windows=("2h",)), "unknown window '2h'"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_meant(filters: Filters, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take_snapshot(FakeReader(), AS_OF_MS, CONFIG, filters=filters)


def test_the_json_has_exactly_the_promised_form() -> None:
    state = FeedState(
        offsets={"sales.deals": {1: 7, 0: 5}},
        newest_event_ms=AS_OF_MS - 2500,
        definition_version="abc",
        counters={"lost": {"sales.deals": 3}, "gaps": {"sales.leads": 1}},
    )
    rows = [
        Row(AS_OF_MS - 1, ANN_EUR, "won_amount", 1_250_050),
        Row(AS_OF_MS - 10 * HOUR_MS, ANN_EUR, "won_amount", 100),
        Row(AS_OF_MS - 1, ANN, "won_cycle", of=0),
    ]
    filters = Filters(levels=("floor", "team"), kpis=("revenue", "sales_cycle"), windows=("5m",))
    snapshot = take_snapshot(FakeReader(rows, state=state), AS_OF_MS, CONFIG, filters=filters)
    revenue = {"kpi": "revenue", "window": "5m", "value": 12500.5, "currency": "EUR", "previous": 0.0}
    cycle = {"kpi": "sales_cycle", "window": "5m", "value": 0.0}
    assert json.loads(json.dumps(snapshot.to_json_obj())) == {
        "as_of": "2026-11-18T09:00:00.000Z",
        "reporting_currency": "EUR",
        "definition_version": "abc",
        "partitions": {"sales.deals": {"0": 5, "1": 7}},
        "values": [
            {**numbers, **place}
            for place in ({"level": "floor", "key": {}}, {"level": "team", "key": {"team": "Nord"}})
            for numbers in (revenue, {**cycle, "quantile": 0.5}, {**cycle, "quantile": 0.9})
        ],
        "windows": {"5m": {"start": "2026-11-18T08:55:00.000Z", "end": "2026-11-18T09:00:00.000Z"}},
        "targets": [],
        "reference_problems": [],
        "left_out": [],
        "missing_rates": {},
        "records_lost": {"sales.deals": 3},
        "names": {},
        "rebuilding": False,
        "data_age_seconds": 2.5,
    }


def test_an_event_ahead_of_the_clock_has_no_negative_age() -> None:
    state = FeedState(newest_event_ms=AS_OF_MS + 9000)
    assert take_snapshot(FakeReader(state=state), AS_OF_MS, CONFIG).data_age_seconds == 0
