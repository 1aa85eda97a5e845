"""One slot in this worker, and what its keeper needs of Kafka. Holds state and counts; decides nothing."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka.structs import TopicPartition

from streams.ownership import Ownership, Phase
from streams.stores.base import NO_MARK
from streams.table import DeadLetter, SlotTable
from streams.topics import SOURCES

Offsets = dict[TopicPartition, int]


class Reader(Protocol):
    """What the keeper needs of the Kafka consumer."""

    @property
    def connected(self) -> bool: ...

    async def seek_to(self, positions: Mapping[TopicPartition, int]) -> None: ...
    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...
    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...
    async def earliest(self, partitions: Iterable[TopicPartition]) -> Offsets: ...
    async def ends(self, partitions: Iterable[TopicPartition]) -> Offsets: ...
    def high_watermark(self, partition: TopicPartition) -> int | None: ...
    def readable_end(self, partition: TopicPartition) -> int | None: ...
    def empty_to(self, partition: TopicPartition) -> int | None: ...
    async def report_offsets(self, offsets: Offsets) -> None: ...
    async def topic_ids(self) -> dict[str, str]: ...
    def missing_topics(self) -> list[str]: ...


class TopicMemory(Protocol):
    """Which topics the state was folded from: ids by topic, kept with it."""

    async def first_seen(self, ids: Mapping[str, str]) -> dict[str, str]: ...


@dataclass(slots=True)
class WorkerCounts:
    """What this process has seen since it started."""

    fenced: int = 0
    rolled_back: int = 0
    faulted: int = 0
    reseeks: int = 0
    gap_records: int = 0
    lost_records: int = 0
    store_errors: int = 0
    coordinator_errors: int = 0
    report_errors: int = 0
    dead_letters: int = 0
    commits: int = 0
    batches: int = 0
    batch_records: int = 0
    rebalances: int = 0


class Slot:
    """One slot here: its phase, and while it is owned, its table."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ownership = Ownership(number)
        self.table: SlotTable | None = None
        self.letters: list[DeadLetter] = []
        self.flushed: dict[str, int] = {}
        self.mark = NO_MARK
        """What this worker's last claim or commit left in the store."""
        self.has_committed = False
        """Since it was loaded."""
        self.lock = asyncio.Lock()
        self.reload: asyncio.Task[None] | None = None
        self.tenure = 0
        """Grows when the table is dropped, so that whoever awaited in between sees it is no longer his."""
        self.stopped_because = ""
        """What an operator has to decide on, while the slot is stopped."""
        self.of_other_topics = False
        """Stopped because a topic was made anew, whatever its log's end."""
        self.behind_sightings = 0
        self.stalls: dict[str, tuple[int, int]] = {}
        """Topic -> next offset, and how often in a row it was seen to stand still short of the log's end."""

    @property
    def partitions(self) -> set[TopicPartition]:
        return {TopicPartition(topic, self.number) for topic in SOURCES}

    @property
    def owned_table(self) -> SlotTable | None:
        return self.table if self.ownership.phase is Phase.OWNING else None

    def positions(self) -> Offsets:
        table = self.table
        assert table is not None
        return {TopicPartition(topic, self.number): table.next_offset[topic] for topic in SOURCES}

    def drop(self) -> None:
        self.table = None
        self.letters = []
        self.tenure += 1
        self.behind_sightings = 0
        self.stalls = {}
        self.stopped_because = ""
        self.of_other_topics = False
