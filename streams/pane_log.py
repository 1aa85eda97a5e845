"""Pane values as they change in, the columns `metrics` sums over out. Append-only; knows no slot, no store.

A row is a difference: what one pane's measure became minus what it was. Rows of the same pane and
measure add up, so nothing is ever searched for or overwritten, and what was handed out stays valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metrics.panes import PaneLog

# Below this, adding up equal rows costs more than reading them.
_COMPACT_ROWS_MIN = 65_536
_CAPACITY_MIN = 4_096


@dataclass(slots=True)
class Rows:
    """Differences on their way into the log, as columns."""

    start_ms: list[int] = field(default_factory=list)
    cell: list[int] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    value: list[int] = field(default_factory=list)

    def add(self, start_ms: int, cell: int, was: Mapping[int, int], is_now: Mapping[int, int]) -> None:
        """Say that a pane held one set of values and holds another."""
        for key, value in is_now.items():
            difference = value - was.get(key, 0)
            if difference:
                self._add(start_ms, cell, key, difference)
        for key, value in was.items():
            if key not in is_now:
                self._add(start_ms, cell, key, -value)

    def _add(self, start_ms: int, cell: int, key: int, value: int) -> None:
        self.start_ms.append(start_ms)
        self.cell.append(cell)
        self.key.append(key)
        self.value.append(value)


class GrowingLog:
    """The log of all panes. Grows by doubling; adds equal rows up when half of it may be history."""

    def __init__(self, *, compact_rows_min: int = _COMPACT_ROWS_MIN) -> None:
        self._compact_rows_min = compact_rows_min
        self._columns = _empty(_CAPACITY_MIN)
        self._rows = 0
        self._rows_compacted = 0

    def __len__(self) -> int:
        return self._rows

    def view(self) -> PaneLog:
        """Return the rows so far. The arrays do not change later; the next view may be of others."""
        view = _first(self._columns, self._rows)
        for column in view:
            column.flags.writeable = False
        return view

    def append(self, rows: Rows) -> None:
        count = len(rows.value)
        if count == 0:
            return
        self._make_room(count)
        end = self._rows + count
        self._columns.start_ms[self._rows : end] = rows.start_ms
        self._columns.cell[self._rows : end] = rows.cell
        self._columns.key[self._rows : end] = rows.key
        self._columns.value[self._rows : end] = rows.value
        self._rows = end
        if end > max(2 * self._rows_compacted, self._compact_rows_min):
            self.compact()

    def _make_room(self, count: int) -> None:
        capacity = len(self._columns.value)
        if self._rows + count <= capacity:
            return
        # Views of the smaller arrays stay as they are: readers keep them as long as they like.
        self._columns = _copied(_first(self._columns, self._rows), max(2 * capacity, self._rows + count))

    def compact(self) -> None:
        """Add up the rows of the same pane and measure, and drop those that came to nothing."""
        compacted = _added_up(_first(self._columns, self._rows))
        self._rows = self._rows_compacted = len(compacted.value)
        self._columns = _copied(compacted, max(_CAPACITY_MIN, 2 * self._rows))


def _empty(capacity: int) -> PaneLog:
    return PaneLog(
        np.empty(capacity, np.int64),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
    )


def _first(log: PaneLog, rows: int) -> PaneLog:
    return PaneLog(log.start_ms[:rows], log.cell[:rows], log.key[:rows], log.value[:rows])


def _copied(log: PaneLog, capacity: int) -> PaneLog:
    copy, rows = _empty(capacity), len(log.value)
    copy.start_ms[:rows] = log.start_ms
    copy.cell[:rows] = log.cell
    copy.key[:rows] = log.key
    copy.value[:rows] = log.value
    return copy


def _added_up(rows: PaneLog) -> PaneLog:
    if len(rows.value) == 0:
        return rows
    order = _order(rows)
    ordered = PaneLog(*(column[order] for column in rows))  # type: ignore[arg-type]
    first = _first_of_group(ordered)
    value = np.add.reduceat(ordered.value, first)
    kept = first[value != 0]
    return PaneLog(ordered.start_ms[kept], ordered.cell[kept], ordered.key[kept], value[value != 0])


def _order(rows: PaneLog) -> NDArray[np.intp]:
    """Sort by start, cell and key. What is already in order, as after the last compaction, costs little."""
    keys = np.unique(rows.key)
    oldest_ms = int(rows.start_ms.min())
    span_ms, cells = int(rows.start_ms.max()) - oldest_ms + 1, int(rows.cell.max()) + 1
    if span_ms * cells * len(keys) >= 1 << 63:
        return np.lexsort((rows.key, rows.cell, rows.start_ms))
    # One integer holds all three (800 days, 16,000 cells and 5,000 keys fit), and a stable sort of one
    # integer column is quick where the column is in order already: half the time of sorting by three.
    one = (rows.start_ms - oldest_ms) * cells + rows.cell
    one = one * len(keys) + np.searchsorted(keys, rows.key)
    return np.argsort(one, kind="stable")


def _first_of_group(rows: PaneLog) -> NDArray[np.intp]:
    """Return where each run of rows of the same pane and measure begins in sorted columns."""
    begins = np.empty(len(rows.value), np.bool_)
    begins[0] = True
    np.not_equal(rows.start_ms[1:], rows.start_ms[:-1], out=begins[1:])
    begins[1:] |= rows.cell[1:] != rows.cell[:-1]
    begins[1:] |= rows.key[1:] != rows.key[:-1]
    return np.flatnonzero(begins)
