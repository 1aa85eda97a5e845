"""A worker, or who rebuilds, is hit at every single step of what it does with the outside, in each way."""

from collections import Counter

import pytest

from tests.simulation.faults import COMMIT_STEPS, HITS, OPERATOR_STEPS, STEPS, Hit
from tests.simulation.outside import Trap
from tests.simulation.world import run
from tests.strength import amount

SEEDS = range(amount(2, long=30))


@pytest.mark.parametrize("hit", HITS)
@pytest.mark.parametrize("step", [*STEPS, *OPERATOR_STEPS])
def test_a_process_is_hit_at_a_step(step: str, hit: Hit) -> None:
    hits: Counter[str] = Counter()
    for seed in SEEDS:
        # The first time, and in the middle of a run of them.
        for passes in (0, 2) if step in (*COMMIT_STEPS, "fetch", "seek") else (0,):
            run(1_000_000 + seed, hits, Trap(step, hit, passes), quiet=True)
    assert hits[f"{hit} at {step}"], "the step was never come to"
