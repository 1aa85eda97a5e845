"""Thousands of seeded lives of workers, readers, operator, log and store under every fault with a name."""

from collections import Counter

import pytest

from tests.simulation.coverage import never
from tests.simulation.world import run
from tests.strength import amount

SEEDS = amount(2000, long=20_000)
PER_TEST = 500
RARE = {"too many reloads", "stopped", "half loaded", "switched"}
"""Too rare to be met in every such part of the lives for certain; the command's summary counts them."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", range(0, SEEDS, PER_TEST))
def test_whatever_fails_every_number_is_that_of_one_undisturbed_fold(start: int) -> None:
    hits: Counter[str] = Counter()
    for seed in range(start, start + PER_TEST):
        run(seed, hits)
    missed = set(never(hits, "actions and faults", "records", "met on the way")) - RARE
    assert not missed, "these faults were never tried"


def test_a_life_is_a_function_of_its_seed() -> None:
    first, second = run(7), run(7)
    assert first.story == second.story
    assert first.hits == second.hits
    assert [first.store.held(slot) for slot in (0, 1)] == [second.store.held(slot) for slot in (0, 1)]
