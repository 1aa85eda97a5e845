"""Shared fixtures of the tests that need brokers and processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import ports
from tests.integration.cluster import Cluster, running


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
async def cluster(tmp_path: Path, free_port: int) -> AsyncIterator[Cluster]:
    async with running(tmp_path, free_port) as cluster:
        yield cluster


@pytest.fixture
async def cluster_with_own_redis(tmp_path: Path, free_port: int) -> AsyncIterator[Cluster]:
    """A cluster whose Redis the test may kill, whatever Redis the run was given."""
    async with running(tmp_path, free_port, own_redis=True) as cluster:
        yield cluster
