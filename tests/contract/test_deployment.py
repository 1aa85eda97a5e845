"""Two deployments on one namespace of a real Redis: who holds it, who waits, and when that changes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError

from streams import deployment as deployment_module
from streams.deployment import Deployment, HeldByAnother
from streams.embedded import embedded_redis
from streams.settings import KafkaSettings, load_settings

CLUSTERS = {"a:1": "cluster-a", "b:1": "cluster-b"}


@pytest.fixture(autouse=True)
def kafkas(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what each broker says its cluster is; "" is a broker that does not answer."""
    clusters = dict(CLUSTERS)

    async def cluster_id(kafka: KafkaSettings) -> str:
        if not clusters[kafka.bootstrap]:
            raise KafkaConnectionError
        return clusters[kafka.bootstrap]

    monkeypatch.setattr(deployment_module, "cluster_id", cluster_id)
    monkeypatch.setattr(deployment_module, "LOOK_SECONDS", 0.02)
    return clusters


@pytest.fixture
async def redis_url() -> AsyncIterator[str]:
    async with embedded_redis() as running:
        yield running.redis_url


@asynccontextmanager
async def deployed(url: str, kafka: str, group: str = "g") -> AsyncIterator[Deployment]:
    made = Deployment(
        load_settings(overrides={"kafka": {"bootstrap": kafka, "group": group}, "redis": {"url": url}})
    )
    await made.learn_name()
    try:
        yield made
    finally:
        await made.close()


async def test_workers_of_one_deployment_hold_it_together(redis_url: str) -> None:
    async with deployed(redis_url, "a:1") as one, deployed(redis_url, "a:1") as two:
        assert await one.until_held(asyncio.Event())
        assert await two.until_held(asyncio.Event())


@pytest.mark.parametrize(
    ("kafka", "group"), [("b:1", "g"), ("a:1", "h")], ids=["another Kafka", "another group"]
)
async def test_a_second_deployment_waits_until_the_first_is_gone(
    redis_url: str, kafka: str, group: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with deployed(redis_url, "a:1") as first, deployed(redis_url, kafka, group) as second:
        assert await first.until_held(asyncio.Event())
        alive = asyncio.create_task(first.while_held())
        waiting = asyncio.create_task(second.until_held(asyncio.Event()))
        done, _ = await asyncio.wait([alive, waiting], timeout=0.6)
        assert not done
        assert "group g on Kafka cluster cluster-a" in caplog.text
        assert "redis.namespace" in caplog.text
        alive.cancel()
        await first._redis.pexpire(first._key, 1)  # as happens by itself, some seconds later
        assert await waiting
        with pytest.raises(HeldByAnother, match="cluster"):
            await first.while_held()


async def test_one_that_waits_can_be_stopped(redis_url: str) -> None:
    stop = asyncio.Event()
    async with deployed(redis_url, "a:1") as first, deployed(redis_url, "b:1") as second:
        assert await first.until_held(asyncio.Event())
        waiting = asyncio.create_task(second.until_held(stop))
        stop.set()
        assert not await waiting


async def test_a_broker_that_comes_back_as_another_cluster_parts_no_workers(
    redis_url: str, kafkas: dict[str, str]
) -> None:
    async with deployed(redis_url, "a:1") as old:
        assert await old.until_held(asyncio.Event())
        kafkas["a:1"] = "cluster-anew"
        async with deployed(redis_url, "a:1") as started_later:
            waiting = asyncio.create_task(started_later.until_held(asyncio.Event()))
            alive = asyncio.create_task(old.while_held())
            assert await asyncio.wait_for(waiting, 30)
            done, _ = await asyncio.wait([alive], timeout=0.2)
            assert not done
            alive.cancel()


async def test_neither_a_silent_kafka_nor_a_silent_redis_parts_anybody(
    redis_url: str, kafkas: dict[str, str]
) -> None:
    async with deployed(redis_url, "a:1") as made:
        assert await made.until_held(asyncio.Event())
        kafkas["a:1"] = ""
        alive = asyncio.create_task(made.while_held())
        done, _ = await asyncio.wait([alive], timeout=1.0)
        assert not done
        alive.cancel()
