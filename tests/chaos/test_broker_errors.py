"""Brokers that answer with errors on command: a worker goes on by itself, exactly, or ends and says why.

One worker lives through all of it, on librdkafka's mock brokers: no real broker can be told to answer so.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.topics import DEALS
from tests.chaos.kafka_mock import Api, MockKafka, mock_kafka
from tests.histories import Event
from tests.integration.cluster import SLOTS, Cluster, OwnRedis, Worker, until
from tests.integration.test_worker_faults import assert_exact, floor_history
from tests.strength import amount

pytestmark = pytest.mark.timeout(600)

BROKERS = 3
FENCED_ID, FENCED_GENERATION, REBALANCING, NOT_COORDINATOR, NOT_AVAILABLE = 25, 22, 27, 16, 15
NOT_LEADER, OUT_OF_RANGE, UNKNOWN_TOPIC, DENIED = 6, 1, 3, 29
UNKNOWN, INVALID_REQUEST, BAD_RECORD = -1, 42, 87


class Scene:
    """A worker on mock brokers, and all that was written for it."""

    def __init__(self, kafka: MockKafka, cluster: Cluster) -> None:
        self.kafka, self.cluster = kafka, cluster
        self.history = floor_history(31, 4_000)
        self.written: list[Event] = []

    @property
    def worker(self) -> Worker:
        return self.cluster.workers[-1]

    async def goes_on(self, count: int = 10) -> None:
        """Write more; the worker reads it, and all numbers are right."""
        start = len(self.written)
        self.written = self.history[: start + count]
        await self.cluster.produce(self.history[start : start + count])
        await assert_exact(self.cluster, self.written)
        await self.worker.ready()

    async def rejoined(self, times: int = 1) -> None:
        """Wait until the worker has taken its slots over so often again."""
        before = await self.worker.metric("salesfloor_worker_claims_total")

        async def has_claimed() -> bool:
            return await self.worker.metric("salesfloor_worker_claims_total") >= before + times * SLOTS

        await until(has_claimed)

    async def noticed(self, metric: str) -> None:
        """Wait until the worker has counted one more of these."""
        name = f"salesfloor_worker_{metric}_total"
        before = await self.worker.metric(name)

        async def is_counted() -> bool:
            return await self.worker.metric(name) > before

        await until(is_counted)


@pytest.fixture
async def scene(tmp_path: Path, free_port: int) -> AsyncIterator[Scene]:
    (tmp_path / "redis").mkdir()
    redis = OwnRedis(tmp_path / "redis", free_port)
    with mock_kafka(brokers=BROKERS, partitions=SLOTS) as kafka:
        await redis.start()
        cluster = Cluster(kafka.address, redis.url, tmp_path, redis)
        scene = Scene(kafka, cluster)
        await cluster.worker()
        try:
            yield scene
        finally:
            for worker in cluster.workers:
                if worker.process.returncode is None:
                    await worker.kill()
            redis.kill()


async def test_worker_lives_through_every_error_that_heals(scene: Scene) -> None:
    kafka = scene.kafka
    await scene.goes_on(100)

    # Offsets reported for lag monitoring: any answer is counted and forgotten.
    codes = (NOT_COORDINATOR, FENCED_GENERATION, FENCED_ID, REBALANCING, DENIED, UNKNOWN)
    kafka.answer(Api.OFFSET_COMMIT, codes)
    noticed = asyncio.create_task(scene.noticed("report_errors"))
    await scene.goes_on()
    await noticed

    # Fetches: a moved leader, a broker that does not know the topic, one bad answer for every partition.
    kafka.answer(Api.FETCH, [NOT_LEADER, OUT_OF_RANGE, UNKNOWN_TOPIC, NOT_LEADER, BAD_RECORD, UNKNOWN])
    await scene.goes_on()
    kafka.answer(Api.FETCH, [DENIED])
    await scene.noticed("coordinator_errors")
    await scene.goes_on()

    # Heartbeats: out of the group by name or generation, and answers that the client does not know.
    for code in (FENCED_ID, FENCED_GENERATION, UNKNOWN, BAD_RECORD):
        again = asyncio.create_task(scene.rejoined())
        await asyncio.sleep(0)
        kafka.answer(Api.HEARTBEAT, [code])
        await again
        await scene.goes_on()

    # Joining: each answer that would leave a worker that lives and reads nothing.
    for api, answers in (
        (Api.JOIN_GROUP, [REBALANCING, NOT_COORDINATOR, INVALID_REQUEST]),
        (Api.SYNC_GROUP, [REBALANCING, INVALID_REQUEST]),
    ):
        kafka.answer(api, answers)
        kafka.answer(Api.HEARTBEAT, [REBALANCING])
        await scene.noticed("coordinator_errors")
        await scene.goes_on()
    assert scene.worker.process.returncode is None


async def test_worker_follows_leaders_and_coordinators_and_outlasts_brokers(scene: Scene) -> None:
    kafka, group = scene.kafka, scene.cluster.name
    await scene.goes_on(100)
    for round_ in range(amount(1, long=5)):
        for slot in range(SLOTS):
            kafka.lead(DEALS, slot, 1 + (slot + round_) % BROKERS)
        await scene.goes_on()

        # The coordinator says that it is none; then it is gone while somebody else is.
        for broker in kafka.brokers:
            kafka.coordinate(group, broker)
            kafka.answer(Api.HEARTBEAT, [NOT_COORDINATOR])
            await scene.goes_on()
        kafka.down(BROKERS)
        kafka.coordinate(group, 1)
        await asyncio.sleep(1.0)  # the outage itself: there is nothing to wait for
        kafka.up(BROKERS)
        await scene.goes_on()

        for broker in kafka.brokers:
            kafka.down(broker)
        await until(lambda: _is_unready(scene.worker))
        for broker in kafka.brokers:
            kafka.up(broker)
        await scene.goes_on()

        for broker in kafka.brokers:
            kafka.slow(broker, 150)
        await scene.goes_on()
        for broker in kafka.brokers:
            kafka.slow(broker, 0)
    assert scene.worker.process.returncode is None


async def _is_unready(worker: Worker) -> bool:
    return await worker.metric("salesfloor_worker_ready") == 0


async def test_worker_that_is_denied_for_good_ends_and_says_so_and_the_next_is_exact(scene: Scene) -> None:
    await scene.goes_on(100)
    scene.kafka.answer_always(Api.FETCH, DENIED)
    async with asyncio.timeout(60):
        assert await scene.worker.process.wait() == 1
    assert "Kafka does not let this user at a topic" in scene.worker.log.read_text()
    scene.kafka.forgive(Api.FETCH)
    await scene.cluster.worker()
    await scene.goes_on()
