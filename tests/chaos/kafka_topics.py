"""What a scenario does to topics behind the product's back: more partitions, fewer records, made anew."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from streams.admin import topic_configs
from streams.topics import SOURCES
from tests.chaos.floor import SLOTS, Floor, until
from tests.chaos.kafka import Kafka
from tests.chaos.process import ROOT, SALESFLOOR

EXISTS = 36


@asynccontextmanager
async def admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def add_partitions(kafka: Kafka, topics: Iterable[str], partitions: int) -> None:
    async with admin(kafka) as client:
        for topic in topics:
            answer = await client.create_partitions({topic: NewPartitions(partitions)})
            assert answer.topic_errors[0][1] == 0, answer


async def delete_records(kafka: Kafka, before: dict[TopicPartition, int]) -> None:
    """Remove what lies before these offsets, as retention does, but at once and to the record."""
    async with admin(kafka) as client:
        await client.delete_records(
            {place: RecordsToDelete(before_offset=offset) for place, offset in before.items()}
        )


async def make_anew(floor: Floor, topic: str) -> None:
    """Delete the topic and create it again, as salesfloor would."""
    async with admin(floor.kafka) as client:
        await client.delete_topics([topic])

        async def is_made() -> bool:
            configs = topic_configs(topic, floor.settings)
            answer = await client.create_topics([NewTopic(topic, SLOTS, 1, topic_configs=configs)])
            return answer.topic_errors[0][1] in (0, EXISTS)  # a worker that starts makes it, too

        await until(f"{topic} is made anew", is_made, 30.0)


async def configure(kafka: Kafka, topic: str, **configs: str) -> None:
    named = {name.replace("_", "."): value for name, value in configs.items()}
    async with admin(kafka) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=named)])


async def bounds(kafka: Kafka) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return where each partition of the source topics begins and ends."""
    places = [TopicPartition(topic, slot) for topic in SOURCES for slot in range(SLOTS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    await consumer.start()
    try:
        return await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    finally:
        await consumer.stop()


@asynccontextmanager
async def producer(bootstrap: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=bootstrap, **options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def run_command(floor: Floor, *arguments: str) -> tuple[int, str]:
    """Run a `salesfloor` command on the floor; return its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *SALESFLOOR,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **floor.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
