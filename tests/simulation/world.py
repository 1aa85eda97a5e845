"""One seed in, one life of a floor's workers, readers, operator, log and store out: every fault by chance.

What must hold after every action: a state that is stored or shown is that of one undisturbed fold of exactly
the records its witness names, each once, with the counters that fit them; what is missing of them was
removed by retention and is counted as lost; offsets never fall while the store keeps its promises; nobody
commits into state of another definition. At the end, once the faults stop: everything catches up under the
settings last asked for, every reader shows it, the oracle agrees, and every broken record is a dead letter.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from unittest.mock import patch

from aiokafka.structs import TopicPartition

from streams import board as board_module
from streams import checkpointer as checkpointer_module
from streams import keeper as keeper_module
from streams import metrics_role, switching
from streams.pane_store import PaneStore
from streams.stores.memory import MemoryStore, SlotState
from streams.topics import SOURCES
from tests.histories import DAY_MS
from tests.simulation import checks, definitions, healing
from tests.simulation.checks import Violated
from tests.simulation.definitions import NOW_MS, definition_of
from tests.simulation.faults import (
    ALWAYS,
    COMMIT_STEPS,
    HITS,
    OPERATOR_STEPS,
    QUIET,
    RARE,
    STEPS,
    WEIGHTS,
    Hit,
)
from tests.simulation.log import Log
from tests.simulation.operators import Operator
from tests.simulation.outside import Outside, Trap
from tests.simulation.records import BROKEN, Records
from tests.simulation.screens import Screen
from tests.simulation.virtual_time import LoopTime, run_virtually
from tests.simulation.witness import Witness
from tests.simulation.workers import Definition, Floor, Letter, SimulatedWorker

SLOTS = 2
WORKERS_MAX = 3
ACTIONS_MIN, ACTIONS_MAX = 12, 34
SESSION_SECONDS = 6.0
HOUR_MS = 3_600_000


@dataclass
class Seen:
    """What was last found stored for a slot."""

    generation: int = 0
    seq: int = 0
    offsets: dict[str, int] = field(default_factory=dict)


class World:
    def __init__(
        self, seed: int, hits: Counter[str] | None = None, trap: Trap | None = None, *, quiet: bool = False
    ) -> None:
        """`trap` waits for the first worker or rebuild that can come to its step; `quiet`: only that one."""
        self.seed = seed
        self.random = random = Random(seed)
        self.hits: Counter[str] = Counter() if hits is None else hits
        self.log = Log()
        self.store = MemoryStore(version="", rng=Random(seed))
        self.witness = Witness(self.log, NOW_MS)
        self.store.watched_by(self._watch)
        self.letters: set[Letter] = set()
        self.broken: set[Letter] = set()
        self.floor = Floor(self.log, self.store, self.witness, self.letters, self.hits, SLOTS)
        self.records = Records(seed, now_ms=NOW_MS, slots=SLOTS, hits=self.hits)
        short = random.random() < 0.4
        """Then activities settle, leave memory, and come too late."""
        self.definitions = [definition_of(zone=number, short_horizon=short) for number in (0, 1)]
        self.target = self.definitions[0]
        self.by_version = {each.version: each for each in self.definitions}
        self.workers: list[SimulatedWorker] = []
        self.screens: list[Screen] = []
        self.operators: dict[asyncio.Task[object], Operator] = {}
        self.seen = {slot: Seen() for slot in range(SLOTS)}
        self.truncated: set[int] = set()
        self.committers: dict[str, str] = {}
        self.wrongs: list[str] = []
        self.story: list[str] = []
        self.coordinator = asyncio.Lock()
        self.rebalances: set[asyncio.Task[None]] = set()
        self.trap = trap
        self.gaps = random.random() < 0.5
        self.weights = dict(QUIET) if quiet else self._some_faults()
        if trap is not None and trap.step in OPERATOR_STEPS:
            self.weights["rebuild"] = 3

    def _some_faults(self) -> dict[str, int]:
        random = self.random
        return {
            name: weight
            for name, weight in WEIGHTS.items()
            if name in ALWAYS or random.random() < RARE.get(name, 0.5)
        }

    def _watch(self, slot: int, generation: int, state: SlotState) -> None:
        """Told by the store of every claim and commit, in the same step."""
        self.witness.note(slot, generation, state)
        version = self.committers.setdefault(state.owner, state.version)
        if version != state.version:
            self.wrongs.append(f"{state.owner} of {version} wrote into state of {state.version}")

    # ---- actions

    def actions(self) -> Iterator[str]:
        names, weights = list(self.weights), list(self.weights.values())
        for _ in range(self.random.randint(ACTIONS_MIN, ACTIONS_MAX)):
            yield self.random.choices(names, weights=weights)[0]

    async def act(self, name: str) -> None:
        self.story.append(name)
        self.hits[name] += 1
        match name:
            case "produce":
                self.produce(self.random.randint(1, 6))
            case "wait":
                await asyncio.sleep(self.random.random() * 2)
            case "look":
                checks.check_screens(self)
            case "start":
                self.start_worker()
            case "thaw":
                self.thaw()
            case "rebalance":
                self.rebalance_soon()
            case "trap":
                self.set_trap()
            case "rebuild" | "switch":
                if name == "switch":
                    self.target = self.definitions[self.target is self.definitions[0]]
                    self.start_worker()
                self.start_rebuild()
            case "kill" | "freeze" | "expire" | "clock ahead" | "clock behind" | "clock stepped":
                self.hurt_worker(name)
            case "clock years ahead":
                self.hurt_worker(name)
            case "retention" | "truncation":
                self.hurt_log(name)
            case _:
                self.hurt_store(name)

    def hurt_worker(self, name: str) -> None:
        if not self.workers:
            return
        worker, random = self.random.choice(self.workers), self.random
        clock = worker.clock
        match name:
            case "kill":
                self.kill(worker)
            case "freeze":
                worker.outside.freeze()
            case "expire":
                worker.expire()
            case "clock ahead":
                clock.set_ms(NOW_MS + random.randrange(600 * DAY_MS))
            case "clock behind":
                clock.set_ms(NOW_MS - random.randrange(20 * HOUR_MS))
            case "clock stepped":
                clock.set_ms(clock.now_ms() + random.randint(-1000, 1000))
            case "clock years ahead":
                was = clock.now_ms()
                clock.set_ms(NOW_MS + random.randrange(1000, 9000) * DAY_MS)
                worker.expire()
                clock.set_ms(was)

    def hurt_log(self, name: str) -> None:
        places = [place for place, each in self.log.partitions.items() if each.end > each.begin]
        if not places:
            return
        place = self.random.choice(places)
        partition = self.log.of(place)
        at = self.random.randint(partition.begin + 1, partition.end)
        if name == "retention":
            self.log.remove_before(place, at)
        elif place.partition not in self.truncated:
            self.truncated.add(place.partition)
            self.log.truncate(place, at - 1)

    def hurt_store(self, name: str) -> None:
        slot, store, random = self.random.randrange(SLOTS), self.store, self.random
        match name:
            case "fail before":
                store.fail_next("before", random.randint(1, 3))
            case "fail after":
                store.fail_next("after", random.randint(1, 3))
            case "store away":
                store.go_down()
            case "store back":
                store.come_back()
                self.set_slowness(1.0)
                store.spoil_notices(lambda change: (change,))
            case "store slow":
                self.set_slowness(random.choice((10.0, 60.0)))
            case "notices lost":
                store.spoil_notices(lambda change: [change] * random.choice((0, 0, 1, 2)))
            case "roll back":
                store.forget_last(random.randint(1, 8))
                self.forget_seen()
            case "lose all":
                store.lose_all()
                self.forget_seen()
            case "lose entities":
                held = store.held(slot)
                if held is not None and held.seq:
                    store.lose_entities(slot)
                    self.forget_seen()

    def forget_seen(self) -> None:
        self.seen = {each: Seen() for each in range(SLOTS)}

    def set_slowness(self, factor: float) -> None:
        for worker in self.workers:
            worker.outside.slowness = factor

    def produce(self, count: int) -> None:
        for _ in range(count):
            made = self.records.make()
            if made.place.partition in self.truncated:
                continue  # offsets cannot tell what is new from what was folded: see `faults`
            gap = self.random.choice((0, 0, 0, 0, 0, 0, 1, 3)) if self.gaps else 0
            self.hits["gap"] += gap > 0
            offset = self.log.append(made.place, made.value, event=made.event, gap=gap)
            if made.kind in BROKEN:
                self.broken.add((*made.place, offset))

    def set_trap(self) -> None:
        """Let somebody be hit when it comes to a certain step."""
        outsides: list[tuple[Outside, Sequence[str]]] = [(each.outside, STEPS) for each in self.workers]
        outsides += [(operator.outside, OPERATOR_STEPS) for operator in self.operators.values()]
        if outsides:
            outside, steps = self.random.choice(outsides)
            outside.trap = self.some_trap(steps)

    def some_trap(self, steps: Sequence[str]) -> Trap:
        return Trap(self.random.choice(steps), self.random.choice(HITS), self.random.choice((0, 0, 1, 3)))

    # ---- workers

    def kill(self, worker: SimulatedWorker) -> None:
        self.bury_one(worker)
        if worker in self.workers:
            self.workers.remove(worker)
        if self.random.random() < 0.8:
            self.rebalance_soon()  # after the session timeout, the others get its slots

    def start_worker(self, definition: Definition | None = None) -> SimulatedWorker | None:
        if len(self.workers) >= WORKERS_MAX:
            return None
        if definition is None:
            # In a rolling deploy some come with the settings of before.
            definition = self.target if self.random.random() < 0.7 else self.definitions[0]
        worker = SimulatedWorker(
            self.floor,
            definition,
            now_ms=NOW_MS,
            random=Random(self.random.random()),
            joins=self.rebalance_soon,
        )
        worker.outside.on_hit = lambda hit: self._hit(worker, hit)
        if self.trap is not None and self.trap.step in STEPS:
            worker.outside.trap, self.trap = self.trap, None
        elif "trap" in self.weights and self.random.random() < 0.5:
            worker.outside.trap = self.some_trap((*STEPS, *COMMIT_STEPS))
        self.workers.append(worker)
        return worker

    def _hit(self, worker: SimulatedWorker, hit: Hit) -> None:
        if hit == "dies":
            self.kill(worker)
        elif hit == "freezes":
            self._freeze(worker.outside)

    def _freeze(self, outside: Outside) -> None:
        """Freeze, and wake a while later; meanwhile the group may have gone on without it."""
        outside.freeze()
        asyncio.get_running_loop().call_later(self.random.random() * 20.0, self._wake, outside)
        if self.random.random() < 0.8:
            self.rebalance_soon(after_seconds=self.random.random() * SESSION_SECONDS)

    def _wake(self, outside: Outside) -> None:
        if outside.frozen and not outside.dead:
            outside.thaw()
            self.rebalance_soon(after_seconds=self.random.random() * 3.0)

    def thaw(self) -> None:
        """A zombie goes on where it was; only its next heartbeat tells it that it is out."""
        frozen = [worker.outside for worker in self.workers if worker.outside.frozen]
        for outside in frozen:
            outside.thaw()
        if frozen:
            self.rebalance_soon()

    # ---- the operator

    def start_rebuild(self, *, faulty: bool = True) -> "asyncio.Task[object]":
        operator = Operator(self.floor, self.target, now_ms=NOW_MS, random=Random(self.random.random()))
        operator.outside.on_hit = lambda hit: self._hit_operator(task, operator, hit)
        if self.trap is not None and self.trap.step in OPERATOR_STEPS:
            operator.outside.trap, self.trap = self.trap, None
        elif faulty and "trap" in self.weights and self.random.random() < 0.6:
            operator.outside.trap = self.some_trap(OPERATOR_STEPS)
        task: asyncio.Task[object] = asyncio.create_task(operator.rebuild())
        self.operators[task] = operator
        task.add_done_callback(self._operator_ended)
        return task

    def _hit_operator(self, task: "asyncio.Task[object]", operator: Operator, hit: Hit) -> None:
        if hit == "dies":
            operator.outside.die()
            task.cancel()
        elif hit == "freezes":
            self._freeze(operator.outside)

    def _operator_ended(self, task: "asyncio.Task[object]") -> None:
        self.operators.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.wrongs.append(f"the rebuild raised {error!r}")

    # ---- the group

    def rebalance_soon(self, after_seconds: float = 0.0) -> None:
        task = asyncio.create_task(self.rebalance(after_seconds))
        self.rebalances.add(task)
        task.add_done_callback(self._rebalance_ended)

    def _rebalance_ended(self, task: "asyncio.Task[None]") -> None:
        self.rebalances.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.wrongs.append(f"a rebalance failed: {error!r}")

    async def rebalance(self, after_seconds: float = 0.0) -> None:
        """Give every slot to a worker that answers; a frozen one keeps what it believes to own."""
        await asyncio.sleep(after_seconds)
        async with self.coordinator:
            self.bury()
            await _patiently(
                [each.revoke() for each in self.workers if each.joined and not each.outside.frozen]
            )
            members = [each for each in self.workers if each.joined and not each.outside.frozen]
            if members:
                owners = [self.random.choice(members) for _ in range(SLOTS)]
                await _patiently([worker.assign(_partitions(owners, worker)) for worker in members])

    def bury(self) -> None:
        """The real process ends itself after a fatal error; its supervisor starts another."""
        for worker in [each for each in self.workers if each.fatal is not None]:
            self.bury_one(worker)
            self.workers.remove(worker)

    def bury_one(self, worker: SimulatedWorker) -> None:
        for name, count in worker.counts.items():
            self.hits[name] += count
        worker.kill()

    # ---- a life

    async def live(self) -> None:
        self.screens = [
            Screen(self.store, definition.settings, self.random, self.hits)
            for definition in (self.definitions if "switch" in self.weights else self.definitions[:1])
        ]
        self.start_worker(self.target)
        try:
            for action in self.actions():
                await self.act(action)
                await asyncio.sleep(self.random.random() * 0.3)
                checks.check(self)
            await healing.heal(self)
            await healing.catch_up(self)
            checks.check_end(self)
            await healing.until_shown(self)
        finally:
            for worker in self.workers:
                self.bury_one(worker)


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
            raise error


@contextmanager
def _quiet_and_seeded(seed: int) -> Iterator[None]:
    """Give the workers' code the loop's clock and the seed's dice, and keep its log lines out of the way."""
    log = logging.getLogger("streams")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with (
            patch.object(keeper_module, "time", LoopTime),
            patch.object(checkpointer_module, "time", LoopTime),
            patch.object(board_module, "time", LoopTime),
            patch.object(checkpointer_module, "PROBE_SECONDS", 2.0),  # lives are short
            patch.object(board_module.BoardFollower, "few_cells", 0),  # and know few names
            patch.object(PaneStore, "few_cells", 0),
            patch.object(keeper_module, "random", Random(seed)),
            # Pure, slow, and asked again and again for the same few settings.
            patch.object(metrics_role, "settings_under", definitions.settings_under),
            patch.object(switching, "shown_of", definitions.shown_of),
        ):
            yield
    finally:
        log.setLevel(level)


def run(
    seed: int, hits: Counter[str] | None = None, trap: Trap | None = None, *, quiet: bool = False
) -> World:
    """Live one life; whatever is violated names the seed and the story. `trap`, `quiet`: see `World`."""
    with _quiet_and_seeded(seed):
        world = World(seed, hits, trap, quiet=quiet)
        try:
            run_virtually(world.live())
        except Exception as error:
            told = ", ".join(world.story)
            raise Violated(f"{error}\nreproduce: python -m tests.simulation {seed}\nstory: {told}") from error
        return world
