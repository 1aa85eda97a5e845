"""A small floor for the tests of the wall, made by hand: two teams, a few deals and leads, targets, names."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from metrics.beside import BesideRules, BesideTaker
from metrics.contest import Contest
from metrics.kpi_snapshot import JsonValue
from metrics.panes import Cell
from metrics.reference import Reference, RosterSpell, Stage, Target
from metrics.rewards import RewardRules
from metrics.snapshot import PaneImage, SnapshotConfig, Snapshotter
from metrics.wall.boards import Board, Widget
from metrics.wall.build import BoardBuilder
from tests.panes import READY, FakeReader, Row

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = 1_795_176_000_000  # Friday 2026-11-20T12:00Z
CONFIG = SnapshotConfig()
ANN, BOB, CAT = (
    Cell(rep="ann", team="north", currency="USD"),
    Cell(rep="bob", team="north", currency="USD"),
    Cell(rep="cat", team="south", currency="USD"),
)

Wire = dict[str, Any]


def won(cell: Cell, at_ms: int, amount: int) -> list[Row]:
    return [Row(at_ms, cell, "won"), Row(at_ms, cell, "won_amount", amount)]


def did(cell: Cell, at_ms: int, measure: str, count: int = 1) -> Row:
    return Row(at_ms, cell._replace(currency=""), measure, count)


ROWS = (
    *won(ANN, NOW_MS - HOUR_MS, 300_00),
    *won(BOB, NOW_MS - 2 * HOUR_MS, 500_00),
    *won(CAT, NOW_MS - 3 * HOUR_MS, 400_00),
    *won(ANN, NOW_MS - 32 * DAY_MS, 900_00),  # last month, before this point of it
    *won(BOB, NOW_MS - 33 * DAY_MS, 100_00),
    Row(NOW_MS - 3 * DAY_MS, ANN._replace(stage="proposal"), "open", 2),
    Row(NOW_MS - 3 * DAY_MS, ANN._replace(stage="proposal"), "open_amount", 700_00),
    Row(NOW_MS - 2 * DAY_MS, CAT._replace(stage="demo"), "open"),
    Row(NOW_MS - 2 * DAY_MS, CAT._replace(stage="demo"), "open_amount", 50_00),
    Row(NOW_MS - 2 * DAY_MS, CAT._replace(stage="unheard of"), "open"),
    Row(NOW_MS - HOUR_MS, CAT, "lost"),
    did(ANN, NOW_MS - 4 * HOUR_MS, "leads_new", 10),
    did(CAT, NOW_MS - 4 * HOUR_MS, "leads_qualified_total", 4),
)
REFERENCES: tuple[Reference, ...] = (
    RosterSpell("ann", "Ann Archer", "north"),
    RosterSpell("bob", "Bob Becker", "north"),
    RosterSpell("cat", None, "south"),
    Stage("demo", None, 1, 0.3),
    Stage("proposal", None, 2, 0.6),
    Target("revenue", "floor", "", "2026-11", Decimal(2400), "USD"),
    Target("revenue", "rep", "ann", "2026-11", Decimal(600), "USD"),
    Target("revenue", "team", "north", "2026-11", Decimal(1000), "USD"),
)
SPRINT = Contest("sprint", "deals_won", NOW_MS - 5 * HOUR_MS, NOW_MS + DAY_MS, prize="A day off")


def image(rows: Iterable[Row] = ROWS, references: Sequence[Reference] = REFERENCES) -> PaneImage:
    state = replace(READY, newest_event_ms=NOW_MS)
    return PaneImage.of(FakeReader(rows, references=references, state=state))


def built(
    *widgets: Widget,
    team: str = "",
    config: SnapshotConfig = CONFIG,
    panes: PaneImage | None = None,
    now_ms: int = NOW_MS,
    kept: dict[str, dict[str, JsonValue]] | None = None,
    contest: Contest = SPRINT,
) -> list[Wire]:
    """Return one board's widgets as the page gets them."""
    panes = panes or image()
    snapshot = Snapshotter(config).take(panes, now_ms)
    beside = BesideTaker(config, BesideRules(rewards=RewardRules(contests=(contest,))))
    report = beside.take(panes, snapshot, kept or {})
    board = Board("b", widgets, team=team)
    return BoardBuilder(config).build([board], panes, snapshot, report)["b"]
