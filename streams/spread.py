"""Brings each key's records together again after partitions were added: topics in, the same records out.

Steps, in order:
1. note where every partition of a source topic ends;
2. write all records before these ends again, oldest first, each to the partition its key has now;
3. remove what lies before these ends, and go on with the next topic;
4. fold everything anew (`streams.rebuild`), under the new number of slots, and switch to it.
Nothing is removed before its copy is acknowledged by all replicas, and a copy that is there twice changes no
number: when it is interrupted it is run again. Producers may go on meanwhile. Changes no record.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import TopicPartition

from streams.admin import check_co_partitioning, connected, describe_topics
from streams.dead_letter import RECORD_BYTES_MAX
from streams.kafka_client import meaning_of, topic_reader
from streams.logs import fields
from streams.producer import connect
from streams.rebuild import Progress, RebuildReport, rebuild
from streams.settings import Settings
from streams.topics import COMPACTED, SOURCES

log = logging.getLogger(__name__)

POLL_MS: Final = 500
IN_FLIGHT_MAX: Final = 5_000
"""Copies that wait for their acknowledgement: a few megabytes."""
_TOPIC_CONFIG: Final = 1
"""Kafka's number for "set on this topic", among the places a configuration may come from."""
_POLICY: Final = "cleanup.policy"

Offsets = dict[TopicPartition, int]


class SpreadFailed(Exception):
    """It was given up; every record is still there at least once. Run it again."""


@dataclass(frozen=True, slots=True)
class Spread:
    copied: int
    rebuilt: RebuildReport


async def spread(
    settings: Settings,
    *,
    copied: Callable[[str, int], None] = lambda _topic, _count: None,
    progress: Progress = lambda _progress: None,
) -> Spread:
    """Write every source topic again, remove the old records, rebuild. `SpreadFailed`, `RebuildFailed`."""
    try:
        counts = await describe_topics(settings)
        check_co_partitioning(counts)
        if not counts.get(SOURCES[0]):
            raise SpreadFailed("There are no topics; `salesfloor topics create` makes them.")
        total = 0
        for topic in SOURCES:
            places = [TopicPartition(topic, number) for number in range(counts[topic])]
            total += await _rewrite(settings, places, partial(copied, topic))
    except (KafkaError, OSError) as error:
        raise SpreadFailed(
            f"Kafka at {settings.kafka.bootstrap} failed ({meaning_of(error)}); run it again."
        ) from error
    return Spread(total, await rebuild(settings, progress=progress, trimmed=True))


async def _rewrite(settings: Settings, places: list[TopicPartition], tell: Callable[[int], None]) -> int:
    async with topic_reader(settings.kafka, client_id="salesfloor-spread") as consumer:
        ends: Offsets = await consumer.end_offsets(places)
        begins: Offsets = await consumer.beginning_offsets(places)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, begins[place])
        made = await connect(settings.kafka, client_id="salesfloor-spread", max_request_size=RECORD_BYTES_MAX)
        try:
            copied = await _copy(made.producer, _Oldest(consumer, ends), tell)
        finally:
            await made.producer.stop()
    await _remove(settings, ends)
    log.info(fields("topic spread", topic=places[0].topic, copied=copied))
    return copied


async def _copy(
    producer: AIOKafkaProducer, records: AsyncIterator[ConsumerRecord], tell: Callable[[int], None]
) -> int:
    waiting: deque[asyncio.Future[Any]] = deque()
    count = 0
    async for record in records:
        waiting.append(
            await producer.send(
                record.topic,
                record.value,
                # Without a key nothing says where it belongs.
                key=record.key,
                partition=record.partition if record.key is None else None,
                timestamp_ms=record.timestamp,
                headers=list(record.headers),
            )
        )
        count += 1
        if len(waiting) >= IN_FLIGHT_MAX:
            await waiting.popleft()
            tell(count)
    for future in waiting:
        await future
    tell(count)
    return count


class _Oldest:
    """Records of several partitions up to their ends: each partition in its order, the oldest next."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._ends = dict(ends)
        self._held: dict[TopicPartition, deque[ConsumerRecord]] = {place: deque() for place in ends}

    def __aiter__(self) -> "_Oldest":
        return self

    async def __anext__(self) -> ConsumerRecord:
        while hungry := [place for place, held in self._held.items() if not held]:
            await self._feed(hungry)
        if not self._held:
            raise StopAsyncIteration
        place = min(self._held, key=lambda each: self._held[each][0].timestamp)
        return self._held[place].popleft()

    async def _feed(self, hungry: list[TopicPartition]) -> None:
        for place in hungry:
            if await self._consumer.position(place) >= self._ends[place]:
                del self._held[place]
        hungry = [place for place in hungry if place in self._held]
        if hungry:
            found = await self._consumer.getmany(*hungry, timeout_ms=POLL_MS)
            for place, records in found.items():
                self._held[place].extend(each for each in records if each.offset < self._ends[place])


async def _remove(settings: Settings, before: Offsets) -> None:
    """Remove the records before these offsets, also of a topic that is compacted only."""
    topic = next(iter(before)).topic
    wanted = {place: RecordsToDelete(before_offset=offset) for place, offset in before.items() if offset}
    if not wanted:
        return
    async with connected(settings.kafka) as admin:
        if topic not in COMPACTED:
            await admin.delete_records(wanted)
            return
        # Kafka deletes nothing from a topic that only compacts; so for a moment it is one that does not.
        set_on_it = await _configs(admin, topic)
        try:
            await _configure(admin, topic, {**set_on_it, _POLICY: "delete", "retention.ms": "-1"})
            await admin.delete_records(wanted)
        finally:
            await _configure(admin, topic, set_on_it)


async def _configs(admin: Any, topic: str) -> dict[str, str]:
    """Return what is set on the topic itself."""
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((code, _message, _type, _name, entries),) = answer.resources
    if code:
        raise for_code(code)
    return {entry[0]: entry[1] for entry in entries if entry[3] == _TOPIC_CONFIG}


async def _configure(admin: Any, topic: str, configs: Mapping[str, str]) -> None:
    (answer,) = await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(configs))]
    )
    for code, *_rest in answer.resources:
        if code:
            raise for_code(code)
