"""Cells and the rows that count in, the groups of one level (teams, reps, stages…) with their labels out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.kpi_snapshot import LevelKeys
from metrics.labels import OTHER, UNASSIGNED, label_value, plan_labels
from metrics.panes import Cell
from metrics.roster import Spell
from metrics.sums import COUNT_COLUMNS, Index, Netted, Rows, cell_totals, netted

FLOOR_LABEL: Final = "all"
_OF_SPELL: Final[Mapping[str, Callable[[Spell], str]]] = {
    "rep": lambda spell: spell.rep,
    "team": lambda spell: spell.team,
    "region": lambda spell: spell.region,
}


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

    def candidates(self, level: str) -> Candidates:
        if level not in self._candidates:
            field = Cell._fields.index(level)
            self._candidates[level] = _numbered([label_value(cell[field]) for cell in self.cells])
        return self._candidates[level]


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


class CellContents:
    """What the rows leave in the cells: the log may hold a contribution and, later, what took it back."""

    def __init__(self, cells: CellGroups, rows: Rows) -> None:
        self.cells = cells
        self._rows = rows
        self._totals = cell_totals(rows, len(cells.cells))
        self._filled: NDArray[np.bool_] = np.asarray((self._totals != 0).any(axis=1), dtype=np.bool_)

    def exists(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Say which candidates any pane speaks of; a stage that deals have left is still one."""
        exists = np.zeros(len(candidates.labels), dtype=np.bool_)
        exists[candidates.of_cell[self._filled]] = True
        # What adds up to nothing either cancelled out over time, or was taken back and never was.
        held = self._netted(~exists[candidates.of_cell])
        exists[candidates.of_cell[held.cell]] = True
        return exists

    def contributions(self, candidates: Candidates) -> NDArray[np.int64]:
        """Return how many things each candidate did."""
        found = np.zeros(len(candidates.labels), dtype=np.int64)
        per_cell = self._totals[:, COUNT_COLUMNS].sum(axis=1).astype(np.int64)
        np.add.at(found, candidates.of_cell, per_cell)
        return found

    def latest_teams(self, group_of_cell: Index, groups: int) -> tuple[str, ...]:
        """Return each group's team in its newest contribution that names one; ties go to the later name."""
        teams = self.cells.candidates("team")
        named = np.array([label != UNASSIGNED for label in teams.labels], dtype=np.bool_)
        known = np.flatnonzero((group_of_cell >= 0) & self._filled & named[teams.of_cell])
        pairs = np.unique(np.stack((group_of_cell[known], teams.of_cell[known])), axis=1)
        team_of = np.full(groups, -1, dtype=np.int64)
        team_of[pairs[0]] = pairs[1]
        torn = np.bincount(pairs[0], minlength=groups) > 1
        if torn.any():
            wanted = np.zeros(len(self.cells.cells), dtype=np.bool_)
            wanted[known] = torn[group_of_cell[known]]
            held = self._netted(wanted)
            order = np.lexsort((teams.of_cell[held.cell], held.start_ms))
            # Of several assignments to one place numpy keeps the last: the newest.
            team_of[group_of_cell[held.cell[order]]] = teams.of_cell[held.cell[order]]
        return tuple(teams.labels[team] if team >= 0 else UNASSIGNED for team in team_of.tolist())

    def _netted(self, cells: NDArray[np.bool_]) -> Netted:
        rows, wanted = self._rows, cells[self._rows.cell]
        return netted(rows.start_ms[wanted], rows.cell[wanted], rows.column[wanted], rows.value[wanted])


def group_level(
    contents: CellContents, level: str, keys_max: int, rostered: Sequence[Spell] = ()
) -> LevelGroups:
    """Return the groups of a level that any pane or the roster speaks of, within the budget of labels.

    `rostered` are the spells that run; the cells hold one of each.
    """
    cells = contents.cells
    if level == "floor":
        # The floor exists before its first event: its zeros say that salesfloor is alive.
        return LevelGroups(LevelKeys((FLOOR_LABEL,)), np.zeros(len(cells.cells), dtype=np.int64))
    candidates = cells.candidates(level)
    exists = contents.exists(candidates)
    known = np.zeros(len(candidates.labels), dtype=np.bool_)
    if level in _OF_SPELL:
        names = {label_value(name) for spell in rostered if (name := _OF_SPELL[level](spell))}
        known = np.array([label in names for label in candidates.labels], dtype=np.bool_)
        exists |= known
    crowded = np.count_nonzero(exists) > keys_max
    nothing = np.zeros(len(candidates.labels), dtype=np.int64)
    contributions = contents.contributions(candidates) if crowded else nothing
    plan = plan_labels(candidates.labels, exists, contributions, keys_max, known)
    group_of_cell = plan.index_of[candidates.of_cell].astype(np.int64)
    teams = None
    if level == "rep":
        teams = contents.latest_teams(group_of_cell, len(plan.labels))
        on_roster = {label_value(s.rep): label_value(s.team) for s in rostered if s.team}
        pairs = zip(plan.labels, teams, strict=True)
        teams = tuple(on_roster.get(rep, team) for rep, team in pairs)
        if plan.over_budget:
            teams = (*teams[:-1], OTHER)
    return LevelGroups(LevelKeys(plan.labels, teams, plan.over_budget), group_of_cell)
