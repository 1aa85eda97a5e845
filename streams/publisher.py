"""Events of a Python program in, acknowledged Kafka records and a receipt for each out.

Nothing is sent that a worker would not count. Topic and key follow from the event. Publishing the same twice
changes no number: ids come from the content, and the fold takes each once.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from streams.admin import ensure_topics
from streams.clock import Clock, SystemClock
from streams.column_rows import content_id
from streams.decode import check_times
from streams.events import Reason, Rejected
from streams.kafka_client import meaning_of
from streams.producer import connect
from streams.rfc3339 import rfc3339, to_ms
from streams.routing import Routed, route
from streams.settings import Settings, load_settings
from streams.wire import TYPES

Compression = Literal["gzip", "lz4", "snappy", "zstd"]
Targets = dict[tuple[str, int], int]
"""(topic, partition) -> offset after the last record sent there."""

_DAY_MS = 86_400_000
# Lingering a little lets the producer fill batches; who waits for a single record does not notice.
_LINGER_MS = 5


@dataclass(frozen=True, slots=True)
class SalesEvent:
    """An event of the contract. `data` is a struct of `streams.wire` or `streams.wire_reference`, or a dict.

    A field that is not set stays as it was, None clears it. Without `id` it is derived from the content.
    """

    type: str
    data: Struct | Mapping[str, object]
    time: datetime
    """When it happened, with a zone."""
    id: str = ""
    source: str = "/python"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Every in-sync replica holds the event."""

    id: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """The event was not sent, since no worker would count it. `detail` names the field, never its value."""

    id: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Kafka did not say that it holds the event. Publish it again: if it does, that changes nothing."""

    id: str
    detail: str


Receipt = Accepted | RefusedEvent | Unconfirmed


class PublishError(Exception):
    """Publishing stopped. The message says how far it came and what to do, `receipts` what became of each."""

    def __init__(self, message: str, receipts: Sequence[Receipt] = ()) -> None:
        super().__init__(message)
        self.receipts = list(receipts)


class Publisher:
    """Sends events to their topics, keyed by the contract, each acknowledged by all in-sync replicas.

    Without `settings` they are read as the commands read them: salesfloor.toml, SALESFLOOR_… variables.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        kafka: str | None = None,
        compression: Compression | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`kafka` is host:port, where it is not that of the settings. Raises `SettingsError`."""
        if settings is None:
            settings = load_settings(None, {"kafka": {"bootstrap": kafka}})
        elif kafka is not None:
            raise TypeError("give the settings or the address of Kafka, not both")
        self._settings = settings
        self._compression = compression
        self._clock = clock or SystemClock()
        self._producer: AIOKafkaProducer | None = None
        self._idempotent = False
        self._error: BaseException | None = None
        self.targets: Targets = {}

    @property
    def idempotent(self) -> bool:
        """Whether the brokers gave a producer id, so that a retry writes nothing twice."""
        return self._idempotent

    async def __aenter__(self) -> Self:
        kafka = self._settings.kafka
        try:
            await ensure_topics(self._settings)
            connected = await connect(
                kafka,
                client_id="salesfloor-publish",
                compression_type=self._compression,
                linger_ms=_LINGER_MS,
                max_batch_size=256 * 1024,
                max_request_size=2 << 20,
            )
        except KafkaError as error:
            raise PublishError(
                f"Kafka at {kafka.bootstrap} does not answer ({meaning_of(error)}); "
                "start it, or name another with --kafka HOST:PORT"
            ) from None
        self._producer, self._idempotent = connected.producer, connected.no_id is None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        producer, self._producer = self._open(), None
        await producer.stop()

    # --- one event or some, with receipts -----------------------------------------------------------

    async def publish(self, event: SalesEvent | bytes) -> Accepted | RefusedEvent:
        """Return once Kafka holds the event, or it is refused. Bytes are a CloudEvent in JSON.

        Raises `PublishError` when Kafka does not take it.
        """
        (receipt,) = await self.publish_all([event])
        assert not isinstance(receipt, Unconfirmed), "these raise"
        return receipt

    async def publish_all(self, events: Iterable[SalesEvent | bytes]) -> list[Receipt]:
        """Return a receipt for each event, in their order; a refused one does not stop the others.

        Raises `PublishError` when Kafka does not take some; its `receipts` say which.
        """
        producer = self._open()
        waiting = [await self._start(event, producer) for event in events]
        sent = [each for each in waiting if isinstance(each, _Sent)]
        await asyncio.gather(*(each.acknowledged for each in sent), return_exceptions=True)
        receipts = [each.receipt() if isinstance(each, _Sent) else each for each in waiting]
        lost = [each for each in receipts if isinstance(each, Unconfirmed)]
        if lost:
            raise PublishError(
                f"Kafka did not take {len(lost)} of {len(receipts)} events ({lost[0].detail}); publish them "
                "again with a new Publisher when it is well, what arrived already will not count twice",
                receipts,
            )
        return receipts

    async def _start(self, event: SalesEvent | bytes, producer: AIOKafkaProducer) -> "_Sent | Receipt":
        value = event if isinstance(event, bytes) else _encoded(event)
        routed = value if isinstance(value, Rejected) else self._checked(value)
        if isinstance(routed, Rejected):
            given_id = "" if isinstance(event, bytes) else event.id
            return RefusedEvent(given_id, routed.reason, routed.detail)
        try:
            return _Sent(
                routed.event.event_id, await producer.send(routed.topic, value=value, key=routed.key)
            )
        except KafkaError as error:
            return Unconfirmed(routed.event.event_id, meaning_of(error))

    def _checked(self, value: bytes) -> Routed | Rejected:
        """Decode as a worker will, and look at the times as it will."""
        routed = route(value)
        if isinstance(routed, Rejected):
            return routed
        now_ms = self._clock.now_ms()
        # With the event clock only the workers know what now is, and so what is too old.
        by_wall = self._settings.clock == "wall"
        oldest_ms = now_ms - self._settings.worker.retention_days * _DAY_MS if by_wall else 0
        return check_times(routed.event, now_ms=now_ms, oldest_ms=oldest_ms) or routed

    # --- many records that are known to be well-formed ----------------------------------------------

    async def send_record(self, topic: str, key: bytes, value: bytes) -> None:
        """Send what is known to be well-formed. Returns when it is buffered; `flush` waits for Kafka."""
        producer = self._open()
        self._raise_error()
        try:
            sent = await producer.send(topic, value=value, key=key)
        except KafkaError as error:
            self._error = error
            self._raise_error()
        sent.add_done_callback(self._acknowledged)

    async def flush(self) -> None:
        """Return when Kafka has acknowledged everything sent so far, else raise `PublishError`."""
        await self._open().flush()
        # The producer's futures are done; their callbacks run in the loop's next turn.
        await asyncio.sleep(0)
        self._raise_error()

    def _acknowledged(self, sent: "asyncio.Future[object]") -> None:
        error = None if sent.cancelled() else sent.exception()
        if error is not None:
            self._error = self._error or error
        elif not sent.cancelled():
            record = sent.result()
            place, after = (record.topic, record.partition), record.offset + 1  # type: ignore[attr-defined]
            self.targets[place] = max(self.targets.get(place, 0), after)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise PublishError(
                f"Kafka did not take a record ({meaning_of(self._error)}); publish again when it is well, "
                "what arrived already will not count twice"
            ) from self._error

    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the Publisher is not open: write `async with Publisher() as publisher:`")
        return self._producer


@dataclass(frozen=True, slots=True)
class _Sent:
    id: str
    acknowledged: "asyncio.Future[object]"

    def receipt(self) -> Accepted | Unconfirmed:
        """Say what became of the record; it is done."""
        if self.acknowledged.cancelled():
            return Unconfirmed(self.id, "the producer was closed")
        error = self.acknowledged.exception()
        if error is not None:
            return Unconfirmed(self.id, meaning_of(error))
        record = self.acknowledged.result()
        return Accepted(self.id, record.topic, record.partition, record.offset)  # type: ignore[attr-defined]


def _encoded(event: SalesEvent) -> bytes | Rejected:
    """Put the envelope around the data, or say what cannot be written."""
    known = TYPES.get(event.type)
    if known is not None and isinstance(event.data, Struct) and not isinstance(event.data, known.form.data):
        wanted, given = known.form.data.__name__, type(event.data).__name__
        return Rejected(Reason.WRONG_TYPE, f"{event.type} takes {wanted}, not {given}")
    if getattr(event.time, "tzinfo", None) is None:
        return Rejected(Reason.BAD_TIME, "time is no datetime with a zone; write datetime.now(UTC)")
    whole: dict[str, object] = {
        "specversion": "1.0",
        "type": event.type,
        "source": event.source,
        "time": rfc3339(to_ms(event.time)),
        "data": event.data,
    }
    try:
        whole["id"] = event.id or content_id(msgspec.json.encode(whole, order="sorted"))
        return msgspec.json.encode(whole)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        return Rejected(Reason.MALFORMED, f"the data cannot be written as JSON: {error}")
