"""KPIs, levels and windows in, PromQL out. Asks for nothing that is not a gauge by default; runs no query.

`$window`, `$currency`, `$period`, `$team` and `$rep` stay as Grafana's variables.
"""

from typing import Final

from metrics.catalogue import BUILT_IN
from metrics.formula import MONEY_UNITS, KpiUnit
from metrics.gauge_windows import BY_DEFAULT
from metrics.kpi import Kpi
from metrics.targets import FIGURES
from metrics.windows import WINDOW_NAMES

CHOSEN: Final = "$window"
LEVELS_SHOWN: Final = ("floor", "team", "rep", "stage")
REVENUE: Final = BUILT_IN["revenue"]

_FIGURES: Final = {figure.name: figure for figure in FIGURES}


def windows_of(kpi: Kpi, level: str, *, previous: bool = False) -> tuple[str, ...]:
    """Return the windows that are gauges by default."""
    shown = BY_DEFAULT.of(kpi, level, WINDOW_NAMES, previous=previous)
    return tuple(window for window in shown if window is not None)


# The windows to choose from are the same everywhere, so that a link between dashboards keeps the choice.
WINDOWS: Final = tuple(
    window
    for window in WINDOW_NAMES
    if all(window in windows_of(REVENUE, level) for level in LEVELS_SHOWN if level in REVENUE.levels)
)


def kpi(
    name: str,
    level: str,
    where: str = "",
    *,
    window: str = CHOSEN,
    previous: bool = False,
    quantile: float | None = None,
) -> str:
    """Return the selector of a KPI's gauge; ValueError if the level or the window is none of its gauges."""
    found = BUILT_IN[name]
    if level not in found.levels:
        raise ValueError(f"{name!r} is not known by {level}")
    matchers = [where] if where else []
    if not BUILT_IN.is_level(found):
        if window != CHOSEN and window not in windows_of(found, level, previous=previous):
            raise ValueError(f"{name!r} by {level} over {window!r} is no gauge by default")
        matchers.append(f'window="{window}"')
    elif previous:
        raise ValueError(f"{name!r} says what is now; it has no previous twin")
    if (quantile is not None) != bool(found.quantiles):
        raise ValueError(f"{name!r}: give a quantile where the KPI has some, and only there")
    if quantile is not None:
        matchers.append(f'quantile="{quantile!r}"')
    if found.unit in MONEY_UNITS:
        matchers.append('currency="$currency"')
    return _selector(found.gauge_name(level, previous=previous), matchers)


def change(
    name: str, level: str, where: str = "", *, window: str = CHOSEN, quantile: float | None = None
) -> str:
    """Return the change against the previous twin: a ratio in points, anything else by its share."""
    now = kpi(name, level, where, window=window, quantile=quantile)
    before = kpi(name, level, where, window=window, quantile=quantile, previous=True)
    if BUILT_IN[name].unit in (KpiUnit.RATIO, KpiUnit.POINTS):
        return f"{now} - {before}"
    return f"{now} / ({before} > 0) - 1"


def figure(name: str, level: str, where: str = "", *, of: str = "revenue") -> str:
    """Return the selector of a target's figure for the running `$period`."""
    found, target = _FIGURES[name], BUILT_IN[of]
    matchers = [where] if where else []
    matchers += [f'kpi="{of}"', 'period="$period"']
    if found.unit is None and target.unit is KpiUnit.MONEY:
        matchers.append('currency="$currency"')
    return _selector(found.gauge_name(level), matchers)


def on_pace(level: str, where: str = "", *, of: str = "revenue") -> str:
    """Return what is reached per what would be reached at an even pace: 1 is on time."""
    return f"{figure('quota_actual', level, where, of=of)} / {figure('pace_expected', level, where, of=of)}"


def once(expression: str) -> str:
    """Return the expression with each series once, however many metrics roles say the same."""
    return f"max without (instance) ({expression})"


def summed(expression: str, *labels: str) -> str:
    """Return the expression with no labels but these; sums nothing where these tell its series apart."""
    return f"sum by ({', '.join(labels)}) ({expression})"


def or_zero(expression: str, label: str = "") -> str:
    """Return the expression, or 0 where it has no series at all: what never happened is no missing data."""
    zero = f'label_replace(vector(0), "{label}", "none", "", "")' if label else "vector(0)"
    return f"{expression} or on() {zero}"


def _selector(name: str, matchers: list[str]) -> str:
    return once(f"{name}{{{', '.join(matchers)}}}" if matchers else name)
