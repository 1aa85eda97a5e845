"""Whatever notices get lost or come twice, whoever takes a slot over and whatever the store forgets: the
follower's log adds up to the boards that are stored."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.panes import Cell
from streams.board import BoardFollower
from streams.layout import PaneValues
from streams.pane_log import GrowingLog
from streams.stores.base import BoardChange
from streams.stores.memory import MemoryStore
from tests.boards import Writer, sums_of_boards, sums_of_log
from tests.simulation.virtual_time import run_virtually
from tests.strength import amount

SLOTS = 2
Notice = Literal["told", "dropped", "told twice"]


@dataclass(frozen=True)
class Commits:
    slot: int
    panes: dict[tuple[Cell, int], PaneValues]
    delete: int
    notice: Notice


@dataclass(frozen=True)
class ChangesHands:
    slot: int
    version: str


@dataclass(frozen=True)
class RollsBack:
    slot: int
    commits: int


@dataclass(frozen=True)
class LosesAll:
    pass


@dataclass(frozen=True)
class BreaksSubscriptions:
    pass


Step = Commits | ChangesHands | RollsBack | LosesAll | BreaksSubscriptions

slots = st.integers(0, SLOTS - 1)
cells = st.builds(Cell, rep=st.sampled_from("abc"))
panes = st.dictionaries(
    st.tuples(cells, st.integers(0, 3)),
    st.dictionaries(st.sampled_from([1, 2, 9 << 21]), st.integers(-5, 5), min_size=1, max_size=3),
    max_size=3,
)
notices: st.SearchStrategy[Notice] = st.sampled_from(["told", "dropped", "told twice"])
commits = st.builds(Commits, slots, panes, st.integers(0, 2), notices)
others = st.one_of(
    st.builds(ChangesHands, slots, st.sampled_from(["v1", "v1", "v2"])),
    st.builds(RollsBack, slots, st.integers(1, 3)),
    st.builds(LosesAll),
    st.builds(BreaksSubscriptions),
)
steps = st.lists(st.one_of(commits, commits, commits, others), max_size=25)


class World:
    """One store, one writer per slot, one follower that runs beside them."""

    def __init__(self) -> None:
        self.store = MemoryStore(version="v1")
        self.store.spoil_notices(self._notices)
        self.notice: Notice = "told"
        self.writers: dict[int, Writer] = {}
        self.offset = 0

    def _notices(self, change: BoardChange) -> list[BoardChange]:
        return [change] * {"told": 1, "dropped": 0, "told twice": 2}[self.notice]

    async def take(self, step: Step) -> None:
        match step:
            case Commits():
                self.notice = step.notice
                await self.commit(step.slot, step.panes, step.delete)
            case ChangesHands():
                if (await self.store.read_board(step.slot)).version != step.version:
                    self.store.start_over(step.slot)
                self.writers[step.slot] = await Writer.of(self.store.with_version(step.version), step.slot)
            case RollsBack():
                seq = (await self.store.read_mark(step.slot)).seq
                self.store.roll_back(step.slot, max(0, seq - step.commits))
            case LosesAll():
                self.store.lose_all()
            case BreaksSubscriptions():
                self.store.break_subscriptions()

    async def commit(self, slot: int, panes: dict[tuple[Cell, int], PaneValues], delete: int) -> None:
        if slot not in self.writers:
            self.writers[slot] = await Writer.of(self.store, slot)
        self.offset += 1
        await self.writers[slot].commit(self.offset, panes, delete=delete)


@given(steps=steps)
@settings(max_examples=amount(300, long=3000))
def test_the_log_adds_up_to_the_stored_boards_whatever_was_lost_on_the_way(steps: list[Step]) -> None:
    run_virtually(_follow(steps, check_between=False))


@given(steps=steps)
@settings(max_examples=amount(150, long=1500))
def test_comparing_marks_mends_what_no_notice_told(steps: list[Step]) -> None:
    run_virtually(_follow(steps, check_between=True))


async def _follow(steps: list[Step], *, check_between: bool) -> None:
    world = World()
    follower = BoardFollower(
        world.store, slots=SLOTS, definition_version="v1", log=GrowingLog(compact_rows_min=8)
    )
    running = asyncio.create_task(follower.run())
    try:
        await _until(lambda: follower.connected)
        for step in steps:
            await world.take(step)
            if check_between:
                await follower.load()
                await _assert_equal(world, follower)
            else:
                await asyncio.sleep(0)
        # One last commit by this version on each slot, told: it must bring everything up to date.
        world.notice = "told"
        for slot in range(SLOTS):
            await world.take(ChangesHands(slot, "v1"))
            await world.commit(slot, {(Cell(rep="last"), slot): {1: 1}}, 0)
        newest = {slot: (await world.store.read_board(slot)).offsets["sales.deals"] for slot in range(SLOTS)}
        await _until(lambda: follower.state().offsets == {"sales.deals": newest})
        await _assert_equal(world, follower)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _assert_equal(world: World, follower: BoardFollower) -> None:
    boards = [await world.store.read_board(slot) for slot in range(SLOTS)]
    assert sums_of_log(follower) == sums_of_boards(boards, version="v1")
    assert follower.state().slots_loaded == sum(board.version == "v1" for board in boards)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
