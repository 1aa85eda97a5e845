"""A log that grows and the edges of one snapshot after another in, fewer rows with the same sums out. Pure.

Rows of one cell and key between two edges can be told apart by no window, so they are added up, under the
newest of their times. Between the edges of now and those of the next seconds nothing is added up, so that one
thinning serves many snapshots; what was added since stands behind it as it is. Whether it serves is compared
anew each time, never assumed: an edge inside of what was added up makes it begin again.

Only what nobody looks at one by one is added up: rows of flows and histograms above zero. A row that takes
back puts the rows that it may be of in the place of their sum again.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.measures import BY_NAME, MEASURES, NUMBERS, Kind, split_histogram_keys
from metrics.panes import PaneLog
from metrics.sums import Index

ROWS_MIN: Final = 16_384
"""Fewer rows are summed as quickly as they are thinned."""
HORIZON_MS: Final = 4_000
"""So far from an edge nothing is added up: snapshots of so many seconds share one thinning."""
_WORTH: Final = 0.7
"""A log that keeps a greater share of its rows is used as it is until it has grown by half."""
_SUM_MAX: Final = float(1 << 62)

# A deal's age is told from its own time, a posting of spend without a rate is counted one by one.
_ONE_BY_ONE: Final = frozenset(BY_NAME[name].number for name in ("created", "spend_amount"))
_ADDS_UP: Final = np.zeros(NUMBERS, dtype=np.bool_)
_OF_BUCKETS: Final = np.zeros(NUMBERS, dtype=np.bool_)
for _measure in MEASURES:
    _ADDS_UP[_measure.number] = _measure.kind is Kind.FLOW and _measure.number not in _ONE_BY_ONE
    _OF_BUCKETS[_measure.number] = _measure.kind is Kind.HISTOGRAM

_Columns = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]


class Thinner:
    """Keeps one thinning for as long as it serves."""

    def __init__(self) -> None:
        self._kept: _Thinned | None = None
        self._asked: tuple[PaneLog, Index, Index] | None = None

    def of(self, log: PaneLog, edges_ms: Index, cuts_ms: Index) -> PaneLog:
        """Return a log for these edges; at `cuts_ms` it matters on which side of them a row is."""
        if log.epoch is None or len(log.value) < ROWS_MIN:
            return log
        self._asked = log, edges_ms, cuts_ms
        kept = self._kept
        if kept is None or not kept.serves(log, edges_ms, cuts_ms):
            kept = self._kept = _Thinned.of(log, edges_ms, cuts_ms)
        return kept.with_tail(log)

    def prepare(self) -> None:
        """Thin for the snapshots to come, where the thinning at hand has served for half of its time.

        In a thread beside `of`, too: that asks of each thinning whether it serves.
        """
        asked, kept = self._asked, self._kept
        if asked is None or kept is None:
            return
        log, edges_ms, cuts_ms = asked
        if not kept.serves(log, edges_ms + HORIZON_MS // 2, cuts_ms):
            self._kept = _Thinned.of(log, edges_ms, cuts_ms)


@dataclass(frozen=True)
class _Thinned:
    epoch: int | None
    rows: int
    """So many rows of the log it was made of."""
    bounds_ms: Index
    loose: NDArray[np.bool_]
    """Of each stretch between two bounds, whether its rows are kept one by one."""
    log: PaneLog
    order: Index
    """The rows that were added up, group after group."""
    first: Index
    """Where in `order` each group begins, and where the last one ends."""
    codes: Index
    keys: NDArray[np.int32]
    cells: int
    sums: _Columns
    rest: _Columns

    @classmethod
    def of(cls, log: PaneLog, edges_ms: Index, cuts_ms: Index) -> "_Thinned":
        bounds_ms = np.unique(np.concatenate((edges_ms, edges_ms + HORIZON_MS, cuts_ms)))
        begins = np.concatenate((bounds_ms[:1] - 2 * HORIZON_MS, bounds_ms))
        near = np.searchsorted(edges_ms, begins, side="right")
        loose = near > np.searchsorted(edges_ms, begins - HORIZON_MS, side="right")
        stretch = np.searchsorted(bounds_ms, log.start_ms, side="right")
        picked = np.flatnonzero(~loose[stretch] & _adds_up(log.key) & (log.value != 0))
        if float(np.abs(log.value[picked]).astype(np.float64).sum()) >= _SUM_MAX:
            picked = picked[:0]
        keys = np.unique(log.key[picked])
        cells = int(log.cell.max(initial=0)) + 1
        code = _coded(stretch[picked], log.cell[picked], log.key[picked], cells, keys)
        by_code = _order(code)
        order, code = picked[by_code], code[by_code]
        first = np.flatnonzero(
            np.concatenate((np.ones(min(1, len(code)), dtype=np.bool_), np.diff(code) != 0))
        )
        if len(first):
            # Where a row takes back, sums may come to nothing: those rows stay as they are.
            least = np.minimum.reduceat(log.value[order], first)
            sizes = np.diff(np.concatenate((first, [len(order)])))
            kept = np.repeat(least > 0, sizes)
            order, code = order[kept], code[kept]
            sizes = sizes[least > 0]
            first = np.concatenate(([0], np.cumsum(sizes)))
        else:
            first = np.zeros(1, dtype=np.int64)
        one_by_one = np.ones(len(log.value), dtype=np.bool_)
        one_by_one[order] = False
        heads = order[first[:-1]]
        sums = (
            np.maximum.reduceat(log.start_ms[order], first[:-1]) if len(heads) else log.start_ms[:0],
            log.cell[heads],
            log.key[heads],
            np.add.reduceat(log.value[order], first[:-1]) if len(heads) else log.value[:0],
        )
        rest = np.flatnonzero(one_by_one & (log.value != 0))
        return cls(
            log.epoch, len(log.value), bounds_ms, loose, log, order, first, code[first[:-1]], keys, cells,
            sums, _rows(log, rest),
        )  # fmt: skip

    @property
    def is_worth_it(self) -> bool:
        return len(self.sums[0]) + len(self.rest[0]) <= _WORTH * self.rows

    def serves(self, log: PaneLog, edges_ms: Index, cuts_ms: Index) -> bool:
        """Say whether it means the same as the log between these edges."""
        if log.epoch != self.epoch or len(log.value) < self.rows:
            return False
        if not self.is_worth_it:
            return len(log.value) < 1.5 * self.rows
        return all(self._parts(instants_ms) for instants_ms in (edges_ms, cuts_ms))

    def _parts(self, instants_ms: Index) -> bool:
        """Say whether none of the instants lies within what was added up."""
        stretch = np.searchsorted(self.bounds_ms, instants_ms, side="right")
        at_bound = self.bounds_ms[np.maximum(stretch - 1, 0)] == instants_ms
        return bool((at_bound | self.loose[stretch]).all())

    def with_tail(self, log: PaneLog) -> PaneLog:
        """Return the thinned log, and behind it what was added to the log since."""
        if not self.is_worth_it:
            return log
        tail: _Columns = (
            log.start_ms[self.rows :], log.cell[self.rows :], log.key[self.rows :], log.value[self.rows :],
        )  # fmt: skip
        torn = self._torn(*tail)
        parts = [self.sums, self.rest, tail]
        if len(torn):
            whole = np.ones(len(self.codes), dtype=np.bool_)
            whole[torn] = False
            sizes = np.diff(self.first)[torn]
            within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            of_torn = self.order[np.repeat(self.first[torn], sizes) + within]
            start_ms, cell, key, value = self.sums
            parts = [
                (start_ms[whole], cell[whole], key[whole], value[whole]),
                _rows(self.log, of_torn), self.rest, tail,
            ]  # fmt: skip
        start_ms, cell, key, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return PaneLog(start_ms, cell, key, value, log.hindsight)

    def _torn(
        self,
        start_ms: NDArray[np.int64],
        cell: NDArray[np.int32],
        key: NDArray[np.int32],
        value: NDArray[np.int64],
    ) -> Index:
        """Return the groups that rows added since may take something back of."""
        back = np.flatnonzero((value < 0) & _adds_up(key) & (cell < self.cells))
        if not len(back) or not len(self.codes):
            return back[:0]
        kind = np.minimum(np.searchsorted(self.keys, key[back]), len(self.keys) - 1)
        back = back[self.keys[kind] == key[back]]
        stretch = np.searchsorted(self.bounds_ms, start_ms[back], side="right")
        code = np.unique(_coded(stretch, cell[back], key[back], self.cells, self.keys))
        group = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        found: Index = group[self.codes[group] == code]
        return found


def _adds_up(key: NDArray[np.int32]) -> NDArray[np.bool_]:
    number = split_histogram_keys(key.astype(np.int64))[0]
    scalar = key < NUMBERS
    return np.where(scalar, _ADDS_UP[np.where(scalar, key, 0)], _OF_BUCKETS[np.minimum(number, NUMBERS - 1)])


def _coded(
    stretch: Index, cell: NDArray[np.int32], key: NDArray[np.int32], cells: int, keys: NDArray[np.int32]
) -> Index:
    """Pack stretch, cell and key into one number; `keys` are all that occur, in order."""
    code: Index = (stretch * cells + cell) * max(1, len(keys)) + np.searchsorted(keys, key)
    return code


def _order(code: Index) -> NDArray[np.intp]:
    """Return the stable order of numbers from 0 on; numpy sorts 16 bits at a time in a fifth of the time."""
    order = np.argsort(code.astype(np.uint16), kind="stable")
    for shift in range(16, int(code.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((code[order] >> shift).astype(np.uint16), kind="stable")]
    return order


def _rows(log: PaneLog, at: Index) -> _Columns:
    return log.start_ms[at], log.cell[at], log.key[at], log.value[at]
