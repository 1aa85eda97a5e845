"""Shared fixtures of the tests that need brokers and processes."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster, running


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def cluster(tmp_path: Path, free_port: int) -> AsyncIterator[Cluster]:
    async with running(tmp_path, free_port) as cluster:
        yield cluster


@pytest.fixture
async def cluster_with_own_redis(tmp_path: Path, free_port: int) -> AsyncIterator[Cluster]:
    """A cluster whose Redis the test may kill, whatever Redis the run was given."""
    async with running(tmp_path, free_port, own_redis=True) as cluster:
        yield cluster
