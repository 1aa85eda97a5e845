"""`run_worker` inside a loop that is already running, and faults that only the inside can cause."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownError
from aiokafka.structs import TopicPartition

from streams.admin import TopicsError, ensure_topics
from streams.app import SalesfloorApp, run_worker
from streams.serving import CannotListen
from streams.settings import Settings, load_settings
from streams.topics import DEALS, LEADS
from tests.integration.cluster import SLOTS, Cluster, clean_topics, until
from tests.integration.test_worker_faults import assert_exact, floor_history

pytestmark = pytest.mark.timeout(180)


def settings_of(cluster: Cluster, **worker: object) -> Settings:
    return load_settings(
        overrides={
            "kafka": {"bootstrap": cluster.kafka, "group": cluster.name, "session_timeout_seconds": 2.0},
            "redis": {"url": cluster.redis_url, "namespace": cluster.name},
            "worker": {"port": 0, "activity_horizon_days": 800, **worker},
        }
    )


@asynccontextmanager
async def worker_in_this_loop(cluster: Cluster) -> AsyncIterator[SalesfloorApp]:
    """Run a worker until the block ends; a worker that fails fails the block."""
    stop, apps = asyncio.Event(), list[SalesfloorApp]()
    running = asyncio.create_task(run_worker(settings_of(cluster), stop=stop, extend=apps.append))

    async def owns_all() -> bool:
        assert not running.done(), running.result()
        return bool(apps) and len(apps[0].keeper.owned) == SLOTS

    await until(owns_all)
    try:
        yield apps[0]
    finally:
        stop.set()
        await running


async def test_worker_runs_in_a_running_loop_and_leaves_no_task_behind(cluster: Cluster) -> None:
    before = asyncio.all_tasks()
    events = floor_history(21, 500)
    async with worker_in_this_loop(cluster):
        await cluster.produce(events)
        await assert_exact(cluster, events)

    async def is_quiet() -> bool:
        return asyncio.all_tasks() <= before

    await until(is_quiet)


async def test_coordinator_error_is_noticed_and_healed(cluster: Cluster) -> None:
    """A broker's bad answer to a join: nobody asks for it in Faust, and the worker would read no more."""
    async with worker_in_this_loop(cluster) as app:
        thread = app.consumer._thread
        coordinator: Any = thread._consumer._coordinator
        join, errors = coordinator.ensure_active_group, [UnknownError("made up")]

        async def join_badly(*args: object) -> object:
            if errors:
                raise errors.pop()
            return await join(*args)

        coordinator.ensure_active_group = join_badly
        thread.thread_loop.call_soon_threadsafe(coordinator.request_rejoin)

        async def is_noticed() -> bool:
            return app.keeper.counts.coordinator_errors > 0

        await until(is_noticed)
        events = floor_history(22, 500)
        await cluster.produce(events)
        await assert_exact(cluster, events)


async def test_topic_made_anew_stops_its_slot_loudly_and_no_other(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    events = floor_history(23, 400)
    async with worker_in_this_loop(cluster):
        await cluster.produce(events)
        await cluster.committed()
    await clean_topics(cluster.settings)
    stop, apps = asyncio.Event(), list[SalesfloorApp]()
    running = asyncio.create_task(run_worker(settings_of(cluster), stop=stop, extend=apps.append))

    async def is_stopped() -> bool:
        return caplog.text.count("slot stopped") == SLOTS

    with caplog.at_level(logging.CRITICAL, "streams"):
        await until(is_stopped)
    assert not running.done()
    assert apps[0].keeper.owned == []
    stop.set()
    await running


async def test_split_partition_counts_are_refused_with_the_fix(cluster: Cluster) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka)
    await admin.start()
    try:
        await admin.delete_topics([LEADS])

        async def is_made_smaller() -> bool:
            answer = await admin.create_topics([NewTopic(LEADS, 2, 1)])
            return bool(answer.topic_errors[0][1] == 0)

        await until(is_made_smaller)
    finally:
        await admin.close()

    async def is_refused() -> bool:
        try:
            await ensure_topics(cluster.settings)
        except TopicsError as error:
            return "--alter --topic sales.leads --partitions 4" in str(error)
        return False

    await until(is_refused)
    with pytest.raises(TopicsError):
        await run_worker(settings_of(cluster), stop=asyncio.Event())


async def test_port_in_use_is_named(cluster: Cluster) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(CannotListen, match=r"\[worker\] port"):
        await run_worker(settings_of(cluster, port=port), stop=asyncio.Event())
    server.close()


async def test_lag_is_visible_in_kafka(cluster: Cluster) -> None:
    events = floor_history(24, 300)
    async with worker_in_this_loop(cluster) as app:
        await cluster.produce(events)
        await cluster.committed()
        consumer: Any = app.consumer._aiokafka
        deals = TopicPartition(DEALS, 0)

        async def is_reported() -> bool:
            found = await app.consumer._in_thread(consumer.committed(deals))
            return bool(found == cluster.ends[DEALS, 0])

        await until(is_reported)


async def test_worker_whose_reading_was_paused_for_long_reads_on(cluster: Cluster) -> None:
    """As while Redis is away for minutes: aiokafka takes a member that fetches nothing for one that hangs."""
    async with worker_in_this_loop(cluster) as app:
        app.consumer._thread._consumer._coordinator._max_poll_interval = 6.0
        for slot in app.keeper.owned:
            app.consumer.pause(slot.partitions)
        paused_at = time.monotonic()

        async def is_overdue() -> bool:
            return time.monotonic() - paused_at > 10.0

        await until(is_overdue)
        for slot in app.keeper.owned:
            await app.keeper.read_on(slot)
        events = floor_history(22, 200)
        await cluster.produce(events)
        await assert_exact(cluster, events)
        assert app.keeper.counts.rebalances == 1
