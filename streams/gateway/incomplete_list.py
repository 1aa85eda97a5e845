"""The topic `sales.incomplete` in, the records known by their id only out; and tombstones for some of them.

For commands: reads the topic once, to where it ends now. A gateway that runs hears of the tombstones.
"""

from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.admin import describe_topics
from streams.gateway.incomplete import Key, told_by, tombstone_of
from streams.gateway.model import Thin
from streams.kafka_client import client_options
from streams.producer import connect
from streams.settings import Settings
from streams.topics import INCOMPLETE

_POLL_MS: Final = 1000
_EMPTY_POLLS_AT_THE_END: Final = 5
"""A log may end in offsets that hold no record any more."""

Standing = dict[Key, Thin]


async def read_incomplete(settings: Settings) -> Standing:
    """Return what is incomplete, by key; nothing where the topic is not there. Raises `KafkaError`."""
    count = (await describe_topics(settings)).get(INCOMPLETE, 0)
    partitions = [TopicPartition(INCOMPLETE, number) for number in range(count)]
    standing: Standing = {}
    if not partitions:
        return standing
    consumer = AIOKafkaConsumer(
        **client_options(settings.kafka, client_id="salesfloor-incomplete-list"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        empty_polls = 0
        while empty_polls < _EMPTY_POLLS_AT_THE_END:
            if all([await consumer.position(partition) >= end for partition, end in ends.items()]):
                break
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            empty_polls = 0 if batches else empty_polls + 1
            for record in (record for records in batches.values() for record in records):
                told = told_by(record.key, record.value)
                if told is not None and told.thin is not None:
                    standing[told.key] = told.thin
                elif told is not None:
                    standing.pop(told.key, None)
    finally:
        await consumer.stop()
    return standing


async def forget(settings: Settings, keys: Iterable[tuple[Key, Thin]]) -> None:
    """Return once Kafka holds a tombstone for each. Raises `KafkaError`."""
    producer = (await connect(settings.kafka, client_id="salesfloor-incomplete-list")).producer
    try:
        for key, thin in keys:
            tombstone = tombstone_of(key.source, thin)
            await producer.send(tombstone.topic, value=None, key=tombstone.key)
        await producer.flush()
    finally:
        await producer.stop()
