"""Publishing to the embedded broker: what arrives, what repeats, what waits, and what failures are told."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.clock import ManualClock
from streams.decode import decode
from streams.embedded import embedded_kafka
from streams.events import Event
from streams.publish import (
    Pace,
    Publisher,
    PublishError,
    PublishReport,
    publish_file,
    wait_until_folded,
)
from streams.settings import FloorSettings, KafkaSettings, Settings
from streams.simulate import run_simulation
from streams.stores.base import Board
from streams.topics import KIND_OF_TOPIC, SOURCES

NOW_MS = 1_717_372_800_000  # 2024-06-03T00:00:00Z


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    async with embedded_kafka() as broker:
        yield Settings(kafka=KafkaSettings(bootstrap=broker.kafka), floor=FloorSettings(zone="Europe/Berlin"))


def line(number: int, time: str = "2024-06-01T10:00:00Z", **data: object) -> bytes:
    deal = {"deal_id": f"D-{number}", "amount": "1.50"} | data
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"e{number}",
            "source": "/t",
            "type": "sales.deal.updated",
            "time": time,
            "data": deal,
        }
    )


async def records_of(settings: Settings, report: PublishReport) -> list[ConsumerRecord[bytes, bytes]]:
    """Read every partition up to where the report says it ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        places = [TopicPartition(*place) for place in report.targets]
        consumer.assign(places)
        found: list[ConsumerRecord[bytes, bytes]] = []
        missing = {place: report.targets[place] for place in places}
        while missing:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found += records
                if records[-1].offset + 1 >= report.targets[place]:
                    missing.pop(place, None)
    return found


async def test_good_lines_arrive_by_their_keys_and_bad_ones_are_reported(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    future = line(99, time="2024-06-05T00:00:00Z")
    file.write_bytes(b"\n".join([*(line(number) for number in range(50)), b"{broken", future]))
    report = await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS))
    assert report.published == 50
    assert [(refused.line, refused.reason.split(":")[0]) for refused in report.refused] == [
        (51, "malformed"),
        (52, "future"),
    ]
    records = await records_of(settings, report)
    assert sorted(bytes(record.value or b"") for record in records) == sorted(
        line(number) for number in range(50)
    )
    assert all(
        record.key == msgspec.json.decode(record.value or b"")["data"]["deal_id"].encode()
        for record in records
    )
    assert {record.partition for record in records} == {0, 1, 2, 3}
    assert report.warnings == []


async def test_publishing_tables_twice_sends_the_same_bytes(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("id,day,sum\nD-1,2024-05-02,5\nD-2,2024-05-01,7\n")
    (tmp_path / "map.toml").write_text(
        '[tables.d]\nfile = "deals.csv"\n[[events]]\ntype = "sales.deal.won"\nid = "id"\ntime = "day"\n'
        'fields.amount = "sum"'
    )
    once = await publish_file(str(tmp_path / "deals.csv"), map=str(tmp_path / "map.toml"), settings=settings)
    first = {record.value for record in await records_of(settings, once)}
    twice = await publish_file(str(tmp_path / "deals.csv"), map=str(tmp_path / "map.toml"), settings=settings)
    both = [record.value for record in await records_of(settings, twice)]
    assert once.published == twice.published == 2
    assert len(both) == 4
    assert set(both) == first


async def test_history_can_be_shifted_to_now_and_is_warned_about_when_it_is_not(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "old.jsonl"
    file.write_bytes(line(1, "2017-03-04T09:00:00Z") + b"\n" + line(2, "2017-03-03T09:00:00Z"))
    plain = await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS))
    assert "2 of 2 events are older than the 800 days" in plain.warnings[0]
    assert "--shift-to-now" in plain.warnings[0]
    assert "--clock event" in plain.warnings[0]
    shifted = await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS), shift_to_now=True)
    assert shifted.warnings == []
    times = sorted(
        msgspec.json.decode(record.value or b"")["time"] for record in await records_of(settings, shifted)
    )
    # 10:00 in Berlin's winter stays 10:00 in its summer.
    assert times[-2:] == ["2024-06-01T08:00:00.000Z", "2024-06-02T08:00:00.000Z"]


async def test_shifted_reference_records_lie_under_their_new_ids_and_are_never_old(
    settings: Settings, tmp_path: Path
) -> None:
    rate = {"currency": "JPY", "rate": "0.0062", "valid_from": "2017-03-04"}
    event = {"specversion": "1.0", "id": "r", "source": "/t", "type": "sales.rate.set", "data": rate}
    file = tmp_path / "rates.jsonl"
    file.write_bytes(msgspec.json.encode({**event, "time": "2017-03-04T09:00:00Z"}))
    plain = await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS))
    assert plain.warnings == []
    await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS), shift_to_now=True)
    both = await publish_file(str(file), settings=settings, clock=ManualClock(NOW_MS), shift_to_now=True)
    keys = {record.key for record in await records_of(settings, both)}
    assert b"rate:JPY:2024-06-02" in keys


async def test_standard_input_can_be_shifted_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line(1, "2017-03-04T09:00:00Z"))))
    report = await publish_file("-", settings=settings, clock=ManualClock(NOW_MS), shift_to_now=True)
    assert report.published == 1
    assert b"2024-06-02T08:00:00" in ((await records_of(settings, report))[0].value or b"")


def test_speed_spreads_events_by_their_own_times() -> None:
    pace = Pace(speed=60)
    assert pace.seconds_until_due(NOW_MS, now_seconds=100.0) == 0
    assert pace.seconds_until_due(NOW_MS + 120_000, now_seconds=100.5) == 1.5
    assert pace.seconds_until_due(NOW_MS + 120_000, now_seconds=103.0) == 0
    assert pace.seconds_until_due(NOW_MS - 5_000, now_seconds=103.0) == 0


async def test_a_paced_file_arrives_whole(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_bytes(line(1, "2024-06-01T10:00:00Z") + b"\n" + line(2, "2024-06-01T11:00:00Z"))
    report = await publish_file(str(file), settings=settings, speed=360_000, clock=ManualClock(NOW_MS))
    assert report.published == len(await records_of(settings, report)) == 2


class FoldingBoards:
    """Workers that fold one record of each partition at every look."""

    def __init__(self, topic: str, *, stuck: bool = False) -> None:
        self._topic, self._stuck = topic, stuck
        self.next_offset: dict[int, int] = {}

    async def read_board(self, slot: int) -> Board:
        at = self.next_offset.get(slot, 0)
        self.next_offset[slot] = at if self._stuck else at + 1
        return Board(seq=at, offsets={self._topic: self.next_offset[slot]}, fields={})


async def test_waiting_ends_when_every_partition_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.publish._POLL_SECONDS", 0.0)
    boards = FoldingBoards("sales.deals")
    await asyncio.wait_for(wait_until_folded(boards, {("sales.deals", 0): 3, ("sales.deals", 2): 5}), 20)
    assert boards.next_offset == {0: 3, 2: 5}


async def test_waiting_for_workers_that_are_not_there_ends_with_the_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.publish._POLL_SECONDS", 0.001)
    monkeypatch.setattr("streams.publish._STALL_SECONDS", 0.05)
    with pytest.raises(PublishError, match="5 records wait in 1 partitions; is `salesfloor worker` running"):
        await wait_until_folded(FoldingBoards("sales.deals", stuck=True), {("sales.deals", 0): 5})


async def test_without_kafka_the_address_and_the_option_are_named() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    with pytest.raises(PublishError, match=r"Kafka at 127\.0\.0\.1:1 does not answer.*--kafka"):
        async with Publisher(settings):
            pass


async def test_the_simulation_writes_its_history_and_then_the_present(settings: Settings) -> None:
    stop, clock = asyncio.Event(), ManualClock(NOW_MS)
    backfilled: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run_simulation(settings, stop=stop, clock=clock, backfill_days=3, on_backfilled=backfilled.set_result)
    )
    count = await asyncio.wait_for(backfilled, 60)
    clock.set_ms(NOW_MS + 3_600_000)
    found: list[Event] = []
    async with AIOKafkaConsumer(
        *SOURCES, bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest"
    ) as reader:
        while not any(event.time_ms >= NOW_MS for event in found):
            for place, records in (await reader.getmany(timeout_ms=200)).items():
                events = (decode(record.value, (), kind=KIND_OF_TOPIC[place.topic]) for record in records)
                found += (event for event in events if isinstance(event, Event))
    stop.set()
    await asyncio.wait_for(running, 20)
    assert len(found) > count > 1_000
    assert min(event.time_ms for event in found) >= NOW_MS - 3 * 86_400_000
