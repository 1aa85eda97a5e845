"""A rebuild beside live workers: wrong state becomes right, nothing counts twice, failing changes nothing."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition
from redis.asyncio import Redis

from streams import layout
from streams.admin import ensure_topics
from streams.rebuild import RebuildFailed, RebuildProgress, _KafkaReader, rebuild
from streams.settings import Settings
from streams.stores.base import Commit, Outcome
from streams.stores.redis import RedisStore
from streams.topics import DEALS
from tests.integration.cluster import SLOTS, Cluster
from tests.integration.test_worker_faults import assert_exact, expected, floor_history

pytestmark = pytest.mark.timeout(300)


async def spoil(cluster: Cluster) -> None:
    """Change a pane in Redis behind everybody's back, as a bug in an earlier version might have."""
    store = cluster.store()
    async with Redis.from_url(cluster.redis_url) as redis:
        for slot in range(SLOTS):
            fields = (await store.read_board(slot)).fields
            for name in [name for name in fields if layout.is_pane(name)][:5]:
                wrong = layout.pack_pane({2: 1_000})
                key = f"{{{cluster.name}:{slot}}}:g0:board"
                await redis.execute_command("HSET", key, name, wrong)  # type: ignore[no-untyped-call]
    await store.close()


async def keys(cluster: Cluster) -> set[str]:
    async with Redis.from_url(cluster.redis_url) as redis:
        return {key.decode() async for key in redis.scan_iter(match=f"*{cluster.name}*:g*", count=1000)}


def generation_keys(cluster: Cluster, generation: int) -> set[str]:
    return {
        f"{{{cluster.name}:{slot}}}:g{generation}:{part}"
        for slot in range(SLOTS)
        for part in ("board", "entities")
    }


async def test_a_rebuild_beside_live_workers_ends_with_exact_numbers(cluster: Cluster) -> None:
    events = floor_history(21, 3_000)
    worker = await cluster.worker()
    await cluster.produce(events[:2_000])
    await cluster.committed()
    await spoil(cluster)
    wrong = await cluster.totals()
    assert wrong["won"] != expected(events[:2_000])["won"]

    told: list[tuple[int, int, int]] = []

    def progress(now: RebuildProgress) -> None:
        told.append((now.slots_folded, now.slots_switched, now.records))

    feeding = asyncio.create_task(cluster.produce(events[2_000:], pause_seconds=0.05))
    report = await rebuild(cluster.settings, progress=progress)
    await feeding
    await cluster.produce(floor_history(22, 200))

    await assert_exact(cluster, events + floor_history(22, 200))
    assert (report.generation, report.slots, report.missing) == (1, SLOTS, 0)
    assert report.records >= 2_000
    assert told == sorted(told)
    assert told[-1] == (SLOTS, SLOTS, report.records)
    assert await keys(cluster) == generation_keys(cluster, 1)
    assert await worker.metric("salesfloor_worker_fenced_total") >= 1
    assert worker.process.returncode is None


async def test_rebuilding_without_workers_and_twice_gives_the_same(cluster: Cluster) -> None:
    events = floor_history(23, 1_000)
    await cluster.produce(events)
    first = await rebuild(cluster.settings)
    await assert_exact(cluster, events)
    second = await rebuild(cluster.settings)
    await assert_exact(cluster, events)
    assert (first.generation, second.generation) == (1, 2)
    assert (first.records, first.refused) == (second.records, second.refused)
    assert await keys(cluster) == generation_keys(cluster, 2)


async def test_empty_topics_are_rebuilt_to_empty_slots(cluster: Cluster) -> None:
    assert (await rebuild(cluster.settings)).records == 0


async def test_a_rebuild_that_fails_leaves_the_live_state_and_no_rest(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = floor_history(24, 1_000)
    await cluster.produce(events)
    worker = await cluster.worker()
    await cluster.committed()
    commit = RedisStore.commit

    async def second_rebuild_takes_over(store: RedisStore, slot: int, commit_: Commit) -> Outcome:
        return Outcome.FENCED if slot == 2 else await commit(store, slot, commit_)

    monkeypatch.setattr(RedisStore, "commit", second_rebuild_takes_over)
    with pytest.raises(RebuildFailed, match="Another rebuild"):
        await rebuild(cluster.settings)
    monkeypatch.undo()

    assert await keys(cluster) == generation_keys(cluster, 0)
    await assert_exact(cluster, events)
    assert await worker.metric("salesfloor_worker_fenced_total") == 0


async def test_records_that_are_gone_are_not_silently_left_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.produce(floor_history(27, 500))
    beginning_offsets = AIOKafkaConsumer.beginning_offsets

    async def three_are_gone(
        consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        first: dict[TopicPartition, int] = await beginning_offsets(consumer, partitions)
        return {each: offset + 3 * (each == TopicPartition(DEALS, 1)) for each, offset in first.items()}

    monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", three_are_gone)
    with pytest.raises(RebuildFailed, match="no longer hold 3 records"):
        await rebuild(cluster.settings)
    assert await keys(cluster) == set()
    assert (await rebuild(cluster.settings, allow_missing=True)).missing == 3
    assert (await cluster.totals())["records lost"] == 3


async def test_offsets_without_a_record_are_gaps_and_not_lost(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.produce(floor_history(28, 500))
    read = _KafkaReader.read

    async def first_two_compacted(reader: _KafkaReader) -> dict[TopicPartition, list[ConsumerRecord]]:
        batches = await read(reader)
        place = TopicPartition(DEALS, 1)
        if place in batches:
            batches[place] = [record for record in batches[place] if record.offset > 1]
        return batches

    monkeypatch.setattr(_KafkaReader, "read", first_two_compacted)
    assert (await rebuild(cluster.settings)).missing == 0
    totals = await cluster.totals()
    assert (totals["records gaps"], totals["records lost"]) == (2, 0)


async def test_topics_that_are_not_there_are_said_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(_settings: Settings) -> dict[str, int]:
        return {}

    monkeypatch.setattr("streams.rebuild.describe_topics", none)
    with pytest.raises(RebuildFailed, match="salesfloor topics create"):
        await rebuild(cluster.settings)
    assert await ensure_topics(cluster.settings)
