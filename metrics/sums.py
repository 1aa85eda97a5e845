"""Pane rows and window edges in, exact integer sums per window and group out, in one vectorised pass.

Every row gets the segment between two edges it falls in; the rows of a segment are added up per group
and measure; running totals over the segments make any window the difference of two of them.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.exact import FloatArray, IntArray, exact_sum, multiplied, zeros
from metrics.measures import BY_NUMBER, MEASURES, NUMBERS, Kind, Unit, bucket_value, split_histogram_keys
from metrics.panes import PaneLog

_SCALARS: Final = tuple(m for m in MEASURES if m.kind in (Kind.FLOW, Kind.LEVEL))
COLUMN_OF: Final = {m.name: column for column, m in enumerate(_SCALARS)}
LEVEL_COLUMNS: Final = np.array([m.kind is Kind.LEVEL for m in _SCALARS])
STAGE_COLUMNS: Final = np.array([m.kind is Kind.LEVEL or m.by_stage for m in _SCALARS])
COUNT_COLUMNS: Final = np.array([m.unit is Unit.COUNT for m in _SCALARS])
MONEY_COLUMNS: Final = np.array([m.unit is Unit.MONEY for m in _SCALARS])

COLUMN_OF_NUMBER: Final = np.full(NUMBERS, -1, dtype=np.int64)
for _column, _measure in enumerate(_SCALARS):
    COLUMN_OF_NUMBER[_measure.number] = _column

# Group and bucket packed into one sortable number; buckets lie within +-2**20 (metrics.measures).
_BUCKET_SPAN: Final = 1 << 21
_BUCKET_ZERO: Final = 1 << 20

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The rows that count: of known measures, before the last edge."""

    start_ms: Index
    segment: Index
    cell: Index
    column: Index
    value: IntArray

    def only(self, at: NDArray[np.bool_] | Index) -> "Rows":
        return Rows(self.start_ms[at], self.segment[at], self.cell[at], self.column[at], self.value[at])

    def with_cell(self, cell: Index) -> "Rows":
        return replace(self, cell=cell)

    def with_value(self, value: IntArray) -> "Rows":
        return replace(self, value=value)

    def and_also(self, *more: "Rows") -> "Rows":
        everything = [self, *(rows for rows in more if len(rows.cell))]
        if len(everything) == 1:
            return self
        columns = zip(*((r.start_ms, r.segment, r.cell, r.column, r.value) for r in everything), strict=True)
        return Rows(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class HistogramRows:
    start_ms: Index
    segment: Index
    cell: Index
    bucket: Index
    value: NDArray[np.int64]


def rows_before(log: PaneLog, edges_ms: Index) -> tuple[Rows, dict[str, HistogramRows]]:
    """Split the log into scalar rows and histogram rows, each with its segment.

    Segment s holds [edges[s-1], edges[s]); rows at or after the last edge are not in.
    """
    key = log.key.astype(np.int64)
    scalar = key < NUMBERS
    column = COLUMN_OF_NUMBER[np.where(scalar, key, 0)]
    wanted = (log.start_ms < edges_ms[-1]) & (log.value != 0)
    picked = np.flatnonzero(wanted & scalar & (column >= 0))
    segment = np.searchsorted(edges_ms, log.start_ms[picked], side="right")
    cell = log.cell[picked].astype(np.int64)
    rows = Rows(log.start_ms[picked], segment, cell, column[picked], log.value[picked])
    return rows, _histogram_rows(log, np.flatnonzero(wanted & ~scalar), edges_ms)


def _histogram_rows(log: PaneLog, picked: Index, edges_ms: Index) -> dict[str, HistogramRows]:
    keys, position = np.unique(log.key[picked], return_inverse=True)
    split = np.array(split_histogram_keys(keys.astype(np.int64))).T
    segment = np.searchsorted(edges_ms, log.start_ms[picked], side="right")
    number, bucket = split[position, 0], split[position, 1]
    found: dict[str, HistogramRows] = {}
    for measure_number in np.unique(split[:, 0]).tolist():
        measure = BY_NUMBER.get(measure_number)
        if measure is None:
            continue
        own = number == measure_number
        at = picked[own]
        found[measure.name] = HistogramRows(
            log.start_ms[at], segment[own], log.cell[at].astype(np.int64), bucket[own], log.value[at]
        )
    return found


class Netted(NamedTuple):
    """What panes hold once the rows that take back are taken off; one entry per pane and measure."""

    start_ms: Index
    cell: Index


def netted(start_ms: Index, cell: Index, measure: Index, value: IntArray) -> Netted:
    """Add up the rows of each pane and measure. Sorts: meant for few rows."""
    if len(value) == 0:
        return Netted(start_ms, cell)
    order = np.lexsort((measure, cell, start_ms))
    start_ms, cell, measure = start_ms[order], cell[order], measure[order]
    same = (np.diff(start_ms) == 0) & (np.diff(cell) == 0) & (np.diff(measure) == 0)
    first = np.flatnonzero(np.concatenate(([True], ~same)))
    held = first[np.add.reduceat(value[order], first) != 0]
    return Netted(start_ms[held], cell[held])


def cell_totals(rows: Rows, cells: int) -> IntArray:
    """Return the sum of each cell (line) and measure (column) before the last edge."""
    totals = zeros(cells * len(_SCALARS), rows.value)
    np.add.at(totals, rows.cell * len(_SCALARS) + rows.column, rows.value.astype(totals.dtype))
    return totals.reshape(cells, len(_SCALARS))


@dataclass(frozen=True)
class RunningTotals:
    """`totals[place_of[column], i, group]` is the sum of everything before edge i; place -1 is all zero."""

    totals: IntArray
    place_of: Index

    def between(self, column: int, starts: Index, ends: Index) -> IntArray:
        """Return the sums of [edges[start], edges[end]), one line per pair of edges."""
        of_column = self._of(column)
        difference: IntArray = of_column[ends] - of_column[starts]
        return difference

    def before(self, column: int, ends: Index) -> IntArray:
        totals: IntArray = self._of(column)[ends]
        return totals

    def _of(self, column: int) -> IntArray:
        place = self.place_of[column]
        if place < 0:
            return np.zeros(self.totals.shape[1:], dtype=np.int64)
        of_column: IntArray = self.totals[place]
        return of_column


def running_totals(rows: Rows, group_of_cell: Index, groups: int, edges: int) -> RunningTotals:
    """Add up the rows; cells of group -1 are left out."""
    group = group_of_cell[rows.cell]
    kept = group >= 0
    group, column, segment, value = group[kept], rows.column[kept], rows.segment[kept], rows.value[kept]
    occurs = np.bincount(column, minlength=len(_SCALARS)) > 0
    place_of: Index = np.where(occurs, np.cumsum(occurs) - 1, -1)
    columns = int(np.count_nonzero(occurs))
    flat = (place_of[column] * edges + segment) * groups + group
    sums = zeros(columns * edges * groups, value)
    np.add.at(sums, flat, value.astype(sums.dtype))
    totals = sums.reshape(columns, edges, groups)
    np.cumsum(totals, axis=1, out=totals)
    return RunningTotals(totals, place_of)


def plus(totals: RunningTotals, more: RunningTotals, factors: IntArray) -> RunningTotals:
    """Return the sums of both, the second times a factor at each edge."""
    columns = np.flatnonzero(more.place_of >= 0)
    if not len(columns):
        return totals
    own, place_of = totals.totals, totals.place_of.copy()
    unknown = columns[place_of[columns] < 0]
    place_of[unknown] = len(own) + np.arange(len(unknown))
    added = multiplied(more.totals, factors[None, :, None])
    kind = object if object in (own.dtype, added.dtype) else np.int64
    sums = np.zeros((len(own) + len(unknown), *own.shape[1:]), dtype=kind)
    sums[: len(own)] = own
    sums[place_of[columns]] = exact_sum(sums[place_of[columns]], added[more.place_of[columns]])
    return RunningTotals(sums, place_of)


@dataclass(frozen=True)
class BucketTotals:
    """Running totals of a histogram: one column per (group, bucket) that occurs, in that order."""

    totals: NDArray[np.int64]
    bucket_values: FloatArray
    first: Index  # group -> its first column
    last: Index  # group -> one past its last column

    def quantile(self, fraction: float, starts: Index, ends: Index) -> FloatArray:
        """Return the quantile of each window and group; NaN where nothing fell into the window.

        Between two ranks the answer is interpolated linearly, as numpy does by default.
        """
        counts = np.maximum(self.totals[ends] - self.totals[starts], 0)
        passed = np.zeros((len(starts), counts.shape[1] + 1), dtype=np.int64)
        np.cumsum(counts, axis=1, out=passed[:, 1:])
        below = passed[:, self.first]
        count = passed[:, self.last] - below
        rank = fraction * np.maximum(count - 1, 0)
        low = np.floor(rank).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        low_value, high_value = self._at(passed, below + low), self._at(passed, below + high)
        return np.asarray(np.where(count > 0, low_value + (high_value - low_value) * (rank - low), np.nan))

    def _at(self, passed: NDArray[np.int64], rank: NDArray[np.int64]) -> FloatArray:
        lines = zip(passed, rank, strict=True)
        columns = [np.searchsorted(line[1:], wanted, side="right") for line, wanted in lines]
        at = np.minimum(np.array(columns, dtype=np.int64).reshape(rank.shape), len(self.bucket_values) - 1)
        return self.bucket_values[at]


def bucket_totals(rows: HistogramRows, group_of_cell: Index, groups: int, edges: int) -> BucketTotals | None:
    """Add up one histogram's rows; None when no group has any."""
    group = group_of_cell[rows.cell]
    kept = group >= 0
    if not kept.any():
        return None
    code = group[kept] * _BUCKET_SPAN + rows.bucket[kept] + _BUCKET_ZERO
    codes, position = np.unique(code, return_inverse=True)
    sums = np.zeros(edges * len(codes), dtype=np.int64)
    np.add.at(sums, rows.segment[kept] * len(codes) + position, rows.value[kept])
    owner = codes // _BUCKET_SPAN
    return BucketTotals(
        np.cumsum(sums.reshape(edges, len(codes)), axis=0),
        _values_of(codes % _BUCKET_SPAN - _BUCKET_ZERO),
        np.searchsorted(owner, np.arange(groups), side="left"),
        np.searchsorted(owner, np.arange(groups), side="right"),
    )


@dataclass(frozen=True)
class Occurrences:
    """The segments in which each member of a group occurs, in order, and for each the member's one before it.

    A member counts in a window where it occurs for the first time in it: where the segment before that
    lies before the window. So any number of windows takes one sort.
    """

    group: Index
    segment: Index
    before: Index  # -1: there is none

    @classmethod
    def of(cls, rows: HistogramRows, group: Index) -> "Occurrences":
        """Return those of the rows; `group` is each row's, -1 where it is in none."""
        kept = group >= 0
        member = group[kept] * _BUCKET_SPAN + rows.bucket[kept] + _BUCKET_ZERO
        order = np.lexsort((rows.segment[kept], member))
        member, segment, value = member[order], rows.segment[kept][order], rows.value[kept][order]
        if len(member):
            first = np.flatnonzero(np.concatenate(([True], (np.diff(member) != 0) | (np.diff(segment) != 0))))
            held = first[np.add.reduceat(value, first) > 0]
            member, segment = member[held], segment[held]
        before = np.full(len(member), -1, dtype=np.int64)
        before[1:] = np.where(member[1:] == member[:-1], segment[:-1], -1)
        return cls(member // _BUCKET_SPAN, segment, before)

    def within(self, start: int, end: int) -> Index:
        """Return the group of each member that occurs between the two edges."""
        counted = (self.segment > start) & (self.segment <= end) & (self.before <= start)
        return self.group[counted]


def distinct_counts(rows: HistogramRows, group: Index, groups: int, starts: Index, ends: Index) -> IntArray:
    """Return how many members occur in each window (line) and group (column); `group` is each row's."""
    occurrences = Occurrences.of(rows, group)
    counts = np.zeros((len(starts), groups), dtype=np.int64)
    for line, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        counts[line] = np.bincount(occurrences.within(start, end), minlength=groups)
    return counts


def _values_of(buckets: Index) -> FloatArray:
    distinct, position = np.unique(buckets, return_inverse=True)
    return np.array([bucket_value(int(bucket)) for bucket in distinct], dtype=np.float64)[position]
