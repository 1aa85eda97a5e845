"""(PaneReader, as_of_ms) in, a `KpiSnapshot` out. Reads no clock, no store; changes nothing it is given."""

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np

from metrics.business_time import BusinessTime
from metrics.calendar import Calendar
from metrics.catalogue import BUILT_IN
from metrics.due import DueAmounts
from metrics.edges import PaneEdges, WindowPlan, plan_windows
from metrics.gauge_windows import GaugeWindows
from metrics.given_values import GivenValues
from metrics.groups import CellContents, group_level
from metrics.known import Ground, Known, KnownRows
from metrics.kpi import LEVELS, Catalogue, Kpi
from metrics.kpi_snapshot import KpiSnapshot, LevelKeys, Series
from metrics.level_sums import LevelSums, Source
from metrics.money import exponent_of
from metrics.pacing import Pacing
from metrics.panes import (
    EXACT,
    UNBOUNDED_PAST_MS,
    Cell,
    FeedState,
    PaneLog,
    PaneReader,
    Resolution,
)
from metrics.rates import Valued, valued
from metrics.reference import Reference, Target
from metrics.segments import Segments
from metrics.sums import Index
from metrics.target_snapshot import Ask, TargetBook
from metrics.targets import TargetRules
from metrics.thinned import Thinner
from metrics.windows import WINDOW_NAMES, Window

_MS_PER_SECOND: Final = 1000


@dataclass(frozen=True)
class SnapshotConfig:
    """From the settings: which numbers are shown, in whose calendar and currency."""

    calendar: Calendar = field(default_factory=Calendar)
    currency: str = "USD"
    levels: tuple[str, ...] = ("floor", "team", "rep", "stage")
    windows: tuple[str, ...] = WINDOW_NAMES
    gauge_windows: GaugeWindows = field(default_factory=GaugeWindows)
    """Which of `windows` become gauges; a snapshot holds them all at every level."""
    keys_per_level_max: int = 2000
    strangers_max: int = 20_000
    """Names that no roster knows, of which so many take part in what is for everybody."""
    roster_is_free: bool = False
    """Whom the roster knows is shown whatever `keys_per_level_max` says."""
    catalogue: Catalogue = BUILT_IN
    targets: tuple[Target, ...] = ()
    """Targets of the settings; a reference record of the same id replaces one."""
    pacing: Pacing = field(default_factory=Pacing)
    stage_probability: Mapping[str, float] = field(default_factory=dict)
    """Of stages that no reference record gives a probability."""

    @property
    def target_rules(self) -> TargetRules:
        return TargetRules(self.catalogue, self.calendar, self.currency, self.pacing.year_named_by)

    def for_everybody(self) -> "SnapshotConfig":
        """Return what is asked for rankings: of everybody on the roster, and of so many strangers.

        Without a bound, a flood of made-up names would take the memory of a number for each of them.
        """
        return replace(self, keys_per_level_max=self.strangers_max, roster_is_free=True)

    def for_named(self) -> "SnapshotConfig":
        """Return what is asked for keys that are named one by one (`Filters.keys`): no budget holds."""
        return replace(self, keys_per_level_max=sys.maxsize)

    @property
    def ground(self) -> Ground:
        return Ground(self.calendar, self.currency, self.stage_probability, self.pacing.year_named_by)

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
    keys: frozenset[tuple[str, str]] | None = None
    """(level, label) of each; the floor needs none."""

    def check(self, catalogue: Catalogue) -> None:
        """Raise ValueError for a name that does not exist, naming what was meant."""
        _known("level", self.levels, LEVELS)
        _known("KPI", self.kpis, [kpi.name for kpi in catalogue])
        _known("window", self.windows, WINDOW_NAMES)

    def labels(self, level: str) -> frozenset[str] | None:
        """Return the labels that are asked for at a level; None for all."""
        return None if self.keys is None else frozenset(key for own, key in self.keys if own == level)

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

    def __init__(self, config: SnapshotConfig, *, follows: bool = False) -> None:
        """One that `follows` is asked for instants shortly after each other; `prepare` is for it."""
        self._config = config
        self._thinner = Thinner() if follows else None
        self._business_time = BusinessTime(config.calendar)
        self._known: Known | None = None
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
            wanted = Filters(asked.levels, asked.kpis, (), asked.keys)
            return self._for_targets.take_kpis(
                image, as_of_ms, filters=wanted, strict=strict, extra_windows=asked.windows
            )

        def unit_of(currency: str) -> Fraction | None:
            rate = self._knowing(image).rates.rate(currency, as_of_ms - 1)
            exponent = exponent_of(currency)
            return None if rate is None or exponent is None else rate / 10**exponent

        def placed(cells: Index) -> list[Cell]:
            places = self._knowing(image).places
            return [places.cells[i] for i in places.flows(cells, np.full(len(cells), as_of_ms - 1)).tolist()]

        def due_amounts() -> DueAmounts:
            return DueAmounts(image.log, as_of_ms, placed, unit_of)

        found = self._targets.standings(image.references, as_of_ms, ask, due_amounts)
        return replace(
            plain,
            targets=tuple(standing for standing in found.standings if filters.wants(standing.target.record)),
            reference_problems=(*plain.reference_problems, *found.problems),
            left_out=(*plain.left_out, *(each for each in found.left_out if each.window is not None)),
        )

    def _knowing(self, image: PaneImage) -> Known:
        known = self._known
        if known is None or not known.speaks_of(image.cells, image.references):
            known = self._known = Known(image.cells, image.references, self._config.ground)
        return known

    @cached_property
    def _for_targets(self) -> "Snapshotter":
        """Return one for the keys that have a target: they may be beyond the budget of labels."""
        return Snapshotter(self._config.for_named(), follows=self._thinner is not None)

    def prepare(self) -> None:
        """Do beforehand, after a snapshot was shown, what would make one of the next ones late."""
        if self._thinner is not None:
            self._thinner.prepare()

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
        known = self._knowing(image)
        names = config.windows if filters.windows is None else filters.windows
        plan = plan_windows(
            as_of_ms, config.calendar, names, image.resolutions, strict=strict, extra=extra_windows
        )
        segments = Segments.of(
            plan,
            as_of_ms,
            elsewhen={at for kpi in self._wanted(filters) for at in config.catalogue.elsewhen_of(kpi)},
            calendar=config.calendar,
            edges=PaneEdges(image.resolutions, config.calendar),
            strict=strict,
        )
        log, thinner = image.log, self._thinner
        if thinner is not None:
            log = thinner.of(log, segments.edges_ms, known.cuts_ms)
        found = known.rows(log, segments.edges_ms)
        money = valued(found.rows, segments.edges_ms, known.currencies, known.rates)
        fine = max((r.since_ms[EXACT] for r in image.resolutions), default=UNBOUNDED_PAST_MS)
        keys, series = self._levels(
            known, segments, money, found, plan, filters, fine if strict else UNBOUNDED_PAST_MS
        )
        return KpiSnapshot(
            as_of_ms=as_of_ms,
            reporting_currency=config.currency,
            state=image.state,
            windows=tuple(shown.window for shown in plan.shown),
            left_out=plan.left_out,
            missing_rates=money.missing,
            data_age_seconds=_age_seconds(image.state, as_of_ms if now_ms is None else now_ms),
            keys=keys,
            series=series,
            reference_problems=known.problems,
            names={"rep": known.rep_names},
        )

    def _wanted(self, filters: Filters) -> list[Kpi]:
        return [kpi for kpi in self._config.catalogue if filters.kpis is None or kpi.name in filters.kpis]

    def _levels(
        self,
        known: Known,
        segments: Segments,
        money: Valued,
        found: KnownRows,
        plan: WindowPlan,
        filters: Filters,
        exact_since_ms: int,
    ) -> tuple[dict[str, LevelKeys], tuple[Series, ...]]:
        config = self._config
        given = GivenValues(
            segments,
            known.places,
            known.rep_of_cell,
            money.rows,
            found.accounts,
            market=known.market,
            time=self._business_time,
            exact_since_ms=exact_since_ms,
        )
        source = Source(config.catalogue, segments, found.histograms, given, found.untold, config.exponent)
        by_stage = money.only_by_stage()
        contents, stage_contents = (CellContents(known.groups, each.rows) for each in (money, by_stage))
        rostered = known.rostered_at(int(segments.edges_ms[-1]) - 1)
        keys: dict[str, LevelKeys] = {}
        series: list[Series] = []
        for level in config.levels if filters.levels is None else filters.levels:
            # Few measures tell the stage; what the others count would come as "unassigned".
            own, within = (by_stage, stage_contents) if level == "stage" else (money, contents)
            groups = group_level(
                within,
                level,
                config.keys_per_level_max,
                rostered,
                roster_is_free=config.roster_is_free,
                only=filters.labels(level),
            )
            keys[level] = groups.keys
            sums = LevelSums(source, groups, own)
            for kpi in self._wanted(filters):
                if level in kpi.levels:
                    series += self._series(kpi, level, sums, plan)
        return keys, tuple(series)

    def _series(self, kpi: Kpi, level: str, sums: LevelSums, plan: WindowPlan) -> list[Series]:
        if self._config.catalogue.is_level(kpi):
            if not plan.levels_shown:
                return []
            return [Series(kpi, level, (), sums.now(kpi))]
        windows = tuple(shown.window.name for shown in plan.shown)
        if not windows:
            return []
        found = []
        for quantile in kpi.quantiles or (None,):
            both = sums.over_windows(kpi, quantile)
            current, previous = both[: len(windows)], both[len(windows) :].copy()
            previous[[not shown.has_previous for shown in plan.shown]] = np.nan
            found.append(Series(kpi, level, windows, current, previous, quantile))
        return found


def _age_seconds(state: FeedState, now_ms: int) -> float | None:
    newest_ms = state.newest_event_ms
    return None if newest_ms is None else max(0, now_ms - newest_ms) / _MS_PER_SECOND
