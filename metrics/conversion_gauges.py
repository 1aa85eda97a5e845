"""A `ConversionReport` in, the alert's gauges out: counts, baselines, bounds, conditions, CUSUM. No alarms.

salesfloor_<level>_conversion_trials{funnel="deal_win", window="5bd", team="…"}   and so on for each level;
the CUSUM's two gauges carry a team at team level and none at floor level, so that one rule sees both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from metrics.conversion import (
    Z_FAST,
    Z_SLOW,
    cusum_limit,
    is_drought,
    is_material,
    newcombe_upper,
    rate,
    wilson,
)
from metrics.conversion_counts import ConversionReport, WindowCounts
from metrics.exact import FloatArray
from metrics.funnel_rows import Ints
from metrics.gauges import Gauge, GaugeBlock, Labels


class _Counts(NamedTuple):
    """Of every funnel in every window, one below the other: shape (windows of funnels, floor and teams)."""

    successes: Ints
    trials: Ints
    base_successes: Ints
    base_trials: Ints

    @classmethod
    def of(cls, counts: Sequence[WindowCounts]) -> "_Counts":
        return cls(*(np.array([getattr(each, name) for each in counts]) for name in cls._fields))


Columns = Callable[[_Counts], FloatArray]

_COUNTS: Final[dict[str, tuple[str, Columns]]] = {
    "trials": ("Trials of a funnel in the window.", lambda c: _float(c.trials)),
    "successes": ("Successes of a funnel in the window.", lambda c: _float(c.successes)),
    "baseline_trials": ("Trials in the same window 1 to 4 weeks before.", lambda c: _float(c.base_trials)),
    "baseline_successes": (
        "Successes in the same window 1 to 4 weeks before.", lambda c: _float(c.base_successes),
    ),
    "material": ("1 when the rate is 20 % below its baseline and the counts can show it.",
        lambda c: _float(is_material(*_four(c)))),
    "drought": ("1 when so many trials without a success are all but impossible under the baseline.",
        lambda c: _float(is_drought(*_four(c)))),
}  # fmt: skip

_BOUNDS: Final[dict[str, tuple[str, Callable[[_Counts, float], FloatArray]]]] = {
    "wilson_lower": ("Wilson's lower bound of the rate.", lambda c, z: wilson(c.successes, c.trials, z)[0]),
    "wilson_upper": ("Wilson's upper bound of the rate.", lambda c, z: wilson(c.successes, c.trials, z)[1]),
    "baseline_wilson_lower": (
        "Wilson's lower bound of the baseline's rate.",
        lambda c, z: wilson(c.base_successes, c.base_trials, z)[0],
    ),
    "baseline_wilson_upper": (
        "Wilson's upper bound of the baseline's rate.",
        lambda c, z: wilson(c.base_successes, c.base_trials, z)[1],
    ),
    "newcombe_upper": (
        "Newcombe's upper limit of the rate minus the baseline's; below 0 the rate has fallen.",
        lambda c, z: newcombe_upper(*_four(c), z),
    ),
}
_RATES: Final[dict[str, tuple[str, Columns]]] = {
    "rate": ("Successes per trial in the window.", lambda c: rate(c.successes, c.trials)),
    "baseline_rate": (
        "Successes per trial of the baseline.",
        lambda c: rate(c.base_successes, c.base_trials),
    ),
}
Z_VALUES: Final = (Z_SLOW, Z_FAST)
LEVELS: Final = ("floor", "team")

CUSUM: Final = "salesfloor_conversion_cusum"
CUSUM_LIMIT: Final = "salesfloor_conversion_cusum_limit"


def _float(values: object) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _four(counts: _Counts) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return (
        _float(counts.successes), _float(counts.trials),
        _float(counts.base_successes), _float(counts.base_trials),
    )  # fmt: skip


def conversion_gauge_labels() -> dict[str, set[str]]:
    """Return every gauge's name with its labels: what dashboards and rules may ask for."""
    found: dict[str, set[str]] = {CUSUM: {"funnel", "team"}, CUSUM_LIMIT: {"funnel", "team"}}
    for level in LEVELS:
        labels = {"funnel", "window"} | ({"team"} if level == "team" else set())
        found |= {_name(level, what): labels for what in (*_COUNTS, *(f"{rate}_ratio" for rate in _RATES))}
        found |= {_name(level, f"{what}_ratio"): labels | {"z"} for what in _BOUNDS}
    return found


def _name(level: str, what: str) -> str:
    return f"salesfloor_{level}_conversion_{what}"


def conversion_gauges(report: ConversionReport) -> Iterator[Gauge]:
    families = list(_families(_Counts.of(report.counts)))
    for level in LEVELS:
        for what, unit, sentence, variants in families:
            yield _gauge(report, level, what, unit, sentence, variants)
    limits = {
        funnel: np.array([cusum_limit(rate) if rate == rate else np.nan for rate in rates.tolist()])
        for funnel, rates in report.base_rate.items()
    }
    yield _cusum_gauge(
        report, CUSUM, "Evidence, over the newest outcomes, that a funnel's rate fell by 40 %.", report.cusum
    )
    yield _cusum_gauge(
        report, CUSUM_LIMIT, "Limit of the CUSUM: about 3,000 trials between false alarms.", limits
    )


Variants = Sequence[tuple[Labels, FloatArray]]
"""Further labels, and the values with them: a row for each of the report's counts."""


def _families(counts: _Counts) -> Iterator[tuple[str, str, str, Variants]]:
    """Yield what is told of the counts at every level: name, unit, sentence and values."""
    for what, (sentence, columns) in _COUNTS.items():
        yield what, "", sentence, [((), columns(counts))]
    for what, (sentence, columns) in _RATES.items():
        yield f"{what}_ratio", "ratio", sentence, [((), columns(counts))]
    for what, (sentence, bound) in _BOUNDS.items():
        at_z: Variants = [((("z", repr(z)),), bound(counts, z)) for z in Z_VALUES]
        yield f"{what}_ratio", "ratio", sentence, at_z


def _gauge(
    report: ConversionReport, level: str, what: str, unit: str, sentence: str, variants: Variants
) -> Gauge:
    blocks = []
    for row, counts in enumerate(report.counts):
        for extra, rows in variants:
            labels = (("funnel", counts.funnel), ("window", counts.window), *extra)
            values = rows[row]
            if level == "floor":
                blocks.append(GaugeBlock((tuple(sorted(labels)),), values[:1]))
            else:
                blocks.append(GaugeBlock(_of_teams(report, labels), values[1:]))
    return Gauge(_name(level, what), sentence, unit, tuple(blocks))


def _of_teams(report: ConversionReport, labels: Labels) -> Sequence[Labels]:
    return tuple(tuple(sorted((*labels, ("team", team)))) for team in report.teams)


def _cusum_gauge(
    report: ConversionReport, name: str, sentence: str, values: Mapping[str, FloatArray]
) -> Gauge:
    blocks = []
    for funnel, of_groups in values.items():
        labels: Labels = (("funnel", funnel),)
        blocks.append(GaugeBlock((labels, *_of_teams(report, labels)), of_groups))
    return Gauge(name, sentence, "", tuple(blocks))
