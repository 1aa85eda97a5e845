"""Records of Kafka topics in, the events of a source out: what its door is for HTTP, for connectors.

A record's offset is committed once Kafka holds its events, or the record itself as a dead letter. So nothing
is lost, and what is read twice after a restart gives the same events again. Each source has a consumer group
of its own, which the gateways share.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.admin import topic_names
from streams.decode import RECORD_BYTES_MAX
from streams.events import Reason
from streams.gateway.clerk import Clerk
from streams.gateway.ledger import Fate
from streams.gateway.model import (
    Delivery,
    Malformed,
    SkipReason,
    Source,
    Unreadable,
    Unusable,
    Vendor,
)
from streams.gateway.schemas import AvroReader, AvroTold, Registry, SchemasAway
from streams.gateway.sender import KafkaAway
from streams.gateway.vendors import VENDORS
from streams.kafka_client import client_options, meaning_of
from streams.logs import fields
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)

_POLL_MS: Final = 1000
_POLL_RECORDS_MAX: Final = 500
_LOOK_SECONDS: Final = 30.0
"""How often topics that are not there yet are looked for: a connector makes one with its first record."""
_WAIT_FIRST_SECONDS, _WAIT_LAST_SECONDS = 0.5, 15.0
_STOP_SECONDS: Final = 2.0
_KEPT_BYTES_MAX: Final = 900 << 10
"""Of a dead letter: with our headers it must still fit through a broker's usual 1 MiB."""
_SCHEMA_ID_BYTES: Final = 5

_AWAY = (KafkaAway, SchemasAway)

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]


def group_of(kafka: KafkaSettings, source: Source) -> str:
    return f"{kafka.group}-source-{source.name}"


@asynccontextmanager
async def reading_topics(
    sources: Iterable[Source],
    clerk: Clerk,
    kafka: KafkaSettings,
    avro: Mapping[str, AvroTold] | None = None,
) -> AsyncIterator[None]:
    """Read the topics of all sources that have some, for as long as the context lasts. `avro` says by source
    name what is needed to read records that are not JSON."""
    async with AsyncExitStack() as parts:
        http: aiohttp.ClientSession | None = None
        if avro:
            jar = aiohttp.DummyCookieJar()
            http = await parts.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        tasks = [
            asyncio.create_task(
                TopicSource(source, clerk, kafka, _reader(source, (avro or {}).get(source.name), http)).run(),
                name=f"source {source.name} reads topics",
            )
            for source in sources
            if source.topics
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _reader(source: Source, told: AvroTold | None, http: aiohttp.ClientSession | None) -> AvroReader | None:
    if told is None or http is None:
        return None
    registry = Registry(http, told) if told.registry else None
    return AvroReader(told, VENDORS[source.kind].from_avro, registry)


class Intake:
    """Gives the records of one source to the clerk, and returns when Kafka holds what became of them."""

    def __init__(self, source: Source, vendor: Vendor, clerk: Clerk, avro: AvroReader | None = None) -> None:
        self._source, self._vendor, self._clerk, self._avro = source, vendor, clerk, avro

    async def take(self, records: Iterable[ConsumerRecord]) -> None:
        """Wait for as long as Kafka, or the schema registry, is away: nobody else would send these records
        again."""
        waiting = [self._delivery(record) for record in records if not self._is_empty(record)]
        pause_seconds = _WAIT_FIRST_SECONDS
        while waiting:
            results = await asyncio.gather(*map(self._take_one, waiting), return_exceptions=True)
            away = [one for one, result in zip(waiting, results, strict=True) if isinstance(result, _AWAY)]
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, _AWAY):
                    raise result
            waiting = away
            for reason, why in {_away(result): str(result) for result in results if result}.items():
                self._clerk.note(self._source, Fate.UNAVAILABLE, reason, detail=why)
            if waiting:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _WAIT_LAST_SECONDS)

    async def _take_one(self, delivery: Delivery) -> None:
        original = replace(delivery, body=delivery.body[:_KEPT_BYTES_MAX])
        why = await self._give(delivery, original)
        if why is not None:
            await self._clerk.keep(original, self._source, why, None)
            self._clerk.note(self._source, Fate.DEAD_LETTER, why.reason, detail=why.detail)

    async def _give(self, delivery: Delivery, original: Delivery) -> Unusable | None:
        """Return why the record gave no events, where the next try would not change that."""
        if (size := len(delivery.body)) > RECORD_BYTES_MAX:
            detail = f"{size} bytes, at most {RECORD_BYTES_MAX} are read; the letter holds its beginning"
            return Unusable(Reason.TOO_LARGE, detail)
        try:
            readable = delivery if self._avro is None else await self._avro.plain(delivery)
            outcomes = self._vendor.normalise(readable, self._source)
            await self._clerk.take(outcomes, self._source, original=original)
        except _AWAY:
            raise
        except Unreadable as error:
            return error.unusable
        except Malformed as error:
            advice = "" if self._avro else "; have the connector write JSON, or name its schema_registry"
            return Unusable(Reason.MALFORMED, f"{error}{advice}")
        except Exception as error:  # one record must not hold up its topic for ever
            log.exception(fields("a record could not be read", source=self._source.name, **delivery.origin))
            return Unusable(Reason.MALFORMED, f"unexpected {type(error).__name__} while reading")
        return None

    def _is_empty(self, record: ConsumerRecord) -> bool:
        """A tombstone, which compacted topics need, is no change of the CRM."""
        if record.value:
            return False
        self._clerk.note(self._source, Fate.SKIPPED, SkipReason.NOT_WANTED)
        return True

    def _delivery(self, record: ConsumerRecord) -> Delivery:
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers or ()}
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        known_ms = record.timestamp if record.timestamp is not None and record.timestamp > 0 else None
        return Delivery(
            method="",
            url=f"kafka:{record.topic}/{record.partition}/{record.offset}",
            headers=headers,
            content_type=content_type or "application/json",
            # With the settings of Avro it is the schema that says what follows its number.
            body=_without_schema_id(record.value) if self._avro is None else record.value,
            # The record's own time, so that it reads the same each time it is read.
            received_ms=self._clerk.clock.now_ms() if known_ms is None else known_ms,
            origin={
                "topic": record.topic,
                "partition": str(record.partition),
                "offset": str(record.offset),
            },
        )


def _away(result: object) -> str:
    return "kafka_away" if isinstance(result, KafkaAway) else "schema_registry_away"


def _without_schema_id(value: bytes) -> bytes:
    """Take off the zero and the four bytes that writers with a schema registry put before the JSON."""
    if value[:1] == b"\0" and value[_SCHEMA_ID_BYTES : _SCHEMA_ID_BYTES + 1] in (b"{", b"["):
        return value[_SCHEMA_ID_BYTES:]
    return value


class TopicSource:
    """Follows the topics of one source."""

    def __init__(
        self, source: Source, clerk: Clerk, kafka: KafkaSettings, avro: AvroReader | None = None
    ) -> None:
        self._source, self._clerk, self._kafka = source, clerk, kafka
        self._intake = Intake(source, VENDORS[source.kind], clerk, avro)
        self._worked = False

    async def run(self) -> None:
        """Read until cancelled; wait longer and longer for brokers and topics that are not there."""
        pause_seconds, said = _WAIT_FIRST_SECONDS, ""
        while True:
            self._worked = False
            try:
                await self._follow()
                continue
            except Exception as error:  # noqa: BLE001 - one source must not cost the others their gateway
                reason = meaning_of(error)
            if self._worked:
                pause_seconds, said = _WAIT_FIRST_SECONDS, ""
            if reason != said:
                group = group_of(self._kafka, self._source)
                log.warning(
                    fields("topics are not read", source=self._source.name, group=group, reason=reason)
                )
                said = reason
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _WAIT_LAST_SECONDS)

    async def _follow(self) -> None:
        """Read the topics there are; return when another of the source's topics has come."""
        found = await self._topics()
        if not found:
            names = ", ".join(self._source.topics)
            raise LookupError(f"none of its topics is there yet: {names}; the connector creates them")
        consumer = AIOKafkaConsumer(
            *found,
            **client_options(self._kafka, client_id=f"salesfloor-source-{self._source.name}"),
            group_id=group_of(self._kafka, self._source),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(self._kafka.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(self._kafka.session_timeout_seconds * 1000 / 3),
            fetch_max_wait_ms=self._kafka.fetch_wait_ms,
        )
        try:
            await consumer.start()
            log.info(fields("reads topics", source=self._source.name, topics=",".join(found)))
            await self._read(consumer, found)
        finally:
            await _stop(consumer)

    async def _read(self, consumer: AIOKafkaConsumer, found: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + _LOOK_SECONDS
        while True:
            batches: Batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX)
            if batches:
                written = {place: consumer.highwater(place) or 0 for place in batches}
                self._behind(written, {place: records[0].offset for place, records in batches.items()})
                await self._intake.take(record for records in batches.values() for record in records)
                ends = {place: records[-1].offset + 1 for place, records in batches.items()}
                await consumer.commit(ends)
                self._behind(written, ends)
            self._worked = True
            if len(found) < len(self._source.topics) and loop.time() >= look_at:
                look_at = loop.time() + _LOOK_SECONDS
                if await self._topics() != found:
                    return

    async def _topics(self) -> list[str]:
        # Asking for a topic by name would create it where the broker does so by itself.
        there = await topic_names(self._kafka)
        return [topic for topic in self._source.topics if topic in there]

    def _behind(self, written: Mapping[TopicPartition, int], taken: Mapping[TopicPartition, int]) -> None:
        behind = sum(max(0, written[place] - offset) for place, offset in taken.items())
        self._clerk.ledger.behind(self._source.name, behind)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await consumer.stop()
    except TimeoutError:
        pass  # what it had not committed is read again
