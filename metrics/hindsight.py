"""Hindsight rows and edges in, what a window that ended too early to know of them must not count out. Pure.

By the last edge some rows are known: they are rows like all others. A window that ends before that, such as
a previous twin, may hold a row and have ended before it was known; that much is taken off its sum.
"""

from dataclasses import dataclass, field

import numpy as np

from metrics.exact import IntArray
from metrics.panes import Hindsight
from metrics.segments import Lines
from metrics.sums import COLUMN_OF_NUMBER, Index, Rows


def known_before(log: Hindsight, edges_ms: Index) -> tuple[Rows, Index]:
    """Return the rows that the last edge knows of, and the segment in which each came to be known."""
    column = COLUMN_OF_NUMBER[log.key]
    picked = np.flatnonzero((log.known_ms < edges_ms[-1]) & (log.value != 0) & (column >= 0))
    start_ms = log.start_ms[picked]
    rows = Rows(
        start_ms,
        np.searchsorted(edges_ms, start_ms, side="right"),
        log.cell[picked].astype(np.int64),
        column[picked],
        log.value[picked],
    )
    return rows, np.searchsorted(edges_ms, log.known_ms[picked], side="right")


@dataclass(frozen=True)
class Untold:
    """Rows, and the segment in which each came to be known; those known in their own segment are left out."""

    rows: Rows
    known: Index
    _of_column: dict[int, Index] = field(default_factory=dict)
    _of_line: dict[tuple[int, int, int], Index] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Rows, known: Index) -> "Untold":
        later = np.flatnonzero(known > rows.segment)
        return cls(rows.only(later), known[later])

    def within(self, column: int, lines: Lines, group_of_cell: Index, groups: int) -> IntArray | None:
        """Return what lies in each line but was not known by its end, per group; None if that is nothing."""
        if not len(self._column(column)):
            return None
        found = np.zeros((len(lines), groups), dtype=np.int64)
        for line, (start, end) in enumerate(zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)):
            picked = self._line(column, start, end)
            group = group_of_cell[self.rows.cell[picked]]
            shown = group >= 0
            np.add.at(found[line], group[shown], self.rows.value[picked[shown]].astype(np.int64))
        return found

    def _column(self, column: int) -> Index:
        if column not in self._of_column:
            self._of_column[column] = np.flatnonzero(self.rows.column == column)
        return self._of_column[column]

    def _line(self, column: int, start: int, end: int) -> Index:
        """Return the rows in `[start, end)` that were known at or after the end. The same at every level."""
        wanted = (column, start, end)
        if wanted not in self._of_line:
            own = self._column(column)
            segment = self.rows.segment[own]
            inside = (segment > start) & (segment <= end) & (self.known[own] > end)
            self._of_line[wanted] = own[inside]
        return self._of_line[wanted]
