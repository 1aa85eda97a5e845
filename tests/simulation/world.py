"""One seed in, one life of a floor's workers, log and store out: every fault the design survives, by chance.

Faults: a worker dies between any two steps, freezes and comes back as a zombie, loses, repeats or delays
a fetched batch; the store fails before or after applying, is away for a while, loses its last commits or
everything; slots move between workers; records are broken. Not survived, so not simulated: records that
retention removed before they were folded, and a topic that was truncated.

Invariants after every action: the stored counters account for exactly the stored offsets; offsets never
fall while the store keeps its promises. At the end, once the faults stop: everything catches up, the
panes are those of one undisturbed fold of the log, metrics holds the same, and every broken record has
its dead letter.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from unittest.mock import patch

from aiokafka.structs import TopicPartition

from metrics.snapshot import SnapshotConfig, take_snapshot
from oracle.numbers import answers, books_of
from oracle.windows import Floor
from streams import checkpointer as checkpointer_module
from streams import keeper as keeper_module
from streams import layout
from streams.board import BoardFollower
from streams.clock import ManualClock
from streams.joins.standard import standard_joins
from streams.ownership import Phase
from streams.rules import FoldRules
from streams.stores.base import Claim
from streams.stores.memory import MemoryStore
from streams.table import SlotTable
from streams.topics import SOURCES
from tests.folding import Checkpoint, Panes
from tests.histories import DAY_MS, TOPICS, Event, Generator, delivery
from tests.product_path import calendar_of, differences
from tests.simulation.sums import sums_held, sums_joined, sums_stored
from tests.simulation.virtual_time import LoopTime, run_virtually
from tests.simulation.workers import Log, SimulatedWorker

# What the generator makes events for; the other topics stay empty.
GENERATED = tuple(TOPICS.values())
SLOTS = 2
WORKERS_MAX = 3
ACTIONS = 40
NOW_MS = 1_520_000_000_000
FLOOR = Floor(zone="America/New_York", stage_probability={"proposal": 0.4})
CALENDAR = calendar_of(FLOOR)
CONFIG = SnapshotConfig(calendar=CALENDAR, stage_probability=dict(FLOOR.stage_probability))
SESSION_SECONDS = 6.0
FOLLOWS_WITHIN_SECONDS = 10.0
ORACLE_EVERY = 10
CATCH_UP_SECONDS = 300.0
DEEP_CHECKS = 0.1

_WEIGHTS = {
    "produce": 10,
    "wait": 6,
    "kill": 3,
    "start": 4,
    "freeze": 3,
    "thaw": 4,
    "rebalance": 3,
    "expire": 2,
    "fail before": 2,
    "fail after": 3,
    "store away": 1,
    "store back": 3,
    "roll back": 2,
    "lose all": 1,
    "lose entities": 1,
}


class Violated(AssertionError):
    """An invariant does not hold."""


@dataclass
class Seen:
    """What was last found stored for a slot."""

    seq: int = 0
    offsets: dict[str, int] = field(default_factory=dict)


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = ManualClock(NOW_MS)
        self.store = MemoryStore(version="1", rng=Random(seed))
        self.log = Log()
        self.letters: set[tuple[str, int, int]] = set()
        self.broken: set[tuple[str, int, int]] = set()
        self.events: list[Event] = []
        self.workers: list[SimulatedWorker] = []
        self.names = 0
        self.seen = {slot: Seen() for slot in range(SLOTS)}
        self.story: list[str] = []
        self.coordinator = asyncio.Lock()
        self.rebalances: list[asyncio.Task[None]] = []
        self.rules = FoldRules(
            calendar=CALENDAR,
            stage_probability=dict(FLOOR.stage_probability),
            # Half the lives run with a short horizon, so that activities settle, leave, and come too late.
            activity_horizon_ms=(2 if seed % 2 else 800) * DAY_MS,
        )
        self.follower = BoardFollower(
            self.store, slots=SLOTS, definition_version="1", joins=standard_joins(self.rules)
        )
        times = [NOW_MS - self.random.randrange(5 * DAY_MS) for _ in range(12)]
        self.generator = Generator(seed, times=times, entities=6)

    # ---- actions

    def actions(self) -> Iterator[str]:
        names = list(_WEIGHTS)
        weights = [_WEIGHTS[name] for name in names]
        for _ in range(ACTIONS):
            yield self.random.choices(names, weights=weights)[0]

    async def act(self, name: str) -> None:
        self.story.append(name)
        match name:
            case "produce":
                self.produce(self.random.randint(1, 6))
            case "wait":
                await asyncio.sleep(self.random.random() * 2)
            case "kill":
                self.kill()
            case "start":
                self.start_worker()
            case "freeze":
                if worker := self.any_worker():
                    worker.freeze()
            case "thaw":
                self.thaw()
            case "rebalance":
                self.rebalance_soon()
            case "expire":
                if worker := self.any_worker():
                    worker.keeper.expire()
            case _:
                self.hurt_store(name)

    def hurt_store(self, name: str) -> None:
        slot = self.random.randrange(SLOTS)
        match name:
            case "fail before":
                self.store.fail_next("before", self.random.randint(1, 3))
            case "fail after":
                self.store.fail_next("after", self.random.randint(1, 3))
            case "store away":
                self.store.go_down()
            case "store back":
                self.store.come_back()
            case "roll back":
                self.store.roll_back(slot, max(0, self.seen[slot].seq - self.random.randint(0, 4)))
                self.seen[slot] = Seen()
            case "lose all":
                self.store.lose_all()
                self.seen = {each: Seen() for each in range(SLOTS)}
            case "lose entities":
                if self.seen[slot].seq:
                    self.store.lose_entities(slot)
                    self.seen[slot] = Seen()

    def produce(self, count: int) -> None:
        for _ in range(count):
            gap = self.random.choice((0, 0, 0, 0, 0, 0, 1, 3))
            if self.random.random() < 0.08:
                partition = TopicPartition(self.random.choice(GENERATED), self.random.randrange(SLOTS))
                self.broken.add((*partition, self.log.ends.get(partition, 0) + gap))
                self.log.append(partition, b"{broken", gap=gap)
                continue
            known = self.random.random() < 0.15 and bool(self.events)
            event = self.random.choice(self.events) if known else self.generator.event()
            self.events.append(event)
            topic, slot, value = delivery(event, slots=SLOTS)
            self.log.append(TopicPartition(topic, slot), value, gap=gap)

    def any_worker(self) -> SimulatedWorker | None:
        return self.random.choice(self.workers) if self.workers else None

    def kill(self) -> None:
        worker = self.any_worker()
        if worker is not None:
            worker.kill()
            self.workers.remove(worker)
            if self.random.random() < 0.8:
                self.rebalance_soon()  # after the session timeout, the others get its slots

    def start_worker(self) -> None:
        if len(self.workers) < WORKERS_MAX:
            self.names += 1
            self.workers.append(
                SimulatedWorker(
                    f"worker {self.names}",
                    log=self.log,
                    store=self.store,
                    rules=self.rules,
                    clock=self.clock,
                    random=Random(self.random.random()),
                    letters=self.letters,
                )
            )
            self.rebalance_soon()

    def thaw(self) -> None:
        """A zombie goes on where it was; only its next heartbeat tells it that it is out."""
        if any(worker.frozen for worker in self.workers):
            for worker in self.workers:
                worker.thaw()
            self.rebalance_soon()

    # ---- the group

    def rebalance_soon(self) -> None:
        self.rebalances.append(asyncio.create_task(self.rebalance()))

    async def rebalance(self) -> None:
        """Give every slot to a worker that answers; a frozen one keeps what it believes to own."""
        async with self.coordinator:
            for worker in [each for each in self.workers if each.fatal is not None]:
                worker.kill()  # the real process ends itself; its supervisor starts another
                self.workers.remove(worker)
            await _patiently([worker.revoke() for worker in self.workers if not worker.frozen])
            members = [worker for worker in self.workers if not worker.frozen]
            if members:
                owners = [self.random.choice(members) for _ in range(SLOTS)]
                await _patiently([worker.assign(_partitions(owners, worker)) for worker in members])

    # ---- what must hold

    def stored(self, slot: int) -> Claim | None:
        """Return what the store holds, past all its faults; None while it holds nothing whole."""
        state = self.store._shared.slots.get(slot)
        if state is None or not state.seq or state.seq != state.entities_seq:
            return None
        return Claim(state.owner, state.seq, state.offsets, state.board, state.entities)

    def check(self) -> None:
        for slot in range(SLOTS):
            stored = self.stored(slot)
            if stored is None:
                continue
            facts = layout.unpack_facts(stored.board[layout.FACTS_FIELD])
            counted = {group: sum(counts.values()) for group, counts in facts.counters.items()}
            told = counted.get("accepted", 0) + counted.get("rejected", 0)
            if told != self.records_before(slot, stored.offsets):
                raise Violated(f"slot {slot}: {told} records accounted for, offsets {stored.offsets}")
            seen = self.seen[slot]
            fallen = [topic for topic, offset in seen.offsets.items() if stored.offsets[topic] < offset]
            if fallen or stored.seq < seen.seq:
                raise Violated(f"slot {slot} fell back from {seen} to {stored.seq} {stored.offsets}")
            if stored.seq != seen.seq and self.random.random() < DEEP_CHECKS:
                self.check_panes(slot, stored)
            self.seen[slot] = Seen(stored.seq, dict(stored.offsets))
        failures = [error for worker in self.workers for error in worker.failures()]
        if failures:
            raise Violated(f"a worker's loop ended: {failures[0]!r}") from failures[0]

    def records_before(self, slot: int, offsets: dict[str, int]) -> int:
        logs = ((topic, self.log.records.get(TopicPartition(topic, slot), [])) for topic in SOURCES)
        return sum(record.offset < offsets[topic] for topic, log in logs for record in log)

    def check_panes(self, slot: int, stored: Claim) -> None:
        """The stored panes are those of the records before the stored offsets: no state without offset."""
        expected = self.undisturbed(slot, stored.offsets)
        actual = Checkpoint.of(stored).panes()
        if actual != expected:
            raise Violated(f"slot {slot} at {stored.offsets}: {actual} is stored, {expected} is right")

    def undisturbed(self, slot: int, offsets: dict[str, int]) -> Panes:
        table, checkpoint = SlotTable(slot, self.rules, Checkpoint().claim()), Checkpoint()
        for topic in SOURCES:
            records = self.log.records.get(TopicPartition(topic, slot), [])
            table.fold(topic, [each for each in records if each.offset < offsets[topic]], now_ms=NOW_MS)
        commit = table.take_commit()
        if commit is not None:
            checkpoint.apply(commit)
        return checkpoint.panes()

    # ---- a life

    async def live(self) -> None:
        following = asyncio.create_task(self.follower.run())
        self.start_worker()
        for action in self.actions():
            await self.act(action)
            await asyncio.sleep(self.random.random() * 0.3)
            self.check()
        await self.heal()
        await self.catch_up()
        self.check_end()
        await asyncio.sleep(FOLLOWS_WITHIN_SECONDS)
        self.check_follower()
        following.cancel()
        for worker in self.workers:
            worker.kill()

    async def heal(self) -> None:
        """End the faults, and help nobody beyond that: what went wrong unnoticed must come out by itself."""
        self.store.come_back()
        self.thaw()
        if not self.workers:
            self.start_worker()
        for worker in self.workers:
            worker.lucky = True
        await asyncio.sleep(SESSION_SECONDS)
        if self.homeless() or any(worker.fatal is not None for worker in self.workers):
            await self.rebalance()
        # A lost batch or a lost commit shows at the next record, so there is one more for each partition.
        missing = {TopicPartition(topic, slot) for topic in GENERATED for slot in range(SLOTS)}
        while missing:
            event = self.generator.event()
            topic, slot, value = delivery(event, slots=SLOTS)
            place = TopicPartition(topic, slot)
            if place in missing:
                missing.remove(place)
                self.events.append(event)
                self.log.append(place, value)

    def homeless(self) -> list[int]:
        """Return the slots that no living worker takes for its own."""
        at_home = {
            number
            for worker in self.workers
            for number, slot in worker.keeper.slots.items()
            if slot.ownership.phase is not Phase.REVOKED
        }
        return [slot for slot in range(SLOTS) if slot not in at_home]

    async def catch_up(self) -> None:
        deadline = asyncio.get_running_loop().time() + CATCH_UP_SECONDS
        while not all(self.is_caught_up(slot) for slot in range(SLOTS)):
            if asyncio.get_running_loop().time() > deadline:
                raise Violated("the faults are over, and yet the workers do not catch up")
            await asyncio.sleep(1.0)
            self.check()
            if not self.workers or any(worker.fatal is not None for worker in self.workers):
                self.start_worker()
                self.workers[-1].lucky = True

    def is_caught_up(self, slot: int) -> bool:
        stored = self.stored(slot)
        ends = {tp.topic: end for tp, end in self.log.ends.items() if tp.partition == slot}
        return not ends or (
            stored is not None and all(stored.offsets[topic] == end for topic, end in ends.items())
        )

    def check_end(self) -> None:
        for slot in range(SLOTS):
            stored = self.stored(slot)
            if stored is not None:
                self.check_panes(slot, stored)
        if not self.broken <= self.letters:
            raise Violated(f"no dead letter for {self.broken - self.letters}")

    def check_follower(self) -> None:
        """What metrics has followed through all of it is what is stored, and what joining that anew gives;
        in some lives the oracle's, too."""
        stored = [Checkpoint.of(claim) for slot in range(SLOTS) if (claim := self.stored(slot)) is not None]
        joined = sums_joined([checkpoint.board for checkpoint in stored], self.rules)
        expected = sums_stored(checkpoint.panes() for checkpoint in stored)
        expected = {
            place: total
            for place in expected.keys() | joined.keys()
            if (total := expected.get(place, 0) + joined.get(place, 0))
        }
        actual = sums_held(self.follower)
        if actual != expected:
            raise Violated(f"metrics holds {actual}, stored is {expected}")
        if self.seed % ORACLE_EVERY == 0:
            snapshot = take_snapshot(self.follower, NOW_MS, CONFIG, strict=True)
            told = answers(books_of(self.events, FLOOR), NOW_MS, FLOOR)
            if found := differences(snapshot, told):
                raise Violated("\n".join(found[:20]))


def _partitions(owners: list[SimulatedWorker], worker: SimulatedWorker) -> set[TopicPartition]:
    mine = [slot for slot, owner in enumerate(owners) if owner is worker]
    return {TopicPartition(topic, slot) for topic in SOURCES for slot in mine}


async def _patiently(calls: list[Coroutine[object, object, None]]) -> None:
    """Wait for the members up to the session timeout; who freezes meanwhile goes on when it thaws."""
    tasks = [asyncio.create_task(call) for call in calls]
    if not tasks:
        return
    done, _ = await asyncio.wait(tasks, timeout=SESSION_SECONDS)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise Violated(f"a rebalance failed: {error!r}") from error


@contextmanager
def _quiet_and_seeded(seed: int) -> Iterator[None]:
    """Give the workers' code the loop's clock and the seed's dice, and keep its log lines out of the way."""
    log = logging.getLogger("streams")
    level, log_disabled = log.level, log.disabled
    log.setLevel(logging.CRITICAL + 1)
    dice = Random(seed)
    with (
        patch.object(keeper_module, "time", LoopTime),
        patch.object(checkpointer_module, "time", LoopTime),
        patch.object(keeper_module, "random", dice),
    ):
        yield
    log.setLevel(level)
    log.disabled = log_disabled


def run(seed: int) -> World:
    """Live one life; whatever is violated names the seed and the story."""
    with _quiet_and_seeded(seed):
        world = World(seed)
        try:
            run_virtually(world.live())
        except Exception as error:
            told = ", ".join(world.story)
            raise Violated(
                f"{error}\nreproduce: python -m tests.simulation --seed {seed}\nstory: {told}"
            ) from error
        return world
