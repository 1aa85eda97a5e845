"""Commits: what the store holds, in which order, and what each answer of the store leads to."""

import asyncio

import pytest
from aiokafka.structs import TopicPartition

from streams import checkpointer as checkpointer_module
from streams import keeper as keeper_module
from streams.ownership import RELOADS_MAX, Phase, TooManyReloads
from streams.slot import Slot
from streams.stores.base import Commit
from streams.table import SlotTable
from streams.topics import DEALS
from tests.folding import LogRecord
from tests.unit.slots_at_hand import Desk, deals, partitions

DEALS_0 = TopicPartition(DEALS, 0)


@pytest.fixture(autouse=True)
def no_pause_before_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "RELOAD_PAUSE_SECONDS", 0.001)


async def test_commit_holds_what_was_folded_with_its_offsets() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    assert await desk.checkpointer.commit_all()
    assert (await desk.stored())[DEALS] == 5
    assert desk.slot().flushed[DEALS] == 5


@pytest.mark.parametrize("left", [1, 0])
async def test_a_store_that_forgot_is_found_out_without_another_record(left: int) -> None:
    desk = Desk()
    await desk.take(0)
    for first in (0, 5):
        desk.fold(deals(first, 5))
        await desk.checkpointer.commit_all()
    await desk.checkpointer.compare_with_store()
    assert desk.slot().ownership.phase is Phase.OWNING
    desk.store.roll_back(0, left)
    await desk.checkpointer.compare_with_store()
    assert (desk.keeper.counts.rolled_back, desk.slot().ownership.phase) == (1, Phase.WAITING)
    await desk.reloaded()
    assert desk.slot().positions()[DEALS_0] == 5 * left


async def test_a_slot_taken_over_is_found_out_without_another_record() -> None:
    zombie = Desk()
    await zombie.take(0)
    await Desk(store=zombie.store).take(0)
    await zombie.checkpointer.compare_with_store()
    assert (zombie.keeper.counts.fenced, zombie.slot().ownership.phase) == (1, Phase.WAITING)
    await zombie.reloaded()


async def test_a_commit_whose_answer_was_lost_is_not_taken_for_another_owners() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.store.fail_next("after")
    assert not await desk.checkpointer.commit_all()
    await desk.checkpointer.compare_with_store()
    assert desk.slot().ownership.phase is Phase.OWNING


async def test_nothing_folded_means_no_commit() -> None:
    desk = Desk()
    await desk.take(0)
    assert await desk.checkpointer.commit_all()
    assert desk.keeper.counts.commits == 0


async def test_others_have_their_turn_between_the_slots_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, turns = Desk(), 0
    packed_at: list[int] = []
    expired_at: list[int] = []
    pack, expire = SlotTable.take_commit, desk.keeper.expire

    def packing(table: SlotTable) -> Commit | None:
        packed_at.append(turns)
        return pack(table)

    def expiring(slot: Slot) -> None:
        expired_at.append(turns)
        expire(slot)

    monkeypatch.setattr(SlotTable, "take_commit", packing)
    monkeypatch.setattr(desk.keeper, "expire", expiring)
    await desk.take(0, 1, 2)
    for slot in range(3):
        desk.fold(deals(0, 5, slot=slot))
    monkeypatch.setattr(checkpointer_module, "EXPIRE_SECONDS", 0.0)
    monkeypatch.setattr(checkpointer_module, "CHECK_SECONDS", 0.0)
    looking = asyncio.create_task(desk.checkpointer.look_after())
    committing = asyncio.create_task(desk.checkpointer.commit_all())
    while len(expired_at) < 3 or not committing.done():
        turns += 1
        await asyncio.sleep(0)
    looking.cancel()
    assert await committing
    assert len(packed_at) == 3
    for at in (packed_at, expired_at[:3]):
        assert len(set(at)) == 3, "what merges panes takes a slot seconds, and all slots want it at once"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_lost_answer_is_retried_and_applied_once(when: str) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.store.fail_next("before" if when == "before" else "after")
    assert not await desk.checkpointer.commit_all()
    desk.fold(deals(5, 5))
    assert await desk.checkpointer.commit_all()
    assert (await desk.stored())[DEALS] == 5, "the very same commit goes first"
    assert await desk.checkpointer.commit_all()
    assert (await desk.stored())[DEALS] == 10
    assert desk.keeper.counts.fenced == desk.keeper.counts.rolled_back == 0


async def test_fenced_slot_is_dropped_and_claimed_again() -> None:
    zombie = Desk()
    await zombie.take(0)
    heir = Desk(store=zombie.store)
    await heir.take(0)
    zombie.fold(deals(0, 5))
    await zombie.checkpointer.commit_all()
    assert (zombie.keeper.counts.fenced, zombie.slot().ownership.phase) == (1, Phase.WAITING)
    assert await zombie.stored() == {}
    await zombie.reloaded()
    assert zombie.slot().positions()[DEALS_0] == 0


@pytest.mark.parametrize(("commits", "is_fatal"), [(True, False), (False, True)])
async def test_store_that_falls_back_again_and_again_ends_only_a_worker_that_gets_nowhere(
    commits: bool, is_fatal: bool
) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 1))
    await desk.checkpointer.commit_all()
    for number in range(1, 3 * RELOADS_MAX):
        if commits:
            desk.fold(deals(0, number))
            await desk.checkpointer.commit_all()
        desk.store.roll_back(0, 0)
        await desk.checkpointer.compare_with_store()
        if desk.fatal:
            break
        await desk.reloaded()
    assert [type(error) for error in desk.fatal] == [TooManyReloads] * is_fatal


async def test_rolled_back_store_is_replayed_from_what_it_still_holds() -> None:
    desk = Desk()
    await desk.take(0)
    for first in (0, 5):
        desk.fold(deals(first, 5))
        await desk.checkpointer.commit_all()
    desk.store.roll_back(0, 1)
    desk.fold(deals(10, 5))
    await desk.checkpointer.commit_all()
    await desk.reloaded()
    assert desk.reader.seeks[-1][DEALS_0] == 5
    desk.fold(deals(5, 10))
    await desk.checkpointer.commit_all()
    assert (await desk.stored())[DEALS] == 15
    assert desk.keeper.counts.rolled_back == 1


async def test_dead_letters_are_out_before_their_offsets_are_committed() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold([*deals(0, 1), LogRecord(DEALS, 0, 1, b"nonsense")])
    desk.letters.refuses = True
    assert not await desk.checkpointer.commit_all()
    assert await desk.stored() == {}
    desk.letters.refuses = False
    assert await desk.checkpointer.commit_all()
    assert [letter.record.offset for letter in desk.letters.sent] == [1]
    assert (await desk.stored())[DEALS] == 2
    assert await desk.checkpointer.commit_all()
    assert len(desk.letters.sent) == 1


async def test_letters_of_a_fold_during_the_commit_are_not_forgotten() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold([LogRecord(DEALS, 0, 0, b"first")])
    committing = asyncio.create_task(desk.checkpointer.commit_all())
    await asyncio.sleep(0)
    desk.fold([LogRecord(DEALS, 0, 1, b"second")])
    await committing
    await desk.checkpointer.commit_all()
    assert [letter.record.offset for letter in desk.letters.sent] == [0, 1]


async def test_reading_pauses_while_the_store_is_away_and_goes_on_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpointer_module, "PAUSE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(checkpointer_module, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(checkpointer_module, "RETRY_MAX_SECONDS", 0.001)
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.store.go_down()
    running = asyncio.create_task(desk.checkpointer.run())
    async with asyncio.timeout(10):
        while desk.reader.paused != partitions(0):
            await asyncio.sleep(0.001)
        assert desk.checkpointer.unavailable_since is not None
        desk.store.come_back()
        while desk.checkpointer.paused:
            await asyncio.sleep(0.001)
        while not desk.reader.seeks:
            await asyncio.sleep(0.001)
    running.cancel()
    assert desk.reader.seeks == [desk.slot().positions()]
    assert (await desk.stored())[DEALS] == 5


async def test_flush_commits_the_rest_and_gives_up_the_slots() -> None:
    desk = Desk()
    await desk.take(0, 1)
    desk.fold(deals(0, 5))
    await desk.checkpointer.flush_and_drop(5.0)
    assert (await desk.stored())[DEALS] == 5
    assert desk.keeper.owned == []


async def test_flush_that_takes_too_long_gives_up_the_slots_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))

    async def never(_slot: int, _commit: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.store, "commit", never)
    await desk.checkpointer.flush_and_drop(0.01)
    assert desk.keeper.owned == []


async def test_answer_that_comes_after_the_slot_was_dropped_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    commit, asked, answered = desk.store.commit, asyncio.Event(), asyncio.Event()

    async def late(slot: int, what: object) -> object:
        asked.set()
        await answered.wait()
        return await commit(slot, what)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.store, "commit", late)
    committing = asyncio.create_task(desk.checkpointer.commit_all())
    await asked.wait()
    await desk.take(0)
    answered.set()
    assert await committing
    assert desk.slot().ownership.phase is Phase.OWNING
    assert desk.keeper.counts.fenced == 0
    assert await desk.stored() == {}


async def test_flushed_offsets_are_reported_to_kafka_and_a_refusal_is_only_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpointer_module, "CHECK_SECONDS", 0.001)
    desk = Desk()
    await desk.take(0)
    looking = asyncio.create_task(desk.checkpointer.look_after())
    async with asyncio.timeout(10):
        desk.reader.refuses = True
        desk.fold(deals(0, 5))
        await desk.checkpointer.commit_all()
        while not desk.keeper.counts.report_errors:
            await asyncio.sleep(0.001)
        desk.reader.refuses = False
        desk.fold(deals(5, 5))
        await desk.checkpointer.commit_all()
        while DEALS_0 not in desk.reader.reported:
            await asyncio.sleep(0.001)
    looking.cancel()
    assert desk.reader.reported[DEALS_0] == 10


async def test_last_commit_waits_for_a_store_that_comes_back_in_time() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.store.fail_next("before")
    await desk.checkpointer.flush_and_drop(5.0)
    assert (await desk.stored())[DEALS] == 5


async def test_last_commit_without_a_store_says_who_does_it_then(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.store.go_down()
    await desk.checkpointer.flush_and_drop(0.01)
    assert "last commit not in time; the next owner replays it" in caplog.text
    assert desk.keeper.owned == []


async def test_a_backlog_is_committed_once_it_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer_module, "CATCH_UP_SECONDS", 1000.0)
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    looks = 0

    def end(partition: TopicPartition) -> int:
        nonlocal looks
        if partition != DEALS_0:
            return 0
        looks += 1
        return 5 + keeper_module.CATCHING_UP_RECORDS - (looks > 5)

    monkeypatch.setattr(desk.reader, "readable_end", end)
    running = asyncio.create_task(desk.checkpointer.run())
    async with asyncio.timeout(10):
        while not desk.keeper.counts.commits:
            await asyncio.sleep(0.001)
    running.cancel()
    assert looks > 5


async def test_a_long_backlog_is_committed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer_module, "CATCH_UP_SECONDS", 0.05)
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 1_000_000}
    running = asyncio.create_task(desk.checkpointer.run())
    async with asyncio.timeout(10):
        while not desk.keeper.counts.commits:
            await asyncio.sleep(0.001)
    running.cancel()


async def test_what_an_open_transaction_holds_back_is_no_backlog() -> None:
    desk = Desk()
    await desk.take(0)
    desk.reader.watermarks = {DEALS_0: keeper_module.CATCHING_UP_RECORDS}
    assert desk.keeper.catching_up
    desk.reader.stable = {DEALS_0: 0}
    assert not desk.keeper.catching_up
