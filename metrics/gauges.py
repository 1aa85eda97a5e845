"""A `KpiSnapshot` in, Prometheus gauge families out: names, labels and units for the outside world.

salesfloor_<level>_<kpi>[_seconds|_ratio]{window="1h", team="…", currency="EUR", quantile="0.5"}
salesfloor_<level>_<kpi>_previous[_seconds|_ratio]{…}   the same of the window's previous twin

The level is in the name, so that a sum over a label never counts twice. What is open now has no
window and no previous twin. Series of a rep also carry `team`, the rep's latest. Nothing to say is no
sample, never 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from metrics.exact import FloatArray
from metrics.formula import MONEY_UNITS, KpiUnit
from metrics.gauge_windows import EVERY_WINDOW, GaugeWindows
from metrics.kpi_snapshot import KpiSnapshot, LevelKeys, Series

_UNIT_IN_NAME: Final = {KpiUnit.SECONDS: "seconds", KpiUnit.RATIO: "ratio"}

Labels = tuple[tuple[str, str], ...]
"""Names and values of one series' labels, sorted by name as the exposition formats write them."""


@dataclass(frozen=True)
class GaugeBlock:
    """Values of one gauge that differ by group only; NaN is no sample."""

    labels: Sequence[Labels]
    values: FloatArray


@dataclass(frozen=True)
class Gauge:
    """One gauge family, still as columns: making a million sample objects each tick would not keep up."""

    name: str
    documentation: str
    unit: str
    blocks: tuple[GaugeBlock, ...]

    def family(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.documentation, unit=self.unit)
        for block in self.blocks:
            for labels, value in zip(block.labels, block.values.tolist(), strict=True):
                if value == value:
                    family.add_sample(self.name, dict(labels), value)
        return family


class _Form(NamedTuple):
    """A gauge without its values: its blocks say which series, which line of it, under which labels."""

    name: str
    documentation: str
    unit: str
    previous: bool
    blocks: tuple[tuple[int, int, Sequence[Labels]], ...]


class GaugeLabels:
    """Label sets by level, window and quantile, and which series go where: kept while groups stay so."""

    def __init__(self) -> None:
        self._shape: object = None
        self._forms: tuple[_Form, ...] = ()
        self._keys: dict[str, LevelKeys] = {}
        self._kept: dict[tuple[str, Labels], Sequence[Labels]] = {}

    def forms(self, snapshot: KpiSnapshot, windows: GaugeWindows) -> tuple[_Form, ...]:
        """Return every gauge of a snapshot in order: nearly always those of the snapshot before."""
        shape = (
            [(s.kpi, s.level, s.windows, s.quantile, s.previous is None) for s in snapshot.series],
            snapshot.keys,
            snapshot.reporting_currency,
            windows,
        )
        if shape != self._shape:
            self._forms, self._shape = tuple(_forms(snapshot, self, windows)), shape
        return self._forms

    def of(self, level: str, keys: LevelKeys, extra: Labels) -> Sequence[Labels]:
        if self._keys.get(level) != keys:
            self._keys[level] = keys
            self._kept = {kept: labels for kept, labels in self._kept.items() if kept[0] != level}
        found = self._kept.get((level, extra))
        if found is None:
            found = self._kept[level, extra] = _label_sets(level, keys, extra)
        return found


def _label_sets(level: str, keys: LevelKeys, extra: Labels) -> Sequence[Labels]:
    if level == "floor":
        return (tuple(sorted(extra)),)
    if keys.teams is None:
        return tuple(tuple(sorted((*extra, (level, label)))) for label in keys.labels)
    pairs = zip(keys.labels, keys.teams, strict=True)
    return tuple(tuple(sorted((*extra, (level, label), ("team", team)))) for label, team in pairs)


def kpi_gauges(
    snapshot: KpiSnapshot, labels: GaugeLabels | None = None, windows: GaugeWindows = EVERY_WINDOW
) -> Iterator[Gauge]:
    """Yield one gauge per level, KPI and twin; the quantiles of a KPI share one."""
    for form in (labels or GaugeLabels()).forms(snapshot, windows):
        blocks = []
        for place, line, own_labels in form.blocks:
            series = snapshot.series[place]
            values = series.previous if form.previous else series.values
            assert values is not None
            blocks.append(GaugeBlock(own_labels, values[line]))
        yield Gauge(form.name, form.documentation, form.unit, tuple(blocks))


def _forms(snapshot: KpiSnapshot, labels: GaugeLabels, windows: GaugeWindows) -> Iterator[_Form]:
    families: dict[tuple[str, str], list[tuple[int, Series]]] = {}
    for place, series in enumerate(snapshot.series):
        families.setdefault((series.level, series.kpi.name), []).append((place, series))
    for members in families.values():
        for previous in (False, True):
            form = _form(snapshot, members, labels, windows, previous=previous)
            if form.blocks:
                yield form


def _form(
    snapshot: KpiSnapshot,
    members: list[tuple[int, Series]],
    labels: GaugeLabels,
    windows: GaugeWindows,
    *,
    previous: bool,
) -> _Form:
    kpi, level = members[0][1].kpi, members[0][1].level
    blocks: list[tuple[int, int, Sequence[Labels]]] = []
    for place, series in members:
        if previous and series.previous is None:
            continue
        shown = windows.of(kpi, level, series.lines, previous=previous)
        for line, window in enumerate(series.lines):
            if window in shown:
                extra = _extra_labels(snapshot, series, window)
                blocks.append((place, line, labels.of(level, snapshot.keys[level], extra)))
    twin = " In the window just before." if previous else ""
    name, unit = kpi.gauge_name(level, previous=previous), _UNIT_IN_NAME.get(kpi.unit, "")
    return _Form(name, kpi.sentence + twin, unit, previous, tuple(blocks))


def _extra_labels(snapshot: KpiSnapshot, series: Series, window: str | None) -> Labels:
    extra: list[tuple[str, str]] = []
    if window is not None:
        extra.append(("window", window))
    if series.kpi.unit in MONEY_UNITS:
        extra.append(("currency", snapshot.reporting_currency))
    if series.quantile is not None:
        extra.append(("quantile", repr(series.quantile)))
    return tuple(extra)


class SnapshotCollector(Collector):
    """A snapshot's KPI gauges for a prometheus-client registry."""

    def __init__(self, snapshot: KpiSnapshot) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for gauge in kpi_gauges(self._snapshot):
            yield gauge.family()
