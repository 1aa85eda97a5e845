"""Cells and the rows that count in, the groups of one level (teams, reps, stages…) with their labels out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.kpi_snapshot import LevelKeys
from metrics.labels import OTHER, UNASSIGNED, label_value, plan_labels
from metrics.panes import Cell, PaneLog
from metrics.sums import COUNT_COLUMNS, Index, Rows

FLOOR_LABEL: Final = "all"
_NEVER_MS: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Candidates:
    """The distinct label values of one level, sorted, and which of them each cell has."""

    labels: tuple[str, ...]
    of_cell: Index


class CellGroups:
    """What can be said of the cells alone; kept as long as no cell is added."""

    def __init__(self, cells: tuple[Cell, ...]) -> None:
        self.cells = cells
        self._candidates: dict[str, Candidates] = {}
        self._foreign: dict[str, NDArray[np.bool_]] = {}

    def candidates(self, level: str) -> Candidates:
        if level not in self._candidates:
            field = Cell._fields.index(level)
            self._candidates[level] = _numbered([label_value(cell[field]) for cell in self.cells])
        return self._candidates[level]

    def foreign(self, currency: str) -> NDArray[np.bool_]:
        """Mark the cells that hold money of another currency."""
        if currency not in self._foreign:
            marks = [cell.currency not in ("", currency) for cell in self.cells]
            self._foreign[currency] = np.array(marks, dtype=np.bool_)
        return self._foreign[currency]

    def latest_ms(self, log: PaneLog, as_of_ms: int) -> Index:
        """Return when each cell was last contributed to before the instant."""
        latest = np.full(len(self.cells), _NEVER_MS, dtype=np.int64)
        wanted = (log.value != 0) & (log.start_ms < as_of_ms)
        np.maximum.at(latest, log.cell[wanted], log.start_ms[wanted])
        return latest


def _numbered(labels: Sequence[str]) -> Candidates:
    distinct = tuple(sorted(set(labels)))
    number = {label: i for i, label in enumerate(distinct)}
    return Candidates(distinct, np.array([number[label] for label in labels], dtype=np.int64))


@dataclass(frozen=True)
class LevelGroups:
    keys: LevelKeys
    group_of_cell: Index  # -1 for a cell that is in no group

    @property
    def count(self) -> int:
        return len(self.keys.labels)


def group_level(cells: CellGroups, level: str, rows: Rows, latest_ms: Index, keys_max: int) -> LevelGroups:
    """Return the groups of a level that any row speaks of, within the budget of labels."""
    if level == "floor":
        # The floor exists before its first event: its zeros say that salesfloor is alive.
        return LevelGroups(LevelKeys((FLOOR_LABEL,)), np.zeros(len(cells.cells), dtype=np.int64))
    candidates = cells.candidates(level)
    number = len(candidates.labels)
    of_row = candidates.of_cell[rows.cell]
    exists = np.bincount(of_row, minlength=number) > 0
    contributions = np.zeros(number, dtype=np.int64)
    if np.count_nonzero(exists) > keys_max:
        counted = COUNT_COLUMNS[rows.column]
        np.add.at(contributions, of_row[counted], rows.value[counted])
    plan = plan_labels(candidates.labels, exists, contributions, keys_max)
    group_of_cell = plan.index_of[candidates.of_cell].astype(np.int64)
    teams = None
    if level == "rep":
        teams = _latest_teams(cells, group_of_cell, plan.labels, latest_ms)
        if plan.over_budget:
            teams = (*teams[:-1], OTHER)
    return LevelGroups(LevelKeys(plan.labels, teams, plan.over_budget), group_of_cell)


def _latest_teams(
    cells: CellGroups, group_of_cell: Index, labels: tuple[str, ...], latest_ms: Index
) -> tuple[str, ...]:
    """Return each rep's team in the newest contribution that names one; ties go to the later name."""
    teams = cells.candidates("team")
    known = np.flatnonzero((group_of_cell >= 0) & (latest_ms > _NEVER_MS))
    named = np.array([label != UNASSIGNED for label in teams.labels], dtype=np.bool_)
    known = known[named[teams.of_cell[known]]] if len(known) else known
    order = known[np.lexsort((teams.of_cell[known], latest_ms[known]))]
    found = [UNASSIGNED] * len(labels)
    for group, team in zip(group_of_cell[order].tolist(), teams.of_cell[order].tolist(), strict=True):
        found[group] = teams.labels[team]
    return tuple(found)
