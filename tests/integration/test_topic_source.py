"""A source read from topics, against a broker: what a connector wrote becomes events once, whatever stops."""

import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.clock import SystemClock
from streams.embedded import embedded_kafka
from streams.gateway import topic_source
from streams.gateway.avro_sources import open_schemas
from streams.gateway.clerk import Clerk
from streams.gateway.ledger import Fate, Ledger, Line
from streams.gateway.model import Outgoing, Source
from streams.gateway.schemas import AvroTold
from streams.gateway.sender import KafkaAway, Sender, kafka_sender
from streams.gateway.topic_source import group_of, reading_topics
from streams.settings import Settings, load_settings
from streams.topics import DEAD_LETTERS, DEALS
from tests.api_double import Fault, served
from tests.crm_samples import FOLDER, Folder
from tests.integration.cluster import SESSION_SECONDS, clean_topics, real_kafka, until
from tests.registry_double import RegistryDouble
from tests.salesforce_avro import OPPORTUNITY, avro_of, framed
from tests.salesforce_told import change

SALESFORCE = Folder(FOLDER / "salesforce", {"source": {"kind": "salesforce"}})
CREATE, WON, DELETE = (
    (SALESFORCE.path / f"cdc-opportunity-{name}.json").read_bytes()
    for name in ("create", "closedwon", "delete")
)
AVRO = b"\0\0\0\0\7\x1e0065f00000QkTzAAAV"


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    def told(bootstrap: str) -> Settings:
        kafka = {
            "bootstrap": bootstrap,
            "group": f"test-{uuid.uuid4().hex}",
            "session_timeout_seconds": float(os.environ.get(SESSION_SECONDS, "2")),
        }
        return load_settings(overrides={"kafka": kafka})

    if given := real_kafka():
        await clean_topics(told(given))
        yield told(given)
        return
    async with embedded_kafka(0) as running:
        await clean_topics(told(running.kafka))
        yield told(running.kafka)


@pytest.fixture
async def topic(settings: Settings) -> str:
    return await made(settings, f"crm-{uuid.uuid4().hex}")


async def made(settings: Settings, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    return name


async def write(settings: Settings, topic: str, *values: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k")
    finally:
        await producer.stop()


async def read(settings: Settings, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def committed(settings: Settings, source: Source) -> int | None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=group_of(settings.kafka, source)
    )
    await consumer.start()
    try:
        offset: int | None = await consumer.committed(TopicPartition(source.topics[0], 0))
        return offset
    finally:
        await consumer.stop()


class Reading:
    """The source read from its topics by one gateway, and what became of its records."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        sender: Sender | None = None,
        avro: Mapping[str, AvroTold] | None = None,
    ) -> None:
        self._settings, self._source, self._sender, self._avro = settings, source, sender, avro
        self.lines: list[Line] = []

    async def run_until(self, *fates: Fate, committed_at: int | None = None) -> None:
        """Read until these have become of records, in any order, and the offset is committed."""

        async def is_done() -> bool:
            return Counter(line.fate for line in self.lines) >= Counter(fates) and (
                committed_at is None or await committed(self._settings, self._source) == committed_at
            )

        async with kafka_sender(self._settings.kafka) as sender:
            clerk = Clerk(self._sender or sender, SystemClock(), Ledger(self.lines.append))
            async with reading_topics([self._source], clerk, self._settings.kafka, self._avro):
                await until(is_done)


class NoSender:
    """Kafka takes nothing."""

    ready = True

    async def send(self, records: Sequence[Outgoing]) -> None:
        raise KafkaAway("down")


async def test_what_a_connector_wrote_becomes_events_once_and_poison_a_dead_letter(
    settings: Settings, topic: str
) -> None:
    source = SALESFORCE.source(topics=(topic,))
    await write(settings, topic, CREATE, AVRO, None, WON)
    first = Reading(settings, source)
    await first.run_until(Fate.ACCEPTED, Fate.ACCEPTED, Fate.DEAD_LETTER, Fate.SKIPPED, committed_at=4)
    await write(settings, topic, DELETE)
    second = Reading(settings, source)
    await second.run_until(Fate.ACCEPTED, committed_at=5)
    assert [(line.fate, line.type) for line in second.lines] == [(Fate.ACCEPTED, "sales.deal.deleted")]

    events = [json.loads(record.value) for record in await read(settings, DEALS, 3)]
    assert sorted(event["type"] for event in events) == [
        "sales.deal.created",
        "sales.deal.deleted",
        "sales.deal.won",
    ]
    (letter,) = await read(settings, DEAD_LETTERS, 1)
    headers = {name: value.decode() for name, value in letter.headers}
    assert letter.value == AVRO
    assert headers["salesfloor-reason"] == "malformed"
    assert "have the connector write JSON" in headers["salesfloor-detail"]
    origin = [headers[f"salesfloor-{name}"] for name in ("source", "topic", "partition", "offset")]
    assert origin == [source.name, topic, "0", "1"]


async def test_nothing_is_committed_before_kafka_holds_the_events(settings: Settings, topic: str) -> None:
    source = SALESFORCE.source(topics=(topic,))
    await write(settings, topic, WON)
    await Reading(settings, source, NoSender()).run_until(Fate.UNAVAILABLE)
    assert not await committed(settings, source)
    again = Reading(settings, source)
    await again.run_until(Fate.ACCEPTED, committed_at=1)
    assert [line.type for line in again.lines] == ["sales.deal.won"]


async def test_topic_that_comes_later_is_found(
    settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_source, "_LOOK_SECONDS", 0.01)
    late = f"crm-{uuid.uuid4().hex}"
    source = SALESFORCE.source(topics=(topic, late))
    reading = Reading(settings, source)
    async with kafka_sender(settings.kafka) as sender:
        clerk = Clerk(sender, SystemClock(), Ledger(reading.lines.append))
        async with reading_topics([source], clerk, settings.kafka):
            await write(settings, topic, CREATE)

            async def has(count: int) -> bool:
                return len(reading.lines) >= count

            await until(lambda: has(1))
            await write(settings, await made(settings, late), WON)
            await until(lambda: has(2))
    assert [line.type for line in reading.lines] == ["sales.deal.created", "sales.deal.won"]


async def test_avro_of_a_connector_waits_for_its_registry_and_becomes_an_event(
    settings: Settings, topic: str
) -> None:
    source, double = SALESFORCE.source(topics=(topic,)), RegistryDouble()
    double.put(7, OPPORTUNITY)
    double.faults.append(Fault(503))
    told = {"name": source.name, "kind": "salesforce", "topics": [topic]}
    await write(settings, topic, framed(7, avro_of(change("Opportunity", StageName="Closed Won"))))
    async with served(double) as url:
        wanted = load_settings(overrides={"sources": [{**told, "schema_registry": url}]})
        reading = Reading(settings, source, avro=open_schemas(wanted, {}))
        await reading.run_until(Fate.ACCEPTED, committed_at=1)
    assert [(line.fate, line.type) for line in reading.lines] == [
        (Fate.UNAVAILABLE, ""),
        (Fate.ACCEPTED, "sales.deal.won"),
    ]
