"""`simulate`: a made-up floor's events go into a Kafka that holds nobody's real ones, until Ctrl-C.

For trying an installation: the roles run elsewhere, as they would for a CRM. Folds and shows nothing.
"""

import asyncio
import logging
from typing import Final

import click
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.admin import ensure_topics
from streams.commands.frame import Failed, debugging, kafka_away
from streams.commands.running import stop_on_signals
from streams.kafka_client import topic_reader
from streams.logs import configure_logging
from streams.roles import Simulation
from streams.settings import Settings
from streams.simulate import run_simulation
from streams.simulate_record import SOURCE
from streams.topics import SOURCES

_LOOK_MS: Final = 2_000
"""How long the oldest and the newest record of the partitions are waited for."""


def simulate(settings: Settings, simulation: Simulation) -> None:
    configure_logging("DEBUG" if debugging() else "INFO", settings.log_format)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_simulate(settings, simulation))
    except (KafkaError, OSError) as error:
        raise kafka_away(settings.kafka.bootstrap, error) from error


async def _simulate(settings: Settings, simulation: Simulation) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    counts = await ensure_topics(settings)
    await _refuse_among_others(settings, counts)
    click.echo(f"writing a made-up floor's last weeks to {settings.kafka.bootstrap} …")
    await run_simulation(
        settings,
        stop=stop,
        rate=simulation.rate,
        seed=simulation.seed,
        on_backfilled=lambda sent: click.echo(f"{sent:,} events written; it goes on live, Ctrl-C ends it"),
    )


async def _refuse_among_others(settings: Settings, counts: dict[str, int]) -> None:
    """Raise `Failed` where the oldest or the newest record of a source topic's partition is not made up."""
    partitions = [TopicPartition(topic, slot) for topic in SOURCES for slot in range(counts[topic])]
    async with topic_reader(settings.kafka, client_id="salesfloor-simulate") as consumer:
        first: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        filled = [partition for partition in partitions if first[partition] < ends[partition]]
        for offsets in (first, {partition: end - 1 for partition, end in ends.items()}):
            await _look(consumer, {partition: offsets[partition] for partition in filled})


async def _look(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
    waiting = set(offsets)
    consumer.assign(list(offsets))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    deadline = asyncio.get_running_loop().time() + _LOOK_MS / 1000
    # Compaction and aborted transactions leave offsets without a record: then the others tell.
    while waiting and asyncio.get_running_loop().time() < deadline:
        for partition, records in (await consumer.getmany(*waiting, timeout_ms=100, max_records=100)).items():
            waiting.discard(partition)
            if SOURCE.encode() not in (records[0].value or b""):
                raise Failed(
                    f"topic {partition.topic} holds records that are not made up; a made-up floor among real "
                    "ones would falsify every number. Name a Kafka of its own with --kafka HOST:PORT"
                )
