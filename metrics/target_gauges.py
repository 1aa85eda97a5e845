"""A `KpiSnapshot` in, the gauges of its running targets out. Computes nothing.

salesfloor_<level>_<figure>[_ratio]{kpi="revenue", period="2026-11", team="…", currency="EUR"}

`currency` stands only with figures that are money; a figure without a value is no sample.
"""

from collections.abc import Iterator

import numpy as np

from metrics.formula import KpiUnit
from metrics.gauges import Gauge, GaugeBlock, Labels
from metrics.kpi import LEVELS
from metrics.kpi_snapshot import KpiSnapshot
from metrics.targets import FIGURES, FigureKind, TargetStanding


def target_gauges(snapshot: KpiSnapshot) -> Iterator[Gauge]:
    """Yield one gauge per level and figure that any running target has."""
    for level in LEVELS:
        standings = [each for each in snapshot.targets if each.target.record.level == level]
        for kind in FIGURES:
            shown = [standing for standing in standings if kind.name in standing.figures]
            if shown:
                labels = tuple(_labels(standing, kind, snapshot) for standing in shown)
                values = np.array([standing.figures[kind.name] for standing in shown], dtype=np.float64)
                unit = "ratio" if kind.unit is KpiUnit.RATIO else ""
                yield Gauge(kind.gauge_name(level), kind.sentence, unit, (GaugeBlock(labels, values),))


def _labels(standing: TargetStanding, kind: FigureKind, snapshot: KpiSnapshot) -> Labels:
    target = standing.target
    labels = [("kpi", target.kpi.name), ("period", target.period.name)]
    if target.record.level != "floor":
        labels.append((target.record.level, target.label))
    if kind.unit is None and target.kpi.unit is KpiUnit.MONEY:
        labels.append(("currency", snapshot.reporting_currency))
    return tuple(sorted(labels))
