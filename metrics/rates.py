"""Rate records and money rows in, money in the reporting currency out, exactly. Guesses no rate.

A flow is valued at the rate that is valid on its own local date. What is open now is valued as a balance is:
what is open in each currency at the edge of a window, at the rate valid there; so a deal that closes leaves
nothing behind, whatever happened to the rate meanwhile. Totals are integers in `1 / scale` minor units.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.calendar import Calendar
from metrics.exact import IntArray, multiplied
from metrics.money import exponent_of
from metrics.panes import Cell
from metrics.reference import Rate, Reference, ReferenceProblem
from metrics.sums import COLUMN_OF, LEVEL_COLUMNS, MONEY_COLUMNS, STAGE_COLUMNS, Index, Rows, netted

_INT64_SAFE: Final = 1 << 62
_DEALS_THAT_FLOW: Final = [COLUMN_OF["won"], COLUMN_OF["lost"]]
_OPEN: Final = COLUMN_OF["open"]
_SPEND: Final = COLUMN_OF["spend_amount"]


@dataclass(frozen=True)
class RateLine:
    """What a unit of one currency is worth in the reporting one: `rates[i]` from `since_ms[i]` on."""

    since_ms: Index
    rates: tuple[Fraction, ...]

    def at(self, time_ms: int) -> Fraction | None:
        i = int(np.searchsorted(self.since_ms, time_ms, side="right"))
        return self.rates[i - 1] if i else None


@dataclass(frozen=True)
class Factors:
    """Minor units of one currency times a factor are `1 / scale` minor units of the reporting currency."""

    since_ms: Index
    factors: IntArray

    def at(self, times_ms: Index) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the factor of each time, 0 where there is none, and where there is one."""
        if not len(self.since_ms):
            return np.zeros(len(times_ms), dtype=np.int64), np.zeros(len(times_ms), dtype=np.bool_)
        i = np.searchsorted(self.since_ms, times_ms, side="right") - 1
        known = i >= 0
        factors: IntArray = np.where(known, self.factors[np.maximum(i, 0)], 0)
        return factors, known


_NO_FACTORS: Final = Factors(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


class Rates:
    """All rates of a floor. A withdrawn record is as if it had never been sent."""

    def __init__(self, references: Iterable[Reference], currency: str, calendar: Calendar) -> None:
        self._currency = currency
        dated: dict[str, list[tuple[int, Fraction]]] = {}
        problems: list[ReferenceProblem] = []
        for record in references:
            if not isinstance(record, Rate) or record.rate is None:
                continue
            if record.currency == currency:
                if record.rate != 1:
                    problem = f"{currency} is the reporting currency, its rate is 1; withdraw the record"
                    problems.append(ReferenceProblem(record.id, problem))
                continue
            since_ms = calendar.instant_ms(record.valid_from)
            dated.setdefault(record.currency, []).append((since_ms, Fraction(record.rate)))
        self.problems = tuple(problems)
        self._lines = {code: _line(rates) for code, rates in dated.items()}

    @property
    def since_ms(self) -> Index:
        """Return the instants from which any rate holds."""
        none = np.zeros(0, dtype=np.int64)
        return np.concatenate([none, *(line.since_ms for line in self._lines.values())])

    def at(self, time_ms: int) -> dict[str, Fraction]:
        """Return what a unit of each other currency is worth at the instant, of those with a rate."""
        found = ((code, line.at(time_ms)) for code, line in self._lines.items())
        return {code: rate for code, rate in found if rate is not None}

    def rate(self, currency: str, time_ms: int) -> Fraction | None:
        if currency == self._currency:
            return Fraction(1)
        line = self._lines.get(currency)
        return None if line is None else line.at(time_ms)

    def scaled(self, currencies: Iterable[str]) -> tuple[int, dict[str, Factors]]:
        """Return the common scale and each currency's factors."""
        exact = {code: self._minor_rates(code) for code in currencies}
        scale = lcm(*(rate.denominator for rates in exact.values() for rate in rates))
        return scale, {
            code: Factors(self._lines[code].since_ms, _ints([int(rate * scale) for rate in rates]))
            if rates
            else _NO_FACTORS
            for code, rates in exact.items()
        }

    def _minor_rates(self, currency: str) -> Sequence[Fraction]:
        exponent, own = exponent_of(currency), exponent_of(self._currency)
        if currency not in self._lines or exponent is None or own is None:
            return ()
        return [rate * Fraction(10) ** (own - exponent) for rate in self._lines[currency].rates]


def _line(dated: list[tuple[int, Fraction]]) -> RateLine:
    dated.sort()
    return RateLine(np.array([since for since, _ in dated], dtype=np.int64), tuple(rate for _, rate in dated))


def _ints(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64 if max(values) < _INT64_SAFE else object)


@dataclass(frozen=True)
class ForeignLevels:
    """Open amounts of one currency, not valued yet, and the factor at each edge."""

    rows: Rows
    factors: IntArray


@dataclass(frozen=True)
class Valued:
    """`rows` hold no money but in `1 / scale` minor units of the reporting currency."""

    rows: Rows
    levels: tuple[ForeignLevels, ...]
    scale: int
    missing: Mapping[str, int]
    """Currency -> deals won, lost or open, and postings of spend, that no amount contains."""

    def only_by_stage(self) -> "Valued":
        return replace(self, rows=self.rows.only(STAGE_COLUMNS[self.rows.column]))


class CellCurrencies:
    """Which cells hold money of which foreign currency; kept as long as no cell is added."""

    def __init__(self, cells: Sequence[Cell], currency: str) -> None:
        self.foreign = tuple(sorted({cell.currency for cell in cells} - {"", currency}))
        number = {code: i for i, code in enumerate(self.foreign)}
        self.of_cell: Index = np.array([number.get(cell.currency, -1) for cell in cells], dtype=np.int64)


def valued(rows: Rows, edges_ms: Index, currencies: CellCurrencies, rates: Rates) -> Valued:
    """Value every money row; rows without a rate are left out and counted."""
    if not currencies.foreign:
        return Valued(rows, (), 1, {})
    scale, factors_of = rates.scaled(currencies.foreign)
    money = MONEY_COLUMNS[rows.column]
    currency = currencies.of_cell[rows.cell]
    worth: IntArray = np.where(money, scale, 1) if scale != 1 else np.ones(len(money), dtype=np.int64)
    kept = np.ones(len(money), dtype=np.bool_)
    levels: list[ForeignLevels] = []
    missing: dict[str, int] = {}
    for number, code in enumerate(currencies.foreign):
        own = np.flatnonzero(currency == number)
        factors, known = factors_of[code].at(rows.start_ms[own])
        at_edges, known_at_edges = factors_of[code].at(edges_ms - 1)
        level = LEVEL_COLUMNS[rows.column[own]]
        flow = money[own] & ~level
        worth = _put(worth, own[flow], factors[flow])
        kept[own[(flow & ~known) | (money[own] & level)]] = False
        levels.append(ForeignLevels(rows.only(own[money[own] & level]), at_edges))
        count = _missing(rows.only(own[~known]), rows.only(own), bool(known_at_edges[-1]))
        if count:
            missing[code] = count
    chosen = np.flatnonzero(kept)
    value = multiplied(rows.value[chosen], worth[chosen])
    return Valued(rows.only(chosen).with_value(value), tuple(levels), scale, missing)


def _put(into: IntArray, at: Index, values: IntArray) -> IntArray:
    if values.dtype == object and into.dtype != object:
        into = into.astype(object)
    into[at] = values
    return into


def _missing(unrated: Rows, own: Rows, open_is_rated: bool) -> int:
    closed = int(unrated.value[np.isin(unrated.column, _DEALS_THAT_FLOW)].sum())
    still_open = 0 if open_is_rated else int(own.value[own.column == _OPEN].sum())
    spend = unrated.only(np.flatnonzero(unrated.column == _SPEND))
    spent = netted(spend.start_ms, spend.cell, spend.column, spend.value)
    return closed + still_open + len(spent.cell)
