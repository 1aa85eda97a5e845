"""Who runs `salesfloor rebuild`: the real one, on the simulated log and store, and just as mortal."""

from collections.abc import Mapping
from random import Random

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.clock import ManualClock
from streams.definition import shown_of
from streams.rebuild import RebuildFailed, RebuildProgress, RebuildReport, _Rebuild
from streams.stores.base import Claim, ForeignState, StoreUnavailable
from streams.stores.memory import MemoryStore
from streams.topics import SOURCES
from tests.simulation.outside import Outside
from tests.simulation.stores import SlowStore
from tests.simulation.witness import Witness
from tests.simulation.workers import Definition, Floor

BATCH_MAX = 8


class _BesideStore(SlowStore):
    """Tells the witness who rebuilds what."""

    def __init__(self, store: MemoryStore, outside: Outside, floor: Floor, generation: int | None) -> None:
        super().__init__(store, outside, floor.hits, who="rebuild: ")
        self._witness: Witness = floor.witness
        self._of = generation
        self.owners: dict[int, str] = {}
        """Slot -> as whom it was claimed."""

    async def claim(self, slot: int) -> Claim:
        claim = await super().claim(slot)
        if self._of is not None:
            self._witness.begin_rebuild(claim.owner, claim.seq)
            self.owners[slot] = claim.owner
        return claim


class _LogReader:
    """The rebuild's consumer; tells the witness what it hands out."""

    def __init__(self, floor: Floor, outside: Outside, owners: Mapping[int, str], random: Random) -> None:
        self._floor = floor
        self._outside = outside
        self._owners = owners
        self._random = random
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}

    async def start_at(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        await self._outside.step("rebuild: read")
        log = self._floor.log
        self._positions = {place: max(offset, log.begin(place)) for place, offset in positions.items()}
        self._ends = {place: log.end(place) for place in positions}
        return dict(self._positions)

    async def read(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        await self._outside.step("rebuild: read")
        batches: dict[TopicPartition, list[ConsumerRecord]] = {}
        for place, position in self._positions.items():
            if position < self._ends[place]:
                batch = self._floor.log.fetch(place, position, self._random.randint(1, BATCH_MAX))
                self._positions[place] = batch[-1].offset + 1 if batch else self._ends[place]
                if batch:
                    batches[place] = batch
                    self._note(place, [record.offset for record in batch])
        return batches

    def _note(self, place: TopicPartition, offsets: list[int]) -> None:
        at, rebuilt = SOURCES.index(place.topic), self._floor.witness.rebuilt
        owner = self._owners[place.partition]
        masks = list(rebuilt[owner])
        for offset in offsets:
            masks[at] |= 1 << offset
        rebuilt[owner] = tuple(masks)

    async def topic_ids(self) -> dict[str, str]:
        return {}

    async def at_end(self) -> bool:
        return all(self._positions[place] >= end for place, end in self._ends.items())


class Operator:
    def __init__(self, floor: Floor, definition: Definition, *, now_ms: int, random: Random) -> None:
        self.definition = definition
        self.outside = Outside(random, floor.hits)
        self._floor = floor
        self._now_ms = now_ms
        self._random = random

    async def rebuild(self) -> RebuildReport | None:
        """Run the command once; None when it failed or was killed."""
        try:
            report = await self._rebuild()
        except (RebuildFailed, StoreUnavailable, KafkaError, ForeignState):
            self._floor.hits["rebuild failed"] += 1
            return None
        self._floor.hits["rebuilt"] += 1
        return report

    async def _rebuild(self) -> RebuildReport:
        floor, definition, slots = self._floor, self.definition, self._floor.slots
        memory = floor.store.with_version(definition.version)
        live = _BesideStore(memory, self.outside, floor, None)
        generation = 1 + max([await live.active_generation(slot) for slot in range(slots)])
        beside = _BesideStore(
            memory.of_generation(generation, version=definition.version), self.outside, floor, generation
        )
        work = _Rebuild(
            live=live,
            store=beside,
            reader=_LogReader(floor, self.outside, beside.owners, self._random),
            rules=definition.rules,
            clock=ManualClock(self._now_ms),
            generation=generation,
            progress=RebuildProgress(slots),
            tell=lambda _progress: None,
        )
        shown = shown_of(definition.settings, slots=slots, generation=generation)
        return await work.run(shown, allow_missing=True)
