"""A keeper on a memory store and a reader that only notes what it is told: no Kafka, no Redis."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from metrics.calendar import Calendar
from streams import layout
from streams.checkpointer import Checkpointer
from streams.clock import ManualClock
from streams.keeper import Keeper
from streams.log_watch import LogWatch
from streams.rules import FoldRules
from streams.slot import Offsets, Slot
from streams.stores.memory import MemoryStore
from streams.table import DeadLetter
from streams.topics import DEALS, SOURCES
from tests.folding import LogRecord

NOW_MS = 1_750_000_000_000
RULES = FoldRules(calendar=Calendar("UTC"))


def partitions(*slots: int) -> set[TopicPartition]:
    return {TopicPartition(topic, slot) for topic in SOURCES for slot in slots}


def deals(first: int, count: int, *, slot: int = 0) -> list[LogRecord]:
    """Records of deals won, one dollar each, with these offsets."""
    return [LogRecord(DEALS, slot, offset, won(offset)) for offset in range(first, first + count)]


def won(number: int) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "/tests",
            "type": "sales.deal.won",
            "time": "2025-06-15T12:00:00Z",
            "data": {"deal_id": f"D-{number}", "amount": 1, "currency": "USD"},
        }
    ).encode()


@dataclass
class NotedReader:
    """A Kafka consumer that does nothing but remember."""

    first: Offsets = field(default_factory=dict)
    last: Offsets = field(default_factory=dict)
    watermarks: Offsets = field(default_factory=dict)
    stable: Offsets = field(default_factory=dict)
    """Ends of what may be read, where transactions are open; else the watermarks."""
    empty: Offsets = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    seeks: list[Offsets] = field(default_factory=list)
    paused: set[TopicPartition] = field(default_factory=set)
    reported: Offsets = field(default_factory=dict)
    connected: bool = True
    refuses: bool = False

    async def seek_to(self, positions: Mapping[TopicPartition, int]) -> None:
        if self.refuses:
            raise KafkaConnectionError
        self.seeks.append(dict(positions))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)

    async def earliest(self, partitions: Iterable[TopicPartition]) -> Offsets:
        if self.refuses:
            raise KafkaConnectionError
        return {partition: self.first.get(partition, 0) for partition in partitions}

    async def ends(self, partitions: Iterable[TopicPartition]) -> Offsets:
        return {partition: self.last.get(partition, 0) for partition in partitions}

    def high_watermark(self, partition: TopicPartition) -> int | None:
        return self.watermarks.get(partition)

    def readable_end(self, partition: TopicPartition) -> int | None:
        return self.stable.get(partition, self.watermarks.get(partition))

    def empty_to(self, partition: TopicPartition) -> int | None:
        return self.empty.get(partition)

    def missing_topics(self) -> list[str]:
        return self.missing

    async def topic_ids(self) -> dict[str, str]:
        if self.refuses:
            raise KafkaConnectionError
        return self.ids

    async def report_offsets(self, offsets: Offsets) -> None:
        if self.refuses:
            raise KafkaConnectionError
        self.reported.update(offsets)


@dataclass
class NotedLetters:
    """A dead-letter topic that does nothing but remember."""

    sent: list[DeadLetter] = field(default_factory=list)
    refuses: bool = False

    async def send(self, letters: Iterable[DeadLetter]) -> None:
        await asyncio.sleep(0)
        if self.refuses:
            raise KafkaConnectionError
        self.sent += letters


@dataclass
class Desk:
    """A keeper with its checkpointer, store and reader."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(version="1"))
    reader: NotedReader = field(default_factory=NotedReader)
    letters: NotedLetters = field(default_factory=NotedLetters)
    fatal: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeper = Keeper(self.store, RULES, ManualClock(NOW_MS), self.fatal.append, heartbeat_seconds=0.0)
        self.checkpointer = Checkpointer(self.keeper, self.letters, interval_seconds=0.01)
        self.watch = LogWatch(self.keeper)

    async def take(self, *slots: int) -> Offsets:
        return await self.keeper.take_over(partitions(*slots), self.reader)

    def slot(self, number: int = 0) -> Slot:
        return self.keeper.slots[number]

    def fold(self, records: Sequence[LogRecord]) -> TopicPartition | None:
        return self.keeper.fold(records[0].topic, records[0].partition, records)

    async def stored(self, slot: int = 0) -> dict[str, int]:
        return (await self.store.read_board(slot)).offsets

    async def behind(self, slot: int = 0) -> dict[str, int]:
        """Return what the stored board says of records that wait."""
        return layout.unpack_facts((await self.store.read_board(slot)).fields[layout.FACTS_FIELD]).behind

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.watch.look(reading=True)

    async def reloaded(self, slot: int = 0) -> None:
        """Wait until the slot's reload in the background is through."""
        reload = self.slot(slot).reload
        assert reload is not None
        await reload
