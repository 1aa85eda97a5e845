"""What the metrics role exports in, when each alert fires out: the shipped rules and two naive ones.

Thresholds, windows and times are those of the plan that Prometheus' rules are generated from, and every bound
and condition is the function whose value is the gauge. At night no event comes, so the data is stale, and the
rules say nothing: whatever was about to fire begins again in the morning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.backtest_counts import Counts, Exported, Looks
from bench.backtest_floors import Bools, Ints
from metrics.alerts.plan import CUSUM, DROUGHT, FAST, SLOW, AlertPlan
from metrics.conversion import cusum_limit, is_drought, is_material, newcombe_upper, rate
from metrics.exact import FloatArray

EITHER: Final = "Fast OR Slow"
ONE_DAY_Z: Final = "1-day z < −1.645"
NAIVE: Final = "80 % of the hour last week"
NAIVE_Z: Final = -1.645
NAIVE_RATIO: Final = 0.8
SHIPPED: Final = (FAST, SLOW, DROUGHT, CUSUM)
RULES: Final = (*SHIPPED, EITHER, ONE_DAY_Z, NAIVE)


def conditions(told: Exported, plan: AlertPlan) -> Mapping[str, Bools]:
    """Return for each rule where its expression has a result. NaN compares as no, as in PromQL."""
    with np.errstate(invalid="ignore"):
        return {
            FAST: _fell(told.windows[plan.fast_window], plan.fast_z),
            SLOW: _fell(told.windows[plan.slow_window], plan.slow_z) & _confirmed(told, plan),
            DROUGHT: is_drought(*told.windows[plan.drought_window].four),
            CUSUM: told.cusum > _limits(told.base_rate),
            ONE_DAY_Z: _pooled_z(told.windows[plan.fast_window]) < NAIVE_Z,
            NAIVE: _below_last_week(told.windows["hour"]),
        }


def _fell(counts: Counts, z: float) -> Bools:
    return np.asarray((newcombe_upper(*counts.four, z) < 0) & is_material(*counts.four))


def _confirmed(told: Exported, plan: AlertPlan) -> Bools:
    now, slow = told.windows[plan.slow_confirm_window], told.windows[plan.slow_window]
    before = rate(slow.base_successes, slow.base_trials)
    return np.asarray(rate(now.successes, now.trials) <= plan.slow_confirm_ratio * before)


def _limits(rates: FloatArray) -> FloatArray:
    different, place = np.unique(rates, return_inverse=True)
    return np.array([cusum_limit(each) for each in different.tolist()])[place]


def _pooled_z(counts: Counts) -> FloatArray:
    """Return the textbook's z of two proportions."""
    x, n, x0, n0 = (np.asarray(each, dtype=np.float64) for each in counts.four)
    pooled = rate(x + x0, n + n0)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n, 1) + 1 / np.maximum(n0, 1)))
    return np.asarray((rate(x, n) - rate(x0, n0)) / np.where(spread > 0, spread, np.nan))


def _below_last_week(counts: Counts) -> Bools:
    x, n, x0, n0 = counts.four
    return np.asarray(rate(x, n) < NAIVE_RATIO * rate(x0, n0))


def firing(told: Exported, looks: Looks, plan: AlertPlan, step_seconds: int) -> dict[str, Bools]:
    """Return for each rule at which looks it fires."""
    shipped = {name: plan.of(name) for name in SHIPPED}
    held = {name: (alert.for_seconds, alert.keep_firing_seconds) for name, alert in shipped.items()}
    naive = (held[FAST][0], 0)  # held as long as the fast rule, so that only the arithmetic differs
    found = {}
    for name, holds in conditions(told, plan).items():
        for_seconds, keep_seconds = held.get(name, naive)
        steps = -(-for_seconds // step_seconds), keep_seconds // step_seconds
        found[name] = fires(holds, looks.day, for_steps=steps[0], keep_steps=steps[1])
    found[EITHER] = found[FAST] | found[SLOW]
    return found


def fires(holds: Bools, day: Ints, *, for_steps: int, keep_steps: int) -> Bools:
    """Return when an alert fires whose condition holds at these looks.

    It fires once the condition has held for so many steps, and goes on for some steps after it ended;
    a condition that comes back meanwhile keeps it firing. Nothing of it outlives the day.
    """
    result = np.zeros(len(holds), dtype=np.bool_)
    for start, end in _runs(holds, day):
        goes_on = start > 0 and bool(result[start]) and day[start - 1] == day[start]
        first = start if goes_on else start + for_steps
        if first < end:
            day_end = int(np.searchsorted(day, day[start], side="right"))
            result[first : min(end + keep_steps, day_end)] = True
    return result


def _runs(holds: Bools, day: Ints) -> list[tuple[int, int]]:
    """Return `[start, end)` of each stretch of one day in which it holds."""
    before = np.concatenate([[False], holds[:-1]]) & np.concatenate([[False], day[1:] == day[:-1]])
    after = np.concatenate([holds[1:], [False]]) & np.concatenate([day[1:] == day[:-1], [False]])
    starts, ends = np.flatnonzero(holds & ~before), np.flatnonzero(holds & ~after) + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


@dataclass(frozen=True)
class Alarms:
    notices: int
    """How often it begins to fire, as people are told: a lasting one begins anew every morning."""
    alarms: int
    """The same, but what begins again within a business hour is the same alarm."""
    looks_firing: int


def alarms(fired: Bools, looks_per_hour: int) -> Alarms:
    begins = np.flatnonzero(fired & ~np.concatenate([[False], fired[:-1]]))
    last = np.flatnonzero(fired & ~np.concatenate([fired[1:], [False]]))
    found = int((begins[1:] - last[:-1] > looks_per_hour).sum()) + 1 if len(begins) else 0
    return Alarms(len(begins), found, int(fired.sum()))
