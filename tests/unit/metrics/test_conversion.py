"""The falling-conversion alert's arithmetic against figures worked out without it."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.conversion import (
    Z_FAST,
    Z_SLOW,
    cusum,
    cusum_limit,
    is_drought,
    is_material,
    newcombe_upper,
    rate,
    wilson,
)

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_newcombe_limit_of_a_halved_rate_is_the_one_worked_out_elsewhere() -> None:
    assert float(newcombe_upper(30, 200, 200, 800, Z_SLOW)) == pytest.approx(-0.024133, abs=5e-7)
    assert float(newcombe_upper(30, 200, 200, 800, Z_FAST)) == pytest.approx(0.003696, abs=5e-7)


def test_the_z_values_are_one_sided_one_percent_and_one_per_mille() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.99), abs=5e-4) == Z_SLOW
    assert pytest.approx(NormalDist().inv_cdf(0.999), abs=5e-4) == Z_FAST


def score(x: int, n: int, rate_asked: float) -> float:
    return (x / n - rate_asked) / math.sqrt(rate_asked * (1 - rate_asked) / n)


@given(counts, st.sampled_from([1.0, Z_SLOW, Z_FAST]))
def test_wilson_bounds_are_where_the_score_test_just_refuses(count: tuple[int, int], z: float) -> None:
    x, n = count
    lower, upper = (float(bound) for bound in wilson(x, n, z))
    assert -1e-12 <= lower <= x / n + 1e-12
    assert x / n - 1e-12 <= upper <= 1 + 1e-12
    if lower > 1e-9:
        assert score(x, n, lower) == pytest.approx(z, rel=1e-6)
    if upper < 1 - 1e-9:
        assert score(x, n, upper) == pytest.approx(-z, rel=1e-6)


@given(counts, counts)
def test_the_difference_holds_what_was_seen_and_more_doubt_widens_it(
    now: tuple[int, int], base: tuple[int, int]
) -> None:
    seen = now[0] / now[1] - base[0] / base[1]
    slow, fast = (float(newcombe_upper(*now, *base, z)) for z in (Z_SLOW, Z_FAST))
    assert seen - 1e-12 <= slow <= fast + 1e-12


def test_without_trials_or_with_more_successes_than_trials_there_is_no_rate() -> None:
    assert np.isnan(rate([0, 3, -1], [0, 2, 5])).all()
    assert np.isnan(newcombe_upper(0, 0, 200, 800, Z_SLOW))
    assert not is_material(0, 0, 200, 800)
    assert not is_drought(0, 0, 200, 800)


@pytest.mark.parametrize(
    ("now", "base", "material"),
    [
        ((40, 200), (200, 800), True),  # exactly 0.8 of the baseline
        ((41, 200), (200, 800), False),
        ((4, 20), (200, 800), True),  # exactly 5 expected
        ((3, 19), (200, 800), False),  # 4.75 expected
        ((10, 200), (10, 40), True),
        ((10, 200), (9, 36), False),  # 9 successes are no baseline
    ],
)
def test_a_fall_is_material_by_share_and_by_counts(
    now: tuple[int, int], base: tuple[int, int], material: bool
) -> None:
    assert bool(is_material(*now, *base)) is material


def test_a_drought_needs_no_success_and_a_chance_below_one_in_a_thousand() -> None:
    # 0.75 ** 24 = 0.001003…, 0.75 ** 25 = 0.00075…
    assert not is_drought(0, 24, 200, 800)
    assert is_drought(0, 25, 200, 800)
    assert not is_drought(1, 25, 200, 800)


def test_the_limit_is_the_simulated_one_and_linear_between() -> None:
    assert [cusum_limit(p) for p in (0.05, 0.10, 0.20, 0.25, 0.30, 0.50)] == [
        2.86, 3.55, 4.18, 4.37, 4.65, 5.22,
    ]  # fmt: skip
    assert cusum_limit(0.15) == pytest.approx((3.55 + 4.18) / 2)
    assert (cusum_limit(0.01), cusum_limit(0.9)) == (2.86, 5.22)


def slow_cusum(successes: list[int], trials: list[int], base: float) -> float:
    fallen, height = 0.6 * base, 0.0
    for x, n in zip(successes, trials, strict=True):
        step = x * math.log(fallen / base) + (n - x) * math.log((1 - fallen) / (1 - base))
        height = max(0.0, height + step)
    return height


@given(st.lists(counts, max_size=60), st.floats(0.02, 0.9))
def test_cusum_is_the_recursion_step_by_step(outcomes: list[tuple[int, int]], base: float) -> None:
    successes, trials = [x for x, _ in outcomes], [n for _, n in outcomes]
    assert cusum(successes, trials, base) == pytest.approx(slow_cusum(successes, trials, base), abs=1e-6)


def test_cusum_says_nothing_without_a_usable_baseline() -> None:
    assert all(math.isnan(cusum([1], [1], base)) for base in (0.0, 1.0, math.nan))


def trials_until_alarm(base: float, truth: float, runs: int) -> list[int]:
    """Simulate from zero to the first crossing, the slow way."""
    rng, limit = np.random.default_rng(11), cusum_limit(base)
    won, lost = math.log(0.6), math.log((1 - 0.6 * base) / (1 - base))
    found = []
    for _ in range(runs):
        height, count = 0.0, 0
        while height <= limit:
            count += 1
            height = max(0.0, height + (won if rng.random() < truth else lost))
        found.append(count)
    return found


def test_the_limit_gives_the_promised_false_alarms_and_detection() -> None:
    assert 2300 < np.mean(trials_until_alarm(0.25, 0.25, 150)) < 3800
    assert 90 < np.median(trials_until_alarm(0.25, 0.15, 400)) < 120
