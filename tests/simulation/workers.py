"""A simulated worker process: the real keeper, checkpointer and fold on a log and a store that may fail.

Between any two steps of the real code that touch the outside lies an await of random length, and there
a worker can be frozen or die. A dead one does nothing any more, not even on its way out.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from aiokafka.structs import TopicPartition

from streams.checkpointer import Checkpointer
from streams.clock import ManualClock
from streams.keeper import Keeper
from streams.rules import FoldRules
from streams.slot import Offsets
from streams.stores.base import Board, Claim, Commit, Mark, Outcome, SlotImage
from streams.stores.memory import MemoryStore
from streams.table import DeadLetter
from tests.folding import LogRecord

STEP_SECONDS_MAX = 0.05
FETCH_SECONDS_MAX = 0.15
IDLE_SECONDS_MAX = 0.6
"""A reader that finds nothing asks less and less often, up to this: most polls would be in vain."""
BATCH_MAX = 6


@dataclass
class Log:
    """The topics: records by partition, with gaps between offsets as compaction and markers leave them."""

    records: dict[TopicPartition, list[LogRecord]] = field(default_factory=dict)
    ends: dict[TopicPartition, int] = field(default_factory=dict)

    def append(self, partition: TopicPartition, value: bytes, *, gap: int = 0) -> None:
        offset = self.ends.get(partition, 0) + gap
        record = LogRecord(partition.topic, partition.partition, offset, value)
        self.records.setdefault(partition, []).append(record)
        self.ends[partition] = offset + 1

    def fetch(self, partition: TopicPartition, offset: int, count: int) -> list[LogRecord]:
        return [record for record in self.records.get(partition, ()) if record.offset >= offset][:count]


class Outside:
    """What every touch of the outside passes through: a delay, a freeze, or the end."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.dead = False
        self.awake = asyncio.Event()
        self.awake.set()

    async def step(self, seconds_max: float = STEP_SECONDS_MAX) -> None:
        if self.dead:
            raise asyncio.CancelledError
        await asyncio.sleep(self.random.random() * seconds_max)
        await self.awake.wait()
        if self.dead:
            raise asyncio.CancelledError


class SlowStore:
    """The shared store as one worker reaches it: a step before the call and one before its answer."""

    def __init__(self, store: MemoryStore, outside: Outside) -> None:
        self._store = store
        self._outside = outside
        self.follow = store.follow

    async def claim(self, slot: int) -> Claim:
        await self._outside.step()
        claim = await self._store.claim(slot)
        await self._outside.step()
        return claim

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        await self._outside.step()
        outcome = await self._store.commit(slot, commit)
        await self._outside.step()
        return outcome

    async def read_board(self, slot: int) -> Board:
        return await self._store.read_board(slot)

    async def read_mark(self, slot: int) -> Mark:
        return await self._store.read_mark(slot)

    async def read_image(self, slot: int) -> SlotImage:
        return await self._store.read_image(slot)


class SimulatedReader:
    """The worker's consumer: positions, pauses, and the log behind them."""

    def __init__(self, log: Log, outside: Outside) -> None:
        self._log = log
        self._outside = outside
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()

    @property
    def connected(self) -> bool:
        return True

    async def seek_to(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._outside.step()
        self.positions.update(positions)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)

    def behind(self) -> list[TopicPartition]:
        """Return the partitions that it may read and that hold more than it has read, in order."""
        readable = ((tp, at) for tp, at in self.positions.items() if tp not in self.paused)
        return sorted(tp for tp, at in readable if at < self._log.ends.get(tp, 0))

    async def earliest(self, partitions: Iterable[TopicPartition]) -> Offsets:
        await self._outside.step()
        return dict.fromkeys(partitions, 0)

    async def ends(self, partitions: Iterable[TopicPartition]) -> Offsets:
        await self._outside.step()
        return {partition: self._log.ends.get(partition, 0) for partition in partitions}

    def high_watermark(self, partition: TopicPartition) -> int | None:
        return self._log.ends.get(partition, 0)

    def readable_end(self, partition: TopicPartition) -> int | None:
        return self._log.ends.get(partition, 0)

    def empty_to(self, partition: TopicPartition) -> int | None:
        return None

    async def report_offsets(self, offsets: Offsets) -> None:
        await self._outside.step()


class Letters:
    """The dead-letter topic, shared by all workers."""

    def __init__(self, outside: Outside, sent: set[tuple[str, int, int]]) -> None:
        self._outside = outside
        self._sent = sent

    async def send(self, letters: Iterable[DeadLetter]) -> None:
        await self._outside.step()
        for letter in letters:
            self._sent.add((letter.record.topic, letter.record.partition, letter.record.offset))


class SimulatedWorker:
    def __init__(
        self,
        name: str,
        *,
        log: Log,
        store: MemoryStore,
        rules: FoldRules,
        clock: ManualClock,
        random: Random,
        letters: set[tuple[str, int, int]],
    ) -> None:
        self.name = name
        self.log = log
        self.random = random
        self.outside = Outside(random)
        self.reader = SimulatedReader(log, self.outside)
        self.fatal: Exception | None = None
        self.lucky = False
        self._membership = asyncio.Lock()
        self.keeper = Keeper(
            store=SlowStore(store, self.outside), rules=rules, clock=clock, on_fatal=self._on_fatal
        )
        self.checkpointer = Checkpointer(self.keeper, Letters(self.outside, letters), interval_seconds=0.2)
        self._tasks = [
            asyncio.create_task(self.checkpointer.run(), name=f"{name} commits"),
            asyncio.create_task(self._read(), name=f"{name} reads"),
        ]

    def _on_fatal(self, error: Exception) -> None:
        self.fatal = error

    @property
    def alive(self) -> bool:
        return not self.outside.dead

    @property
    def frozen(self) -> bool:
        return not self.outside.awake.is_set()

    async def _read(self) -> None:
        """Fetch and fold for ever, as the agent does: some batches come late, twice, or not at all."""
        sought: set[TopicPartition] = set()
        wait_seconds = FETCH_SECONDS_MAX
        while True:
            await self.outside.step(wait_seconds)
            behind = self.reader.behind()
            if not behind:
                wait_seconds = min(2 * wait_seconds, IDLE_SECONDS_MAX)
                continue
            wait_seconds = FETCH_SECONDS_MAX
            partition = self.random.choice(behind)
            position = self.reader.positions[partition]
            batch = self.log.fetch(partition, position, self.random.randint(1, BATCH_MAX))
            self.reader.positions[partition] = batch[-1].offset + 1
            luck = 0.5 if self.lucky or partition in sought else self.random.random()
            if luck < 0.04:
                continue  # the batch is lost on its way, but not twice; the next one shows a gap
            if luck < 0.12:
                batch = self.log.fetch(partition, max(0, position - 3), len(batch) + 3)  # and some once more
            if luck > 0.8:
                await self.outside.step()  # folded later, perhaps after a seek, a revocation, a new owner
            again = self.keeper.fold(partition.topic, partition.partition, batch)
            sought.discard(partition)
            if again is not None:
                sought.add(again)
                await self.keeper.reseek(again)

    async def revoke(self) -> None:
        async with self._membership:
            self.reader.positions = {}
            await self.checkpointer.flush_and_drop(within_seconds=1.0)

    async def assign(self, partitions: set[TopicPartition]) -> None:
        async with self._membership:
            self.reader.positions, self.reader.paused = {}, set()
            positions = await self.keeper.take_over(partitions, self.reader)
            await self.reader.seek_to(positions)

    def freeze(self) -> None:
        self.outside.awake.clear()

    def thaw(self) -> None:
        self.outside.awake.set()

    def kill(self) -> None:
        """End like a process that was shot: whatever it was about to do does not happen."""
        self.outside.dead = True
        self.outside.awake.set()
        reloads = [slot.reload for slot in self.keeper.slots.values() if slot.reload is not None]
        for task in (*self._tasks, *reloads):
            task.cancel()

    def failures(self) -> list[BaseException]:
        """Return errors that ended one of its loops: none may ever end by itself."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]
