"""Stored panes, or what a reader holds of them, in; sums by cell, time and measure out: comparable."""

from collections.abc import Iterable

from metrics.panes import Cell, PaneReader
from tests.folding import Panes

Sums = dict[tuple[Cell, int, int], int]


def sums_stored(slots: Iterable[Panes]) -> Sums:
    return _added_up(
        ((cell, start_ms, key), value)
        for panes in slots
        for (cell, start_ms, _), values in panes.items()
        for key, value in values.items()
    )


def sums_held(reader: PaneReader) -> Sums:
    cells, log = reader.cells(), reader.log()
    columns = (log.start_ms.tolist(), log.cell.tolist(), log.key.tolist(), log.value.tolist())
    rows = zip(*columns, strict=True)
    return _added_up(((cells[cell], start_ms, key), value) for start_ms, cell, key, value in rows)


def _added_up(rows: Iterable[tuple[tuple[Cell, int, int], int]]) -> Sums:
    sums: Sums = {}
    for place, value in rows:
        sums[place] = sums.get(place, 0) + value
    return {place: value for place, value in sums.items() if value}
