"""Shared fixtures of the tests that need brokers and processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import ports
from tests.integration.cluster import Cluster, running

# aiokafka leaves its first connection open when it is cancelled while it asks for the brokers, as roles are
# that stop while they connect. The garbage collector meets it in a later test, which shall not fail of it.
_LEFT_OPEN = (
    "ignore:Exception ignored in. <(function (_SelectorTransport|StreamWriter)|socket.socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(_LEFT_OPEN))


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
