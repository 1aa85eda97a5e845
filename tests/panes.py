"""A pane reader made by hand, for tests of what reads panes: rows in, the columns of a `PaneLog` out."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.measures import BY_NAME, Kind, day_key, histogram_key
from metrics.panes import FINEST, Cell, FeedState, Hindsight, PaneLog, Resolution
from metrics.reference import Reference

READY = FeedState(slots_expected=1, slots_loaded=1, definition_version="test")


class Row(NamedTuple):
    """One contribution; `of` is the value whose bucket a histogram counts, or the day something is due on."""

    start_ms: int
    cell: Cell
    measure: str
    value: int = 1
    of: int = 0
    known_ms: int | None = None
    """From when on it is known, if not from its own time on."""


class FakeReader:
    def __init__(
        self,
        rows: Iterable[Row] = (),
        *,
        resolutions: Sequence[Resolution] = (FINEST,),
        state: FeedState = READY,
        references: Sequence[Reference] = (),
    ) -> None:
        self.feed = state
        self.known = references
        self.slots = resolutions
        self.number = 0
        self.put(rows)

    def put(self, rows: Iterable[Row]) -> None:
        """Replace all panes."""
        kept = list(rows)
        self.number += 1
        self._cells = tuple(dict.fromkeys(row.cell for row in kept))
        index = {cell: i for i, cell in enumerate(self._cells)}
        at_once = [row for row in kept if row.known_ms is None or row.known_ms <= row.start_ms]
        later = [row for row in kept if row.known_ms is not None and row.known_ms > row.start_ms]
        known_ms = np.array([row.known_ms for row in later], dtype=np.int64)
        start_ms, cell, key, value = _columns(later, index)
        self._log = PaneLog(*_columns(at_once, index), Hindsight(start_ms, known_ms, cell, key, value))

    def version(self) -> int:
        return self.number

    def cells(self) -> Sequence[Cell]:
        return self._cells

    def log(self) -> PaneLog:
        return self._log

    def resolutions(self) -> Sequence[Resolution]:
        return self.slots

    def references(self) -> Sequence[Reference]:
        return self.known

    def state(self) -> FeedState:
        return self.feed


def _columns(
    rows: Sequence[Row], index: dict[Cell, int]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    return (
        np.array([row.start_ms for row in rows], dtype=np.int64),
        np.array([index[row.cell] for row in rows], dtype=np.int32),
        np.array([_key(row) for row in rows], dtype=np.int32),
        np.array([row.value for row in rows], dtype=np.int64),
    )


def _key(row: Row) -> int:
    measure = BY_NAME[row.measure]
    if measure.kind is Kind.LEVEL_BY_DAY:
        return day_key(measure, row.of)
    return histogram_key(measure, row.of) if measure.kind is Kind.HISTOGRAM else measure.number
