"""Fixtures of the tests here that pytest runs; the scenarios are run by `python -m tests.chaos`."""

import pytest

from tests import ports


@pytest.fixture
def free_port() -> int:
    return ports.free_port()
