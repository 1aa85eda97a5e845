"""Cells and the rows that count in, the groups of one level (teams, reps, stages…) with their labels out."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.exact import zeros
from metrics.kpi_snapshot import LevelKeys
from metrics.labels import OTHER, UNASSIGNED, label_value, plan_labels
from metrics.panes import Cell
from metrics.roster import Spell
from metrics.sums import COUNT_COLUMNS, Index, Netted, Rows, netted

FLOOR_LABEL: Final = "all"
_TABLE_MAX: Final = 1 << 22
"""Sums that are held at once while cells are looked through: 32 MiB."""
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

    @classmethod
    def of(cls, cells: Sequence[Cell], level: str) -> "Candidates":
        """Return those of the cells; whatever can be done once per name is, there may be a million cells."""
        numbers: dict[str, int] = {}
        names = map(itemgetter(Cell._fields.index(level)), cells)
        name_of_cell = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        label_of_name = list(map(label_value, numbers))
        labels = tuple(sorted(set(label_of_name)))
        number = {label: i for i, label in enumerate(labels)}
        return cls(labels, np.array([number[label] for label in label_of_name], dtype=np.int64)[name_of_cell])


class CellGroups:
    """What can be said of the cells alone; kept as long as no cell is added."""

    def __init__(self, cells: tuple[Cell, ...]) -> None:
        self.cells = cells
        self._candidates: dict[str, Candidates] = {}

    def candidates(self, level: str) -> Candidates:
        if level not in self._candidates:
            self._candidates[level] = Candidates.of(self.cells, level)
        return self._candidates[level]


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
        self._filled = np.zeros(len(cells.cells), dtype=np.bool_)
        self._counts = np.zeros(len(cells.cells), dtype=np.int64)
        self._add_up()

    def _add_up(self) -> None:
        """Note which cells hold anything, and how many things: of one measure at a time where a table of all
        measures would have no room, as of a million cells."""
        rows, cells = self._rows, len(self._filled)
        columns = len(COUNT_COLUMNS)
        if cells * columns <= _TABLE_MAX:
            self._add(rows, COUNT_COLUMNS, rows.column)
            return
        order = np.argsort(rows.column.astype(np.int16), kind="stable")
        ends = np.searchsorted(rows.column[order], np.arange(columns + 1))
        for column in range(columns):
            own = rows.only(order[ends[column] : ends[column + 1]])
            if len(own.cell):
                self._add(own, COUNT_COLUMNS[[column]], np.zeros(len(own.cell), dtype=np.int64))

    def _add(self, rows: Rows, counts: NDArray[np.bool_], column: Index) -> None:
        """Add up rows of some measures; `counts` says which of them are counts, `column` whose a row is."""
        cells = len(self._filled)
        totals = zeros(cells * len(counts), rows.value)
        np.add.at(totals, rows.cell * len(counts) + column, rows.value.astype(totals.dtype))
        table = totals.reshape(cells, len(counts))
        self._filled |= np.asarray((table != 0).any(axis=1), dtype=np.bool_)
        self._counts += table[:, counts].sum(axis=1).astype(np.int64)

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
        np.add.at(found, candidates.of_cell, self._counts)
        return found

    def latest_teams(self, group_of_cell: Index, groups: int) -> tuple[str, ...]:
        """Return each group's team in its newest contribution that names one; ties go to the later name."""
        teams = self.cells.candidates("team")
        named = np.array([label != UNASSIGNED for label in teams.labels], dtype=np.bool_)
        known = np.flatnonzero((group_of_cell >= 0) & self._filled & named[teams.of_cell])
        pairs = np.unique(group_of_cell[known] * len(teams.labels) + teams.of_cell[known])
        group, team = np.divmod(pairs, max(1, len(teams.labels)))
        team_of = np.full(groups, -1, dtype=np.int64)
        team_of[group] = team
        torn = np.bincount(group, minlength=groups) > 1
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
    contents: CellContents,
    level: str,
    keys_max: int,
    rostered: Sequence[Spell] = (),
    *,
    roster_is_free: bool = False,
    only: Set[str] | None = None,
) -> LevelGroups:
    """Return the groups of a level that any pane or the roster speaks of, within the budget of labels.

    `rostered` are the spells that run; the cells hold one of each. Those whom they name take no part of the
    budget if `roster_is_free`. Whose label is not among `only`, where it is given, is in no group.
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
    if only is not None:
        exists &= np.array([label in only for label in candidates.labels], dtype=np.bool_)
    if roster_is_free:
        keys_max += int(np.count_nonzero(known & exists))
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
