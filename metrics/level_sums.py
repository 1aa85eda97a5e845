"""The sums of one level's groups in, the value of any formula over them out. Decides no window or key."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.exact import Exact, FloatArray, IntArray, exact_sum
from metrics.formula import Inputs, KpiUnit, Value, evaluate, to_float
from metrics.given import GIVEN
from metrics.given_values import GivenValues
from metrics.groups import LevelGroups
from metrics.hindsight import Untold
from metrics.kpi import Catalogue, Kpi
from metrics.measures import BY_NAME, Kind, Unit
from metrics.rates import Valued
from metrics.segments import NOW, OVER_WINDOWS, Lines, Place, Segments
from metrics.sums import (
    COLUMN_OF,
    BucketTotals,
    HistogramRows,
    RunningTotals,
    bucket_totals,
    distinct_counts,
    plus,
    running_totals,
)

_MS_PER_SECOND: Final = 1000
_MS_PER_DAY: Final = 86_400_000


@dataclass(frozen=True)
class Source:
    """What all levels of one snapshot are computed from."""

    catalogue: Catalogue
    segments: Segments
    histograms: Mapping[str, HistogramRows]
    given: GivenValues
    untold: Untold
    exponent: int

    def scale_of(self, unit: KpiUnit) -> Fraction:
        """Return what a formula's value is divided by to be shown."""
        money = Fraction(10**self.exponent)
        match unit:
            case KpiUnit.MONEY:
                return money
            case KpiUnit.MONEY_PER_DAY:
                return money / _MS_PER_DAY
            case KpiUnit.SECONDS:
                return Fraction(_MS_PER_SECOND)
            case KpiUnit.COUNT | KpiUnit.RATIO | KpiUnit.POINTS:
                return Fraction(1)


class LevelSums:
    """Answers a formula's names for one level."""

    def __init__(self, source: Source, groups: LevelGroups, valued: Valued) -> None:
        self._source = source
        self._groups = groups
        self._scale = valued.scale
        self._totals = self._running_totals(valued)
        self._buckets: dict[str, BucketTotals | None] = {}
        self._values: dict[tuple[Place, str], Value] = {}

    def _running_totals(self, valued: Valued) -> RunningTotals:
        groups, edges = self._groups, len(self._source.segments.edges_ms)
        totals = running_totals(valued.rows, groups.group_of_cell, groups.count, edges)
        for levels in valued.levels:
            more = running_totals(levels.rows, groups.group_of_cell, groups.count, edges)
            totals = plus(totals, more, levels.factors)
        return totals

    def over_windows(self, kpi: Kpi, quantile: float | None) -> FloatArray:
        """Return one line per window, then one per previous twin."""
        return self._shown(kpi, OVER_WINDOWS, quantile)

    def now(self, kpi: Kpi) -> FloatArray:
        return self._shown(kpi, NOW, None)

    def _shown(self, kpi: Kpi, place: Place, quantile: float | None) -> FloatArray:
        value = evaluate(kpi.expression, self._inputs(place), quantile)
        values = to_float(value, self._source.scale_of(kpi.unit))
        shape = (len(self._lines(place)), self._groups.count)
        filled: NDArray[np.float64] = np.array(np.broadcast_to(values, shape))
        filled.setflags(write=False)
        return filled

    def _inputs(self, place: Place) -> Inputs:
        return Inputs(partial(self._value, place), partial(self._quantile, place))

    def _lines(self, place: Place) -> Lines:
        return self._source.segments.lines[place]

    def _value(self, place: Place, name: str, at: str) -> Value:
        place = place._replace(at=at or place.at)
        if (place, name) not in self._values:
            value = self._computed(place, name)
            self._values[place, name] = _without(value, self._lines(place).absent)
        return self._values[place, name]

    def _computed(self, place: Place, name: str) -> Value:
        catalogue, lines = self._source.catalogue, self._lines(place)
        if name in catalogue:
            return evaluate(catalogue[name].expression, self._inputs(place))
        if name in GIVEN:
            return self._source.given.of(name, lines, self._groups, self._totals)
        measure = BY_NAME[name]
        if measure.kind is Kind.DISTINCT:
            return Exact.of(self._distinct(name, lines))
        column = COLUMN_OF[name]
        # Beside a window, a level means what was open at the window's end.
        if measure.kind is Kind.LEVEL:
            sums = self._totals.before(column, lines.ends)
        else:
            sums = self._totals.between(column, lines.starts, lines.ends)
            groups = self._groups
            untold = self._source.untold.within(column, lines, groups.group_of_cell, groups.count)
            if untold is not None:
                sums = exact_sum(sums, -untold)
        return Exact.parts(sums, self._scale if measure.unit is Unit.MONEY else 1)

    def _quantile(self, place: Place, fraction: float, histogram: str, at: str) -> FloatArray:
        lines = self._lines(place._replace(at=at or place.at))
        totals = self._bucket_totals(histogram)
        if totals is None:
            return np.full((len(lines), self._groups.count), np.nan)
        found = totals.quantile(fraction, lines.starts, lines.ends)
        return np.asarray(np.where(lines.absent[:, None], np.nan, found))

    def _distinct(self, name: str, lines: Lines) -> IntArray:
        groups, rows = self._groups, self._source.histograms.get(name)
        if rows is None:
            return np.zeros((len(lines), groups.count), dtype=np.int64)
        group = groups.group_of_cell[rows.cell]
        return distinct_counts(rows, group, groups.count, lines.starts, lines.ends)

    def _bucket_totals(self, histogram: str) -> BucketTotals | None:
        if histogram not in self._buckets:
            rows, groups = self._source.histograms.get(histogram), self._groups
            self._buckets[histogram] = None if rows is None else bucket_totals(
                rows, groups.group_of_cell, groups.count, len(self._source.segments.edges_ms)
            )  # fmt: skip
        return self._buckets[histogram]


def _without(value: Value, absent: NDArray[np.bool_]) -> Value:
    if not absent.any():
        return value
    if isinstance(value, Exact):
        return value.without(absent[:, None])
    return np.asarray(np.where(absent[:, None], np.nan, value))
