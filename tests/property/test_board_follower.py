"""Whatever notices get lost or come twice, whoever takes a slot over and whatever the store forgets: the
follower's log adds up to the boards that are stored."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.panes import Cell
from metrics.reference import RosterSpell
from streams import layout
from streams.board import BoardFollower
from streams.events import EntityKind
from streams.facts import DealFact
from streams.joins import Joins
from streams.joins.base import FactChange, Facts, Joined
from streams.layout import PaneValues
from streams.pane_log import GrowingLog, Rows
from streams.slot_board import Difference
from streams.stores.base import Board, BoardChange
from streams.stores.memory import MemoryStore
from tests.boards import Sums, Writer, sums_of_boards, sums_of_log
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
class Enrols:
    """A roster record of a rep is committed."""

    slot: int
    rep: str
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


Step = Commits | Enrols | ChangesHands | RollsBack | LosesAll | BreaksSubscriptions

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
enrolments = st.builds(Enrols, slots, st.sampled_from("abx"), notices)
steps_with_a_roster = st.lists(st.one_of(commits, commits, enrolments, others), max_size=25)


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
            case Enrols():
                self.notice = step.notice
                spell = RosterSpell(step.rep)
                record = {layout.reference_field(spell.id): layout.pack_reference(spell)}
                await self.commit(step.slot, {}, 0, record)
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

    async def commit(
        self,
        slot: int,
        panes: dict[tuple[Cell, int], PaneValues],
        delete: int,
        more: dict[bytes, bytes] | None = None,
    ) -> None:
        if slot not in self.writers:
            self.writers[slot] = await Writer.of(self.store, slot)
        self.offset += 1
        await self.writers[slot].commit(self.offset, panes, delete=delete, more=more)


@given(steps=steps)
@settings(max_examples=amount(300, long=3000))
def test_the_log_adds_up_to_the_stored_boards_whatever_was_lost_on_the_way(steps: list[Step]) -> None:
    run_virtually(_follow(steps, check_between=False))


@given(steps=steps)
@settings(max_examples=amount(150, long=1500))
def test_comparing_marks_mends_what_no_notice_told(steps: list[Step]) -> None:
    run_virtually(_follow(steps, check_between=True))


@given(steps=steps_with_a_roster)
@settings(max_examples=amount(150, long=1500))
def test_whoever_comes_on_the_roster_or_is_lost_from_it_the_others_count_as_one(steps: list[Step]) -> None:
    run_virtually(_follow(steps, check_between=False, roster_only=("rep",)))


async def _follow(steps: list[Step], *, check_between: bool, roster_only: tuple[str, ...] = ()) -> None:
    world = World()
    follower = BoardFollower(
        world.store,
        slots=SLOTS,
        definition_version="v1",
        roster_only=roster_only,
        log=GrowingLog(compact_rows_min=8),
    )
    follower.few_cells = 0
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
        if roster_only:  # once everything is counted anew
            await _until(lambda: follower._shown is None and not follower._lock.locked())
        await _assert_equal(world, follower, roster_only=bool(roster_only))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _assert_equal(world: World, follower: BoardFollower, *, roster_only: bool = False) -> None:
    boards = [await world.store.read_board(slot) for slot in range(SLOTS)]
    sums = sums_of_boards(boards, version="v1")
    if roster_only:
        sums = _strangers_as_one(sums, boards)
    assert sums_of_log(follower) == sums
    assert follower.state().slots_loaded == sum(board.version == "v1" for board in boards)


def _strangers_as_one(sums: Sums, boards: list[Board]) -> Sums:
    packed = [each for board in boards for name, each in board.fields.items() if layout.is_reference(name)]
    known = {
        record.rep_id for each in packed if isinstance(record := layout.unpack_reference(each), RosterSpell)
    }
    found: Counter[tuple[Cell, int, int]] = Counter()
    for (cell, start_ms, key), value in sums.items():
        strange = known and cell.rep not in known
        found[cell._replace(rep="other") if strange else cell, start_ms, key] += value
    return {where: value for where, value in found.items() if value}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_names_that_come_and_go_are_not_held_for_ever() -> None:
    run_virtually(_come_and_go())


async def _come_and_go() -> None:
    world = World()
    follower = BoardFollower(world.store, slots=SLOTS, definition_version="v1")
    follower.few_cells = 10
    for number in range(100):
        for slot in range(SLOTS):
            await world.commit(slot, {(Cell(rep=f"{number}-{slot}"), 0): {1: 1}}, delete=1)
        await follower.load()
        await _assert_equal(world, follower)
        assert len(follower.cells()) <= 20


class Cancelling:
    """A join in which a deal adds one, and another takes one off, at the same place and time."""

    def learn(self, change: FactChange, facts: Facts) -> list[str]:
        return [change.id]

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        deal = facts.deal(joined_id)
        return [] if deal is None else [Joined(deal.cell, 0, {1: 1 if joined_id == "more" else -1})]


def test_a_cell_whose_joined_rows_cancel_out_is_still_held_for_what_takes_one_back() -> None:
    follower = BoardFollower(
        MemoryStore(version="v1"), slots=1, definition_version="v1", joins=Joins([Cancelling()])
    )
    follower.few_cells = 0
    a, b = DealFact(Cell(rep="a"), 0), DealFact(Cell(rep="b"), 0)

    def say(deal_id: str, before: DealFact | None, after: DealFact | None) -> None:
        change = FactChange(EntityKind.DEAL, deal_id, before, after)
        follower._changed(0, Difference(Rows(), [change]), live=False)

    say("third", None, b)
    say("third", b, None)
    say("more", None, a)
    say("less", None, a)
    for number in range(5):
        gone = DealFact(Cell(rep=f"gone {number}"), 0)
        say("third", None, gone)
        say("third", gone, None)
    assert sums_of_log(follower) == {}
    say("more", a, b)
    assert sums_of_log(follower) == {(a.cell, 0, 1): -1, (b.cell, 0, 1): 1}
    assert len(follower.cells()) <= 4
