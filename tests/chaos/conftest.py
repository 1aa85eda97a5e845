"""Fixtures of the tests here that pytest runs; the scenarios are run by `python -m tests.chaos`."""

import pytest

from tests.chaos import process


@pytest.fixture
def free_port() -> int:
    return process.free_port()
