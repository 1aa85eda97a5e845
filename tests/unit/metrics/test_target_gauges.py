"""Gauges of targets: their names, their labels, and no sample where there is no value."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from metrics.calendar import Calendar
from metrics.exposition import LabelText, kpi_lines
from metrics.panes import Cell
from metrics.reference import Target
from metrics.self_metrics import snapshot_families
from metrics.snapshot import SnapshotConfig, take_snapshot
from metrics.target_gauges import target_gauges
from tests.panes import FakeReader, Row

NOON_MS = round(datetime(2026, 11, 18, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
CONFIG = SnapshotConfig(calendar=Calendar("Europe/Berlin"), currency="EUR")
ANN = Cell(rep="Ann", team="Nord", currency="EUR")
SNAPSHOT = take_snapshot(
    FakeReader(
        [Row(NOON_MS - 1, ANN, "won_amount", 420_000), Row(NOON_MS - 1, ANN, "calls_done", 5)],
        references=(
            Target("revenue", "rep", "Ann", "2026-11", Decimal(2100), "EUR"),
            Target("calls", "floor", "", "2026-11", Decimal(210)),
            Target("calls", "floor", "", "2026-W47", Decimal(50)),
            Target("call", "floor", "", "2026-W47", Decimal(50)),
        ),
    ),
    NOON_MS,
    CONFIG,
)


def test_each_level_has_its_own_gauges_labelled_by_kpi_and_period() -> None:
    lines = kpi_lines(tuple(target_gauges(SNAPSHOT)), LabelText(), openmetrics=True).decode().splitlines()
    rep = '{currency="EUR",kpi="revenue",period="2026-11",rep="Ann"}'
    assert {
        f"salesfloor_rep_quota{rep} 2100.0",
        f"salesfloor_rep_pace_delta{rep} 2950.0",
        'salesfloor_rep_quota_attainment_ratio{kpi="revenue",period="2026-11",rep="Ann"} 2.0',
        'salesfloor_floor_pace_expected{kpi="calls",period="2026-11"} 125.0',
        'salesfloor_floor_pace_expected{kpi="calls",period="2026-W47"} 25.0',
        "# UNIT salesfloor_floor_quota_attainment_ratio ratio",
    } <= set(lines)
    assert not [line for line in lines if line.startswith("salesfloor_rep_required_per_day")]


def test_how_many_records_cannot_be_used_is_a_gauge() -> None:
    samples = [sample for family in snapshot_families(SNAPSHOT) for sample in family.samples]
    assert [s.value for s in samples if s.name == "salesfloor_reference_problems"] == [1.0]
