"""A worker that is told to stop ends soon and leaves nothing half done, whatever is away at that moment."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.integration.cluster import ROOT, Cluster, until
from tests.integration.test_worker_faults import assert_exact, floor_history
from tests.ports import free_port

pytestmark = pytest.mark.timeout(180)

STOP_SECONDS = 10.0
"""What is promised."""


async def test_stopped_under_load_everything_it_folded_is_committed(cluster: Cluster) -> None:
    events = floor_history(31, 1_500)
    worker = await cluster.worker(SALESFLOOR_WORKER__COMMIT_INTERVAL_MS="10000")
    feed = asyncio.create_task(cluster.produce(events, pause_seconds=0.2))

    async def is_folding() -> bool:
        return await worker.metric("salesfloor_worker_applied_offset") > 200

    await until(is_folding)
    assert not feed.done(), "the load must outlast the stop"
    folded = await worker.metric("salesfloor_worker_applied_offset")
    async with asyncio.timeout(STOP_SECONDS):
        assert await worker.stop() == 0
    store = cluster.store()
    committed = sum((await cluster._offsets(store)).values())
    await store.close()
    assert committed >= folded
    await feed
    await cluster.worker()
    await assert_exact(cluster, events)


async def test_stopped_while_redis_is_away_it_ends_in_time_and_says_who_goes_on(
    cluster_with_own_redis: Cluster,
) -> None:
    cluster = cluster_with_own_redis
    events = floor_history(32, 500)
    worker = await cluster.worker()
    await cluster.produce(events[:250])
    await cluster.committed()
    cluster.redis.kill()
    await cluster.produce(events[250:])

    async def has_folded_more() -> bool:
        return await worker.metric("salesfloor_worker_applied_offset") == sum(cluster.ends.values())

    await until(has_folded_more)
    async with asyncio.timeout(STOP_SECONDS):
        await worker.stop()
    said = worker.log.read_text()
    assert "last commit not in time; the next owner replays it" in said
    assert "Traceback" not in said
    await cluster.redis.start()
    await cluster.worker()
    await assert_exact(cluster, events)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, which is always full")
async def test_worker_whose_log_disk_is_full_goes_on(cluster: Cluster) -> None:
    events = floor_history(33, 500)
    port = free_port()
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", "from streams.cli import main; main()", "worker"],
            env={**os.environ, **cluster.environment, "SALESFLOOR_WORKER__PORT": str(port)},
            cwd=ROOT,
            stdout=full,
            stderr=full,
        )
    try:
        await cluster.produce(events)
        await cluster.produce_raw("sales.deals", 0, b"no event")  # makes it log
        await cluster.committed()
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/-/ready") as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
    totals = await cluster.totals()
    assert totals["records accepted"] + totals["records rejected"] == sum(cluster.ends.values())
