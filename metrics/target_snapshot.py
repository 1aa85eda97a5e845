"""Target records and a way to ask for KPIs in, how every running target stands out. Sums no pane itself.

The actual of a target is its KPI over `[start of the period, instant)`, the same number that a window with
these edges would show.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from metrics.due import DueAmounts
from metrics.edges import LeftOut
from metrics.kpi import LEVELS, Catalogue
from metrics.kpi_snapshot import KpiSnapshot, Series
from metrics.labels import label_value
from metrics.pacing import DayWeights, Pacing, Progress
from metrics.periods import Period
from metrics.reference import Reference, ReferenceProblem, RosterSpell, Target
from metrics.targets import (
    FORECAST_KPI,
    Actual,
    PlannedTarget,
    TargetRules,
    TargetStanding,
    can_be_paced,
    figures_of,
    is_sum,
    plan_targets,
)
from metrics.windows import Window

_PIPELINE: Final = "pipeline_value"
_OF_ROSTER: Final[dict[str, Callable[[RosterSpell], str | None]]] = {
    "rep": lambda spell: spell.rep_id,
    "team": lambda spell: spell.team_id,
    "region": lambda spell: spell.region,
}


class Ask(NamedTuple):
    """Which KPIs, at which levels, over which windows, of whom."""

    levels: tuple[str, ...]
    kpis: tuple[str, ...]
    windows: tuple[Window, ...]
    keys: frozenset[tuple[str, str]]
    """Level and label of each that has a target: the sums of all others are not needed."""


class TargetAnswer(NamedTuple):
    standings: tuple[TargetStanding, ...] = ()
    problems: tuple[ReferenceProblem, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class _Plan:
    references: tuple[Reference, ...]
    targets: list[PlannedTarget]
    problems: list[ReferenceProblem]


class TargetBook:
    """Keeps what depends on the records alone from one instant to the next."""

    def __init__(self, settings: tuple[Target, ...], rules: TargetRules, pacing: Pacing) -> None:
        self._settings = settings
        self._rules = rules
        self._weights = DayWeights(rules.calendar, pacing)
        self._plan: _Plan | None = None
        self._nature: dict[str, tuple[bool, bool]] = {}
        """KPI -> whether it can be paced, and whether it is 0 for somebody who did nothing."""

    def standings(
        self,
        references: tuple[Reference, ...],
        as_of_ms: int,
        take: Callable[[Ask], KpiSnapshot],
        due_amounts: Callable[[], DueAmounts],
    ) -> TargetAnswer:
        """Return every target whose period runs at the instant, and the problems of all others."""
        plan = self._planned(references)
        running = [target for target in plan.targets if target.runs_at(as_of_ms)]
        if not running:
            return TargetAnswer((), tuple(plan.problems))
        taken = take(_ask(running, as_of_ms, self._rules.catalogue))
        forecast = any(target.kpi.name == FORECAST_KPI for target in running)
        numbers = _Numbers(taken, due_amounts() if forecast else None)
        known = _known_keys(taken, references)
        problems = list(plan.problems)
        standings = []
        progress_of: dict[tuple[Period, date | None], Progress] = {}
        for target in running:
            level = target.record.level
            if level != "floor" and target.label not in known[level]:
                problems.append(_unknown(target))
                continue
            progress = progress_of.get((target.period, target.began_on))
            if progress is None:
                progress = self._weights.progress(target.period, as_of_ms, began_on=target.began_on)
                progress_of[target.period, target.began_on] = progress
            standings.append(self._standing(target, numbers, progress))
        return TargetAnswer(tuple(standings), tuple(problems), taken.left_out)

    def _planned(self, references: tuple[Reference, ...]) -> _Plan:
        if self._plan is None or self._plan.references != references:
            targets, problems = plan_targets(self._settings, references, self._rules)
            targets.sort(key=_order)
            self._plan = _Plan(references, targets, problems)
        return self._plan

    def _standing(self, target: PlannedTarget, numbers: "_Numbers", progress: Progress) -> TargetStanding:
        name = target.kpi.name
        if name not in self._nature:
            catalogue = self._rules.catalogue
            self._nature[name] = can_be_paced(target.kpi, catalogue), is_sum(target.kpi, catalogue)
        paced, sums = self._nature[name]
        actual = numbers.of(target, empty=Fraction(0) if sums else None)
        figures = figures_of(target, actual, progress, paced=paced)
        return TargetStanding(target, {name: float(figure) for name, figure in figures.items()})


def _order(target: PlannedTarget) -> tuple[int, str, str, int, int]:
    level = LEVELS.index(target.record.level)
    return level, target.label, target.kpi.name, target.start_ms, target.end_ms


def _ask(running: Sequence[PlannedTarget], as_of_ms: int, catalogue: Catalogue) -> Ask:
    kpis = dict.fromkeys(target.kpi.name for target in running)
    if FORECAST_KPI in kpis and _PIPELINE in catalogue:
        kpis[_PIPELINE] = None
    windows = {
        target.period.name: Window(
            target.period.name, target.start_ms, as_of_ms, target.start_ms, target.start_ms
        )
        for target in running
    }
    levels = dict.fromkeys(target.record.level for target in running)
    keys = frozenset((target.record.level, target.label) for target in running)
    return Ask(tuple(levels), tuple(kpis), tuple(windows.values()), keys)


class _Numbers:
    """Finds a target's numbers in a snapshot."""

    def __init__(self, taken: KpiSnapshot, due: DueAmounts | None) -> None:
        self._due = due
        self._column = {
            level: {label: number for number, label in enumerate(keys.labels)}
            for level, keys in taken.keys.items()
        }
        self._series: dict[tuple[str, str], Series] = {}
        for series in taken.series:  # of several quantiles the first speaks for the KPI
            self._series.setdefault((series.level, series.kpi.name), series)
        self._left_out = {left_out.window for left_out in taken.left_out if not left_out.previous_only}

    def of(self, target: PlannedTarget, *, empty: Fraction | None) -> Actual:
        """Return the actual; `empty` is that of somebody who did nothing yet."""
        window = target.period.name
        if window in self._left_out:
            return Actual(None)
        value = self._value(target.kpi.name, target, window)
        if target.kpi.name != FORECAST_KPI:
            return Actual(empty if value is None else value)
        pipeline = self._value(_PIPELINE, target, None)
        period = target.period
        due = None
        if self._due is not None:
            due = self._due.of(target.record.level, target.label, period.start, period.end)
        return Actual(value or Fraction(0), pipeline or Fraction(0), due)

    def _value(self, kpi: str, target: PlannedTarget, window: str | None) -> Fraction | None:
        level = target.record.level
        series = self._series.get((level, kpi))
        columns = self._column[level]
        column = 0 if level == "floor" else columns.get(target.label)
        if series is None or column is None:
            return None
        line = series.windows.index(window) if window in series.windows else 0
        value = float(series.values[line, column])
        # The shortest text that means the float is the exact amount, as long as 15 digits hold it.
        return Fraction(Decimal(repr(value))) if value == value else None


def _known_keys(taken: KpiSnapshot, references: Iterable[Reference]) -> Mapping[str, set[str]]:
    """Return, by level, whom any event or the roster speaks of."""
    known = {level: set(keys.labels) for level, keys in taken.keys.items()}
    for spell in references:
        if isinstance(spell, RosterSpell):
            for level, name_of in _OF_ROSTER.items():
                if level in known and (name := name_of(spell)):
                    known[level].add(label_value(name))
    return known


def _unknown(target: PlannedTarget) -> ReferenceProblem:
    record = target.record
    return ReferenceProblem(
        record.id,
        f"key = {record.key!r}: no event and no roster entry speaks of this {record.level}; correct the key, "
        "or send sales.rep.updated for a new rep",
    )
