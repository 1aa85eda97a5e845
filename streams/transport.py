"""Faust's Kafka transport, handing agents one message per fetched batch and partition.

Comes in: fetched records. Goes out: messages whose value is the list of aiokafka records of one
partition, whose offset is the last one's. It seeks where the app's slot keeper says, never to the
offsets committed in Kafka, and never decides which records count.

Paying Faust once per batch instead of once per record is what makes it fast; everything else here
closes a hole between Faust and aiokafka, each named where it is closed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar, cast

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service
from mode.threads import WorkerThread

from streams.logs import FAUST_LOGGER, fields
from streams.plain_records import leave_plain
from streams.topic_ids import topic_ids
from streams.topics import SOURCES

log = logging.getLogger(__name__)

T = TypeVar("T")
Offsets = dict[TopicPartition, int]

COORDINATOR_CHECK_SECONDS = 1.0
COORDINATOR_ERRORS_MAX = 10
"""aiokafka heals most coordinator errors at once when they are looked at; ten in a row are not healing."""
ANSWER_MS = 10_000
"""A broker that is this much later than it may be does not answer any more: the connection is given up."""
FETCH_RETRY_SECONDS = 0.1
FETCH_ERRORS_SECONDS = 10.0
"""One bad answer makes an error of each partition in it, so their number says nothing; how long they go on
does. Fetches that fail for so long do not heal by themselves."""
FETCH_QUIET_SECONDS = 3.0
"""So long without an error, and the next one is a new fault."""


class SlotKeeper(Protocol):
    """Who decides where reading goes on. The app carries one as `app.keeper`."""

    async def take_over(self, partitions: set[TopicPartition], reader: "BatchConsumer") -> Offsets:
        """Claim and load the slots of these partitions; return where to read on. Keeps its own deadline."""

    def out_of_range(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tell that the log holds no such offsets."""

    def coordinator_error(self, error: Exception) -> None: ...


class _DaemonThread(WorkerThread):
    """A consumer thread that hangs must not keep a crashed process alive."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    logger = FAUST_LOGGER
    Worker = _DaemonThread

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Without changelog tables Faust picks round robin, which gives partition p of two topics to two
        # workers; and it fixes the fetch wait at 1.5 s.
        consumer._partition_assignment_strategy = [RangePartitionAssignor]
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms
        # Faust asks for it in its own transactions only; an event that its producer took back never was.
        consumer._isolation_level = "read_committed"
        leave_plain(consumer)
        # Faust's own limit outlasts a whole takeover. A line that has gone silent is to be noticed sooner;
        # brokers hold no request for longer than a join, which is as long as the session.
        session_ms = 1000 * self.app.conf.broker_session_timeout
        consumer._client._request_timeout_ms = int(session_ms) + ANSWER_MS
        return consumer

    async def on_thread_stop(self) -> None:
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            # aiokafka lets the end of its own fetch task out when the broker is away; the thread would
            # die of it and leave everybody who waits for it waiting.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise


class _NoReadOffsets(dict[TP, int | None]):
    """Switches off Faust's own "already read" filter, which silently drops records after a seek back.

    The keeper judges every batch by contiguity instead.
    """

    def __getitem__(self, tp: TP) -> int | None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass


class BatchConsumer(driver.Consumer):
    """Yields one message per partition and poll; seeks where the keeper says."""

    logger = FAUST_LOGGER
    _read_offset: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoReadOffsets()
        self._failing_since = self._failed_at = 0.0
        self._handed: set[TopicPartition] = set()
        """Partitions of which records came since they were last sought."""

    @property
    def keeper(self) -> SlotKeeper:
        return cast(SlotKeeper, self.app.keeper)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch once and yield each partition's records as one message.

        Nothing fetched is dropped here. A fetch that waits across a rebalance may come back with records
        from behind the new seek, and no other seek would bring those again. So they wait until the flow
        goes on; whether they fit is for the keeper to judge.
        """
        try:
            records, _active = await self._wait_next_records(timeout)
        except OffsetOutOfRangeError as error:
            self.keeper.out_of_range(error.args[0])
            return
        except KafkaError as error:
            # A coordinator's error also ends a fetch that waits. The watchdog heals it; crashing would not.
            await self._bear(error)
            return
        found = records or {}
        self._handed |= {TopicPartition(*tp) for tp in found}
        for tp, batch in found.items():
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
            if self.should_stop:
                return
            if batch:
                yield tp, self._batch_message(tp, batch)

    def _batch_message(self, tp: TP, batch: list[Any]) -> ConsumerMessage:
        last = batch[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            b"",
            batch,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _bear(self, error: KafkaError) -> None:
        self.keeper.coordinator_error(error)
        now = time.monotonic()
        if now - self._failed_at > FETCH_QUIET_SECONDS:
            self._failing_since = now
            log.warning(fields("fetches fail", error=_named(error)))
        self._failed_at = now
        if now - self._failing_since >= FETCH_ERRORS_SECONDS:
            raise error
        await self.sleep(FETCH_RETRY_SECONDS)

    async def perform_seek(self) -> None:
        """Seek to where the slots' checkpoints end. The only place where a seek survives a rebalance."""
        sources = {tp for tp in self.assignment() if tp.topic in SOURCES}
        await self.seek_to(await self.keeper.take_over(sources, self))

    async def seek_to(self, positions: Mapping[TopicPartition, int]) -> None:
        if positions:
            self._handed -= positions.keys()
            await self.seek_wait({TP(*tp): offset for tp, offset in positions.items()})

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.pause_partitions({TP(*tp) for tp in partitions})

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.resume_partitions({TP(*tp) for tp in partitions} & self.assignment())

    async def earliest(self, partitions: Iterable[TopicPartition]) -> Offsets:
        return await self._in_thread(self._aiokafka.beginning_offsets(list(partitions)))

    async def ends(self, partitions: Iterable[TopicPartition]) -> Offsets:
        return await self._in_thread(self._aiokafka.end_offsets(list(partitions)))

    def high_watermark(self, partition: TopicPartition) -> int | None:
        """Return the log's end as the last fetch answer told it; None before the first one."""
        try:
            return cast("int | None", self._aiokafka.highwater(partition))
        except AssertionError:  # aiokafka's way to say that the consumer thread has just lost the partition
            return None

    def readable_end(self, partition: TopicPartition) -> int | None:
        """Return where the records end that may be read already: before the first transaction still open."""
        end = self.high_watermark(partition)
        try:
            stable = self._aiokafka.last_stable_offset(partition)
        except AssertionError:
            return None
        return end if end is None or stable is None or stable < 0 else min(end, stable)

    def empty_to(self, partition: TopicPartition) -> int | None:
        """Return how far was read since the last seek if that was without a record; None if there were some.

        Trust it only when it was so for seconds: records may be on the way from the consumer's thread.
        """
        subscription = self._aiokafka._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if partition in self._handed or assignment is None or partition not in assignment.tps:
            return None
        return cast("int | None", assignment.state_value(partition)._position)

    @property
    def connected(self) -> bool:
        """True while the group's coordinator is known, which a lost connection or heartbeat ends."""
        consumer = self._thread._consumer
        coordinator = consumer._coordinator if consumer is not None else None
        return coordinator is not None and getattr(coordinator, "coordinator_id", None) is not None

    def missing_topics(self) -> list[str]:
        """Return the source topics that the brokers' last metadata does not know."""
        cluster = self._aiokafka._client.cluster
        return [topic for topic in SOURCES if not cluster.partitions_for_topic(topic)]

    async def topic_ids(self) -> dict[str, str]:
        """Return the source topics' ids, as far as the brokers give some."""
        return await self._in_thread(topic_ids(self._aiokafka._client, SOURCES))

    async def report_offsets(self, offsets: Offsets) -> None:
        """Commit offsets to Kafka, so that lag can be watched from outside. They are never read back."""
        await self._in_thread(
            self._aiokafka.commit({tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
        )

    @property
    def _aiokafka(self) -> Any:
        return self._thread._ensure_consumer()

    async def _in_thread(self, call: Coroutine[Any, Any, T]) -> T:
        # Not the thread's method queue: its two workers also carry fetches and seeks, which a slow
        # broker's answer to this call would hold up.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._thread.thread_loop))

    @property
    def _waits(self) -> bool:
        """Say whether nothing is fetched on purpose: slots are taken over, or reading is paused."""
        return not self.flow_active or bool(self._paused_partitions and not self._active_partitions)

    @Service.task
    async def _watch_coordinator(self) -> None:
        """Look at the group coordinator's errors, as aiokafka's own `getmany` would.

        Faust fetches past it; an error nobody looks at leaves a worker that lives and reads nothing.
        """
        errors = 0
        while not self.should_stop:
            await self.sleep(COORDINATOR_CHECK_SECONDS)
            consumer = self._thread._consumer
            if self.should_stop or consumer is None or consumer._coordinator is None:
                continue
            try:
                await self._in_thread(_check(consumer, waits=self._waits))
                errors = 0
            except Exception as error:  # noqa: BLE001  whatever it is, the coordinator named it
                errors += 1
                self.keeper.coordinator_error(error)
                log.warning(fields("coordinator error", error=_named(error), in_a_row=errors))
                if errors >= COORDINATOR_ERRORS_MAX or consumer._coordinator._coordination_task.done():
                    await self.app.crash(error)


async def _check(consumer: aiokafka.AIOKafkaConsumer, *, waits: bool) -> None:
    coordinator = consumer._coordinator
    if waits:
        # Who fetches nothing for a minute leaves the group, and does not join again before he fetches: never,
        # where it is Faust that waits for the group. A store that is away for long must not end in that.
        with consumer._subscription.fetch_context():
            pass
    heartbeat = coordinator._heartbeat_task
    if heartbeat is not None and heartbeat.done() and not heartbeat.cancelled() and heartbeat.exception():
        # An answer that aiokafka does not know ends the heartbeats, and with them the membership, while it
        # names the same error for ever. Joining anew starts them again.
        coordinator.request_rejoin()
    coordinator.check_errors()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if error.args else type(error).__name__


class BatchTransport(driver.Transport):
    """Reached by the broker scheme `salesfloor://`."""

    logger = FAUST_LOGGER

    Consumer = BatchConsumer
