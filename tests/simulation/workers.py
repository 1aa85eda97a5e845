"""A simulated worker process: the real keeper, checkpointer, switch and fold on a log and store that fail."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from streams.checkpointer import Checkpointer
from streams.clock import ManualClock
from streams.keeper import Keeper
from streams.ownership import Phase
from streams.rules import FoldRules
from streams.settings import Settings
from streams.settings_rules import fold_rules
from streams.slot import Offsets
from streams.stores.base import Claim, Mark, StoreUnavailable
from streams.stores.memory import MemoryStore
from streams.switching import Switched, until_ours, while_ours
from streams.table import DeadLetter
from tests.folding import LogRecord
from tests.simulation.log import Log
from tests.simulation.outside import Outside
from tests.simulation.stores import SlowStore
from tests.simulation.witness import Masks, Witness

FETCH_SECONDS_MAX = 0.15
IDLE_SECONDS_MAX = 0.6
"""A reader that finds nothing asks less and less often, up to this: most polls would be in vain."""
BATCH_MAX = 6
COMMIT_SECONDS = 0.3
RETRY_SECONDS = 0.5

Letter = tuple[str, int, int]
"""Topic, partition and offset of a record that became a dead letter."""


@dataclass(frozen=True, eq=False)
class Definition:
    """Settings of one definition version, and what follows of them."""

    settings: Settings
    rules: FoldRules
    version: str

    @classmethod
    def of(cls, settings: Settings) -> "Definition":
        return cls(settings, fold_rules(settings), settings.definition_version)


@dataclass
class Floor:
    """What all processes of a simulated floor share."""

    log: Log
    store: MemoryStore
    witness: Witness
    letters: set[Letter]
    hits: Counter[str]
    slots: int
    claims: Counter[int] = field(default_factory=Counter)
    """How often workers tried to take each slot."""


class WorkerStore(SlowStore):
    """Notes what each claim found, so that the witness goes on from it."""

    def __init__(self, store: MemoryStore, outside: Outside, floor: Floor) -> None:
        super().__init__(store, outside, floor.hits)
        self._witness = floor.witness
        self._claims = floor.claims
        self.base: dict[int, Masks] = {}

    async def claim(self, slot: int) -> Claim:
        self._claims[slot] += 1
        claim = await super().claim(slot)
        self.base[slot] = self._witness.by_mark[Mark(claim.owner, claim.seq)][1]
        return claim


class SimulatedReader:
    """The worker's consumer: positions, pauses, and the log behind them."""

    def __init__(self, log: Log, outside: Outside) -> None:
        self._log = log
        self._outside = outside
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.handed: set[TopicPartition] = set()
        """Of these records came since they were last sought."""

    @property
    def connected(self) -> bool:
        return True

    async def seek_to(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._outside.step("seek")
        self.positions.update(positions)
        self.handed -= positions.keys()
        await self._outside.step("sought")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)

    def behind(self) -> list[TopicPartition]:
        """Return the partitions that it may read and whose end it has not reached, or that end before it."""
        partitions = self._log.partitions
        return sorted(
            place
            for place in partitions.keys() & self.positions.keys() - self.paused
            if self.positions[place] < partitions[place].end
        )

    async def earliest(self, partitions: Iterable[TopicPartition]) -> Offsets:
        await self._outside.step("earliest")
        return {place: self._log.begin(place) for place in partitions}

    async def ends(self, partitions: Iterable[TopicPartition]) -> Offsets:
        await self._outside.step("ends")
        return {place: self._log.end(place) for place in partitions}

    def high_watermark(self, partition: TopicPartition) -> int | None:
        return self._log.end(partition)

    def readable_end(self, partition: TopicPartition) -> int | None:
        return self._log.end(partition)

    def empty_to(self, partition: TopicPartition) -> int | None:
        return None if partition in self.handed else self.positions.get(partition)

    def missing_topics(self) -> list[str]:
        return []

    async def topic_ids(self) -> dict[str, str]:
        return {}

    async def report_offsets(self, offsets: Offsets) -> None:
        await self._outside.step("report")
        await self._outside.step("reported")


class Letters:
    """The dead-letter topic, shared by all workers."""

    def __init__(self, outside: Outside, sent: set[Letter]) -> None:
        self._outside = outside
        self._sent = sent

    async def send(self, letters: Iterable[DeadLetter]) -> None:
        letters = list(letters)
        await self._outside.step("letters")
        for letter in letters:
            self._sent.add((letter.topic, letter.partition, letter.record.offset))
        await self._outside.step("letters sent")


class SimulatedWorker:
    """One process. `joins` is called when it may take its place in the group."""

    def __init__(
        self, floor: Floor, definition: Definition, *, now_ms: int, random: Random, joins: Callable[[], None]
    ) -> None:
        self.definition = definition
        self.random = random
        self.joined = False
        self.fatal: Exception | None = None
        self.lucky = False
        self.clock = ManualClock(now_ms)
        self.outside = Outside(random, floor.hits)
        self.reader = SimulatedReader(floor.log, self.outside)
        self._floor = floor
        self._joins = joins
        self._membership = asyncio.Lock()
        mine = floor.store.with_version(definition.version)
        self.store = WorkerStore(mine, self.outside, floor)
        self.keeper = Keeper(self.store, definition.rules, self.clock, on_fatal=self._on_fatal)
        floor.witness.watch(self.keeper, self.store.base)
        letters = Letters(self.outside, floor.letters)
        self.checkpointer = Checkpointer(self.keeper, letters, interval_seconds=COMMIT_SECONDS)
        # Made with the process's clock, which is hours ahead of the loop's.
        self.checkpointer._answered_at = self.checkpointer._probed_at = 0.0
        self._tasks = [asyncio.create_task(self._live())]

    def _on_fatal(self, error: Exception) -> None:
        self.fatal = error
        self._floor.hits["too many reloads"] += type(error).__name__ == "TooManyReloads"

    @property
    def counts(self) -> Mapping[str, int]:
        counts = self.keeper.counts
        return {
            "zombie's claim": sum(max(0, slot.ownership.claims - 1) for slot in self.keeper.slots.values()),
            "gap judged": counts.gap_records,
            "read again": counts.reseeks,
            "records lost": counts.lost_records,
            "worker waited": int(not self.joined),
        }

    def expire(self) -> None:
        for slot in self.keeper.owned:
            self.keeper.expire(slot)

    async def _live(self) -> None:
        """Wait for the state to be of these settings, join the group, then watch that it stays so."""
        settings, slots = self.definition.settings, self._floor.slots
        while True:
            try:
                if await until_ours(self.store, settings, slots, asyncio.Event()):
                    break
            except StoreUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        works = (self.checkpointer.run(), self.checkpointer.look_after(), self._read())
        self._tasks += [asyncio.create_task(work) for work in works]
        self.joined = True
        self._joins()
        try:
            await while_ours(self.store, settings, slots)
        except Switched as error:
            self._floor.hits["switched"] += 1
            self.fatal = error

    async def _read(self) -> None:
        """Fetch and fold for ever, as the agent does: some batches come late, twice, or not at all."""
        sought: set[TopicPartition] = set()
        wait_seconds = FETCH_SECONDS_MAX
        while True:
            try:
                await self.outside.step("fetch", wait_seconds)
                behind = self.reader.behind()
                if not behind:
                    wait_seconds = min(2 * wait_seconds, IDLE_SECONDS_MAX)
                    continue
                wait_seconds = FETCH_SECONDS_MAX
                place = self.random.choice(behind)
                batch = self._fetch(place, again=place in sought)
                if batch and self.random.random() > 0.8 and not self.lucky:
                    await self.outside.step("fetched")  # folded later: after a seek, a new owner
            except OffsetOutOfRangeError as error:
                self._floor.hits["out of range"] += 1
                self.keeper.out_of_range(error.args[0])
                continue
            except KafkaConnectionError:
                continue
            if batch:
                again = self.keeper.fold(place.topic, place.partition, batch)
                sought.discard(place)
                if again is not None:
                    sought.add(again)
                    await self.keeper.reseek(again)

    def _fetch(self, place: TopicPartition, *, again: bool) -> list[LogRecord]:
        log, position = self._floor.log, self.reader.positions[place]
        batch = log.fetch(place, position, self.random.randint(1, BATCH_MAX))
        self.reader.positions[place] = batch[-1].offset + 1 if batch else log.end(place)
        if batch:
            self.reader.handed.add(place)
        luck = 0.5 if self.lucky or again else self.random.random()
        if luck < 0.04:
            return []  # lost on its way, but not twice; the next one, or standing still, shows it
        if luck < 0.12:
            first = max(log.begin(place), position - 3)
            return log.fetch(place, first, len(batch) + 3)  # and some once more
        return batch

    async def revoke(self) -> None:
        async with self._membership:
            self.reader.positions = {}
            await self.checkpointer.flush_and_drop(within_seconds=1.0)

    async def assign(self, partitions: set[TopicPartition]) -> None:
        async with self._membership:
            self.reader.positions, self.reader.paused = {}, set()
            positions = await self.keeper.take_over(partitions, self.reader)
            try:
                await self.reader.seek_to(positions)
            except KafkaConnectionError as error:
                self.fatal = error  # Faust crashes then

    def kill(self) -> None:
        """End like a process that was shot: whatever it was about to do does not happen."""
        self.outside.die()
        reloads = [slot.reload for slot in self.keeper.slots.values() if slot.reload is not None]
        for task in (*self._tasks, *reloads):
            task.cancel()

    def stopped(self) -> list[int]:
        slots = self.keeper.slots.items()
        return [number for number, slot in slots if slot.ownership.phase is Phase.STOPPED]

    def failures(self) -> list[BaseException]:
        """Return errors that ended one of its loops: none may ever end by itself."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]
