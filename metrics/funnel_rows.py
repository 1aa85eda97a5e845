"""A log that grows in, its rows of a few measures out, netted and in the order of time. Knows no funnel."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.measures import NUMBERS
from metrics.panes import Hindsight, PaneLog
from metrics.places import Places

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FunnelRows:
    """Each is all there is of one time, cell and measure, and not zero. Most are known when they happen."""

    start_ms: Ints
    known_ms: Ints
    cell: Ints
    key: Ints
    value: Ints

    @classmethod
    def netted(cls, start_ms: Ints, known_ms: Ints, cell: Ints, key: Ints, value: Ints) -> "FunnelRows":
        """Sort by time and add up what speaks of the same: what was taken back must leave no trace."""
        order = _order(start_ms, known_ms, cell, key)
        start_ms, known_ms, cell, key = start_ms[order], known_ms[order], cell[order], key[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (np.diff(start_ms) != 0) | (np.diff(cell) != 0) | (np.diff(key) != 0)
        new[1:] |= np.diff(known_ms) != 0
        first = np.flatnonzero(new)
        sums = np.add.reduceat(value[order], first) if len(first) else value[:0]
        held = first[sums != 0]
        return cls(start_ms[held], known_ms[held], cell[held], key[held], sums[sums != 0])

    def __len__(self) -> int:
        return len(self.value)

    def columns(self) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        return self.start_ms, self.known_ms, self.cell, self.key, self.value

    def part(self, at: slice) -> "FunnelRows":
        return FunnelRows(*(column[at] for column in self.columns()))

    def and_also(self, more: "FunnelRows") -> tuple[Ints, ...]:
        pairs = zip(self.columns(), more.columns(), strict=True)
        return tuple(np.concatenate(pair) for pair in pairs)


class FunnelLog:
    """Keeps the rows of what it was asked for last: of a log that grew, only what is new is sorted in."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._rows = 0
        self._held = _NOTHING

    def rows(
        self, log: PaneLog, places: Places, numbers: Iterable[int], since_ms: int, before_ms: int
    ) -> FunnelRows:
        """Return those of `[since, before)` that are known before `before_ms`, where `places` put them."""
        is_of = np.zeros(NUMBERS + 1, dtype=np.bool_)
        is_of[sorted(numbers)] = True
        if log.epoch is None or not self._continues(log, places, is_of):
            self._rows, self._held = 0, _NOTHING
        self._of = log.epoch, places, is_of.tobytes()
        self._learn(log, places, is_of)
        first, last = np.searchsorted(self._held.start_ms, (since_ms, before_ms))
        found = self._held.part(slice(int(first), int(last)))
        told = _told(log.hindsight, places, is_of, since_ms, before_ms)
        return FunnelRows.netted(*found.and_also(told)) if len(told) else found

    def _continues(self, log: PaneLog, places: Places, is_of: NDArray[np.bool_]) -> bool:
        epoch, seen, numbers = self._of or (None, None, None)
        same = epoch == log.epoch and seen is places and numbers == is_of.tobytes()
        return same and len(log.value) >= self._rows

    def _learn(self, log: PaneLog, places: Places, is_of: NDArray[np.bool_]) -> None:
        new = self._rows + np.flatnonzero(is_of[np.minimum(log.key[self._rows :], NUMBERS)])
        self._rows = len(log.value)
        if not len(new):
            return
        start_ms = log.start_ms[new]
        cell, key = places.flows(log.cell[new].astype(np.int64), start_ms), log.key[new].astype(np.int64)
        more = FunnelRows(start_ms, start_ms, cell, key, log.value[new])
        # What lies before all that is new stays as it is.
        at = int(np.searchsorted(self._held.start_ms, start_ms.min()))
        merged = FunnelRows.netted(*self._held.part(slice(at, None)).and_also(more))
        self._held = FunnelRows(*self._held.part(slice(None, at)).and_also(merged))


def _told(
    later: Hindsight, places: Places, is_of: NDArray[np.bool_], since_ms: int, before_ms: int
) -> FunnelRows:
    told = is_of[later.key] & (later.start_ms >= since_ms) & (later.known_ms < before_ms)
    start_ms = later.start_ms[told]
    cell = places.flows(later.cell[told].astype(np.int64), start_ms)
    return FunnelRows(
        start_ms, later.known_ms[told], cell, later.key[told].astype(np.int64), later.value[told]
    )


def _order(start_ms: Ints, known_ms: Ints, cell: Ints, key: Ints) -> Ints:
    """Sort by time, then by what rows speak of. Most come in the order of their time and are known at once:
    of one number that holds all, that order is found in a sixth of the time."""
    if len(key) and (known_ms == start_ms).all():
        first_ms, cells = int(start_ms.min()), int(cell.max()) + 1
        if (int(start_ms.max()) - first_ms + 1) * cells * NUMBERS < 1 << 63:
            return np.argsort(((start_ms - first_ms) * cells + cell) * NUMBERS + key, kind="stable")
    return np.lexsort((key, cell, known_ms, start_ms))


_NO_INTS: Final = np.zeros(0, dtype=np.int64)
_NOTHING: Final = FunnelRows(_NO_INTS, _NO_INTS, _NO_INTS, _NO_INTS, _NO_INTS)
