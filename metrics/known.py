"""Cells and reference records in, all that follows from them alone out; kept until one of them changes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from metrics.calendar import Calendar
from metrics.given_accounts import CHANGED, AccountRows
from metrics.groups import CellGroups
from metrics.hindsight import Untold, known_before
from metrics.labels import UNASSIGNED, label_value
from metrics.market import Market
from metrics.panes import Cell, PaneLog
from metrics.periods import YearNamedBy
from metrics.places import Places
from metrics.rates import CellCurrencies, Rates
from metrics.reference import Reference
from metrics.roster import Roster, Spell
from metrics.stages import StageChances, weighted
from metrics.sums import HistogramRows, Index, Rows, rows_before


class Ground(NamedTuple):
    """What the settings say that reference records are read by."""

    calendar: Calendar
    currency: str
    stage_probability: Mapping[str, float]
    year_named_by: YearNamedBy


class KnownRows(NamedTuple):
    rows: Rows
    histograms: dict[str, HistogramRows]
    untold: Untold
    """What of `rows` was not known yet when some windows ended."""
    accounts: AccountRows


class Known:
    """`groups` speaks of the given cells and of those that the roster makes of them."""

    def __init__(self, cells: tuple[Cell, ...], references: tuple[Reference, ...], ground: Ground) -> None:
        self._cells, self._references = cells, references
        roster = Roster(references, ground.calendar)
        chances = StageChances(references, ground.stage_probability)
        self.rates = Rates(references, ground.currency, ground.calendar)
        self.market = Market(
            references,
            self.rates,
            currency=ground.currency,
            calendar=ground.calendar,
            year_named_by=ground.year_named_by,
        )
        self.problems = (
            *roster.problems, *self.rates.problems, *chances.problems, *self.market.problems,
        )  # fmt: skip
        self.places = Places(cells, roster)
        self.groups = CellGroups(self.places.cells)
        self.currencies = CellCurrencies(self.places.cells, ground.currency)
        self.rep_names = {label_value(rep): name for rep, name in roster.names.items()}
        self._chance_millionths = chances.millionths(cells)
        self.cuts_ms: Index = np.unique(np.concatenate((self.places.cuts_ms, self.rates.since_ms)))
        """The instants at which it matters on which side of them a row is."""

    def speaks_of(self, cells: tuple[Cell, ...], references: tuple[Reference, ...]) -> bool:
        return self._cells == cells and self._references == references

    def rows(self, log: PaneLog, edges_ms: Index) -> "KnownRows":
        """Return the rows before the last edge, weighted and in their places; money still in its currency."""
        rows, histograms = rows_before(log, edges_ms)
        rows = weighted(rows, self._chance_millionths)
        placed = self.places.placed(rows, edges_ms)
        later, known = known_before(log.hindsight, edges_ms)
        later = later.with_cell(self.places.flows(later.cell, later.start_ms))
        return KnownRows(
            placed.and_also(later),
            {name: self.places.histogram(each) for name, each in histograms.items()},
            Untold.of(later, known),
            AccountRows.of(rows, histograms.get(CHANGED), placed, edges_ms),
        )

    @property
    def rep_of_cell(self) -> Index:
        """Return the number of each cell's rep, -1 where it says none."""
        reps = self.groups.candidates("rep")
        nobody = np.array([label == UNASSIGNED for label in reps.labels], dtype=np.bool_)
        return np.where(nobody[reps.of_cell], -1, reps.of_cell)

    def rostered_at(self, time_ms: int) -> list[Spell]:
        return [spell for spell in self.places.spells if spell.holds(time_ms)]
