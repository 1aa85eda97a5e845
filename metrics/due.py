"""Panes and an instant in, what open deals are due in a period out, by team, rep or any level. Exact.

Sums rows of the measures that are told by the day they are due on; knows no target.
"""

from collections.abc import Callable, Sequence
from datetime import date
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.labels import label_value
from metrics.measures import BY_NAME, first_key
from metrics.panes import Cell, PaneLog

_MILLION: Final = 1_000_000
_NAMES: Final = ("due_weighted", "due_weighted_millionths", "due_commit", "due_best_case")
_FIRST_KEYS: Final = tuple(first_key(BY_NAME[name]) for name in _NAMES)


class Due(NamedTuple):
    """Open deals expected to close in a period, in the reporting currency's major units."""

    weighted: Fraction
    commit: Fraction
    best_case: Fraction


_Sums = list[int]
NOTHING_DUE: Final = Due(Fraction(0), Fraction(0), Fraction(0))

PlacedCells = Callable[[NDArray[np.int64]], Sequence[Cell]]
"""Numbers of cells -> the cells they count in at the instant: in the team the rep is in then."""

UnitOf = Callable[[str], Fraction | None]
"""What a minor unit of a currency is worth in the reporting currency; None without a rate."""


class DueAmounts:
    """What is open at one instant, by the day it is due."""

    def __init__(self, log: PaneLog, as_of_ms: int, placed: PlacedCells, unit_of: UnitOf) -> None:
        low, high = min(_FIRST_KEYS), max(_FIRST_KEYS) + date.max.toordinal()
        picked = np.flatnonzero((log.key >= low) & (log.key <= high) & (log.start_ms < as_of_ms))
        self._key = log.key[picked].astype(np.int64)
        self._cell = log.cell[picked].astype(np.int64)
        self._value: NDArray[np.int64] = log.value[picked]
        self._placed = placed
        self._unit_of = unit_of
        self._per_period: dict[tuple[date, date], list[tuple[Cell, _Sums]]] = {}
        self._by_label: dict[tuple[date, date, str], dict[str, Due]] = {}

    def of(self, level: str, label: str, start: date, end: date) -> Due:
        """Return what is due on the days [start, end) for a key of a level; the floor has no label."""
        wanted = (start, end, level)
        if wanted not in self._by_label:
            self._by_label[wanted] = self._valued(level, start, end)
        return self._by_label[wanted].get(label, NOTHING_DUE)

    def _valued(self, level: str, start: date, end: date) -> dict[str, Due]:
        found: dict[str, Due] = {}
        for (label, currency), (whole, millionths, commit, best_case) in self._summed(
            level, start, end
        ).items():
            unit = self._unit_of(currency)
            if unit is not None:
                weighted = Fraction(whole * _MILLION + millionths, _MILLION) * unit
                held, due = found.get(label, NOTHING_DUE), (weighted, commit * unit, best_case * unit)
                found[label] = Due(*(a + b for a, b in zip(held, due, strict=True)))
        return found

    def _summed(self, level: str, start: date, end: date) -> dict[tuple[str, str], _Sums]:
        """Return sums in minor units by label and currency."""
        found: dict[tuple[str, str], _Sums] = {}
        for cell, sums in self._per_cell(start, end):
            label = "" if level == "floor" else label_value(getattr(cell, level))
            held = found.get((label, cell.currency))
            found[label, cell.currency] = [a + b for a, b in zip(held, sums, strict=True)] if held else sums
        return found

    def _per_cell(self, start: date, end: date) -> list[tuple[Cell, _Sums]]:
        if (start, end) not in self._per_period:
            sums: dict[int, _Sums] = {}
            for column, first in enumerate(_FIRST_KEYS):
                hit = (self._key >= first + start.toordinal()) & (self._key < first + end.toordinal())
                for cell, value in zip(self._cell[hit].tolist(), self._value[hit].tolist(), strict=True):
                    sums.setdefault(cell, [0] * len(_FIRST_KEYS))[column] += value
            places = self._placed(np.array(list(sums), dtype=np.int64))
            self._per_period[start, end] = list(zip(places, sums.values(), strict=True))
        return self._per_period[start, end]
