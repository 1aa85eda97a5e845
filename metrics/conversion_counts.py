"""Panes and an instant in, each funnel's trials and successes per team, window and baseline out. No clock.

A funnel is a ratio KPI whose both sides are sums of counts; the names of its two sides come from the
catalogue. Counts are whole numbers taken from the panes, so a corrected deal corrects them too.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from metrics.calendar import Calendar
from metrics.conversion import BASELINE_SUCCESSES_MIN, cusum
from metrics.conversion_windows import AlertWindow, Interval, alert_windows
from metrics.edges import PaneEdges
from metrics.exact import FloatArray
from metrics.formula import Binary, Expression, FormulaError, Name, Negative, Number
from metrics.funnel_rows import FunnelLog, FunnelRows, Ints
from metrics.groups import Candidates
from metrics.kpi import Catalogue
from metrics.labels import label_value, plan_labels
from metrics.measures import BY_NAME, NUMBERS, Kind, Unit
from metrics.panes import Cell, PaneLog, Resolution
from metrics.places import Places

FUNNEL_KPIS: Final[Mapping[str, str]] = {
    "deal_win": "win_rate",
    "conversation_to_demo": "conversation_to_demo",
}
"""Funnels every floor has that are a KPI."""

OUTCOMES_MAX: Final = 500
"""So many of a team's newest outcomes go through its CUSUM; fewer where five weeks hold fewer."""

Weights = dict[str, int]


LEAD_CONVERSION: Final = "lead_conversion"


@dataclass(frozen=True)
class Funnel:
    """What one trial and one success is made of: measure -> how often each of it counts."""

    name: str
    kpi: str
    successes: Weights
    trials: Weights


def built_in_funnels(catalogue: Catalogue) -> tuple[Funnel, ...]:
    """Return the funnels every floor has.

    A lead is a trial once its outcome is known. The KPI of that name counts it when it is created: among the
    newest leads few have had the time to convert, which would look like a fall.
    """
    leads = Funnel(LEAD_CONVERSION, LEAD_CONVERSION, {"leads_decided_converted": 1}, {"leads_decided": 1})
    ratios = (funnel_of(name, kpi, catalogue) for name, kpi in FUNNEL_KPIS.items() if kpi in catalogue)
    return (*ratios, leads)


def funnel_of(name: str, kpi: str, catalogue: Catalogue) -> Funnel:
    """Return the funnel of a ratio KPI; `FormulaError` when it is not a ratio of two counts."""
    if kpi not in catalogue:
        raise FormulaError(f"there is no KPI {kpi!r}; `salesfloor kpis` lists them all")
    match catalogue[kpi].expression:
        case Binary("/", left, right):
            return Funnel(name, kpi, _weights(kpi, left, catalogue), _weights(kpi, right, catalogue))
    raise FormulaError(f"KPI {kpi!r} is not one sum of counts divided by another; choose one that is")


def _weights(kpi: str, side: Expression, catalogue: Catalogue) -> Weights:
    found = _linear(kpi, side, catalogue)
    if not found or any(weight.denominator != 1 for weight in found.values()):
        raise FormulaError(f"KPI {kpi!r} does not divide whole counts; choose one that does")
    return {name: int(weight) for name, weight in found.items() if weight}


def _linear(kpi: str, part: Expression, catalogue: Catalogue) -> dict[str, Fraction]:
    match part:
        case Name(name) if name in catalogue:
            return _linear(kpi, catalogue[name].expression, catalogue)
        case Name(name) if name in BY_NAME:
            measure = BY_NAME[name]
            if measure.unit is Unit.COUNT and measure.kind is Kind.FLOW:
                return {name: Fraction(1)}
        case Negative(of):
            return _added({}, _linear(kpi, of, catalogue), Fraction(-1))
        case Binary("+" | "-" as operator, left, right):
            sign = Fraction(1 if operator == "+" else -1)
            return _added(_linear(kpi, left, catalogue), _linear(kpi, right, catalogue), sign)
        case Binary("*", Number(value), of) | Binary("*", of, Number(value)):
            return _added({}, _linear(kpi, of, catalogue), value)
    raise FormulaError(f"KPI {kpi!r} is not one sum of counts divided by another; choose one that is")


def _added(a: dict[str, Fraction], b: dict[str, Fraction], times: Fraction) -> dict[str, Fraction]:
    return {name: a.get(name, Fraction()) + times * b.get(name, Fraction()) for name in {**a, **b}}


@dataclass(frozen=True)
class WindowCounts:
    """One funnel in one window: the floor first, then each team in the report's order."""

    funnel: str
    window: str
    successes: Ints
    trials: Ints
    base_successes: Ints
    base_trials: Ints


@dataclass(frozen=True)
class ConversionReport:
    teams: tuple[str, ...]
    counts: tuple[WindowCounts, ...]
    cusum: Mapping[str, FloatArray]
    """Funnel -> the floor's and each team's CUSUM; NaN without a baseline to compare with."""
    base_rate: Mapping[str, FloatArray]
    """Funnel -> the rate the CUSUM compares with."""


@dataclass(frozen=True)
class _Outcomes:
    """One funnel's rows of the last weeks, in the order of their time."""

    start_ms: Ints
    known_ms: Ints
    group: Ints  # 1 + team
    successes: Ints
    trials: Ints

    def within(self, intervals: Iterable[Interval], groups: int) -> tuple[Ints, Ints]:
        successes, trials = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
        for interval in intervals:
            first, last = np.searchsorted(self.start_ms, interval)
            rows = int(first) + np.flatnonzero(self.known_ms[int(first) : int(last)] < interval.end_ms)
            np.add.at(successes, self.group[rows], self.successes[rows])
            np.add.at(trials, self.group[rows], self.trials[rows])
        successes[0], trials[0] = successes.sum(), trials.sum()
        return successes, trials

    def cusums(self, rates: FloatArray) -> FloatArray:
        """Return the floor's and each team's CUSUM against its rate; NaN where the rate is."""
        order = np.argsort(self.group, kind="stable")
        ends = np.searchsorted(self.group[order], np.arange(len(rates) + 1))
        found = np.full(len(rates), np.nan)
        for group in np.flatnonzero(~np.isnan(rates)).tolist():
            own = slice(None) if group == 0 else order[ends[group] : ends[group + 1]]
            found[group] = cusum(*self._newest(own), float(rates[group]))
        return found

    def _newest(self, own: Ints | slice) -> tuple[Ints, Ints]:
        """Return successes and trials per instant of the newest outcomes, oldest first."""
        instants, position = np.unique(self.start_ms[own], return_inverse=True)
        successes, trials = np.zeros(len(instants), dtype=np.int64), np.zeros(len(instants), dtype=np.int64)
        np.add.at(successes, position, self.successes[own])
        np.add.at(trials, position, self.trials[own])
        size = np.maximum(np.maximum(trials, successes), 0)
        later = np.cumsum(size[::-1])[::-1] - size
        kept = later < OUTCOMES_MAX
        return successes[kept], trials[kept]


def count_conversions(
    places: Places,
    log: PaneLog,
    resolutions: Sequence[Resolution],
    as_of_ms: int,
    calendar: Calendar,
    funnels: Sequence[Funnel],
    *,
    teams_max: int,
    kept: FunnelLog | None = None,
) -> ConversionReport:
    """Return what every funnel did. `places` know the team that each row belongs to at its time.

    `kept` is the same for reports one after another, to learn of the log only what is new.
    """
    edges = PaneEdges(resolutions, calendar)
    windows = [_aligned(window, edges) for window in alert_windows(as_of_ms, calendar)]
    since_ms = min(interval.start_ms for window in windows for interval in (window.now, *window.baseline))
    numbers = {BY_NAME[measure].number for each in funnels for measure in {**each.successes, **each.trials}}
    rows = (kept or FunnelLog()).rows(log, places, numbers, since_ms, as_of_ms)
    rostered = {
        label_value(spell.team) for spell in places.spells if spell.team and spell.holds(as_of_ms - 1)
    }
    teams, team_of_cell = _teams(places.cells, rows, rostered, teams_max)
    counts: list[WindowCounts] = []
    sums: dict[str, FloatArray] = {}
    rates: dict[str, FloatArray] = {}
    for funnel in funnels:
        outcomes = _outcomes(rows, funnel, team_of_cell)
        for window in windows:
            successes, trials = outcomes.within([window.now], len(teams) + 1)
            base = outcomes.within(window.baseline, len(teams) + 1)
            counts.append(WindowCounts(funnel.name, window.name, successes, trials, *base))
        # The longest window's weeks lie end to end and hold the most: the best known rate.
        rates[funnel.name] = _base_rates(counts[-1])
        sums[funnel.name] = outcomes.cusums(rates[funnel.name])
    return ConversionReport(teams, tuple(counts), sums, rates)


def _base_rates(counts: WindowCounts) -> FloatArray:
    x, n = counts.base_successes, counts.base_trials
    known = (x >= BASELINE_SUCCESSES_MIN) & (x < n)
    return np.where(known, x / np.maximum(n, 1), np.nan)


def _aligned(window: AlertWindow, edges: PaneEdges) -> AlertWindow:
    def moved(interval: Interval) -> Interval:
        return Interval(edges.aligned_ms(interval.start_ms), edges.aligned_ms(interval.end_ms))

    now = Interval(edges.aligned_ms(window.now.start_ms), window.now.end_ms)
    return AlertWindow(window.name, now, tuple(map(moved, window.baseline)))


def _outcomes(rows: FunnelRows, funnel: Funnel, team_of_cell: Ints) -> _Outcomes:
    success, trial = _weight_of(funnel.successes), _weight_of(funnel.trials)
    own = np.flatnonzero(((success != 0) | (trial != 0))[rows.key])
    key, value = rows.key[own], rows.value[own]
    return _Outcomes(
        rows.start_ms[own],
        rows.known_ms[own],
        team_of_cell[rows.cell[own]] + 1,
        success[key] * value,
        trial[key] * value,
    )


def _weight_of(weights: Weights) -> Ints:
    """Return the weight of each measure's rows, by its number."""
    result = np.zeros(NUMBERS, dtype=np.int64)
    for name, weight in weights.items():
        result[BY_NAME[name].number] = weight
    return result


def _teams(
    cells: Sequence[Cell], rows: FunnelRows, rostered: Set[str], teams_max: int
) -> tuple[tuple[str, ...], Ints]:
    teams = Candidates.of(cells, "team")
    contributions = np.zeros(len(teams.labels), dtype=np.int64)
    np.add.at(contributions, teams.of_cell[rows.cell], np.abs(rows.value))
    known = np.array([label in rostered for label in teams.labels], dtype=np.bool_)
    plan = plan_labels(teams.labels, contributions > 0, contributions, teams_max, known)
    return plan.labels, plan.index_of[teams.of_cell].astype(np.int64)
