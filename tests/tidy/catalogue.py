"""Every gauge there is, with its labels: from the KPI catalogue and from what stands beside the KPIs."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from metrics.beside import beside_gauge_labels
from metrics.catalogue import BUILT_IN
from metrics.formula import MONEY_UNITS
from metrics.gauge_windows import BY_DEFAULT
from metrics.kpi import LEVELS
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import FeedState
from metrics.self_metrics import feed_families, snapshot_families
from metrics.targets import FIGURES
from metrics.web.wall_stream import SCREENS_GAUGE
from metrics.windows import WINDOW_NAMES
from streams.gateway.ledger import Ledger
from streams.worker_metrics import worker_metric_labels

# Of each gauge with a window, the windows it is exported for unless the settings say otherwise.
WINDOWS: dict[str, tuple[str | None, ...]] = {
    kpi.gauge_name(level, previous=previous): BY_DEFAULT.of(kpi, level, WINDOW_NAMES, previous=previous)
    for kpi in BUILT_IN
    for level in kpi.levels
    for previous in (False, True)
}

_SELECTOR = re.compile(r"(salesfloor_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"([^\"]*)\"")

# What Prometheus itself adds to every series.
_ALWAYS = {"job", "instance"}


def _gauges() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for kpi in BUILT_IN:
        for level in kpi.levels:
            labels = set() if level == "floor" else {level}
            if level == "rep":
                labels.add("team")
            if kpi.unit in MONEY_UNITS:
                labels.add("currency")
            if kpi.quantiles:
                labels.add("quantile")
            if BUILT_IN.is_level(kpi):
                found[kpi.gauge_name(level)] = labels
            else:
                found[kpi.gauge_name(level)] = found[kpi.gauge_name(level, previous=True)] = labels | {
                    "window"
                }
    return found


def _beside() -> dict[str, set[str]]:
    snapshot = KpiSnapshot(
        as_of_ms=0, reporting_currency="USD", state=FeedState(), windows=(), left_out=(), missing_rates={},
        data_age_seconds=0.0, keys={}, series=(),
    )  # fmt: skip
    families = [*feed_families(FeedState()), *snapshot_families(snapshot)]
    return {
        family.name + ("_total" if family.type == "counter" else ""): set(getattr(family, "_labelnames", ()))
        for family in families
    }


def _of_targets() -> dict[str, set[str]]:
    return {
        figure.gauge_name(level): {"kpi", "period", "currency"} | (set() if level == "floor" else {level})
        for figure in FIGURES
        for level in LEVELS
    }


BESIDE = _beside()
OF_THE_WALL: dict[str, set[str]] = {SCREENS_GAUGE: set()}
OF_THE_GATEWAY: dict[str, set[str]] = {
    sample.name: set(sample.labels) for family in Ledger().registry.collect() for sample in family.samples
}
"""Those without labels: the others come with their first event."""
GAUGES = (
    _gauges()
    | _of_targets()
    | BESIDE
    | beside_gauge_labels()
    | worker_metric_labels()
    | OF_THE_WALL
    | OF_THE_GATEWAY
)


class Selector(NamedTuple):
    name: str
    labels: dict[str, str]


def selectors(expression: str) -> Iterator[Selector]:
    """Yield our metrics in a query with what it asks of their labels."""
    for name, matchers in _SELECTOR.findall(expression):
        yield Selector(name, dict(_MATCHER.findall(matchers)))


_GROUPING = re.compile(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)")


def wrong_grouping(expression: str) -> list[str]:
    """Return the labels that a query groups or joins by and none of its gauges has."""
    known = _ALWAYS.union(*(GAUGES.get(selector.name, set()) for selector in selectors(expression)))
    grouped = {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",")}
    return sorted(grouped - known - {""})


def wrong_with(expression: str) -> list[str]:
    """Return what the query asks for that no gauge has."""
    wrong = []
    for selector in selectors(expression):
        if selector.name not in GAUGES:
            wrong.append(f"no gauge {selector.name}")
            continue
        labels = GAUGES[selector.name] | _ALWAYS
        wrong += [f"{selector.name} has no label {label}" for label in selector.labels if label not in labels]
        windows = WINDOWS.get(selector.name, WINDOW_NAMES)
        if "window" in GAUGES[selector.name] and selector.labels.get("window") not in windows:
            wrong.append(f"{selector.name} of which window?")
    return wrong
