"""The simulation can fail: with any one guard of the product out of action it goes red within few lives."""

import pytest

from tests.simulation.mutations import BREAKINGS, RARELY_SEEN, lives_until_red
from tests.simulation.world import run
from tests.strength import LONG, amount

LIVES_MAX = amount(60, long=2000)
NAMES = [name for name in BREAKINGS if LONG or name not in RARELY_SEEN]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_guard_is_found_out(name: str) -> None:
    assert lives_until_red(name, range(LIVES_MAX), run) is not None
