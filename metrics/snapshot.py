"""(PaneReader, as_of_ms) in, a `KpiSnapshot` out. Reads no clock, no store; changes nothing it is given."""

import difflib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metrics.calendar import Calendar
from metrics.catalogue import BUILT_IN
from metrics.due import DueAmounts
from metrics.edges import WindowPlan, plan_windows
from metrics.exact import Exact, FloatArray, IntArray
from metrics.formula import Inputs, KpiUnit, Value, evaluate, to_float
from metrics.groups import CellContents, CellGroups, LevelGroups, group_level
from metrics.kpi import LEVELS, Catalogue, Kpi
from metrics.kpi_snapshot import KpiSnapshot, LevelKeys, Series
from metrics.measures import BY_NAME, Kind
from metrics.money import exponent_of
from metrics.pacing import Pacing
from metrics.panes import Cell, FeedState, PaneLog, PaneReader, Resolution
from metrics.reference import Reference, Target
from metrics.sums import (
    COLUMN_OF,
    STAGE_COLUMNS,
    BucketTotals,
    HistogramRows,
    Index,
    Rows,
    RunningTotals,
    bucket_totals,
    distinct_counts,
    foreign_money_panes,
    rows_before,
    running_totals,
)
from metrics.target_snapshot import Ask, TargetBook
from metrics.targets import TargetRules
from metrics.windows import WINDOW_NAMES, Window

_MS_PER_SECOND: Final = 1000


@dataclass(frozen=True)
class SnapshotConfig:
    """From the settings: which numbers are shown, in whose calendar and currency."""

    calendar: Calendar = field(default_factory=Calendar)
    currency: str = "USD"
    levels: tuple[str, ...] = ("floor", "team", "rep", "stage")
    windows: tuple[str, ...] = WINDOW_NAMES
    keys_per_level_max: int = 2000
    catalogue: Catalogue = BUILT_IN
    targets: tuple[Target, ...] = ()
    """Targets of the settings; a reference record of the same id replaces one."""
    pacing: Pacing = field(default_factory=Pacing)

    @property
    def target_rules(self) -> TargetRules:
        return TargetRules(self.catalogue, self.calendar, self.currency, self.pacing.year_named_by)

    @property
    def exponent(self) -> int:
        exponent = exponent_of(self.currency)
        if exponent is None:
            raise ValueError(f"{self.currency!r} is no ISO 4217 code; use capital letters such as 'EUR'")
        return exponent


@dataclass(frozen=True, slots=True)
class Filters:
    """What one asker wants of it; None is everything the config shows."""

    levels: tuple[str, ...] | None = None
    kpis: tuple[str, ...] | None = None
    windows: tuple[str, ...] | None = None

    def check(self, catalogue: Catalogue) -> None:
        """Raise ValueError for a name that does not exist, naming what was meant."""
        _known("level", self.levels, LEVELS)
        _known("KPI", self.kpis, [kpi.name for kpi in catalogue])
        _known("window", self.windows, WINDOW_NAMES)

    def wants(self, target: Target) -> bool:
        return (self.levels is None or target.level in self.levels) and (
            self.kpis is None or target.kpi in self.kpis
        )


def _known(what: str, asked: Iterable[str] | None, known: Sequence[str]) -> None:
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"use one of {', '.join(known)}"
            raise ValueError(f"unknown {what} {name!r}; {hint}")


EVERYTHING: Final = Filters()


@dataclass(frozen=True)
class PaneImage:
    """One consistent read of a `PaneReader`, safe to compute from while the reader moves on."""

    cells: tuple[Cell, ...]
    log: PaneLog
    resolutions: tuple[Resolution, ...]
    references: tuple[Reference, ...]
    state: FeedState

    @classmethod
    def of(cls, reader: PaneReader) -> "PaneImage":
        return cls(
            tuple(reader.cells()),
            reader.log(),
            tuple(reader.resolutions()),
            tuple(reader.references()),
            reader.state(),
        )


def take_snapshot(
    reader: PaneReader,
    as_of_ms: int,
    config: SnapshotConfig,
    *,
    filters: Filters = EVERYTHING,
    strict: bool = False,
    now_ms: int | None = None,
) -> KpiSnapshot:
    """Return all KPIs at the instant. `strict` leaves a window out where panes are too coarse to be exact."""
    return Snapshotter(config).take(
        PaneImage.of(reader), as_of_ms, filters=filters, strict=strict, now_ms=now_ms
    )


class Snapshotter:
    """Takes snapshots one after another; keeps what depends on the cells alone from one to the next."""

    def __init__(self, config: SnapshotConfig) -> None:
        self._config = config
        self._scale_of = {
            KpiUnit.MONEY: 10**config.exponent,
            KpiUnit.SECONDS: _MS_PER_SECOND,
            KpiUnit.COUNT: 1,
            KpiUnit.RATIO: 1,
            KpiUnit.POINTS: 1,
        }
        self._cells = CellGroups(())
        self._targets = TargetBook(config.targets, config.target_rules, config.pacing)

    def take(
        self,
        image: PaneImage,
        as_of_ms: int,
        *,
        filters: Filters = EVERYTHING,
        strict: bool = False,
        now_ms: int | None = None,
    ) -> KpiSnapshot:
        """Return the KPIs at the instant, and how every running target stands."""
        plain = self.take_kpis(image, as_of_ms, filters=filters, strict=strict, now_ms=now_ms)

        def ask(asked: Ask) -> KpiSnapshot:
            wanted = Filters(asked.levels, asked.kpis, ())
            return self._for_targets.take_kpis(
                image, as_of_ms, filters=wanted, strict=strict, extra_windows=asked.windows
            )

        def due_amounts() -> DueAmounts:
            return DueAmounts(image.log, image.cells, as_of_ms, self._unit_of)

        found = self._targets.standings(image.references, as_of_ms, ask, due_amounts)
        return replace(
            plain,
            targets=tuple(standing for standing in found.standings if filters.wants(standing.target.record)),
            reference_problems=(*plain.reference_problems, *found.problems),
            left_out=(*plain.left_out, *(each for each in found.left_out if each.window is not None)),
        )

    def _unit_of(self, cell: Cell) -> Fraction | None:
        """Return what a minor unit of a cell's money is worth; None where there is no rate."""
        return Fraction(1, 10**self._config.exponent) if cell.currency == self._config.currency else None

    @cached_property
    def _for_targets(self) -> "Snapshotter":
        """Return one that shows every key: a target's rep may be beyond the budget of labels."""
        return Snapshotter(replace(self._config, keys_per_level_max=sys.maxsize))

    def take_kpis(
        self,
        image: PaneImage,
        as_of_ms: int,
        *,
        filters: Filters = EVERYTHING,
        strict: bool = False,
        now_ms: int | None = None,
        extra_windows: Sequence[Window] = (),
    ) -> KpiSnapshot:
        """Return the KPIs alone, over the named windows and over `extra_windows`."""
        config = self._config
        filters.check(config.catalogue)
        if self._cells.cells != image.cells:
            self._cells = CellGroups(image.cells)
        names = config.windows if filters.windows is None else filters.windows
        plan = plan_windows(
            as_of_ms, config.calendar, names, image.resolutions, strict=strict, extra=extra_windows
        )
        keys, series = self._levels(image, as_of_ms, plan, filters)
        return KpiSnapshot(
            as_of_ms=as_of_ms,
            reporting_currency=config.currency,
            state=image.state,
            windows=tuple(shown.window for shown in plan.shown),
            left_out=plan.left_out,
            missing_rates=self._missing_rates(image.log, as_of_ms),
            data_age_seconds=_age_seconds(image.state, as_of_ms if now_ms is None else now_ms),
            keys=keys,
            series=series,
        )

    def _levels(
        self, image: PaneImage, as_of_ms: int, plan: WindowPlan, filters: Filters
    ) -> tuple[dict[str, LevelKeys], tuple[Series, ...]]:
        segments = _Segments.of(plan, as_of_ms)
        foreign = self._cells.foreign(self._config.currency)
        rows, histograms = rows_before(image.log, segments.edges_ms, foreign)
        by_stage = _only_by_stage(rows)
        contents, stage_contents = (CellContents(self._cells, each) for each in (rows, by_stage))
        keys: dict[str, LevelKeys] = {}
        series: list[Series] = []
        for level in self._config.levels if filters.levels is None else filters.levels:
            # Few measures tell the stage; what the others count would come as "unassigned".
            own, within = (by_stage, stage_contents) if level == "stage" else (rows, contents)
            groups = group_level(within, level, self._config.keys_per_level_max)
            keys[level] = groups.keys
            kpis = [k for k in self._config.catalogue if filters.kpis is None or k.name in filters.kpis]
            sums = _LevelSums(self._config.catalogue, segments, groups, own, histograms)
            for kpi in kpis:
                if level in kpi.levels:
                    series += self._series(kpi, level, sums, plan)
        return keys, tuple(series)

    def _series(self, kpi: Kpi, level: str, sums: "_LevelSums", plan: WindowPlan) -> list[Series]:
        scale = self._scale_of[kpi.unit]
        if self._config.catalogue.is_level(kpi):
            if not plan.levels_shown:
                return []
            return [Series(kpi, level, (), sums.now(kpi, scale))]
        windows = tuple(shown.window.name for shown in plan.shown)
        if not windows:
            return []
        found = []
        for quantile in kpi.quantiles or (None,):
            both = sums.over_windows(kpi, scale, quantile)
            current, previous = both[: len(windows)], both[len(windows) :].copy()
            previous[[not shown.has_previous for shown in plan.shown]] = np.nan
            found.append(Series(kpi, level, windows, current, previous, quantile))
        return found

    def _missing_rates(self, log: PaneLog, as_of_ms: int) -> dict[str, int]:
        per_cell = foreign_money_panes(log, self._cells.foreign(self._config.currency), as_of_ms)
        found: dict[str, int] = {}
        for cell in np.flatnonzero(per_cell).tolist():
            currency = self._cells.cells[cell].currency
            found[currency] = found.get(currency, 0) + int(per_cell[cell])
        return found


def _only_by_stage(rows: Rows) -> Rows:
    kept = STAGE_COLUMNS[rows.column]
    return Rows(rows.start_ms[kept], rows.segment[kept], rows.cell[kept], rows.column[kept], rows.value[kept])


def _age_seconds(state: FeedState, now_ms: int) -> float | None:
    newest_ms = state.newest_event_ms
    return None if newest_ms is None else max(0, now_ms - newest_ms) / _MS_PER_SECOND


@dataclass(frozen=True)
class _Segments:
    """All edges in order, and where each window (then each twin) begins and ends among them."""

    edges_ms: Index
    starts: Index
    ends: Index

    @classmethod
    def of(cls, plan: WindowPlan, as_of_ms: int) -> "_Segments":
        windows = [shown.window for shown in plan.shown]
        starts = [w.start_ms for w in windows] + [w.previous_start_ms for w in windows]
        ends = [w.end_ms for w in windows] + [w.previous_end_ms for w in windows]
        edges_ms = np.unique(np.array([*starts, *ends, as_of_ms], dtype=np.int64))
        return cls(edges_ms, np.searchsorted(edges_ms, starts), np.searchsorted(edges_ms, ends))


class _LevelSums:
    """Answers a formula's names for one level."""

    def __init__(
        self,
        catalogue: Catalogue,
        segments: _Segments,
        groups: LevelGroups,
        rows: Rows,
        histograms: dict[str, HistogramRows],
    ) -> None:
        self._catalogue = catalogue
        self._segments = segments
        self._groups = groups
        self._histograms = histograms
        self._totals = self._running_totals(rows)
        self._buckets: dict[str, BucketTotals | None] = {}
        self._values: dict[str, Value] = {}

    def _running_totals(self, rows: Rows) -> RunningTotals:
        groups = self._groups
        return running_totals(rows, groups.group_of_cell, groups.count, len(self._segments.edges_ms))

    def over_windows(self, kpi: Kpi, scale: int, quantile: float | None) -> FloatArray:
        """Return one line per window, then one per previous twin."""
        value = evaluate(kpi.expression, Inputs(self._window_value, self._window_quantile), quantile)
        return self._filled(to_float(value, scale), len(self._segments.starts))

    def now(self, kpi: Kpi, scale: int) -> FloatArray:
        value = evaluate(kpi.expression, Inputs(self._present_value, self._window_quantile))
        return self._filled(to_float(value, scale), 1)

    def _filled(self, values: FloatArray, lines: int) -> FloatArray:
        filled: NDArray[np.float64] = np.array(np.broadcast_to(values, (lines, self._groups.count)))
        filled.setflags(write=False)
        return filled

    def _window_value(self, name: str) -> Value:
        if name not in self._values:
            self._values[name] = self._computed(name)
        return self._values[name]

    def _computed(self, name: str) -> Value:
        if name in self._catalogue:
            inputs = Inputs(self._window_value, self._window_quantile)
            return evaluate(self._catalogue[name].expression, inputs)
        if BY_NAME[name].kind is Kind.DISTINCT:
            return Exact.of(self._distinct(name))
        column = COLUMN_OF[name]
        # Beside a window, a level means what was open at the window's end.
        if BY_NAME[name].kind is Kind.LEVEL:
            return Exact.of(self._totals.before(column, self._segments.ends))
        return Exact.of(self._totals.between(column, self._segments.starts, self._segments.ends))

    def _present_value(self, name: str) -> Value:
        if name in self._catalogue:
            inputs = Inputs(self._present_value, self._window_quantile)
            return evaluate(self._catalogue[name].expression, inputs)
        last = np.array([len(self._segments.edges_ms) - 1])
        return Exact.of(self._totals.before(COLUMN_OF[name], last))

    def _window_quantile(self, fraction: float, histogram: str) -> FloatArray:
        segments = self._segments
        totals = self._bucket_totals(histogram)
        if totals is None:
            return np.full((len(segments.starts), self._groups.count), np.nan)
        return totals.quantile(fraction, segments.starts, segments.ends)

    def _distinct(self, name: str) -> IntArray:
        segments, groups, rows = self._segments, self._groups, self._histograms.get(name)
        if rows is None:
            return np.zeros((len(segments.starts), groups.count), dtype=np.int64)
        group = groups.group_of_cell[rows.cell]
        return distinct_counts(rows, group, groups.count, segments.starts, segments.ends)

    def _bucket_totals(self, histogram: str) -> BucketTotals | None:
        if histogram not in self._buckets:
            rows, groups = self._histograms.get(histogram), self._groups
            self._buckets[histogram] = None if rows is None else bucket_totals(
                rows, groups.group_of_cell, groups.count, len(self._segments.edges_ms)
            )  # fmt: skip
        return self._buckets[histogram]
