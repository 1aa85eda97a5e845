"""A release that meets state of a newer one, as processes: waits, names the fix, and writes nothing."""

import asyncio

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis

from streams.stores.base import STORE_FORMAT
from tests.integration.cluster import SLOTS, Cluster, until
from tests.integration.test_definition_switch import metrics_role, settings_in

pytestmark = pytest.mark.timeout(120)

NEWER = {"format": str(STORE_FORMAT + 1), "slots": str(SLOTS), "version": "newer", "definition": "{}"}


async def test_an_older_worker_and_metrics_role_leave_newer_state_alone(cluster: Cluster) -> None:
    async with Redis.from_url(cluster.redis_url, decode_responses=True) as redis:
        await redis.execute_command(  # type: ignore[no-untyped-call]
            "HSET", f"{{{cluster.name}}}:meta", *(part for item in NEWER.items() for part in item)
        )
        worker = await cluster.worker(ready=False)

        async def waits() -> bool:
            return "worker waits" in worker.log.read_text()

        await until(waits)
        assert f"kept in format {STORE_FORMAT + 1} by a newer release" in worker.log.read_text()
        assert "redis.namespace" in worker.log.read_text()
        async with ClientSession() as session, metrics_role(settings_in(cluster, "UTC")) as address:

            async def refuses() -> bool:
                async with session.get(f"{address}/-/ready") as got:
                    return got.status == 503 and "newer release" in await got.text()

            await until(refuses)
        await worker.stop()
        found = await redis.execute_command(  # type: ignore[no-untyped-call]
            "HGETALL", f"{{{cluster.name}}}:meta"
        )
        assert found == NEWER
        assert not [key async for key in redis.scan_iter(match=f"*{cluster.name}*:g*")]
    assert await asyncio.wait_for(worker.process.wait(), 30) == 0
