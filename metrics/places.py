"""Cells, a roster and rows in, rows of the cells they count in at their time out: in the roster's team.

What a cell says of itself stays. A flow belongs to where its rep was at its time. What is open belongs to
where its rep is: at the instant a rep moves, what is open moves along, as one row out and one row in.
"""

from collections.abc import Sequence

import numpy as np

from metrics.exact import IntArray
from metrics.panes import Cell
from metrics.roster import ALWAYS_MS, FOR_EVER_MS, Roster, Spell
from metrics.sums import LEVEL_COLUMNS, HistogramRows, Index, Rows

_REP_BITS = 44  # room for ALWAYS_MS … FOR_EVER_MS


class Places:
    """`cells` are those given, and behind them those that the roster makes of them.

    A rep's time line is cut where a spell begins or ends; cut i ends stretch i and begins stretch i + 1.
    """

    def __init__(self, cells: Sequence[Cell], roster: Roster) -> None:
        numbers = {cell: i for i, cell in enumerate(cells)}
        cuts: list[list[int]] = []
        rep_of_cell = np.full(len(cells), -1, dtype=np.int64)
        places: list[int] = []
        first_place = np.zeros(len(cells), dtype=np.int64)
        rep_numbers: dict[str, int] = {}
        stretches: list[list[Spell | None]] = []
        for i, cell in enumerate(cells):
            if (cell.team and cell.region) or cell.rep not in roster.by_rep:
                continue
            if cell.rep not in rep_numbers:
                rep_numbers[cell.rep] = len(cuts)
                cuts.append(_cuts(roster.by_rep[cell.rep]))
                stretches.append([roster.at(cell.rep, time_ms) for time_ms in (ALWAYS_MS, *cuts[-1])])
            rep_of_cell[i] = rep_numbers[cell.rep]
            first_place[i] = len(places)
            placed = [_placed(cell, spell) for spell in stretches[rep_numbers[cell.rep]]]
            places += [numbers.setdefault(each, len(numbers)) for each in placed]
        spells = tuple(roster.spells)
        own = [numbers.setdefault(Cell(s.rep, s.team, region=s.region), len(numbers)) for s in spells]
        self.spells = spells
        self.cell_of_spell: Index = np.array(own, dtype=np.int64)
        self.cells: tuple[Cell, ...] = tuple(numbers)
        self._rep_of_cell, self._first_place = rep_of_cell, first_place
        self._places = np.array(places, dtype=np.int64)
        self._first_cut = np.cumsum([0, *map(len, cuts)])
        self._cut_ms = np.array([cut for line in cuts for cut in line], dtype=np.int64)
        lines = np.repeat(np.arange(len(cuts)), np.diff(self._first_cut))
        self._cut_codes = _coded(lines, self._cut_ms)

    @property
    def cuts_ms(self) -> Index:
        """Return the instants at which a rep's place may change."""
        return self._cut_ms

    def flows(self, cell: Index, start_ms: Index) -> Index:
        """Return the cell of each row at its own time."""
        if not len(self._places):
            return cell
        moved = np.flatnonzero(self._rep_of_cell[cell] >= 0)
        placed = cell.copy()
        placed[moved] = self._at(cell[moved], start_ms[moved])
        return placed

    def _at(self, cell: Index, time_ms: Index) -> Index:
        rep = self._rep_of_cell[cell]
        passed = np.searchsorted(self._cut_codes, _coded(rep, time_ms), side="right") - self._first_cut[rep]
        found: Index = self._places[self._first_place[cell] + passed]
        return found

    def placed(self, rows: Rows, edges_ms: Index) -> Rows:
        """Return the rows where they count, and behind them those that move what is open."""
        placed = rows.with_cell(self.flows(rows.cell, rows.start_ms))
        if not len(self._cut_ms):
            return placed
        open_ = rows.only(LEVEL_COLUMNS[rows.column] & (self._rep_of_cell[rows.cell] >= 0))
        return placed.and_also(self._moves(open_, edges_ms)) if len(open_.cell) else placed

    def histogram(self, rows: HistogramRows) -> HistogramRows:
        cell = self.flows(rows.cell, rows.start_ms)
        return HistogramRows(rows.start_ms, rows.segment, cell, rows.bucket, rows.value)

    def _moves(self, rows: Rows, edges_ms: Index) -> Rows:
        """Return what leaves one place and enters the next at each cut: everything open just before it."""
        pairs, pair = np.unique(rows.cell * len(LEVEL_COLUMNS) + rows.column, return_inverse=True)
        cell, column = pairs // len(LEVEL_COLUMNS), pairs % len(LEVEL_COLUMNS)
        rep = self._rep_of_cell[cell]
        cuts = np.diff(self._first_cut)[rep]
        cut_pair = np.repeat(np.arange(len(pairs)), cuts)
        nth = np.arange(len(cut_pair)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        cut_ms = self._cut_ms[self._first_cut[rep[cut_pair]] + nth]
        held = _held_before(pair, rows.start_ms, rows.value, cut_pair, cut_ms)
        place = self._first_place[cell[cut_pair]] + nth
        out_of, into = self._places[place], self._places[np.minimum(place + 1, len(self._places) - 1)]
        moving = np.flatnonzero((held != 0) & (out_of != into) & (cut_ms < edges_ms[-1]))
        start_ms = cut_ms[moving]
        segment = np.searchsorted(edges_ms, start_ms, side="right")
        leaving = Rows(start_ms, segment, out_of[moving], column[cut_pair[moving]], -held[moving])
        return leaving.and_also(leaving.with_cell(into[moving]).with_value(held[moving]))


def _cuts(spells: Sequence[Spell]) -> list[int]:
    ends = {time_ms for spell in spells for time_ms in (spell.start_ms, spell.end_ms)}
    return sorted(ends - {ALWAYS_MS, FOR_EVER_MS})


def _placed(cell: Cell, spell: Spell | None) -> Cell:
    if spell is None:
        return cell
    return cell._replace(team=cell.team or spell.team, region=cell.region or spell.region)


def _coded(line: Index, time_ms: Index) -> Index:
    """Pack a line and a time into one number that sorts by both."""
    clipped = np.clip(time_ms, ALWAYS_MS, FOR_EVER_MS - 1) - ALWAYS_MS
    coded: Index = (line.astype(np.int64) << _REP_BITS) + clipped
    return coded


def _held_before(pair: Index, start_ms: Index, value: IntArray, cut_pair: Index, cut_ms: Index) -> IntArray:
    """Return, for each cut of a pair, the sum of the pair's rows before it.

    The running sum over all pairs may pass the ends of int64 and come back; a pair's own sum does not.
    """
    order = np.lexsort((start_ms, pair))
    pair, start_ms = pair[order], start_ms[order]
    sums = np.concatenate(([0], np.cumsum(value[order])))
    # Pair and time do not fit into one number, so times are replaced by their rank.
    times, rank = np.unique(np.concatenate((start_ms, cut_ms)), return_inverse=True)
    codes = pair * len(times) + rank[: len(pair)]
    before = np.searchsorted(codes, cut_pair * len(times) + rank[len(pair) :], side="left")
    begin = np.searchsorted(pair, cut_pair, side="left")
    held: IntArray = sums[before] - sums[begin]
    return held
