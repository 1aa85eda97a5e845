"""A record we could not use in, the dead-letter record that keeps it whole out; and who sends it.

Key, value and headers are the original bytes; our own headers say why and where it came from. Never
looks into the value.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer

from streams.kafka_client import client_options
from streams.settings import KafkaSettings
from streams.table import DeadLetter
from streams.topics import DEAD_LETTERS

STOP_SECONDS: Final = 2.0
HEADER_PREFIX: Final = "salesfloor-"
RECORD_BYTES_MAX: Final = 4 << 20
"""Source records are at most 1 MiB by contract; one that is larger and was accepted by the broker must still
fit with our headers, so the producer's own limit lies well above."""


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def to_record(letter: DeadLetter) -> DeadLetterRecord:
    """Return the record for the dead-letter topic.

    Headers an earlier pass through it left behind are replaced: they spoke of another origin.
    """
    record, rejected = letter.record, letter.rejected
    original = [(name, value) for name, value in record.headers or () if not name.startswith(HEADER_PREFIX)]
    origin = {
        "reason": rejected.reason.value,
        "detail": rejected.detail,
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(record.offset),
    }
    ours = [(HEADER_PREFIX + name, text.encode("utf-8", "replace")) for name, text in origin.items()]
    return DeadLetterRecord(getattr(record, "key", None), record.value, original + ours)


class DeadLetterProducer:
    """Sends dead letters, and returns when the brokers hold them. A replay sends them again."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        producer = AIOKafkaProducer(
            **client_options(self._kafka, client_id="salesfloor-dead-letters"),
            acks="all",  # not idempotent: a replay sends a letter again anyway, and not every broker can
            max_request_size=RECORD_BYTES_MAX,
        )
        await producer.start()
        self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await producer.stop()
            except TimeoutError:
                pass  # Kafka is away: nothing unsent is lost, for its offsets were not committed

    async def send(self, letters: Iterable[DeadLetter]) -> None:
        """Produce all letters; raise `KafkaError` if one of them is not acknowledged."""
        assert self._producer is not None, "start() comes first"
        sent = []
        for letter in letters:
            record = to_record(letter)
            sent.append(
                await self._producer.send(
                    DEAD_LETTERS, value=record.value, key=record.key, headers=record.headers
                )
            )
        for future in sent:
            await future
