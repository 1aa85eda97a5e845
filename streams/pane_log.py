"""Pane values as they change in, the columns `metrics` sums over out. Append-only; knows no slot, no store.

A row is a difference: what one pane's measure became minus what it was. Rows of the same pane and
measure add up, so nothing is ever searched for or overwritten, and what was handed out stays valid. Where
there are too many rows, old ones are told at the start of a wider pane, and then add up with others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metrics.measures import HINDSIGHT_KEY_MIN, split_hindsight_key
from metrics.panes import DAY_TIER, FINEST, TIERS, DayStart, Hindsight, PaneLog, Resolution

# Below this, adding up equal rows costs more than reading them.
_COMPACT_ROWS_MIN = 65_536
_CAPACITY_MIN = 4_096

_Columns = tuple[NDArray[Any], ...]
_OF_PANES: Final = (np.int64, np.int32, np.int32, np.int64)
_OF_HINDSIGHT: Final = (np.int64, np.int64, np.int32, np.int32, np.int64)
_CELL_OF_PANES, _CELL_OF_HINDSIGHT = 1, 2
# As in streams.pane_store: coarsening goes so far below the limit, and is tried again once so much has come.
_COARSEN_TO, _COARSEN_AGAIN_AT = 0.9, 1.1
_BEYOND_A_DAY_MS: Final = 26 * 3_600_000  # a local day has 23 to 25 hours

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
                self.tell(start_ms, cell, key, difference)
        for key, value in was.items():
            if key not in is_now:
                self.tell(start_ms, cell, key, -value)

    def tell(self, start_ms: int, cell: int, key: int, value: int) -> None:
        """Say that a measure of a pane grew by so much, which is not 0."""
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

    def __init__(
        self,
        *,
        compact_rows_min: int = _COMPACT_ROWS_MIN,
        rows_max: int | None = None,
        day_start: DayStart | None = None,
    ) -> None:
        """`rows_max` None keeps every row at its own time; else days begin where `day_start` says."""
        assert rows_max is None or day_start is not None
        self._panes = _Growing(_OF_PANES, compact_rows_min)
        self._epoch = next(_epochs)
        self._hindsight = _Growing(_OF_HINDSIGHT, compact_rows_min)
        self._rows_max = rows_max
        self._rows_left = 0
        """How many the last coarsening left."""
        self._day_start = day_start
        self.resolution = FINEST
        """Older rows may be finer than this says, until they are added up."""

    def __len__(self) -> int:
        return self._panes.rows + self._hindsight.rows

    @property
    def is_crowded(self) -> bool:
        """Say whether there are too many rows, and enough new ones that coarsening is worth its time."""
        return self._rows_max is not None and len(self) > max(
            self._rows_max, self._rows_left * _COARSEN_AGAIN_AT
        )

    def coarsen(self, *, now_ms: int) -> None:
        """Move the oldest rows to the starts of wider panes until there are few enough, finest width first.

        A width that windows which end at `now_ms` still need is left alone, so the limit can be passed.
        """
        assert self._rows_max is not None
        self.compact()
        goal = int(self._rows_max * _COARSEN_TO)
        for tier in range(DAY_TIER):
            reach = 2
            while (surplus := len(self) - goal) > 0:
                if not self._coarsen_tier(tier, now_ms - TIERS[tier].keep_ms, reach * surplus):
                    break
                reach *= 2
        self._rows_left = len(self)

    def _coarsen_tier(self, tier: int, before_ms: int, count: int) -> bool:
        """Move the frontier of one tier over about so many rows; False when nothing more can move."""
        since_ms = list(self.resolution.since_ms)
        end_ms = min(before_ms, since_ms[tier - 1]) if tier else before_ms
        start_ms = self._panes.view()[0]
        starts = start_ms[(start_ms >= since_ms[tier]) & (start_ms < end_ms)]
        if not len(starts):
            return False
        nth = min(len(starts) - 1, count)
        # Never inside a wider pane: what lies before the frontier is all of it.
        frontier_ms = min(
            self._end(int(np.partition(starts, nth)[nth]), tier + 1), self._start(end_ms, tier + 1)
        )
        if frontier_ms <= since_ms[tier]:
            return False
        since_ms[tier] = frontier_ms
        self.resolution = Resolution(tuple(since_ms))
        self._settle()
        return True

    def _settle(self) -> None:
        """Move every row to the start of the pane that its time now falls in, and add up."""
        self._epoch = next(_epochs)
        start_ms, cell, key, value = self._panes.view()
        begun_ms, known_ms, of_cell, number, of_value = self._hindsight.view()
        begun_ms, known_ms = self._aligned(begun_ms), self._aligned(known_ms)
        later = known_ms > begun_ms
        told = ~later  # known within the pane it counts in: a row like all others
        self._panes.replace(
            (
                np.concatenate((self._aligned(start_ms), begun_ms[told])),
                np.concatenate((cell, of_cell[told])),
                np.concatenate((key, number[told])),
                np.concatenate((value, of_value[told])),
            )
        )
        self._hindsight.replace(
            tuple(column[later] for column in (begun_ms, known_ms, of_cell, number, of_value))
        )

    def _aligned(self, time_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        aligned_ms = time_ms.copy()
        end_ms: int | None = None
        for tier, since_ms in enumerate(self.resolution.since_ms):
            within = time_ms >= since_ms
            if end_ms is not None:
                within &= time_ms < end_ms
            if tier and within.any():
                aligned_ms[within] = self._starts(time_ms[within], tier)
            end_ms = since_ms
        return aligned_ms

    def _start(self, time_ms: int, tier: int) -> int:
        return int(self._starts(np.array([time_ms]), tier)[0])

    def _end(self, time_ms: int, tier: int) -> int:
        """Return the end of the pane of this tier that holds the time."""
        start_ms = self._start(time_ms, tier)
        if tier == DAY_TIER:
            return self._start(start_ms + _BEYOND_A_DAY_MS, tier)
        return start_ms + TIERS[tier].width_ms

    def _starts(self, time_ms: NDArray[np.int64], tier: int) -> NDArray[np.int64]:
        """Return the start of the pane of this tier that holds each time."""
        if tier < DAY_TIER:
            return time_ms - time_ms % TIERS[tier].width_ms
        assert self._day_start is not None
        # Midnight of any zone lies on a quarter of an hour, so there are few different times to ask about.
        quarters, place = np.unique(self._starts(time_ms, DAY_TIER - 1), return_inverse=True)
        days = np.array([self._day_start(quarter_ms) for quarter_ms in quarters.tolist()], dtype=np.int64)
        return days[place]

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
        if self.resolution != FINEST:
            self._settle()
            return
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

    def replace(self, columns: _Columns) -> None:
        """Hold these rows instead; equal ones are added up."""
        self.rows, self._columns = len(columns[-1]), columns
        self.compact()

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
