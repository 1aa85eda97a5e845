"""The gateway's producer against a broker: what it acknowledges is there, idempotent or not."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OutOfOrderSequenceNumber

from streams.embedded import embedded_kafka
from streams.gateway.sender import KafkaAway, KafkaSender, Outgoing, kafka_sender
from streams.settings import KafkaSettings
from tests.integration.cluster import real_kafka, until


@pytest.fixture
async def kafka() -> AsyncIterator[KafkaSettings]:
    if given := real_kafka():
        yield KafkaSettings(bootstrap=given)
        return
    async with embedded_kafka(0) as running:
        yield KafkaSettings(bootstrap=running.kafka)


async def _ready(sender: KafkaSender) -> bool:
    return sender.ready


async def _topic(kafka: KafkaSettings) -> str:
    name = f"gateway-{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    return name


async def test_acknowledged_records_are_there_and_a_broker_that_gives_producer_ids_is_asked_for_one(
    kafka: KafkaSettings,
) -> None:
    topic = await _topic(kafka)
    records = [Outgoing(topic, b"D-1", b"one", (("why", b"because"),)), Outgoing(topic, None, b"two")]
    async with kafka_sender(kafka) as sender:
        await until(lambda: _ready(sender))
        await sender.send(records)
        assert sender.idempotent is bool(real_kafka()), "the embedded broker has no producer ids"
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        got = [await consumer.getone() for _ in records]
    finally:
        await consumer.stop()
    found = {(record.key, record.value, tuple(record.headers)) for record in got}
    assert found == {(record.key, record.value, record.headers) for record in records}


async def test_producer_that_can_never_send_again_is_replaced(kafka: KafkaSettings) -> None:
    records = [Outgoing(await _topic(kafka), b"D-1", b"one")]
    async with kafka_sender(kafka) as sender:
        await until(lambda: _ready(sender))
        broken = sender._producer
        assert broken is not None
        broken._sender.sender_task.cancel()
        await asyncio.wait([broken._sender.sender_task])
        broken._message_accumulator.fail_all(OutOfOrderSequenceNumber())
        with pytest.raises(KafkaAway, match="OutOfOrderSequenceNumber"):
            await sender.send(records)
        await until(lambda: _replaced(sender, broken))
        await sender.send(records)


async def _replaced(sender: KafkaSender, broken: object) -> bool:
    return sender.ready and sender._producer is not broken
