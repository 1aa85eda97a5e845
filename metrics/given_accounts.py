"""What the log says of accounts in, those active when a window began and which of them left out. No clock.

Of a window an account is where its rep was when the window began, wherever the rep went since. That is
another instant for every window, so nothing that was put in its place once, such as `Places.placed` does,
can be added up to it: what left is counted as recorded, and put in its place line by line.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from metrics.exact import IntArray, exact_sum
from metrics.groups import LevelGroups
from metrics.places import Places
from metrics.segments import Lines
from metrics.sums import COLUMN_OF, HistogramRows, Index, Occurrences, Rows, RunningTotals

_ACTIVE: Final = COLUMN_OF["accounts_active"]
_ACTIVATED: Final = COLUMN_OF["accounts_activated"]
CHANGED: Final = "accounts_changed"


@dataclass(frozen=True)
class AccountRows:
    """`activated` and `changed` are as recorded, put in no place; `changed` is None where there is none."""

    activated: Rows
    changed: HistogramRows | None
    moves: Rows
    """Active accounts that leave one place and enter another at an edge itself."""

    @classmethod
    def of(
        cls, recorded: Rows, changed: HistogramRows | None, placed: Rows, edges_ms: Index
    ) -> "AccountRows":
        """`placed` are the recorded rows in their places, and behind them those that move what is open."""
        behind = len(recorded.cell)
        moves = placed.only(behind + np.flatnonzero(placed.column[behind:] == _ACTIVE))
        at_edge = (moves.segment > 0) & (moves.start_ms == edges_ms[moves.segment - 1])
        return cls(
            recorded.only(np.flatnonzero(recorded.column == _ACTIVATED)),
            changed,
            moves.only(np.flatnonzero(at_edge)),
        )


class GivenAccounts:
    """The same for all levels of one snapshot."""

    def __init__(self, rows: AccountRows, places: Places, edges_ms: Index) -> None:
        self._rows = rows
        self._places = places
        self._edges_ms = edges_ms
        self._left: dict[tuple[int, int], tuple[Index, Index]] = {}

    def at_start(self, totals: RunningTotals, lines: Lines, groups: LevelGroups) -> IntArray:
        """Return, per line and group, the accounts active when the line began.

        What begins or ends at that very instant does so in the line; but a rep who moves then has moved.
        Not so where the line is empty: it ends before anything of that instant.
        """
        active = totals.before(_ACTIVE, lines.starts)
        moves = self._rows.moves
        if not len(moves.cell):
            return active
        group = groups.group_of_cell[moves.cell]
        shown = group >= 0
        at_edges = np.zeros((len(self._edges_ms), groups.count), dtype=np.int64)
        at = (moves.segment[shown] - 1, group[shown])
        np.add.at(at_edges, at, moves.value[shown].astype(np.int64))
        begun = lines.starts < lines.ends
        return exact_sum(active, np.where(begun[:, None], at_edges[lines.starts], 0))

    def left(self, lines: Lines, groups: LevelGroups) -> IntArray:
        """Return, per line and group, those of them that were no more active at the line's end."""
        found = np.zeros((len(lines), groups.count), dtype=np.int64)
        for line, (start, end) in enumerate(zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)):
            cell, accounts = self._left_in(start, end)
            group = groups.group_of_cell[cell]
            shown = group >= 0
            np.add.at(found[line], group[shown], accounts[shown])
        return found

    def _left_in(self, start: int, end: int) -> tuple[Index, Index]:
        """Return cells, in their places when the line began, and how many accounts left each."""
        if (start, end) not in self._left:
            cell, accounts = self._left_as_recorded(start, end)
            start_ms = np.full(len(cell), self._edges_ms[start])
            self._left[start, end] = self._places.flows(cell, start_ms), accounts
        return self._left[start, end]

    def _left_as_recorded(self, start: int, end: int) -> tuple[Index, Index]:
        """Of the accounts that began or left in the line, those that did not begin in it: they left."""
        occurrences, activated = self._occurrences, self._rows.activated
        if occurrences is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        inside = (activated.segment > start) & (activated.segment <= end)
        accounts = np.bincount(occurrences.within(start, end), minlength=len(self._places.cells))
        np.subtract.at(accounts, activated.cell[inside], activated.value[inside].astype(np.int64))
        cell = np.flatnonzero(accounts)
        return cell, accounts[cell]

    @cached_property
    def _occurrences(self) -> Occurrences | None:
        changed = self._rows.changed
        return None if changed is None else Occurrences.of(changed, changed.cell)
