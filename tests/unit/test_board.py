"""The board follower as `metrics` sees it: one feed made of all slots."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from metrics.panes import FINEST, Cell, FeedState, PaneReader
from metrics.reference import RosterSpell
from streams import board, layout
from streams.board import BoardFollower
from streams.layout import SlotFacts
from streams.stores.base import Board, BoardChange, StoreUnavailable
from streams.stores.memory import MemoryStore
from tests.boards import Writer, sums_of_log
from tests.simulation.virtual_time import LoopTime, run_virtually

A, B = Cell(rep="a"), Cell(rep="b")


@asynccontextmanager
async def following(store: MemoryStore, slots: int) -> AsyncIterator[BoardFollower]:
    follower = BoardFollower(store, slots=slots, definition_version="v1")
    running = asyncio.create_task(follower.run())
    try:
        await until(lambda: follower.connected)
        yield follower
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():
            await asyncio.sleep(0.01)


def virtually(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test in virtual time: outages and checks take no real seconds."""

    async def main() -> None:
        await test()

    def run(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(board, "time", LoopTime)
        run_virtually(main())

    run.__name__ = test.__name__
    return run  # type: ignore[return-value]


async def test_loading_once_gives_the_image_of_now() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    await writer.commit(1, {(A, 5): {1: 3}})
    follower: PaneReader = await _loaded(store, slots=1)
    assert sums_of_log(follower) == {(A, 5, 1): 3}
    assert follower.resolutions() == [FINEST]


async def test_loading_says_when_the_store_is_away() -> None:
    store = MemoryStore(version="v1")
    store.go_down()
    with pytest.raises(StoreUnavailable):
        await _loaded(store, slots=1)


async def test_the_state_merges_what_all_slots_know() -> None:
    store = MemoryStore(version="v1")
    for slot, facts in enumerate(
        [
            SlotFacts(
                newest_ms={"sales.deals": 50, "sales.leads": 60}, counters={"accepted": {"d": 1, "l": 2}}
            ),
            SlotFacts(
                newest_ms={"sales.deals": 70},
                rebuild_until={"sales.deals": 12},
                counters={"accepted": {"d": 10}, "rejected": {"empty": 4}},
            ),
            SlotFacts(),
        ]
    ):
        await (await Writer.of(store, slot)).commit(10 + slot, facts=facts)
    assert (await _loaded(store, slots=3)).state() == FeedState(
        offsets={"sales.deals": {0: 10, 1: 11, 2: 12}},
        newest_event_ms=70,
        definition_version="v1",
        rebuilding=True,
        slots_expected=3,
        slots_loaded=3,
        counters={"accepted": {"d": 11, "l": 2}, "rejected": {"empty": 4}},
    )


async def test_a_rebuild_is_over_when_its_offsets_are_reached() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    await writer.commit(11, facts=SlotFacts(rebuild_until={"sales.deals": 12}))
    assert (await _loaded(store, slots=1)).state().rebuilding
    await writer.commit(12, facts=SlotFacts(rebuild_until={"sales.deals": 12}))
    assert not (await _loaded(store, slots=1)).state().rebuilding


async def test_a_slot_that_the_store_forgot_is_flagged_until_its_first_commit_says_how_far_it_is() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    await writer.commit(1, {(A, 5): {1: 3}})
    follower = await _loaded(store, slots=1)
    assert not follower.state().rebuilding
    store.lose_all()
    await follower.load()
    assert not follower.state().ready  # nobody has claimed it yet
    writer = await Writer.of(store, 0)
    await follower.load()
    assert follower.state().ready
    assert follower.state().rebuilding  # zeros, but not of a floor on which nothing has happened
    await writer.commit(1, {(A, 5): {1: 3}})
    await follower.load()
    assert not follower.state().rebuilding


async def test_unclaimed_and_foreign_slots_are_not_loaded() -> None:
    store = MemoryStore(version="v1")
    await (await Writer.of(store, 0)).commit(1, {(A, 5): {1: 3}})
    await (await Writer.of(store.with_version("v2"), 1)).commit(1, {(B, 5): {1: 4}})
    follower = await _loaded(store, slots=3)
    state = follower.state()
    assert (state.slots_expected, state.slots_loaded, state.ready) == (3, 1, False)
    assert state.offsets == {"sales.deals": {0: 1}}
    assert sums_of_log(follower) == {(A, 5, 1): 3}
    assert len(follower.resolutions()) == 1


async def test_a_claimed_slot_without_a_record_is_loaded() -> None:
    store = MemoryStore(version="v1")
    await store.claim(0)
    assert (await _loaded(store, slots=1)).state().ready


@virtually
async def test_each_change_makes_a_greater_version() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    async with following(store, 1) as follower:
        seen = [follower.version()]
        for offset in range(1, 4):
            await writer.commit(offset, {(A, offset): {1: 1}})
            await until(lambda: follower.version() > seen[-1])
            seen.append(follower.version())
        before = follower.version()
        await follower.load()
        assert follower.version() == before


@virtually
async def test_each_change_is_told_of_once_it_can_be_read() -> None:
    store, versions = MemoryStore(version="v1"), []
    writer = await Writer.of(store, 0)
    follower = BoardFollower(
        store, slots=1, definition_version="v1", on_change=lambda: versions.append(follower.version())
    )
    running = asyncio.create_task(follower.run())
    await until(lambda: follower.connected)
    for offset in range(1, 4):
        await writer.commit(offset, {(A, offset): {1: 1}})
        await until(lambda wanted=1 + offset: len(versions) == wanted)  # type: ignore[misc]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert versions == [1, 2, 3, 4]


@virtually
async def test_a_claim_without_a_commit_is_noticed() -> None:
    store = MemoryStore(version="v1")
    async with following(store, 1) as follower:
        assert not follower.state().ready
        await store.claim(0)
        await until(lambda: follower.state().ready)


@virtually
async def test_an_outage_is_waited_out_and_what_was_missed_is_read() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    async with following(store, 1) as follower:
        await writer.commit(1, {(A, 5): {1: 1}})
        await until(lambda: follower.state().offsets == {"sales.deals": {0: 1}})
        store.go_down()
        await until(lambda: not follower.connected)
        contact = follower.last_contact_monotonic
        await asyncio.sleep(60)
        assert not follower.connected
        assert follower.last_contact_monotonic == contact
        assert sums_of_log(follower) == {(A, 5, 1): 1}  # the last good values stay
        store.come_back()
        await writer.commit(2, {(A, 5): {1: 8}}, delete=1)
        await until(lambda: follower.connected)
        assert sums_of_log(follower) == {(A, 5, 1): 8}
        assert contact is not None
        assert follower.last_contact_monotonic is not None
        assert follower.last_contact_monotonic > contact + 60


class CountingStore(MemoryStore):
    boards_read = 0

    async def read_board(self, slot: int) -> Board:
        self.boards_read += 1
        return await super().read_board(slot)


class LateStore(CountingStore):
    """Tells each change two seconds after the one before, as a follower without time would hear them."""

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[BoardChange]]:
        async with super().follow() as changes:
            yield self._late(changes)

    async def _late(self, changes: AsyncIterator[BoardChange]) -> AsyncIterator[BoardChange]:
        async for change in changes:
            await asyncio.sleep(2)
            yield change


@virtually
async def test_a_follower_that_is_behind_works_off_the_changes_and_reads_no_board_again() -> None:
    store = LateStore(version="v1")
    writer = await Writer.of(store, 0)
    async with following(store, 1) as follower:
        read_at_first = store.boards_read
        for offset in range(1, 31):
            await writer.commit(offset, {(A, offset): {1: 1}})
        await until(lambda: follower.state().offsets == {"sales.deals": {0: 30}})
        assert store.boards_read == read_at_first


@virtually
async def test_a_change_that_nobody_told_of_is_found_in_the_silence_after_it() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    async with following(store, 1) as follower:
        store.spoil_notices(lambda _change: [])
        await writer.commit(1, {(A, 5): {1: 1}})
        await until(lambda: follower.state().offsets == {"sales.deals": {0: 1}})


@virtually
async def test_a_foreign_board_is_read_once_and_not_at_each_of_its_commits() -> None:
    store = CountingStore(version="v1")
    async with following(store, 1) as follower:
        other = await Writer.of(store.with_version("v2"), 0)
        await other.commit(1, {(B, 5): {1: 1}})
        await asyncio.sleep(1)
        for offset in range(2, 9):
            await other.commit(offset, {(B, 5): {1: 1}})
            await asyncio.sleep(1)
        assert store.boards_read == 1
        assert not follower.state().ready


@virtually
async def test_a_slot_taken_by_another_version_leaves_and_comes_back() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    await writer.commit(1, {(A, 5): {1: 1}})
    async with following(store, 1) as follower:
        assert sums_of_log(follower) == {(A, 5, 1): 1}
        store.start_over(0)
        other = await Writer.of(store.with_version("v2"), 0)
        for offset in range(1, 9):
            await other.commit(offset, {(B, 5): {1: 1}})
        await until(lambda: not follower.state().ready)
        assert sums_of_log(follower) == {}
        store.start_over(0)
        again = await Writer.of(store, 0)
        await again.commit(1, {(A, 6): {1: 2}})
        await until(lambda: follower.state().ready)
        await until(lambda: follower.state().offsets == {"sales.deals": {0: 1}})
        assert sums_of_log(follower) == {(A, 6, 1): 2}


async def _loaded(store: MemoryStore, *, slots: int) -> BoardFollower:
    follower = BoardFollower(store, slots=slots, definition_version="v1")
    await follower.load()
    return follower


@virtually
async def test_a_store_that_goes_away_while_the_roster_changes_is_asked_again() -> None:
    store = MemoryStore(version="v1")
    writer = await Writer.of(store, 0)
    follower = BoardFollower(store, slots=1, definition_version="v1", roster_only=("rep",))
    await writer.commit(1, {(A, 5): {1: 3}, (B, 5): {1: 4}})
    await follower.load()
    own = {(A, 5, 1): 3, (B, 5, 1): 4}
    assert sums_of_log(follower) == own
    running = asyncio.create_task(follower.run())
    await until(lambda: follower.connected)
    spell = RosterSpell("a")
    read, away = store.read_board, True

    async def read_board(slot: int) -> Board:
        if away:
            raise StoreUnavailable("gone")
        return await read(slot)

    store.read_board = read_board  # type: ignore[method-assign]
    await writer.commit(2, more={layout.reference_field(spell.id): layout.pack_reference(spell)})
    await until(lambda: not follower.connected)
    assert sums_of_log(follower) == own
    away = False
    await until(lambda: follower.connected)
    assert sums_of_log(follower) == {(A, 5, 1): 3, (Cell(rep="other"), 5, 1): 4}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_while_the_roster_changes_readers_are_told_what_was_and_a_cancelled_count_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore(version="v1")
    writers = [await Writer.of(store, slot) for slot in range(2)]
    follower = BoardFollower(store, slots=2, definition_version="v1", roster_only=("rep",))
    for writer in writers:
        await writer.commit(1, {(A, 5): {1: 3}, (B, 5): {1: 4}})
    await follower.load()
    before, seen = {(A, 5, 1): 6, (B, 5, 1): 8}, []
    wait = asyncio.sleep

    async def look(seconds: float) -> None:
        seen.append(sums_of_log(follower))
        assert follower.state().ready
        if len(seen) == 3:
            raise asyncio.CancelledError
        await wait(seconds)

    monkeypatch.setattr(asyncio, "sleep", look)
    spell = RosterSpell("a")
    await writers[0].commit(2, more={layout.reference_field(spell.id): layout.pack_reference(spell)})
    with pytest.raises(asyncio.CancelledError):
        await follower.load()
    assert sums_of_log(follower) == before
    await follower.load()
    assert seen == [before] * 7
    assert sums_of_log(follower) == {(A, 5, 1): 6, (Cell(rep="other"), 5, 1): 8}
