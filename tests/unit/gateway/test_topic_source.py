"""A source read from topics, without a broker: what becomes of records, of wrong ones, of an outage."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from streams.clock import ManualClock
from streams.gateway import topic_source
from streams.gateway.clerk import Clerk
from streams.gateway.ledger import Ledger
from streams.gateway.model import Canonical, Delivery, Normalise, Outcome, Outgoing, Source, Vendor
from streams.gateway.topic_source import Intake
from tests.salesforce_told import AT_MS, VENDOR, change, source
from tests.senders import RecordingSender


def kafka_record(value: bytes | None, offset: int, **more: Any) -> ConsumerRecord[Any, Any]:
    told = {"topic": "crm", "partition": 0, "timestamp": AT_MS, "headers": (), **more}
    record: Any = SimpleNamespace(value=value, offset=offset, **told)
    return record


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_source, "_WAIT_FIRST_SECONDS", 0.0)


async def taken(*records: ConsumerRecord[Any, Any], refusals: int = 0) -> tuple[list[Outgoing], Ledger]:
    sender, ledger = RecordingSender(refusals), Ledger()
    clerk = Clerk(sender, ManualClock(AT_MS), ledger)
    await Intake(source(), VENDOR, clerk).take(records)
    return sender.sent, ledger


async def test_record_with_a_registrys_schema_id_before_its_json_is_read() -> None:
    value = b"\0\0\0\0\x07" + json.dumps(change("Opportunity", Amount=1)).encode()
    (sent,), _ledger = await taken(kafka_record(value, 0))
    assert json.loads(sent.value)["data"]["amount"] == "1"


async def test_records_wait_for_kafka_and_each_is_sent_once() -> None:
    records = [
        kafka_record(json.dumps(change("Opportunity", ids=[f"0068d00000LmNo{n}AAD"], Amount=n)).encode(), n)
        for n in range(5)
    ]
    sent, ledger = await taken(*records, refusals=7)
    assert sorted(json.loads(one.value)["data"]["amount"] for one in sent) == list("01234")
    labels = {"source": "salesforce", "fate": "unavailable", "reason": "kafka_away"}
    assert ledger.registry.get_sample_value("salesfloor_gateway_events_total", labels) == 2


async def test_record_over_the_limit_leaves_its_beginning_and_its_place_in_the_dead_letters() -> None:
    (letter,), _ledger = await taken(kafka_record(b"[" + b" " * (1 << 20) + b"]", 41))
    headers = {name: value.decode() for name, value in letter.headers}
    assert (letter.topic, len(letter.value)) == ("sales.dead-letters", 900 << 10)
    assert (headers["salesfloor-reason"], headers["salesfloor-offset"]) == ("too_large", "41")


async def test_one_wrong_record_in_a_list_is_a_dead_letter_and_the_rest_is_taken() -> None:
    value = json.dumps([change("Opportunity", Amount="many"), change("Opportunity", Amount=2)]).encode()
    sent, _ledger = await taken(kafka_record(value, 3))
    assert [one.topic for one in sent] == ["sales.deals", "sales.dead-letters"]
    assert sent[1].value == value


def fails(_delivery: Delivery, _source: Source) -> list[Outcome]:
    raise ZeroDivisionError


def cannot_be_written(_delivery: Delivery, _source: Source) -> list[Outcome]:
    return [Canonical("sales.deal.updated", "D-1", AT_MS, {"amount": object()}, ())]


@pytest.mark.parametrize("broken", [fails, cannot_be_written])
async def test_fault_of_ours_costs_only_the_record_it_is_about(
    broken: Normalise, caplog: pytest.LogCaptureFixture
) -> None:
    sender = RecordingSender()
    clerk = Clerk(sender, ManualClock(AT_MS), Ledger())
    vendor = Vendor(kind="salesforce", verify=VENDOR.verify, normalise=broken)
    await Intake(source(), vendor, clerk).take([kafka_record(b"{}", 0)])
    assert [one.topic for one in sender.sent] == ["sales.dead-letters"]
    assert "a record could not be read" in caplog.text
