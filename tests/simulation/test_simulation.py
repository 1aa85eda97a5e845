"""A thousand seeded lives of workers, log and store under every fault the design survives."""

import pytest

from tests.simulation.world import run
from tests.strength import amount

SEEDS = amount(1000, long=20_000)
PER_TEST = 100


@pytest.mark.parametrize("start", range(0, SEEDS, PER_TEST))
def test_whatever_fails_the_panes_are_those_of_one_undisturbed_fold(start: int) -> None:
    for seed in range(start, start + PER_TEST):
        run(seed)


def test_a_life_is_a_function_of_its_seed() -> None:
    first, second = run(7), run(7)
    assert first.story == second.story
    assert [first.stored(slot) for slot in (0, 1)] == [second.stored(slot) for slot in (0, 1)]
