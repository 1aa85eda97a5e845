"""Folds all source topics again, from their beginning to now, into a new generation, then switches to it.

Steps, in order:
1. choose the generation after the newest in use, and clear what an aborted rebuild left there;
2. per slot, fold from the beginning to the end of its partitions, committing in steps;
3. per slot, fold what has arrived meanwhile;
4. make the new generation the one that owners write, slot by slot, then the one that readers show, at once;
5. when readers have had time to follow, delete the old one.
Workers and readers go on with the old generation until 4. Then the next commit of a slot's owner is
refused: under the same settings it claims from the new generation and reads on from there, under others it
ends, and the workers that wait with the new settings take over. Joins no consumer group and writes no dead
letters: the workers have written them. Does not fill Faust tables of one's own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from streams.admin import check_co_partitioning, describe_topics
from streams.clock import Clock, SystemClock
from streams.definition import shown_of
from streams.kafka_client import meaning_of, topic_reader
from streams.logs import fields
from streams.rules import FoldRules
from streams.settings import Settings
from streams.settings_rules import fold_rules
from streams.stores.base import (
    STORE_FORMAT,
    Claim,
    ForeignFormat,
    ForeignState,
    Mark,
    Outcome,
    Shown,
    StateStore,
    StoreUnavailable,
)
from streams.stores.known_topics import KnownTopics
from streams.stores.redis import RedisStore
from streams.switching import partitions_changed
from streams.table import SlotTable
from streams.topic_ids import topic_ids
from streams.topics import SOURCES

log = logging.getLogger(__name__)

# One commit of so many fields takes Redis some 40 ms, in which it serves nobody else.
COMMIT_KEYS = 10_000
POLL_MS = 200
POLL_RECORDS_MAX = 5_000
# An outage of Redis is waited out this long before the rebuild gives up; the live state is not touched by it.
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5
READERS_SECONDS = 4.0
"""Readers look once a second for what to show, and read it before they leave the old generation."""

T = TypeVar("T")


class RebuildFailed(Exception):
    """The rebuild was given up; no slot's live state is the worse for it. The message names the fix."""


class AnotherBegan(RebuildFailed):
    """Another rebuild is at the same generation, or was faster: what stands there is not this one's."""

    def __init__(self) -> None:
        super().__init__(
            "Another rebuild has begun; let it finish. If none runs, Redis lost what was rebuilt: "
            "run it again."
        )


@dataclass(slots=True)
class RebuildProgress:
    slots: int
    slots_folded: int = 0
    slots_switched: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class RebuildReport:
    generation: int
    slots: int
    records: int
    refused: int
    """Records that are dead letters."""
    missing: int
    """Records that the topics no longer hold: their retention removed them."""


Progress = Callable[[RebuildProgress], None]


class Reader(Protocol):
    """What a fold needs of Kafka. aiokafka's consumer, assigned by hand."""

    async def start_at(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Read these partitions from here on, or from their first record if that is later; return where."""

    async def read(self) -> dict[TopicPartition, list[ConsumerRecord]]: ...

    async def at_end(self) -> bool:
        """Say whether everything there was when reading began has been read."""

    async def topic_ids(self) -> dict[str, str]: ...


async def rebuild(
    settings: Settings,
    *,
    progress: Progress = lambda _progress: None,
    allow_missing: bool = False,
    trimmed: bool = False,
    clock: Clock | None = None,
) -> RebuildReport:
    """Fold everything again and switch to it. Raises `RebuildFailed`: then run it again, from the start.

    When retention has removed records that the live state may still count, the rebuild refuses, unless
    `allow_missing`. `trimmed`: what the topics no longer hold at their beginning is held further on.
    """
    try:
        counts = await describe_topics(settings)
        check_co_partitioning(counts)
        slots = counts.get(SOURCES[0], 0)
        if slots == 0:
            raise RebuildFailed("There are no topics to rebuild from; `salesfloor topics create` makes them.")
        async with _store(settings, None) as live, _reader(settings) as reader:
            await refuse_foreign_format(live)
            shown_now = await live.shown()
            if shown_now is not None and 0 < shown_now.slots < slots and not trimmed:
                # Each partition would be folded by itself, and a key that lies in two counted twice.
                raise RebuildFailed(f"Not now: {partitions_changed(slots, shown_now.slots)}.")
            generation = 1 + max([await live.active_generation(slot) for slot in range(slots)])
            async with _store(settings, generation) as store:
                work = _Rebuild(
                    live=live,
                    store=store,
                    reader=reader,
                    rules=fold_rules(settings),
                    clock=clock or SystemClock(),
                    generation=generation,
                    progress=RebuildProgress(slots),
                    tell=progress,
                    trimmed=trimmed,
                )
                shown = shown_of(settings, slots=slots, generation=generation)
                report = await work.run(shown, allow_missing=allow_missing)
                await _accept_topics(settings, reader)
                return report
    except ForeignState as error:
        raise RebuildFailed(str(error)) from error
    except StoreUnavailable as error:
        raise RebuildFailed(f"{error}; run the rebuild again when it is back.") from error
    except (KafkaError, OSError) as error:
        raise RebuildFailed(
            f"Kafka at {settings.kafka.bootstrap} failed ({meaning_of(error)}); run the rebuild again."
        ) from error


async def refuse_foreign_format(store: StateStore) -> None:
    """Raise `ForeignFormat` when another release arranged what is stored: nothing can be put beside it."""
    shown = await store.shown()
    if shown is not None and shown.format != STORE_FORMAT:
        raise ForeignFormat(shown.format)


async def _accept_topics(settings: Settings, reader: Reader) -> None:
    """Take the topics as they are for those of the state, also if some were made anew since the last one."""
    known = KnownTopics(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
    try:
        await known.accept(await reader.topic_ids())
    finally:
        await known.close()


@dataclass(slots=True)
class _Rebuild:
    live: StateStore
    store: StateStore
    """The same Redis, working on the new generation."""
    reader: Reader
    rules: FoldRules
    clock: Clock
    generation: int
    progress: RebuildProgress
    tell: Progress
    trimmed: bool = False
    refused: int = 0
    missing: int = 0
    left: dict[int, Mark] = field(default_factory=dict)
    """Slot -> what the newest pass left there."""

    async def run(self, shown: Shown, *, allow_missing: bool) -> RebuildReport:
        try:
            for slot in range(self.progress.slots):
                await self.live.discard(slot, self.generation)
            for slot in range(self.progress.slots):
                await self._fold_to_end(slot)
                self.progress.slots_folded += 1
                self.tell(self.progress)
            if self.missing and not allow_missing:
                raise RebuildFailed(
                    f"The topics no longer hold {self.missing:,} records that the state in use may count; "
                    "use --allow-missing to go on without them."
                )
            for slot in range(self.progress.slots):
                await self._fold_to_end(slot)
            await self._switch(shown)
        except BaseException:
            await self._clear()
            raise
        return RebuildReport(
            generation=self.generation,
            slots=self.progress.slots,
            records=self.progress.records,
            refused=self.refused,
            missing=self.missing,
        )

    async def _fold_to_end(self, slot: int) -> None:
        """Fold from where the new generation stands until everything there was at the start is in it."""
        claim = await self._claim(slot)
        table = SlotTable(slot, self.rules, claim)
        positions = {TopicPartition(topic, slot): offset for topic, offset in table.next_offset.items()}
        for partition, start in (await self.reader.start_at(positions)).items():
            if start > positions[partition]:
                if not self.trimmed:
                    self.missing += start - positions[partition]
                table.skip_to(partition.topic, start, lost=not self.trimmed)
        while not await self.reader.at_end():
            for partition, records in (await self.reader.read()).items():
                self._fold(table, partition.topic, records)
            if table.dirty_keys >= COMMIT_KEYS:
                await self._commit(table)
            self.tell(self.progress)
        table.expire(now_ms=self.clock.now_ms())
        await self._commit(table)
        self.left[slot] = mark = await _patiently(lambda: self.store.read_mark(slot))
        if mark.owner != claim.owner:
            raise AnotherBegan

    async def _claim(self, slot: int) -> Claim:
        """Claim the slot as this rebuild left it: else another one has been at it, or even switched to it."""
        left = self.left.get(slot)
        if left is not None and await _patiently(lambda: self.store.read_mark(slot)) != left:
            raise AnotherBegan
        claim = await _patiently(lambda: self.store.claim(slot))
        if left is None and claim.seq:
            raise AnotherBegan
        return claim

    def _fold(self, table: SlotTable, topic: str, records: list[ConsumerRecord]) -> None:
        first = records[0].offset
        if first > table.next_offset[topic]:
            table.skip_to(topic, first, lost=False)
        self.refused += len(table.fold(topic, records, now_ms=self.clock.now_ms()))
        self.progress.records += len(records)

    async def _commit(self, table: SlotTable) -> None:
        commit = table.take_commit()
        if commit is None:
            return
        outcome = await _patiently(lambda: self.store.commit(table.slot, commit))
        if outcome is Outcome.FENCED:
            raise AnotherBegan
        if outcome is Outcome.ROLLED_BACK:
            raise RebuildFailed("Redis lost a part of what was rebuilt; run the rebuild again.")
        table.committed()

    async def _switch(self, shown: Shown) -> None:
        """Switch writers, then readers; a failure in between leaves readers with the whole old state."""
        before = await _patiently(self.live.shown)
        slots = range(shown.slots)
        old = [await _patiently(partial(self.live.active_generation, slot)) for slot in slots]
        if before is not None and before.generation is None and len(set(old)) == 1:
            # Until now "the one that owners write" was told; from here on that may be two.
            await _patiently(partial(self.live.show, replace(before, generation=old[0])))
        for slot in slots:
            if not await _patiently(partial(self.live.activate, slot, self.generation, self.left[slot])):
                raise AnotherBegan
            self.progress.slots_switched += 1
        await _patiently(partial(self.live.show, shown))
        self.tell(self.progress)
        log.info(fields("rebuilt state is in use", generation=self.generation, version=shown.version))
        if before is not None:
            await asyncio.sleep(READERS_SECONDS)
        for slot in slots:
            await _patiently(partial(self.live.discard, slot, old[slot]))

    async def _clear(self) -> None:
        """Delete what was folded in vain; what is in use stays. The next rebuild deletes what is left now."""
        try:
            for slot in range(self.progress.slots):
                await self.live.discard(slot, self.generation)
        except StoreUnavailable as error:
            log.warning(fields("unfinished rebuild left in Redis", cause=error))


class _KafkaReader:
    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._ends: dict[TopicPartition, int | None] = {}

    async def start_at(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self._consumer.assign(list(positions))
        first: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(positions))
        starts = {partition: max(offset, first[partition]) for partition, offset in positions.items()}
        for partition, offset in starts.items():
            self._consumer.seek(partition, offset)
        self._ends = dict.fromkeys(positions)
        return starts

    async def read(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        batches: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX
        )
        for partition, end in self._ends.items():
            if end is None:
                # Only fetches tell the end for certain: asked for it, some brokers name an earlier one.
                # What an open transaction wrote, and all behind it, is for the workers to fold later.
                stable = self._consumer.last_stable_offset(partition)
                high = self._consumer.highwater(partition)
                self._ends[partition] = high if stable is None or stable < 0 else min(high, stable)
        return batches

    async def at_end(self) -> bool:
        for partition, end in self._ends.items():
            if end is None or await self._consumer.position(partition) < end:
                return False
        return True

    async def topic_ids(self) -> dict[str, str]:
        return await topic_ids(self._consumer._client, SOURCES)


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[Reader]:
    async with topic_reader(settings.kafka, client_id="salesfloor-rebuild") as consumer:
        yield _KafkaReader(consumer)


@asynccontextmanager
async def _store(settings: Settings, generation: int | None) -> AsyncIterator[RedisStore]:
    store = RedisStore(
        settings.redis.url.get_secret_value(),
        namespace=settings.redis.namespace,
        version=settings.definition_version,
        generation=generation,
    )
    try:
        yield store
    finally:
        await store.close()


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the store until it answers; an outage longer than `PATIENCE_SECONDS` ends the rebuild."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)
