"""What the watch over the logs decides: a slot stopped, read again or moved on."""

from collections.abc import Mapping

import pytest
from aiokafka.structs import TopicPartition

from streams import keeper as keeper_module
from streams.ownership import Phase
from streams.topics import DEALS, LEADS
from tests.unit.slots_at_hand import Desk, deals, partitions

DEALS_0 = TopicPartition(DEALS, 0)


async def test_log_that_ends_too_early_stops_its_slot_and_no_other() -> None:
    desk = Desk()
    await desk.take(0, 1)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 3}
    for _ in range(2):
        await desk.look()
        assert desk.slot().ownership.phase is Phase.OWNING
    await desk.look()
    assert desk.slot().ownership.phase is Phase.STOPPED
    assert desk.slot(1).ownership.phase is Phase.OWNING
    assert desk.reader.paused == partitions(0)
    assert not desk.keeper.settled


async def test_slot_that_stands_still_short_of_the_end_is_read_again() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 9, TopicPartition(LEADS, 0): 0}
    await desk.look(4)
    assert desk.reader.seeks == []
    await desk.look()
    assert desk.reader.seeks == [{DEALS_0: 5}]


async def test_partition_that_waits_for_its_turn_is_left_alone_while_others_move() -> None:
    desk = Desk()
    await desk.take(0, 1)
    desk.reader.watermarks = {DEALS_0: 1_000, TopicPartition(LEADS, 1): 7}
    for first in range(59):
        desk.fold(deals(first, 1))
        await desk.look()
    assert desk.reader.seeks == []
    desk.fold(deals(59, 1))
    await desk.look()
    assert desk.reader.seeks == [{TopicPartition(LEADS, 1): 0}]


async def test_slot_that_moves_is_left_alone_however_far_behind() -> None:
    desk = Desk()
    await desk.take(0)
    desk.reader.watermarks = {DEALS_0: 1_000}
    for first in range(20):
        desk.fold(deals(first, 1))
        await desk.look()
    assert desk.reader.seeks == []


async def test_watermark_that_recovers_stops_nothing() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    for watermark in (3, 3, 5, 3, 3):
        desk.reader.watermarks = {DEALS_0: watermark}
        await desk.look()
    assert desk.slot().ownership.phase is Phase.OWNING


async def test_stopped_slot_says_what_to_decide() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 3}
    await desk.look(3)
    reason = desk.slot().stopped_because
    assert reason.startswith("sales.deals[0] ends at 3, before 5")
    assert "salesfloor topics adopt sales.deals" in reason
    assert "salesfloor rebuild" in reason
    desk.keeper.drop_all()
    assert desk.slot().stopped_because == ""


async def test_stopped_slot_stays_stopped_until_somebody_else_has_claimed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "RELOAD_PAUSE_SECONDS", 0.001)
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.reader.watermarks = {DEALS_0: 3}
    await desk.look(10)
    assert desk.slot().ownership.phase is Phase.STOPPED
    desk.store.fail_next("before", times=1)
    await desk.look()
    assert desk.slot().ownership.phase is Phase.STOPPED
    await desk.store.claim(0)
    desk.reader.watermarks = {}
    await desk.look()
    await desk.reloaded()
    assert desk.slot().ownership.phase is Phase.OWNING
    assert desk.keeper.settled
    assert desk.reader.paused == set()


async def test_offsets_read_without_a_record_are_passed_over_and_counted() -> None:
    """A transaction's mark at the end of the log: no batch will ever show that gap."""
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {DEALS_0: 6}
    await desk.look(5)
    assert desk.reader.seeks == [{DEALS_0: 5}]
    desk.reader.empty = {DEALS_0: 6}
    await desk.look(4)
    assert desk.slot().positions()[DEALS_0] == 5
    await desk.look()
    assert desk.slot().positions()[DEALS_0] == 6
    assert (desk.keeper.counts.reseeks, desk.keeper.counts.gap_records) == (1, 1)
    await desk.look(10)
    assert desk.keeper.counts.reseeks == 1


async def test_records_of_an_open_transaction_are_not_missed() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.watermarks, desk.reader.stable = {DEALS_0: 9}, {DEALS_0: 5}
    await desk.look(20)
    assert desk.reader.seeks == []


class Remembered(dict[str, str]):
    """Ids of topics as they were seen first, in this process's memory."""

    async def first_seen(self, ids: Mapping[str, str]) -> dict[str, str]:
        for topic, topic_id in ids.items():
            self.setdefault(topic, topic_id)
        return dict(self)


async def test_topic_made_anew_is_noticed_although_it_is_longer_than_what_was_folded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "RELOAD_PAUSE_SECONDS", 0.001)
    desk = Desk()
    desk.keeper.known_topics = known = Remembered()
    desk.reader.ids = {DEALS: "first", LEADS: "leads"}
    await desk.take(0, 1)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    await desk.look(10)
    desk.reader.ids = {DEALS: "second", LEADS: "leads"}
    desk.reader.watermarks = {DEALS_0: 100}
    await desk.look()
    assert desk.slot().ownership.phase is Phase.STOPPED
    assert "salesfloor topics adopt sales.deals" in desk.slot().stopped_because
    assert desk.slot(1).ownership.phase is Phase.OWNING, "it has folded nothing of the old one"
    await desk.look(20)
    assert desk.slot().ownership.phase is Phase.STOPPED
    known[DEALS] = "second"
    await desk.look(10)
    await desk.reloaded()
    assert desk.slot().ownership.phase is Phase.OWNING


async def test_brokers_that_do_not_answer_about_ids_stop_nothing() -> None:
    desk = Desk()
    desk.keeper.known_topics = Remembered({DEALS: "first"})
    await desk.take(0)
    desk.fold(deals(0, 5))
    desk.reader.refuses = True
    await desk.look()
    desk.reader.refuses = False
    await desk.look(10)
    assert desk.slot().ownership.phase is Phase.OWNING


async def test_worker_whose_topics_are_gone_ends_and_names_them() -> None:
    desk = Desk()
    await desk.take()
    desk.reader.missing = [DEALS, LEADS]
    await desk.look(4)
    desk.reader.missing = []
    await desk.look()
    desk.reader.missing = [LEADS]
    await desk.look(4)
    assert desk.fatal == []
    await desk.look(3)
    assert [str(error) for error in desk.fatal] == [
        "sales.leads not in Kafka any more: deleted, or the broker lost its data"
    ]


async def test_slot_of_a_topic_made_anew_is_stopped_before_a_record_of_it_is_folded() -> None:
    desk = Desk()
    desk.reader.ids = {DEALS: "first"}
    desk.keeper.known_topics = known = Remembered()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    heir = Desk(store=desk.store)
    heir.keeper.known_topics = known
    heir.reader.ids = {DEALS: "second"}
    assert await heir.take(0, 1) == dict.fromkeys(partitions(1), 0)
    assert heir.slot().ownership.phase is Phase.STOPPED
    assert heir.fold(deals(5, 5)) is None
    assert heir.slot().table is None
    known[DEALS] = "second"
    await heir.look()
    await heir.reloaded()
    assert heir.slot().positions()[DEALS_0] == 5
