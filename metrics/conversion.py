"""Successes and trials in, what the falling-conversion alert needs out: bounds, conditions, CUSUM. Pure.

Everything works element by element on arrays; NaN is "cannot be said" (no trials, or more successes than
trials, as a ratio of two independent counts may have).
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.exact import FloatArray

Z_SLOW: Final = 2.326
"""One-sided 1 %: for the five-day window, which is looked at again and again."""
Z_FAST: Final = 3.09
"""One-sided 0.1 %: for the one-day window."""

# A fall that is worth an alarm, and enough data to call it one.
MATERIAL_RATIO: Final = 0.8
EXPECTED_SUCCESSES_MIN: Final = 5
BASELINE_SUCCESSES_MIN: Final = 10
# So unlikely must a window without any success be under the baseline.
DROUGHT_PROBABILITY: Final = 0.001

CUSUM_DROP: Final = 0.4
"""The fall the CUSUM is tuned to find: to 60 % of the baseline's rate."""
# Limits for about 3,000 trials between two false alarms, by baseline rate (simulated).
_CUSUM_RATES: Final = (0.05, 0.10, 0.20, 0.25, 0.30, 0.50)
_CUSUM_LIMITS: Final = (2.86, 3.55, 4.18, 4.37, 4.65, 5.22)


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def rate(successes: ArrayLike, trials: ArrayLike) -> FloatArray:
    x, n = _floats(successes), _floats(trials)
    sound = (n > 0) & (x >= 0) & (x <= n)
    return np.asarray(np.where(sound, x / np.where(sound, n, 1.0), np.nan))


def wilson(successes: ArrayLike, trials: ArrayLike, z: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's lower and upper bound of the rate."""
    p, n = rate(successes, trials), np.maximum(_floats(trials), 1.0)
    square = z * z
    middle = p + square / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + square / (4 * n * n))
    whole = 1 + square / n
    return np.asarray((middle - half) / whole), np.asarray((middle + half) / whole)


def newcombe_upper(
    successes: ArrayLike, trials: ArrayLike, base_successes: ArrayLike, base_trials: ArrayLike, z: float
) -> FloatArray:
    """Return Newcombe's upper limit of (rate - baseline rate); below 0 the rate has fallen."""
    p, base = rate(successes, trials), rate(base_successes, base_trials)
    upper = wilson(successes, trials, z)[1]
    base_lower = wilson(base_successes, base_trials, z)[0]
    return np.asarray(p - base + np.hypot(upper - p, base - base_lower))


def is_material(
    successes: ArrayLike, trials: ArrayLike, base_successes: ArrayLike, base_trials: ArrayLike
) -> NDArray[np.bool_]:
    """Say whether the fall matters and there was enough to see it by. NaN compares as no."""
    p, base = rate(successes, trials), rate(base_successes, base_trials)
    enough = (_floats(trials) * base >= EXPECTED_SUCCESSES_MIN) & (
        _floats(base_successes) >= BASELINE_SUCCESSES_MIN
    )
    return np.asarray((p <= MATERIAL_RATIO * base) & enough)


def is_drought(
    successes: ArrayLike, trials: ArrayLike, base_successes: ArrayLike, base_trials: ArrayLike
) -> NDArray[np.bool_]:
    """Say whether so many trials without one success are all but impossible under the baseline."""
    base, n = rate(base_successes, base_trials), _floats(trials)
    chance = np.power(1 - base, n)
    return np.asarray((_floats(successes) == 0) & (n > 0) & (chance < DROUGHT_PROBABILITY))


def cusum_limit(base_rate: float) -> float:
    """Return the alarm limit for a baseline rate, linear between the simulated ones.

    Outside 0.05..0.5 the nearest one holds: below, false alarms get rarer than planned, above, more frequent.
    """
    return float(np.interp(base_rate, _CUSUM_RATES, _CUSUM_LIMITS))


def cusum(successes: ArrayLike, trials: ArrayLike, base_rate: float) -> float:
    """Return the Bernoulli CUSUM after outcomes in the order of their time; NaN without a baseline.

    Each entry holds what happened at one instant. Outcomes of one instant have no order: they count
    as one step. A success whose trial stood at another instant takes that trial's failure back.
    """
    if not 0 < base_rate < 1:
        return float("nan")
    x, n = _floats(successes), _floats(trials)
    fallen = (1 - CUSUM_DROP) * base_rate
    steps = x * np.log(fallen / base_rate) + (n - x) * np.log((1 - fallen) / (1 - base_rate))
    if steps.size == 0:
        return 0.0
    # S <- max(0, S + step), solved: the walk's height above the lowest point it has been at.
    walk = np.cumsum(steps)
    return float(walk[-1] - min(0.0, walk.min()))
