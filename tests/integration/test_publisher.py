"""The Python client against the embedded broker: typed events, their places, receipts, and told failures."""

import asyncio
import re
import runpy
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError
from msgspec import Struct

from streams.decode import decode
from streams.embedded import embedded_kafka
from streams.events import DealChanges, Event, Reason
from streams.publish import Accepted, Publisher, PublishError, RefusedEvent, SalesEvent, Unconfirmed
from streams.settings import KafkaSettings, Settings
from streams.topics import KIND_OF_TOPIC
from streams.wire import ActivityData, DealData, LeadData, SpendData
from streams.wire_reference import RateData
from tests.integration.cluster import real_kafka

DOCUMENT = Path(__file__).parents[2] / "docs" / "publish-from-python.md"
NOW = datetime.now(UTC)


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    if given := real_kafka():
        yield Settings(kafka=KafkaSettings(bootstrap=given))
        return
    async with embedded_kafka() as broker:
        yield Settings(kafka=KafkaSettings(bootstrap=broker.kafka))


async def record_at(settings: Settings, receipt: Accepted) -> "ConsumerRecord[bytes, bytes]":
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest")
    async with consumer:
        place = TopicPartition(receipt.topic, receipt.partition)
        consumer.assign([place])
        consumer.seek(place, receipt.offset)
        return await asyncio.wait_for(consumer.getone(place), 30)


def won(deal_id: str = "D-7", **more: object) -> SalesEvent:
    data = DealData(deal_id=deal_id, amount=Decimal("99.50"), currency="EUR", **more)  # type: ignore[arg-type]
    return SalesEvent("sales.deal.won", data, NOW)


async def test_accepted_event_is_at_the_place_its_receipt_names_and_says_what_was_meant(
    settings: Settings,
) -> None:
    async with Publisher(settings, compression="gzip") as publisher:
        receipt = await publisher.publish(won(rep_id=None))
        assert publisher.idempotent is bool(real_kafka()), "the embedded broker has no producer ids"
    assert isinstance(receipt, Accepted)
    record = await record_at(settings, receipt)
    assert (record.topic, record.key) == ("sales.deals", b"D-7")
    event = decode(record.value, (), kind=KIND_OF_TOPIC[record.topic])
    assert isinstance(event, Event)
    assert isinstance(event.changes, DealChanges)
    assert (event.event_id, event.entity_id) == (receipt.id, "D-7")
    assert (event.changes.status, event.changes.amount) == ("won", Decimal("99.50"))
    assert event.changes.rep_id is None, "cleared"
    assert not event.changes.stage, "unset is left as it was"


async def test_every_event_gets_its_own_receipt_in_order_and_a_wrong_one_stops_no_other(
    settings: Settings,
) -> None:
    day = date(2026, 11, 1)
    events: list[tuple[SalesEvent | bytes, str | Reason]] = [
        (won(), "sales.deals"),
        (SalesEvent("sales.lead.created", {"lead_id": "L-1", "source": "web"}, NOW), "sales.leads"),
        (SalesEvent("sales.deal.won", LeadData(lead_id="L-1"), NOW), Reason.WRONG_TYPE),
        (
            SalesEvent("sales.activity.completed", ActivityData("A-1", kind="call", rep_id="R-1"), NOW),
            "sales.activities",
        ),
        (SalesEvent("sales.activity.completed", ActivityData("", kind="call"), NOW), Reason.MISSING_ID),
        (SalesEvent("sales.deal.updated", DealData("D-1", amount=Decimal(-1)), NOW), Reason.BAD_AMOUNT),
        (SalesEvent("sales.deal.sold", {"deal_id": "D-1"}, NOW), Reason.NOT_CLOUDEVENT),
        (SalesEvent("sales.deal.won", DealData("D-1"), NOW.replace(tzinfo=None)), Reason.BAD_TIME),
        (SalesEvent("sales.deal.won", DealData("D-1"), NOW + timedelta(days=2)), Reason.FUTURE),
        (SalesEvent("sales.deal.won", DealData("D-1"), NOW - timedelta(days=999)), Reason.TOO_OLD),
        (SalesEvent("sales.deal.won", {"deal_id": object()}, NOW), Reason.MALFORMED),
        (SalesEvent("sales.rate.set", RateData("USD", Decimal("0.9"), day), NOW), "sales.reference"),
        (
            SalesEvent("sales.spend.recorded", SpendData("S-1", amount=Decimal(5), from_on=day), NOW),
            "sales.spend",
        ),
        (b"{broken", Reason.MALFORMED),
    ]
    async with Publisher(settings) as publisher:
        receipts = await publisher.publish_all(event for event, _ in events)
        again = await publisher.publish(won())
    found = [each.topic if isinstance(each, Accepted) else _reason(each) for each in receipts]
    assert found == [expected for _, expected in events]
    assert "takes DealData, not LeadData" in str(receipts[2])
    first = receipts[0]
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert again.id == first.id, "the same content has the same id, so that it counts once"
    assert (again.partition, again.offset > first.offset) == (first.partition, True)


def _reason(receipt: object) -> Reason:
    assert isinstance(receipt, RefusedEvent)
    assert receipt.detail
    return receipt.reason


async def test_when_kafka_goes_away_the_error_says_what_became_of_each_event(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Publisher(settings) as publisher:
        lost: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        lost.set_exception(KafkaTimeoutError())
        real = publisher._open().send

        async def send(topic: str, *, value: bytes, key: bytes) -> object:
            return lost if topic == "sales.leads" else await real(topic, value=value, key=key)

        monkeypatch.setattr(publisher._open(), "send", send)
        lead = SalesEvent("sales.lead.created", LeadData(lead_id="L-1"), NOW)
        with pytest.raises(PublishError, match=r"did not take 1 of 3 events.*publish them again") as caught:
            await publisher.publish_all([won(), lead, b"{broken"])
    assert [type(each) for each in caught.value.receipts] == [Accepted, Unconfirmed, RefusedEvent]


async def test_a_publisher_that_is_not_open_says_how_to_open_it() -> None:
    publisher = Publisher(Settings())
    with pytest.raises(RuntimeError, match="async with Publisher"):
        await publisher.publish(won())
    with pytest.raises(TypeError, match="not both"):
        Publisher(Settings(), kafka="localhost:9092")


async def test_without_kafka_the_address_and_the_fix_are_named() -> None:
    with pytest.raises(PublishError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        async with Publisher(kafka="127.0.0.1:1"):
            pass


async def test_the_documented_program_runs(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = re.search(r"```python program\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    program = tmp_path / "program.py"
    program.write_text(block[1], encoding="utf-8")
    monkeypatch.setenv("SALESFLOOR_KAFKA__BOOTSTRAP", settings.kafka.bootstrap)
    monkeypatch.chdir(tmp_path)
    await asyncio.to_thread(runpy.run_path, str(program), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert re.match(r"\w{32} is in sales\.deals, partition \d, offset \d", printed[0])
    assert printed[2].startswith("refused: bad_amount: $.data.amount is negative")


@pytest.mark.parametrize("data", [DealData, LeadData, SpendData, RateData])
def test_data_classes_of_the_document_are_structs(data: type[Struct]) -> None:
    assert data.__name__ in DOCUMENT.read_text(encoding="utf-8")
