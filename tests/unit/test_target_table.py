"""The targets of `salesfloor snapshot` as people see them."""

import io
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console

from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.reference import Target
from metrics.snapshot import SnapshotConfig, take_snapshot
from streams.commands.target_table import problem_lines, target_table
from tests.panes import FakeReader, Row

NOON_MS = round(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp() * 1000)


def taken(*targets: Target) -> KpiSnapshot:
    ann = Cell(rep="Ann", team="Nord", currency="USD")
    rows = [Row(NOON_MS - 1, ann, "won_amount", 160_000), Row(NOON_MS - 1, ann, "calls_done", 5)]
    return take_snapshot(FakeReader(rows, references=targets), NOON_MS, SnapshotConfig())


def test_a_line_says_target_actual_share_pace_and_forecast_within_eighty_characters() -> None:
    table = target_table(
        taken(
            Target("revenue", "team", "Nord", "2026-11", Decimal(2100), "USD"),
            Target("revenue", "floor", "", "2026", Decimal(150_000_000), "USD"),
            Target("calls", "floor", "", "2026-W47", Decimal(50)),
        )
    )
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[2] == "calls floor 2026-W47 50 5 10.0% -20 18 10"
    assert lines[3].startswith("revenue floor 2026 150,000,000 1,600 0.0% -131,")
    assert " ".join(lines[4:]).startswith("revenue team 2026-11 2,100 1,600 76.2% +350.00 58.82 2,688")


def test_without_a_target_there_is_no_table_and_without_a_problem_no_line() -> None:
    nothing = taken()
    assert target_table(nothing) is None
    assert list(problem_lines(nothing)) == []


def test_a_record_that_cannot_be_used_is_told() -> None:
    (line,) = problem_lines(taken(Target("revenu", "floor", "", "2026", Decimal(1), "USD")))
    assert line.startswith("target:revenu:floor::2026 is not used: kpi = 'revenu': unknown KPI")
