"""A pane reader made by hand, for tests of what reads panes: rows in, the columns of a `PaneLog` out."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from metrics.measures import BY_NAME, Kind, day_key, histogram_key
from metrics.panes import FINEST, Cell, FeedState, PaneLog, Resolution
from metrics.reference import Reference

READY = FeedState(slots_expected=1, slots_loaded=1, definition_version="test")


class Row(NamedTuple):
    """One contribution; `of` is the value whose bucket a histogram counts, or the day something is due on."""

    start_ms: int
    cell: Cell
    measure: str
    value: int = 1
    of: int = 0


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
        self._log = PaneLog(
            np.array([row.start_ms for row in kept], dtype=np.int64),
            np.array([index[row.cell] for row in kept], dtype=np.int32),
            np.array([_key(row) for row in kept], dtype=np.int32),
            np.array([row.value for row in kept], dtype=np.int64),
        )

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


def _key(row: Row) -> int:
    measure = BY_NAME[row.measure]
    if measure.kind is Kind.LEVEL_BY_DAY:
        return day_key(measure, row.of)
    return histogram_key(measure, row.of) if measure.kind is Kind.HISTOGRAM else measure.number
