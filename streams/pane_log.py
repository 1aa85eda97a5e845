"""Pane values as they change in, the columns `metrics` sums over out. Append-only; knows no slot, no store.

A row is a difference: what one pane's measure became minus what it was. Rows of the same pane and
measure add up, so nothing is ever searched for or overwritten, and what was handed out stays valid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrics.measures import HINDSIGHT_KEY_MIN, split_hindsight_key
from metrics.panes import Hindsight, PaneLog

# Below this, adding up equal rows costs more than reading them.
_COMPACT_ROWS_MIN = 65_536
_CAPACITY_MIN = 4_096

_Columns = tuple[NDArray[Any], ...]
_OF_PANES: Final = (np.int64, np.int32, np.int32, np.int64)
_OF_HINDSIGHT: Final = (np.int64, np.int64, np.int32, np.int32, np.int64)
_CELL_OF_PANES, _CELL_OF_HINDSIGHT = 1, 2

_epochs: Final = count(1)
"""Of all logs of the process: of two followers no two logs share one."""


@dataclass(slots=True)
class Rows:
    """Differences on their way into the log, as columns."""

    start_ms: list[int] = field(default_factory=list)
    cell: list[int] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    value: list[int] = field(default_factory=list)
    hindsight: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """start_ms, known_ms, cell, measure number, value."""

    def add(self, start_ms: int, cell: int, was: Mapping[int, int], is_now: Mapping[int, int]) -> None:
        """Say that a pane held one set of values and holds another."""
        for key, value in is_now.items():
            difference = value - was.get(key, 0) if was else value
            if difference:
                self._add(start_ms, cell, key, difference)
        for key, value in was.items():
            if key not in is_now:
                self._add(start_ms, cell, key, -value)

    def _add(self, start_ms: int, cell: int, key: int, value: int) -> None:
        if key >= HINDSIGHT_KEY_MIN:
            number, lag_ms = split_hindsight_key(key)
            self.hindsight.append((start_ms, start_ms + lag_ms, cell, number, value))
            return
        self.start_ms.append(start_ms)
        self.cell.append(cell)
        self.key.append(key)
        self.value.append(value)


class GrowingLog:
    """The log of all panes. Grows by doubling; adds equal rows up when half of it may be history."""

    def __init__(self, *, compact_rows_min: int = _COMPACT_ROWS_MIN) -> None:
        self._panes = _Growing(_OF_PANES, compact_rows_min)
        self._epoch = next(_epochs)
        self._hindsight = _Growing(_OF_HINDSIGHT, compact_rows_min)

    def __len__(self) -> int:
        return self._panes.rows + self._hindsight.rows

    def view(self) -> PaneLog:
        """Return the rows so far. The arrays do not change later; the next view may be of others."""
        start_ms, cell, key, value = self._panes.view()
        return PaneLog(start_ms, cell, key, value, Hindsight(*self._hindsight.view()), self._epoch)

    def append(self, rows: Rows) -> None:
        if self._panes.append((rows.start_ms, rows.cell, rows.key, rows.value)):
            self._epoch = next(_epochs)
        if rows.hindsight:
            self._hindsight.append(tuple(zip(*rows.hindsight, strict=True)))

    def compact(self) -> None:
        """Add up the rows of the same pane and measure, and drop those that came to nothing."""
        self._epoch = next(_epochs)
        self._panes.compact()
        self._hindsight.compact()

    @property
    def cells(self) -> set[int]:
        """Return the cells that any row is of."""
        tables = (self._panes, _CELL_OF_PANES), (self._hindsight, _CELL_OF_HINDSIGHT)
        return {number for table, column in tables for number in np.unique(table.view()[column]).tolist()}

    def renumber(self, number_of: Mapping[int, int]) -> None:
        """Give cells other numbers; what was handed out stays as it is."""
        self._epoch = next(_epochs)
        self._panes.renumber(_CELL_OF_PANES, number_of)
        self._hindsight.renumber(_CELL_OF_HINDSIGHT, number_of)


class _Growing:
    """A table of columns. Rows that agree in all but the last add up in that one."""

    def __init__(self, dtypes: Sequence[type], compact_rows_min: int) -> None:
        self._dtypes = dtypes
        self._compact_rows_min = compact_rows_min
        self._columns = self._empty(_CAPACITY_MIN)
        self._rows_compacted = 0
        self.rows = 0

    def view(self) -> _Columns:
        view = tuple(column[: self.rows] for column in self._columns)
        for column in view:
            column.flags.writeable = False
        return view

    def append(self, columns: Sequence[Sequence[int]]) -> bool:
        """Add rows; say whether those before them were compacted."""
        count = len(columns[-1])
        if count == 0:
            return False
        end = self.rows + count
        if end > len(self._columns[-1]):
            # Views of the smaller arrays stay as they are: readers keep them as long as they like.
            held = tuple(column[: self.rows] for column in self._columns)
            self._columns = self._copied(held, max(2 * len(self._columns[-1]), end))
        for column, values in zip(self._columns, columns, strict=True):
            column[self.rows : end] = values
        self.rows = end
        if end <= max(2 * self._rows_compacted, self._compact_rows_min):
            return False
        self.compact()
        return True

    def compact(self) -> None:
        compacted = _added_up(tuple(column[: self.rows] for column in self._columns))
        self.rows = self._rows_compacted = len(compacted[-1])
        self._columns = self._copied(compacted, max(_CAPACITY_MIN, 2 * self.rows))

    def renumber(self, column: int, number_of: Mapping[int, int]) -> None:
        columns = [each[: self.rows] for each in self._columns]
        distinct, place = np.unique(columns[column], return_inverse=True)
        numbers = np.array([number_of[old] for old in distinct.tolist()], dtype=columns[column].dtype)
        columns[column] = numbers[place]
        self._columns = self._copied(tuple(columns), max(_CAPACITY_MIN, 2 * self.rows))

    def _empty(self, capacity: int) -> _Columns:
        return tuple(np.empty(capacity, dtype) for dtype in self._dtypes)

    def _copied(self, columns: _Columns, capacity: int) -> _Columns:
        copy = self._empty(capacity)
        for into, column in zip(copy, columns, strict=True):
            into[: len(column)] = column
        return copy


def _added_up(columns: _Columns) -> _Columns:
    if len(columns[-1]) == 0:
        return columns
    order = _order(columns[:-1])
    *keys, value = (column[order] for column in columns)
    begins = np.zeros(len(value), np.bool_)
    begins[0] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    first = np.flatnonzero(begins)
    sums = np.add.reduceat(value, first)
    kept = first[sums != 0]
    return (*(key[kept] for key in keys), sums[sums != 0])


def _order(keys: _Columns) -> NDArray[np.intp]:
    """Sort by all columns, the first one first. What is in order, as after a compaction, costs little."""
    *others, last = keys
    kinds = np.unique(last)
    lows = [int(column.min()) for column in others]
    widths = [int(column.max()) - low + 1 for column, low in zip(others, lows, strict=True)]
    if prod(widths) * len(kinds) >= 1 << 63:
        return np.lexsort(keys[::-1])
    # One integer holds all (800 days, 16,000 cells and 5,000 keys fit), and a stable sort of one
    # integer column is quick where the column is in order already: half the time of sorting by three.
    one = np.zeros(len(last), dtype=np.int64)
    for column, low, width in zip(others, lows, widths, strict=True):
        one = one * width + (column - low)
    return np.argsort(one * len(kinds) + np.searchsorted(kinds, last), kind="stable")
