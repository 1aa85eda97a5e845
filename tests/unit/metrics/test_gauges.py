"""What is written for scrapers is what the client library would write, and parses back to the snapshot."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from metrics.catalogue import BUILT_IN
from metrics.exposition import LabelText, family_lines, kpi_lines, scrape
from metrics.formula import KpiUnit
from metrics.gauge_windows import BY_DEFAULT, GaugeWindows
from metrics.gauges import Gauge, GaugeLabels, SnapshotCollector, kpi_gauges
from metrics.kpi import Kpi
from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import label_value
from metrics.panes import Cell, FeedState
from metrics.self_metrics import build_info, feed_families, snapshot_families
from metrics.snapshot import SnapshotConfig, take_snapshot
from metrics.windows import WINDOW_NAMES
from tests.panes import FakeReader, Row

AS_OF_MS = 1_790_000_000_123
STATE = FeedState(
    offsets={"sales.deals": {0: 3}},
    newest_event_ms=AS_OF_MS - 1500,
    counters={
        "accepted": {"sales.deals": 9},
        "rejected": {"malformed": 2, "bad\nreason": 1},
        "ignored": {"unknown_type": 1},
        "of_tomorrow": {"x": 1},
    },
    slots_expected=1,
    slots_loaded=1,
)
ODD = 'Ann "the\\closer" \n Ö'


def taken(config: SnapshotConfig | None = None) -> KpiSnapshot:
    ann = Cell(rep=ODD, team="Nord")
    rows = [
        Row(AS_OF_MS - 1, ann, "won", 2),
        Row(AS_OF_MS - 1, ann._replace(currency="USD"), "won_amount", 1_250_050),
        Row(AS_OF_MS - 400_000, ann, "won", 1),
        Row(AS_OF_MS - 1, ann, "won_cycle", of=86_400_000),
        Row(AS_OF_MS - 1, ann._replace(stage="offer"), "open", 1),
        Row(AS_OF_MS - 1, ann._replace(team="", currency="GBP"), "lost"),
        Row(AS_OF_MS - 1, ann._replace(team="", currency="GBP"), "lost_amount", 5),
    ]
    return take_snapshot(FakeReader(rows, state=STATE), AS_OF_MS, config or SnapshotConfig())


def page(snapshot: KpiSnapshot, *, openmetrics: bool) -> str:
    gauges = tuple(kpi_gauges(snapshot))
    own = family_lines(
        [*snapshot_families(snapshot), *feed_families(snapshot.state), build_info()], openmetrics=openmetrics
    )
    return scrape(
        kpi_lines(gauges, LabelText(), openmetrics=openmetrics), own, openmetrics=openmetrics
    ).decode()


def families_of(text: str, *, openmetrics: bool) -> list[Metric]:
    return list(parse_openmetrics(text) if openmetrics else parse_text(text))  # type: ignore[no-untyped-call]


def samples(families: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in families:
        for sample in family.samples:
            place = (sample.name, tuple(sorted(sample.labels.items())))
            assert place not in found, f"{place} is there twice"
            found[place] = sample.value
    return found


@pytest.mark.parametrize("openmetrics", [False, True])
def test_both_formats_parse_back_to_what_the_collector_says(openmetrics: bool) -> None:
    snapshot = taken()
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(snapshot))
    collected = list(registry.collect())
    parsed = families_of(page(snapshot, openmetrics=openmetrics), openmetrics=openmetrics)
    of_kpis = [f for f in parsed if f.name in {each.name for each in collected}]
    assert samples(of_kpis) == samples(collected)
    assert {f.name: (f.documentation, f.type) for f in of_kpis} == {
        f.name: (f.documentation, f.type) for f in collected
    }
    if openmetrics:
        assert {f.name: f.unit for f in of_kpis} == {f.name: f.unit for f in collected}


def test_every_number_of_the_snapshot_is_a_series_and_no_series_is_without_one() -> None:
    snapshot = taken()
    count = sum(1 + (value.previous is not None) for value in snapshot.values())
    twins_alone = sum(
        int((~(series.previous != series.previous) & (series.values != series.values)).sum())
        for series in snapshot.series
        if series.previous is not None
    )
    assert len(samples(SnapshotCollector(snapshot).collect())) == count + twins_alone


def test_names_labels_and_units_are_those_of_the_contract() -> None:
    snapshot = taken()
    found = samples(SnapshotCollector(snapshot).collect())
    rep = snapshot.keys["rep"].labels[0]
    who = (("rep", rep), ("team", "Nord"), ("window", "5m"))
    assert found["salesfloor_rep_deals_won", who] == 2
    assert found["salesfloor_rep_deals_won_previous", who] == 1
    assert found["salesfloor_rep_win_rate_ratio", who] == pytest.approx(2 / 3)
    assert (
        found["salesfloor_team_revenue", (("currency", "USD"), ("team", "Nord"), ("window", "5m"))] == 12500.5
    )
    assert found["salesfloor_floor_open_deals", ()] == 1
    assert found["salesfloor_stage_open_deals", (("stage", "offer"),)] == 1
    cycle = found["salesfloor_floor_sales_cycle_seconds", (("quantile", "0.5"), ("window", "5m"))]
    assert cycle == pytest.approx(86_400, rel=0.01)
    assert "\ufffd" in rep


def test_nothing_to_say_is_no_sample() -> None:
    empty = take_snapshot(FakeReader(), AS_OF_MS, SnapshotConfig())
    found = samples(SnapshotCollector(empty).collect())
    assert not any("win_rate" in name for name, _ in found)
    assert found["salesfloor_floor_deals_won", (("window", "1h"),)] == 0
    assert not any(math.isnan(value) for value in found.values())


def test_the_pipelines_own_metrics_stand_beside_the_kpis() -> None:
    found = samples(families_of(page(taken(), openmetrics=False), openmetrics=False))
    assert found["salesfloor_as_of_timestamp_seconds", ()] == AS_OF_MS / 1000
    assert found["salesfloor_data_age_seconds", ()] == 1.5
    assert found["salesfloor_events_total", (("topic", "sales.deals"),)] == 9
    assert found["salesfloor_events_rejected_total", (("reason", "malformed"),)] == 2
    assert found["salesfloor_events_ignored_total", (("what", "unknown_type"),)] == 1
    assert found["salesfloor_next_offset", (("partition", "0"), ("topic", "sales.deals"))] == 3
    assert found["salesfloor_missing_rates", (("currency", "GBP"),)] == 1
    assert found["salesfloor_label_values_over_budget", (("level", "rep"),)] == 0
    assert found["salesfloor_slots_loaded", ()] == 1
    assert [value for (name, _), value in found.items() if name == "salesfloor_build_info"] == [1]
    assert not any("tomorrow" in name for name, _ in found)


def test_totals_of_some_of_the_slots_are_not_told() -> None:
    whole = taken()
    part = replace(whole, state=replace(whole.state, slots_expected=whole.state.slots_loaded + 1))
    found = samples(families_of(page(part, openmetrics=False), openmetrics=False))
    assert found["salesfloor_slots_expected", ()] == whole.state.slots_loaded + 1
    assert not any(name == "salesfloor_events_total" for name, _ in found)


def test_label_sets_are_made_once_while_the_groups_stay() -> None:
    labels, first = GaugeLabels(), taken()
    one = next(iter(kpi_gauges(first, labels))).blocks[0].labels
    again = next(iter(kpi_gauges(taken(), labels))).blocks[0].labels
    assert one is again


@pytest.mark.parametrize("lines_max", [200_000, 100, 0])
def test_what_is_kept_from_the_scrape_before_changes_no_scrape(lines_max: int) -> None:
    labels, texts = GaugeLabels(), LabelText(lines_max=lines_max)
    rows: list[Row] = [Row(AS_OF_MS - 1, Cell("Ann", "N"), "won")]
    later, two = AS_OF_MS + 3_600_000, ("5m", "mtd")
    every = GaugeWindows()
    for as_of_ms, more, config, windows in (
        (AS_OF_MS, (), SnapshotConfig(), every),
        (AS_OF_MS + 1, (), SnapshotConfig(), every),
        (later, (), SnapshotConfig(), every),
        (later, (Row(AS_OF_MS, Cell("Bob", "N"), "lost"),), SnapshotConfig(), every),
        (later, (Row(AS_OF_MS, Cell("Bob", "S"), "won"),), SnapshotConfig(), every),
        (later, (), SnapshotConfig(), BY_DEFAULT),
        (later, (), SnapshotConfig(windows=two), BY_DEFAULT),
        (later, (), SnapshotConfig(windows=two, currency="EUR"), BY_DEFAULT),
    ):
        rows += more
        snapshot = take_snapshot(FakeReader(rows), as_of_ms, config)
        fresh = kpi_lines(tuple(kpi_gauges(snapshot, windows=windows)), LabelText(), openmetrics=True)
        gauges = tuple(kpi_gauges(snapshot, labels, windows))
        assert kpi_lines(gauges, texts, openmetrics=True) == fresh


def windows_of(gauges: Iterable[Gauge], name: str) -> list[str | None]:
    [gauge] = [each for each in gauges if each.name == name]
    return [dict(block.labels[0]).get("window") for block in gauge.blocks]


def test_a_level_has_gauges_for_its_own_windows_and_their_twins_and_no_more() -> None:
    windows = GaugeWindows({"rep": ("mtd", "today")}, {"rep": ("mtd",), "team": ()})
    snapshot = taken()
    gauges = list(kpi_gauges(snapshot, windows=windows))
    assert windows_of(gauges, "salesfloor_rep_deals_won") == ["today", "mtd"]
    assert windows_of(gauges, "salesfloor_rep_deals_won_previous") == ["mtd"]
    assert windows_of(gauges, "salesfloor_rep_open_deals") == [None]
    assert windows_of(gauges, "salesfloor_floor_deals_won_previous") == list(WINDOW_NAMES)
    assert windows_of(gauges, "salesfloor_team_deals_won") == list(WINDOW_NAMES)
    assert "salesfloor_team_deals_won_previous" not in {gauge.name for gauge in gauges}
    assert snapshot.value("deals_won", "rep", label_value(ODD), "5m") == 2, "answers know every window"


def test_a_kpi_that_names_its_windows_is_exported_for_them_at_every_level() -> None:
    own = Kpi("wins", "Wins.", "won", KpiUnit.COUNT, windows=("5m", "mtd"))
    snapshot = taken(SnapshotConfig(catalogue=BUILT_IN.with_custom([own])))
    gauges = list(kpi_gauges(snapshot, windows=GaugeWindows({"rep": ("mtd", "today")}, {"rep": ("mtd",)})))
    assert windows_of(gauges, "salesfloor_rep_wins") == ["5m", "mtd"]
    assert windows_of(gauges, "salesfloor_floor_wins") == ["5m", "mtd"]
    assert windows_of(gauges, "salesfloor_rep_wins_previous") == ["mtd"]


def test_what_a_rep_is_exported_for_by_default_stays_within_its_budget() -> None:
    series = sum(
        len(block.labels)
        for gauge in kpi_gauges(taken(), windows=BY_DEFAULT)
        if gauge.name.startswith("salesfloor_rep_")
        for block in gauge.blocks
    )
    reps = len(taken().keys["rep"].labels)
    assert series / reps < 700, "each series is paid for once per rep; widen windows_of knowingly"
