"""Checked records in, acknowledged Kafka records out. Never answers before every in-sync replica has them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from streams.gateway.model import Outgoing
from streams.kafka_client import meaning_of, why_not
from streams.logs import fields
from streams.producer import connect
from streams.settings import KafkaSettings

__all__ = ["KafkaAway", "KafkaSender", "Outgoing", "Sender", "kafka_sender"]

log = logging.getLogger(__name__)

# A sender on the web waits for the answer: past 10 s it is better told to come again (503, Retry-After).
SEND_TIMEOUT_SECONDS = 10.0
_RETRY_FIRST_SECONDS = 0.5
_RETRY_LAST_SECONDS = 15.0
_STOP_SECONDS = 2.0
# The record limit of the contract is 1 MiB of value; the key, headers and batch frame come on top.
_REQUEST_BYTES_MAX = (1 << 20) + 16_384


class KafkaAway(Exception):
    """Kafka did not take the records. Nothing is promised about them; sending them again is harmless."""


class Sender(Protocol):
    @property
    def ready(self) -> bool: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return when all records are acknowledged by all in-sync replicas, else raise `KafkaAway`."""


class KafkaSender:
    """A producer that waits for its brokers as long as it takes, and is replaced when it cannot go on.

    It is idempotent where the brokers allow it, so that its own retries write nothing twice and in order.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()
        self._idempotent = True

    @property
    def ready(self) -> bool:
        return self._producer is not None

    @property
    def idempotent(self) -> bool:
        """Whether the brokers gave a producer id, as far as is known."""
        return self._idempotent

    async def send(self, records: Sequence[Outgoing]) -> None:
        if self._producer is None:
            raise KafkaAway(f"no connection to {self._settings.bootstrap} yet")
        try:
            async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                pending = [
                    await self._producer.send(
                        record.topic,
                        None if record.tombstone else record.value,
                        key=record.key,
                        headers=list(record.headers),
                    )
                    for record in records
                ]
                await asyncio.gather(*pending)
        except MessageSizeTooLargeError as error:
            raise KafkaAway(f"the broker refuses records of this size: {error}") from error
        except TimeoutError:
            self._look_after(self._producer)
            raise KafkaAway(f"no acknowledgement within {SEND_TIMEOUT_SECONDS:.0f} s") from None
        except KafkaError as error:
            self._look_after(self._producer)
            raise KafkaAway(meaning_of(error)) from error

    def _look_after(self, producer: AIOKafkaProducer | None) -> None:
        """Have the producer replaced if its sending task has ended: an idempotent one that lost its place in
        the log, or was fenced, ends it and then refuses every record for ever."""
        task = None if producer is None else producer._sender.sender_task
        if task is not None and task.done():
            self._broken.set()

    async def run(self) -> None:
        """Connect, and connect anew whenever the producer is broken, until cancelled."""
        while True:
            self._producer = await self._connected()
            self._broken.clear()
            await self._broken.wait()
            log.warning(fields("producer is replaced", role="gateway", kafka=self._settings.bootstrap))
            await self.close()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()
        except (KafkaError, TimeoutError):
            pass  # what it still holds was never acknowledged, so its senders will come again

    async def _connected(self) -> AIOKafkaProducer:
        """Try until a broker answers, saying so once and then at longer and longer intervals."""
        wait_seconds = _RETRY_FIRST_SECONDS
        while True:
            try:
                connected = await connect(
                    self._settings,
                    client_id="salesfloor-gateway",
                    idempotent=self._idempotent,
                    request_timeout_ms=int(SEND_TIMEOUT_SECONDS * 1000),
                    max_request_size=_REQUEST_BYTES_MAX,
                )
            except KafkaError as error:
                log.warning(
                    fields(
                        "no Kafka yet",
                        role="gateway",
                        kafka=self._settings.bootstrap,
                        reason=await why_not(self._settings) or error,
                        retry_in_seconds=wait_seconds,
                    )
                )
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, _RETRY_LAST_SECONDS)
            else:
                if connected.no_id is not None:
                    self._do_without_id(connected.no_id)
                return connected.producer

    def _do_without_id(self, error: KafkaError) -> None:
        self._idempotent = False
        log.warning(
            fields(
                "no idempotent producer",
                role="gateway",
                kafka=self._settings.bootstrap,
                reason=error,
                means="a retry may write a record twice, which changes no number",
            )
        )


@asynccontextmanager
async def kafka_sender(settings: KafkaSettings) -> AsyncIterator[KafkaSender]:
    """Yield a sender at once; it connects on its own and is `ready` when it has."""
    sender = KafkaSender(settings)
    running = asyncio.create_task(sender.run(), name="gateway connects to Kafka")
    try:
        yield sender
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sender.close()
