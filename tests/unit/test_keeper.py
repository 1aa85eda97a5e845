"""The keeper claims, loads, folds, drops and loads again; a memory store and a noted reader around it."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.structs import TopicPartition

from streams import keeper as keeper_module
from streams.ownership import RELOADS_MAX, Phase, TooManyReloads
from streams.table import Record
from streams.topics import ACTIVITIES, DEALS, LEADS
from tests.folding import LogRecord
from tests.unit.slots_at_hand import Desk, deals, partitions

DEALS_0 = TopicPartition(DEALS, 0)


@pytest.fixture(autouse=True)
def no_pause_before_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "RELOAD_PAUSE_SECONDS", 0.001)


async def test_new_slot_is_read_from_the_beginning() -> None:
    desk = Desk()
    assert await desk.take(0, 1) == dict.fromkeys(partitions(0, 1), 0)
    assert desk.keeper.settled


async def test_next_owner_reads_on_where_the_commit_ends() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.fold(deals(5, 5))
    heir = Desk(store=desk.store)
    assert (await heir.take(0))[DEALS_0] == 5


async def test_batch_of_a_slot_not_owned_is_ignored() -> None:
    desk = Desk()
    await desk.take(0)
    assert desk.fold(deals(0, 5, slot=1)) is None
    desk.keeper.drop_all()
    assert desk.fold(deals(0, 5)) is None
    assert desk.keeper.owned == []


async def test_missing_records_are_fetched_again_and_then_passed_over_and_counted() -> None:
    desk = Desk()
    await desk.take(0)
    assert desk.fold(deals(3, 2)) == DEALS_0
    await desk.keeper.reseek(DEALS_0)
    assert desk.reader.seeks == [{DEALS_0: 0}]
    assert desk.fold(deals(3, 2)) is None
    assert desk.slot().positions()[DEALS_0] == 5
    assert (desk.keeper.counts.reseeks, desk.keeper.counts.gap_records) == (1, 3)
    table = desk.slot().table
    assert table is not None
    assert table.facts.counters["gaps"] == {DEALS: 3}


async def test_failed_seek_drops_the_slot_and_loads_it_again() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.refuses = True
    await desk.keeper.reseek(DEALS_0)
    desk.reader.refuses = False
    await desk.reloaded()
    assert desk.slot().positions()[DEALS_0] == 0
    assert desk.reader.paused == set()


async def test_assignment_that_splits_a_slot_is_fatal() -> None:
    desk = Desk()
    await desk.keeper.take_over({DEALS_0, TopicPartition(LEADS, 0)}, desk.reader)
    assert ACTIVITIES in str(desk.fatal[0])
    assert not desk.keeper.settled


async def test_assignment_beyond_the_known_partitions_is_fatal_and_claims_nothing() -> None:
    desk = Desk()
    desk.keeper.slots_expected = 2
    assert await desk.take(1, 2) == {}
    assert "2 partitions" in str(desk.fatal[0])
    assert desk.keeper.slots == {}


async def test_unexpected_error_drops_the_batch_whole_and_folds_it_again() -> None:
    desk = Desk()
    errors = [ZeroDivisionError("once")]

    def hook(_place: TopicPartition, _records: Sequence[Record]) -> None:
        if errors:
            raise errors.pop()

    desk.keeper.hooks.append(hook)
    await desk.take(0)
    assert desk.fold(deals(0, 5)) is None
    assert (desk.slot().ownership.phase, desk.slot().table) == (Phase.WAITING, None)
    assert desk.reader.paused == partitions(0)
    await desk.reloaded()
    assert desk.reader.seeks == [dict.fromkeys(partitions(0), 0)]
    desk.fold(deals(0, 5))
    assert desk.slot().positions()[DEALS_0] == 5
    assert desk.reader.paused == set()


async def test_error_that_stays_is_fatal_and_named() -> None:
    desk = Desk()

    def hook(_place: TopicPartition, _records: Sequence[Record]) -> None:
        raise ZeroDivisionError("always")

    desk.keeper.hooks.append(hook)
    await desk.take(0)
    for _ in range(RELOADS_MAX):
        desk.fold(deals(0, 5))
        await desk.reloaded()
    desk.fold(deals(0, 5))
    assert isinstance(desk.fatal[0], TooManyReloads)
    assert isinstance(desk.fatal[0].__cause__, ZeroDivisionError)


async def test_hook_sees_each_record_once() -> None:
    desk = Desk()
    seen: list[int] = []
    desk.keeper.hooks.append(lambda _place, records: seen.extend(record.offset for record in records))
    await desk.take(0)
    for batch in (deals(0, 3), deals(1, 4), deals(0, 2)):
        desk.fold(batch)
    assert seen == [0, 1, 2, 3, 4]


async def test_store_that_is_away_is_asked_again_until_it_answers() -> None:
    desk = Desk()
    desk.store.fail_next("before", times=3)
    assert await desk.take(0) == {}
    assert desk.reader.paused == partitions(0)
    settled_before = desk.keeper.settled
    await desk.reloaded()
    assert [settled_before, desk.keeper.settled] == [False, True]
    assert desk.reader.paused == set()
    assert desk.reader.seeks == [dict.fromkeys(partitions(0), 0)]
    assert desk.fatal == []


async def test_revoking_ends_a_reload_under_way() -> None:
    desk = Desk()
    desk.store.fail_next("before", times=1_000)
    await desk.take(0)
    reload = desk.slot().reload
    assert reload is not None
    desk.keeper.drop_all()
    await asyncio.wait([reload])
    assert reload.cancelled()
    assert desk.slot().ownership.phase is Phase.REVOKED


async def test_checkpoint_that_cannot_be_read_is_never_taken_for_an_empty_one() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    state = desk.store.held(0)
    assert state is not None
    state.board[b"s"] = b"\xc1"
    heir = Desk(store=desk.store)
    assert await heir.take(0) == {}
    assert heir.slot().table is None
    heir.keeper.drop_all()


async def test_retention_past_the_checkpoint_is_counted_as_lost() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    heir = Desk(store=desk.store)
    heir.reader.first = {DEALS_0: 12}
    assert (await heir.take(0))[DEALS_0] == 12
    assert heir.keeper.counts.lost_records == 7


async def test_empty_state_with_full_topics_is_a_rebuild_until_their_end() -> None:
    desk = Desk()
    desk.reader.last = {DEALS_0: 4}
    await desk.take(0, 1)
    rebuilding = []
    for records in (deals(0, 3), deals(3, 1)):
        rebuilding.append(is_rebuilding(desk, 0))
        desk.fold(records)
    assert rebuilding == [True, True]
    assert not is_rebuilding(desk, 0)
    assert not is_rebuilding(desk, 1)


def is_rebuilding(desk: Desk, slot: int) -> bool:
    table = desk.slot(slot).table
    assert table is not None
    return table.rebuilding


@pytest.mark.parametrize(("first", "end", "phase"), [(0, 3, Phase.STOPPED), (8, 20, Phase.OWNING)])
async def test_offset_out_of_range_is_truncation_or_loss(first: int, end: int, phase: Phase) -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.reader.first, desk.reader.last = {DEALS_0: first}, {DEALS_0: end}
    desk.keeper.out_of_range({DEALS_0: 5})
    await desk.reloaded()  # finds out which of the two it is
    if phase is Phase.OWNING:
        await desk.reloaded()
    assert desk.slot().ownership.phase is phase
    assert desk.keeper.counts.lost_records == max(0, first - 5)


async def test_much_that_is_dirty_asks_for_an_early_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "DIRTY_KEYS_MAX", 8)
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 2))
    assert not desk.keeper.wake.is_set()
    desk.fold(deals(2, 20))
    assert desk.keeper.wake.is_set()


async def test_broken_record_is_kept_for_the_dead_letter_topic() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold([*deals(0, 1), LogRecord(DEALS, 0, 1, b"nonsense"), *deals(2, 1)])
    assert [letter.record.offset for letter in desk.slot().letters] == [1]
    assert desk.slot().positions()[DEALS_0] == 3


async def test_many_records_that_wait_are_told_with_the_next_commit_and_so_is_their_end() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 5 + keeper_module.BACKLOG_RECORDS - 1}
    await desk.checkpointer.commit_all()
    assert await desk.behind(0) == {}
    desk.reader.watermarks = {DEALS_0: 5 + keeper_module.BACKLOG_RECORDS}
    await desk.checkpointer.commit_all()
    assert await desk.behind(0) == {DEALS: keeper_module.BACKLOG_RECORDS}
    desk.reader.watermarks = {DEALS_0: 5}
    await desk.checkpointer.commit_all()
    assert await desk.behind(0) == {}
