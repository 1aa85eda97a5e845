"""Incomplete records outlive the gateway: told to Kafka before the answer, taken back once complete."""

import asyncio
from dataclasses import replace

import pytest

from streams.clock import ManualClock
from streams.events import EntityKind
from streams.gateway import incomplete_feed
from streams.gateway.clerk import Clerk
from streams.gateway.incomplete import record_of, told_by, tombstone_of
from streams.gateway.incomplete_feed import Standing
from streams.gateway.ledger import Ledger
from streams.gateway.model import Outgoing, Source, Thin
from streams.gateway.sender import KafkaAway
from streams.topics import INCOMPLETE
from tests.senders import RecordingSender
from tests.unit.gateway.test_fetching import deal, opened, thin, until
from tests.unit.gateway.test_hooks import NOW_MS, hubspot


def clerk_of(sender: RecordingSender) -> Clerk:
    return Clerk(sender, ManualClock(NOW_MS), Ledger())


def shown(clerk: Clerk) -> list[str]:
    return [one.id for one in clerk.ledger.incomplete()]


def marks(sender: RecordingSender) -> list[tuple[bytes | None, bool]]:
    """What the topic was told: key, and whether it is complete."""
    return [(one.key, one.tombstone) for one in sender.sent if one.topic == INCOMPLETE]


def take(standing: Standing, *records: Outgoing) -> None:
    for record in records:
        standing.take(record.key, None if record.tombstone else record.value)


# --- what the topic holds -------------------------------------------------------------------------


def test_record_of_the_topic_says_all_that_a_fetcher_needs_and_no_value() -> None:
    told = Thin("deal", "7", "update", NOW_MS, EntityKind.DEAL, ("amount",), None, "62515")
    written = record_of("hubspot", told)
    assert written.key == b'["hubspot","deal","7"]'
    assert told_by(written.key, written.value) == (("hubspot", "deal", "7"), told)
    assert told_by(written.key, None) == (("hubspot", "deal", "7"), None)
    assert (tombstone_of("hubspot", told).key, tombstone_of("hubspot", told).tombstone) == (written.key, True)


@pytest.mark.parametrize("key", [None, b"", b"hubspot", b'["a","b"]', b"\xff", b'["a","b",1]'])
def test_what_somebody_else_wrote_into_the_topic_is_passed_over(key: bytes | None) -> None:
    assert told_by(key, b"{}") is None
    assert told_by(b'["hubspot","deal","7"]', b'{"op":"update"}') is None


# --- the clerk and the fetcher --------------------------------------------------------------------


async def test_record_is_incomplete_once_kafka_knows_and_not_before() -> None:
    sender = RecordingSender()
    clerk, sender.ready = clerk_of(sender), False
    with pytest.raises(KafkaAway):
        await clerk.take([thin("1")], hubspot())
    assert shown(clerk) == []
    sender.ready = True
    await clerk.take([thin("1"), thin("2"), thin("1", "update")], hubspot())
    assert sorted(shown(clerk)) == ["1", "2"]
    assert marks(sender) == [(b'["hubspot","deal","1"]', False), (b'["hubspot","deal","2"]', False)]


async def test_record_is_taken_back_after_its_events() -> None:
    async with opened() as floor:
        floor.double.put("deals", deal("1"))
        await floor.tell(thin("1"), thin("2"))
        await until(lambda: floor.count("_given_up_records_total", "missing") == 1)
        written = [(one.topic, one.tombstone) for one in floor.sender.sent[2:]]
    assert written == [("sales.deals", False), (INCOMPLETE, True)], "what was given up stays"
    assert marks(floor.sender)[-1] == (b'["hubspot","deal","1"]', True)


async def test_record_changed_while_it_was_read_is_taken_back_after_the_second_reading() -> None:
    async with opened() as floor:
        floor.double.put("deals", deal("1"))
        told_again: list[asyncio.Task[None]] = []

        def change() -> None:
            if not told_again:
                floor.fetcher.want(floor.source, thin("1", "update", time_ms=NOW_MS))
                told_again.append(asyncio.create_task(floor.tell(thin("1", "update", time_ms=NOW_MS))))

        floor.double.on_read = change
        await floor.tell(thin("1"))
        await until(lambda: floor.incomplete() == [])
        await asyncio.gather(*told_again)
    assert [gone for _key, gone in marks(floor.sender)] == [False, False, True]


async def test_record_that_is_being_told_of_anew_is_not_taken_back() -> None:
    sender = RecordingSender()
    clerk, sender.hangs = clerk_of(sender), True
    telling = asyncio.create_task(clerk.take([thin("1")], hubspot()))
    await asyncio.sleep(0)
    sender.hangs = False
    await clerk.complete(hubspot(), thin("1"))
    assert marks(sender) == []
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    await clerk.complete(hubspot(), thin("1"))
    assert marks(sender) == [(b'["hubspot","deal","1"]', True)]


async def test_record_that_kafka_could_not_be_told_is_complete_is_read_again() -> None:
    async with opened() as floor:
        floor.double.put("deals", deal("1"))
        complete, refused = floor.clerk.sender.send, list[Outgoing]()

        async def send(records: list[Outgoing]) -> None:
            if records[0].tombstone and not refused:
                refused.append(records[0])
                raise KafkaAway("down")
            await complete(records)

        floor.clerk.sender = type("Once", (), {"ready": True, "send": staticmethod(send)})()
        await floor.tell(thin("1"))
        await until(lambda: floor.incomplete() == [])
    assert (len(refused), floor.double.reads) == (1, [["1"], ["1"]])


# --- at the start ---------------------------------------------------------------------------------


def standing_of(clerk: Clerk, fetched: list[str]) -> Standing:
    source = hubspot()

    def fetch(_source: Source, told: Thin) -> None:
        fetched.append(told.entity_id)

    clerk.fetches["hubspot"] = fetch
    return Standing(clerk, [source])


def test_what_is_incomplete_at_the_start_is_shown_and_fetched_oldest_first() -> None:
    clerk, fetched = clerk_of(RecordingSender()), list[str]()
    standing = standing_of(clerk, fetched)
    take(standing, record_of("hubspot", thin("2", time_ms=20)), record_of("hubspot", thin("3", time_ms=30)))
    take(standing, record_of("hubspot", thin("1", time_ms=10)), tombstone_of("hubspot", thin("3")))
    take(standing, record_of("removed", replace(thin("4"), time_ms=40)))
    assert (shown(clerk), standing.restored) == ([], False), "not before all was read"
    standing.restore()
    assert (shown(clerk), fetched) == (["1", "2", "4"], ["1", "2"])


def test_record_told_of_since_the_start_is_not_asked_for_twice() -> None:
    clerk, fetched = clerk_of(RecordingSender()), list[str]()
    standing = standing_of(clerk, fetched)
    take(standing, record_of("hubspot", thin("1")))
    clerk.ledger.wait_for("hubspot", thin("1", "update"))
    standing.restore()
    assert ([one.op for one in clerk.ledger.incomplete()], fetched) == (["update"], [])


def test_records_of_another_gateway_are_shown_and_left_to_it() -> None:
    clerk, fetched = clerk_of(RecordingSender()), list[str]()
    standing = standing_of(clerk, fetched)
    standing.restore()
    take(standing, record_of("hubspot", thin("1")), record_of("hubspot", thin("2")))
    take(standing, tombstone_of("hubspot", thin("1")))
    assert (shown(clerk), fetched) == (["2"], [])


def test_no_more_is_held_than_the_list_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incomplete_feed, "INCOMPLETE_MAX", 2)
    clerk, fetched = clerk_of(RecordingSender()), list[str]()
    standing = standing_of(clerk, fetched)
    take(standing, *(record_of("hubspot", thin(str(one), time_ms=one)) for one in range(5)))
    standing.restore()
    assert fetched == ["3", "4"]


def test_age_of_the_oldest_is_told_until_there_is_none() -> None:
    ledger = Ledger()

    def since() -> float | None:
        return ledger.registry.get_sample_value("salesfloor_gateway_incomplete_since_timestamp_seconds")

    assert since() == 0
    for one, time_ms in (("1", NOW_MS), ("2", NOW_MS - 5000), ("3", NOW_MS - 1000)):
        ledger.wait_for("crm", Thin("deal", one, "update", time_ms, EntityKind.DEAL))
    assert since() == (NOW_MS - 5000) / 1000
    ledger.completed("crm", "deal", "2")
    assert since() == (NOW_MS - 1000) / 1000
