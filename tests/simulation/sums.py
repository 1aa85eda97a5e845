"""Stored panes, or what a reader holds of them, in; sums by cell, time and measure out: comparable."""

from collections.abc import Iterable, Mapping

from metrics.measures import BY_NUMBER, Kind
from metrics.panes import Cell, PaneReader
from streams import layout
from streams.joins.base import FactChange
from streams.joins.standard import standard_joins
from streams.pane_log import Rows
from streams.rules import FoldRules
from streams.slot_board import CellIndex
from tests.folding import Panes
from tests.keys import number_of, rows_of_changes, rows_of_log

Sums = dict[tuple[Cell, int, int], int]


def sums_stored(slots: Iterable[Panes]) -> Sums:
    return _added_up(
        ((cell, start_ms, key), value)
        for panes in slots
        for (cell, start_ms, _), values in panes.items()
        for key, value in values.items()
    )


def sums_joined(boards: Iterable[Mapping[bytes, bytes]], rules: FoldRules) -> Sums:
    """Return what joining all facts at once gives."""
    joins, index, rows = standard_joins(rules), CellIndex(), Rows()
    for slot, board in enumerate(boards):
        owners = {name: layout.fact_owner(name) for name in board if layout.is_fact(name)}
        facts = [
            FactChange(kind, owner, None, layout.unpack_fact(kind, board[name]))
            for name, (kind, owner) in owners.items()
        ]
        joins.take(slot, facts, index.number_of, rows)
    plain = rows_of_changes(rows)
    return _added_up(((index.cells[cell], start_ms, key), value) for start_ms, cell, key, value in plain)


def sums_held(reader: PaneReader) -> Sums:
    cells, log = reader.cells(), reader.log()
    rows = rows_of_log(log)
    return _added_up(((cells[cell], start_ms, key), value) for start_ms, cell, key, value in rows)


def _added_up(rows: Iterable[tuple[tuple[Cell, int, int], int]]) -> Sums:
    sums: Sums = {}
    for (cell, start_ms, key), value in rows:
        place = cell, start_ms, _comparable(key)
        sums[place] = sums.get(place, 0) + value
    return {place: value for place, value in sums.items() if value}


def _comparable(key: int) -> int:
    """Members of a distinct measure are numbered as they come: only how many there are can be compared."""
    number = number_of(key)
    return number if BY_NUMBER[number].kind is Kind.DISTINCT else key
