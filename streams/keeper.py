"""The slots of this worker: claims, loads, folds into and drops them. Batches and assignments in,
reading positions and dead letters out. Never decodes a record, never commits (`streams.checkpointer` does).

All methods run in one event loop, and `fold` has no await: what it reads stays true until it returns.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.clock import Clock
from streams.heap import not_looking
from streams.logs import fields
from streams.ownership import Phase, Step, TooManyReloads, Verdict, is_truncated, within_log
from streams.rules import FoldRules
from streams.slot import Offsets, Reader, Slot, TopicMemory, WorkerCounts
from streams.stores.base import Claim, ForeignState, Mark, SlotStore, StoreUnavailable
from streams.table import Record, SlotTable

log = logging.getLogger(__name__)

BatchHook = Callable[[TopicPartition, Sequence[Record]], None]
"""Called with a partition and its records just folded, in the same step; a Faust table written in it is
exact."""

LOAD_SECONDS = 20.0
"""One attempt to claim and load. Well under Faust's `broker_request_timeout` (90 s), past which Faust gives
up a seek without a word and the worker reads nothing."""
RELOAD_PAUSE_SECONDS = 0.5
RELOAD_PAUSE_MAX_SECONDS = 5.0
BACKLOG_RECORDS = 100
"""So many records waiting in one partition are a backlog that readers are told of."""
CATCHING_UP_RECORDS = 2_000
"""So many records waiting in one partition are folded sooner without commits in between."""
DIRTY_KEYS_MAX = 20_000
"""Commit early beyond it: so many keys in one commit block Redis for some 50 ms, and grow from there."""


class SplitSlot(Exception):
    """The group gave this worker a part of a slot only. Started again it says what does not fit, or waits."""

    def __init__(self, slot: Slot, missing: set[TopicPartition]) -> None:
        topics = ", ".join(sorted(partition.topic for partition in missing))
        super().__init__(
            f"partition {slot.number} of {topics} was not assigned together with that of the other topics: "
            "either these topics have fewer partitions (`salesfloor topics check` tells), or another program "
            "reads in the same consumer group; give it a group of its own"
        )


class PartitionsAdded(Exception):
    """The topics have more partitions than at the start. Started again the worker says what that means."""

    def __init__(self, before: int) -> None:
        super().__init__(f"the topics had {before} partitions when this worker started, and have more now")


@dataclass
class Keeper:
    store: SlotStore
    rules: FoldRules
    clock: Clock
    on_fatal: Callable[[Exception], None]
    heartbeat_seconds: float = 2.0
    slots: dict[int, Slot] = field(default_factory=dict)
    hooks: list[BatchHook] = field(default_factory=list)
    counts: WorkerCounts = field(default_factory=WorkerCounts)
    reader: Reader | None = None
    folding: Slot | None = None
    """The slot whose batch is being folded right now; Faust tables write here."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a commit should not wait for its interval."""
    joined: bool = False
    known_topics: TopicMemory | None = None
    slots_expected: int | None = None
    """Partitions of each topic when this worker started; None: not known."""

    # Folding

    def fold(self, topic: str, partition: int, records: Sequence[Record]) -> TopicPartition | None:
        """Fold a fetched batch. Return the partition when the records before it must be fetched again."""
        slot = self.slots.get(partition)
        table = slot.owned_table if slot is not None else None
        if slot is None or table is None:
            return None  # revoked, or loading: reading goes on from the checkpoint's offsets
        next_offset, first, last = table.next_offset[topic], records[0].offset, records[-1].offset
        verdict = slot.ownership.judge(topic, first, last, next_offset=next_offset)
        if verdict is Verdict.SKIP:
            return None
        if verdict is Verdict.RESEEK:
            self.counts.reseeks += 1
            return TopicPartition(topic, partition)
        try:
            if verdict is Verdict.GAP:
                self.skip_gap(slot, topic, first)
            self._fold_into(slot, table, topic, records)
        except Exception as error:
            log.exception(fields("fold failed", topic=topic, partition=partition, first=first, last=last))
            self.counts.faulted += 1
            self._lose(slot, Step.FAULTED, error)
        return None

    def _fold_into(self, slot: Slot, table: SlotTable, topic: str, records: Sequence[Record]) -> None:
        seen_before, gaps_before = table.next_offset[topic], table.gaps(topic)
        letters = table.fold(topic, records, now_ms=self.clock.now_ms())
        self.counts.gap_records += table.gaps(topic) - gaps_before
        if letters:
            slot.letters += letters
        if self.hooks:
            fresh = [record for record in records if record.offset >= seen_before]
            self.folding = slot
            try:
                for hook in self.hooks:
                    hook(TopicPartition(topic, slot.number), fresh)
            finally:
                self.folding = None
        if table.dirty_keys > DIRTY_KEYS_MAX:
            self.wake.set()

    def skip_gap(self, slot: Slot, topic: str, offset: int) -> None:
        """Move past offsets that hold no record; counted."""
        assert slot.table is not None
        self.counts.gap_records += offset - slot.table.next_offset[topic]
        slot.table.skip_to(topic, offset, lost=False)

    async def reseek(self, partition: TopicPartition) -> None:
        """Fetch the partition again from the slot's next offset."""
        slot = self.slots.get(partition.partition)
        if slot is not None and slot.owned_table is not None:
            await self._seek(slot, {partition: slot.positions()[partition]})

    # Taking over and loading

    async def take_over(self, partitions: set[TopicPartition], reader: Reader) -> Offsets:
        """Claim and load the slots of an assignment; return where to read on.

        A slot whose store does not answer is paused and loaded in the background.
        """
        self.reader = reader
        self.counts.rebalances += 1
        self.drop_all()
        numbers = sorted({partition.partition for partition in partitions})
        if self.slots_expected is not None and numbers and numbers[-1] >= self.slots_expected:
            self.on_fatal(PartitionsAdded(self.slots_expected))
            return {}
        for number in numbers:
            slot = self.slots.setdefault(number, Slot(number))
            if slot.partitions - partitions:
                self.on_fatal(SplitSlot(slot, slot.partitions - partitions))
                return {}
            slot.ownership.step(Step.ASSIGN)
        positions: Offsets = {}
        for found in await asyncio.gather(*(self._first_load(self.slots[number]) for number in numbers)):
            positions.update(found)
        self.joined = True
        return positions

    async def _first_load(self, slot: Slot) -> Offsets:
        assert self.reader is not None
        tenure = slot.tenure
        if await self._load(slot):
            return slot.positions()
        if slot.tenure == tenure:
            self.reader.pause(slot.partitions)
            self._reload_later(slot, RELOAD_PAUSE_SECONDS)
        return {}

    async def _load(self, slot: Slot) -> bool:
        """Claim the slot and build its table; True when the slot is owned then."""
        assert self.reader is not None
        slot.ownership.step(Step.LOAD)
        tenure = slot.tenure
        started = time.monotonic()
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                claim = await self.store.claim(slot.number)
                earliest = await self.reader.earliest(slot.partitions)
                ends = await self.reader.ends(slot.partitions) if claim.seq == 0 else {}
                anew = await self.topics_made_anew()
        except ForeignState as error:
            if slot.tenure == tenure:
                slot.ownership.step(Step.UNAVAILABLE)
                self.on_fatal(error)
            return False
        except (StoreUnavailable, KafkaError, TimeoutError) as error:
            if slot.tenure == tenure:
                self.counts.store_errors += isinstance(error, StoreUnavailable)
                cause = str(error) or type(error).__name__
                log.warning(fields("slot not loaded", slot=slot.number, cause=cause))
                slot.ownership.step(Step.UNAVAILABLE)
            return False
        if slot.tenure != tenure:
            return False
        try:
            with not_looking():
                slot.table = self._table_from(slot, claim, earliest, ends)
        except Exception as error:
            log.exception(fields("checkpoint unreadable", slot=slot.number))
            self._lose(slot, Step.FAULTED, error)
            return False
        slot.flushed, slot.mark = dict(claim.offsets), Mark(claim.owner, claim.seq)
        slot.has_committed = False
        if folded := [topic for topic in anew if slot.table.next_offset[topic]]:
            self.stop_made_anew(slot, folded)
            return False
        slot.ownership.step(Step.LOADED)
        seconds = f"{time.monotonic() - started:.3f}"
        log.info(fields("slot owned", slot=slot.number, seq=claim.seq, stale=claim.stale, seconds=seconds))
        return True

    def _table_from(self, slot: Slot, claim: Claim, earliest: Offsets, ends: Offsets) -> SlotTable:
        table = SlotTable(slot.number, self.rules, claim)
        if claim.seq == 0:
            until = {tp.topic: end for tp, end in ends.items() if end > earliest.get(tp, 0)}
            if until:
                table.begin_rebuild(until)
                log.info(fields("rebuilding from the topics", slot=slot.number, stale=claim.stale))
        for partition, first in earliest.items():
            bounds = within_log(table.next_offset[partition.topic], earliest=first)
            if bounds.lost:
                self.counts.lost_records += bounds.lost
                table.skip_to(partition.topic, bounds.next_offset, lost=True)
                log.error(
                    fields(
                        "records lost: the topic's retention removed them before they were folded",
                        topic=partition.topic,
                        partition=partition.partition,
                        lost=bounds.lost,
                    )
                )
        return table

    # Losing and reloading

    def disowned(self, slot: Slot, *, fenced: bool) -> None:
        """The store refused a commit: somebody else owns the slot, or the store lost its last second."""
        self.counts.fenced += fenced
        self.counts.rolled_back += not fenced
        log.warning(fields("slot fenced" if fenced else "store rolled back", slot=slot.number))
        if slot.has_committed and not fenced:
            # A store that falls back for ever is no fault of this worker; the next would find the same.
            slot.ownership.forgive()
        # A zombie must first learn from its heartbeat that it is out; claiming sooner would fence the owner.
        self._lose(slot, Step.DISOWNED, None, extra_pause=self.heartbeat_seconds if fenced else 0.0)

    def _lose(self, slot: Slot, step: Step, cause: Exception | None, *, extra_pause: float = 0.0) -> None:
        slot.drop()
        try:
            slot.ownership.misfortune(step, now_seconds=time.monotonic())
        except TooManyReloads as error:
            error.__cause__ = cause
            self.on_fatal(error)
            return
        if self.reader is not None:
            self.reader.pause(slot.partitions)
        self._reload_later(slot, RELOAD_PAUSE_SECONDS + extra_pause)

    def _reload_later(self, slot: Slot, pause: float) -> None:
        slot.reload = asyncio.create_task(self._reload(slot, pause), name=f"reload slot {slot.number}")

    async def _reload(self, slot: Slot, pause: float) -> None:
        tenure = slot.tenure
        try:
            while slot.tenure == tenure and slot.ownership.phase is Phase.WAITING:
                await asyncio.sleep(pause * (1.0 + random.random() / 2))
                if await self._load_if_waiting(slot):
                    await self.read_on(slot)
                    return
                pause = min(2 * pause, RELOAD_PAUSE_MAX_SECONDS)
        except Exception as error:
            log.exception(fields("reload failed", slot=slot.number))
            self.on_fatal(error)

    async def _load_if_waiting(self, slot: Slot) -> bool:
        return slot.ownership.phase is Phase.WAITING and await self._load(slot)

    async def read_on(self, slot: Slot) -> None:
        """Read an owned slot again from where its table stands."""
        if await self._seek(slot, slot.positions()) and self.reader is not None:
            self.reader.resume(slot.partitions)

    async def _seek(self, slot: Slot, positions: Offsets) -> bool:
        assert self.reader is not None
        tenure = slot.tenure
        try:
            await self.reader.seek_to(positions)
        except (KafkaError, TimeoutError) as error:
            if slot.tenure == tenure:  # else a rebalance took the partition away, which is no fault
                log.warning(fields("seek failed", slot=slot.number, cause=type(error).__name__))
                self._lose(slot, Step.FAULTED, error)
            return False
        return slot.tenure == tenure

    def drop_all(self) -> None:
        """Forget every slot, flushed or not: what was not committed is read again by the next owner."""
        for slot in self.slots.values():
            if slot.reload is not None:
                slot.reload.cancel()
                slot.reload = None
            if slot.ownership.phase is not Phase.REVOKED:
                slot.ownership.step(Step.REVOKE)
                slot.drop()
        self.joined = False

    # Logs that end too early

    def out_of_range(self, positions: Mapping[TopicPartition, int]) -> None:
        """The log no longer holds these positions: load again, which counts what retention removed.

        A log that ends before them stops its slot.
        """
        for partition in positions:
            slot = self.slots.get(partition.partition)
            if slot is None or slot.owned_table is None or self.reader is None:
                continue
            slot.reload = asyncio.create_task(self._settle_out_of_range(slot, partition))

    async def _settle_out_of_range(self, slot: Slot, partition: TopicPartition) -> None:
        assert self.reader is not None
        tenure = slot.tenure
        self.reader.pause(slot.partitions)
        try:
            end = (await self.reader.ends([partition]))[partition]
        except KafkaError:
            end = None
        if slot.tenure != tenure:
            return
        if is_truncated(slot.positions()[partition], high_watermark=end):
            self.stop_truncated(slot, partition, end)
        else:
            self._lose(slot, Step.FAULTED, None)

    def stop_truncated(self, slot: Slot, partition: TopicPartition, end: int | None) -> None:
        topic, number = partition
        next_offset = slot.positions()[partition]
        self.stop(
            slot,
            f"{topic}[{number}] ends at {end}, before {next_offset}, up to where it was folded: it was "
            f"truncated or made anew. Restore it, or `salesfloor topics adopt {topic}` keeps the numbers and "
            "reads it anew; `salesfloor rebuild` counts only what the topics hold now",
        )

    async def topics_made_anew(self) -> list[str]:
        """Return the topics that Kafka knows by another id than when they were folded first.

        Raises `KafkaError` and `StoreUnavailable`.
        """
        if self.known_topics is None or self.reader is None:
            return []
        ids = await self.reader.topic_ids()
        first = await self.known_topics.first_seen(ids)
        return [topic for topic, topic_id in ids.items() if first[topic] != topic_id]

    def stop_made_anew(self, slot: Slot, topics: Sequence[str]) -> None:
        self.stop(
            slot,
            f"{' and '.join(topics)} made anew: Kafka knows it by another id than when it was folded. "
            f"`salesfloor topics adopt {' '.join(topics)}` keeps the numbers and reads it from its start; "
            "`salesfloor rebuild` counts only what the topics hold now",
        )
        slot.of_other_topics = True

    def stop(self, slot: Slot, reason: str) -> None:
        """Fold and commit no more of this slot until an operator has decided: then it is loaded again."""
        assert self.reader is not None
        log.critical(fields("slot stopped", slot=slot.number, cause=reason))
        slot.ownership.step(Step.TRUNCATED)
        slot.drop()
        slot.stopped_because = reason
        self.reader.pause(slot.partitions)

    def release(self, slot: Slot) -> None:
        """Load a stopped slot again."""
        slot.ownership.step(Step.REPLACED)
        slot.stopped_because = ""
        self._reload_later(slot, RELOAD_PAUSE_SECONDS)

    def coordinator_error(self, error: Exception) -> None:
        self.counts.coordinator_errors += 1

    # What others ask

    def behind(self, slot: Slot) -> dict[str, int]:
        """Return by topic how many records wait that the last fetch answers know of, where that is many.

        A few always wait on a busy floor, and the marks that end transactions are never folded at all.
        """
        if self.reader is None or slot.owned_table is None:
            return {}
        ends = {each: self.reader.high_watermark(each) for each in slot.partitions}
        waiting = {each.topic: (ends[each] or 0) - at for each, at in slot.positions().items()}
        return {topic: count for topic, count in waiting.items() if count >= BACKLOG_RECORDS}

    @property
    def catching_up(self) -> bool:
        """True while many records wait that may be read already."""
        reader = self.reader
        if reader is None:
            return False
        positions = (each for slot in self.owned for each in slot.positions().items())
        return any((reader.readable_end(each) or 0) - at >= CATCHING_UP_RECORDS for each, at in positions)

    @property
    def owned(self) -> list[Slot]:
        return [slot for slot in self.slots.values() if slot.owned_table is not None]

    @property
    def stopped_because(self) -> list[str]:
        """Return what an operator has to decide on, for each stopped slot."""
        return [slot.stopped_because for slot in self.slots.values() if slot.stopped_because]

    @property
    def settled(self) -> bool:
        """True when every assigned slot is owned; a worker without slots is settled too."""
        phases = {slot.ownership.phase for slot in self.slots.values()}
        return self.joined and phases <= {Phase.OWNING, Phase.REVOKED}

    def expire(self, slot: Slot) -> None:
        """Forget what is past its horizons, unless the slot was lost meanwhile."""
        if (table := slot.owned_table) is not None:
            table.expire(now_ms=self.clock.now_ms())
