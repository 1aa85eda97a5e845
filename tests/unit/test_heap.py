"""Where much is made that stays, Python does not look for cycles; afterwards it does as before."""

import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from streams.heap import not_looking


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.enable()


def test_nothing_is_looked_for_while_much_is_made_and_again_afterwards() -> None:
    looked = []
    with suppress(ArithmeticError), not_looking():
        looked.append(gc.isenabled())
        raise ArithmeticError
    assert looked == [False]
    assert gc.isenabled()


def test_who_does_not_look_at_all_is_left_so() -> None:
    gc.disable()
    with not_looking():
        pass
    assert not gc.isenabled()
