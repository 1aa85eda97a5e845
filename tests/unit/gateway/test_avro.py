"""Avro in, the events it means out: by a registry's schema or a file's, with the Pub/Sub API's bitmaps."""

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clock import ManualClock
from streams.gateway import avro, topic_source
from streams.gateway.avro import UnfitSchema, schema_of
from streams.gateway.avro_sources import open_schemas
from streams.gateway.clerk import Clerk
from streams.gateway.ledger import Ledger
from streams.gateway.model import Malformed, Outgoing, Unreadable
from streams.gateway.schemas import AvroReader, AvroTold, Registry
from streams.gateway.topic_source import Intake
from streams.gateway.vendors.salesforce_bitmaps import with_names
from streams.settings import SettingsError, load_settings
from tests.api_double import Fault, served
from tests.registry_double import RegistryDouble
from tests.salesforce_avro import OPPORTUNITY, avro_of, framed, in_bits, places
from tests.salesforce_told import AT_MS, VENDOR, change, source
from tests.senders import RecordingSender
from tests.unit.gateway.test_topic_source import kafka_record

CHANGED_AT = datetime(2025, 3, 5, 10, 45, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_source, "_WAIT_FIRST_SECONDS", 0.0)


class Floor:
    """A source that reads Avro, and the registry that it asks."""

    def __init__(self, registry: RegistryDouble, reader: AvroReader) -> None:
        self.registry, self._reader = registry, reader
        self.ledger, self.sender = Ledger(), RecordingSender()

    async def take(self, *values: bytes) -> list[Outgoing]:
        clerk = Clerk(self.sender, ManualClock(AT_MS), self.ledger)
        records = [kafka_record(value, number) for number, value in enumerate(values)]
        await Intake(source(), VENDOR, clerk, self._reader).take(records)
        return self.sender.sent

    def unavailable(self, reason: str) -> float | None:
        labels = {"source": "salesforce", "fate": "unavailable", "reason": reason}
        return self.ledger.registry.get_sample_value("salesfloor_gateway_events_total", labels)


@asynccontextmanager
async def reading(
    by_topic: Mapping[str, Any] | None = None, *, registry: bool = True, login: str = ""
) -> AsyncIterator[Floor]:
    double = RegistryDouble(token=login)
    schemas = {topic: schema_of(json.dumps(told)) for topic, told in (by_topic or {}).items()}
    async with served(double) as url, aiohttp.ClientSession() as http:
        told = AvroTold(url if registry else "", login, schemas)
        yield Floor(double, AvroReader(told, VENDOR.from_avro, Registry(http, told) if registry else None))


def data_of(sent: Outgoing) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sent.value)["data"]
    return found


def amount(value: float, **more: Any) -> dict[str, Any]:
    return change("Opportunity", Amount=value, LastModifiedDate=CHANGED_AT, **more)


async def test_change_event_of_a_connector_is_read_by_the_registrys_schema() -> None:
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        event = change("Opportunity", Amount=1200.5, StageName="Prospecting", CloseDate=date(2025, 4, 1))
        (sent,) = await floor.take(framed(7, avro_of(event)))
    assert (sent.topic, sent.key) == ("sales.deals", b"0068d00000LmNo1AAF")
    told = data_of(sent)
    assert (told["amount"], told["status"], told["expected_close_on"]) == ("1200.5", "open", "2025-04-01")


async def test_null_of_a_field_that_did_not_change_clears_nothing() -> None:
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        (sent,) = await floor.take(framed(7, avro_of(amount(5))))
    assert data_of(sent).keys() == {"deal_id", "amount"}


async def test_bitmaps_of_the_pubsub_api_become_names_and_what_was_emptied_is_cleared() -> None:
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        event = in_bits(
            amount(5), [places("Amount", "LastModifiedDate", "LeadSource")], [places("LeadSource")]
        )
        (sent,) = await floor.take(framed(7, avro_of(event)))
    told = data_of(sent)
    assert (told["amount"], told["source"]) == ("5.0", None)


async def test_schema_is_asked_for_once_and_many_records_at_once_ask_once() -> None:
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        await floor.take(*(framed(7, avro_of(amount(number))) for number in range(50)))
        await floor.take(framed(7, avro_of(amount(51))))
        assert len(floor.sender.sent) == 51
        assert [one.path for one in floor.registry.heard] == ["/schemas/ids/7"]


@pytest.mark.parametrize(
    "fault", [Fault(500), Fault(503), Fault(429), Fault(404, body="no page here"), Fault(401)]
)
async def test_registry_that_is_away_holds_records_back_and_loses_none(fault: Fault) -> None:
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        floor.registry.faults = deque([fault, fault])
        sent = await floor.take(framed(7, avro_of(amount(5))))
        assert [one.topic for one in sent] == ["sales.deals"]
        assert floor.unavailable("schema_registry_away") == 2


async def test_registry_is_shown_the_login() -> None:
    async with reading(login="reader:hunter2") as floor:
        floor.registry.put(7, OPPORTUNITY)
        (sent,) = await floor.take(framed(7, avro_of(amount(5))))
        assert sent.topic == "sales.deals"


async def test_topic_with_a_schema_file_is_read_without_a_registry() -> None:
    async with reading({"crm": OPPORTUNITY}, registry=False) as floor:
        event = in_bits(amount(5), [places("Amount", "LastModifiedDate")])
        sent = await floor.take(avro_of(event), framed(9, avro_of(amount(6))))
        assert [data_of(one)["amount"] for one in sent] == ["5.0", "6.0"]
        assert floor.registry.heard == []


async def test_json_is_still_read_where_avro_may_come() -> None:
    async with reading() as floor:
        floor.registry.put(3, {"type": "object"}, "JSON")
        text = json.dumps(change("Opportunity", Amount=1)).encode()
        sent = await floor.take(text, framed(3, text))
        assert [data_of(one)["amount"] for one in sent] == ["1", "1"]


async def test_what_cannot_be_read_is_a_whole_dead_letter_that_says_why() -> None:
    bad = {
        "with this Avro schema": framed(7, b"\x0ebroken"),
        "goes on behind": framed(7, avro_of(amount(5)) + b"more"),
        "unknown to the schema registry (number 8)": framed(8, avro_of(amount(5))),
        "is PROTOBUF; have the connector write JSON or Avro": framed(9, b"\x08\x01"),
        "refers to other schemas": framed(10, b"x"),
        "is no valid Avro schema": framed(11, b"x"),
        "fields that the event's schema lacks": framed(7, avro_of(in_bits(amount(5), ["0xFFFFFF"]))),
    }
    async with reading() as floor:
        floor.registry.put(7, OPPORTUNITY)
        floor.registry.put(9, 'syntax = "proto3";', "PROTOBUF")
        floor.registry.put(10, OPPORTUNITY, references=[{"name": "a", "subject": "b", "version": 1}])
        floor.registry.put(11, {"type": "record", "name": "a", "fields": [{"name": "b", "type": "nothing"}]})
        sent = await floor.take(*bad.values())
        letters = {one.value: {name: value.decode() for name, value in one.headers} for one in sent}
        assert letters.keys() == set(bad.values()), "whole, with the schema's number"
        for said, value in bad.items():
            assert said in letters[value]["salesfloor-detail"]
        asked = [one.path for one in floor.registry.heard]
        await floor.take(framed(8, b""), framed(9, b""))
        assert [one.path for one in floor.registry.heard] == asked, "what is no use is not asked for again"


async def test_without_settings_of_avro_the_letter_names_them() -> None:
    sender = RecordingSender()
    clerk = Clerk(sender, ManualClock(AT_MS), Ledger())
    await Intake(source(), VENDOR, clerk).take([kafka_record(framed(7, avro_of(amount(5))), 0)])
    [letter] = sender.sent
    assert "name its schema_registry" in dict(letter.headers)["salesfloor-detail"].decode()


# --- values and bitmaps ---------------------------------------------------------------------------


def test_values_become_json_with_exact_numbers() -> None:
    event = change("Opportunity", Cost__c=Decimal("1234567890.12"), Amount=0.1, LastModifiedDate=CHANGED_AT)
    told = json.loads(schema_of(json.dumps(OPPORTUNITY)).json_of(avro_of(event)), parse_float=Decimal)
    assert (told["Cost__c"], told["Amount"]) == (Decimal("1234567890.12"), Decimal("0.1"))
    assert told["LastModifiedDate"] == "2025-03-05T10:45:12Z"
    assert told["ChangeEventHeader"]["commitNumber"] == 1_741_171_512_420_098_049


FIELDS = [(f"F{number}", ()) for number in range(9)] + [("Name", ["Salutation", "First", "Last"])]


@pytest.mark.parametrize(
    ("bitmaps", "names"),
    [
        (["0x1"], ["F0"]),
        (["0x00000A"], ["F1", "F3"]),
        (["0x100"], ["F8"]),
        (["9-0x6"], ["Name.First", "Name.Last"]),
        (["0x2", "9-0x1"], ["F1", "Name.Salutation"]),
        ([], []),
        (["Amount", "Name.LastName"], ["Amount", "Name.LastName"]),
    ],
)
def test_bitmap_names_fields_by_their_places(bitmaps: list[str], names: list[str]) -> None:
    event = {"ChangeEventHeader": {"changedFields": bitmaps, "nulledFields": None}}
    assert with_names(event, FIELDS) == {"ChangeEventHeader": {"changedFields": names, "nulledFields": None}}


@pytest.mark.parametrize("bitmap", ["0x400", "10-0x1", "9-0x8", "2-0x1"])
def test_bitmap_beyond_the_schema_is_refused(bitmap: str) -> None:
    with pytest.raises(Unreadable):
        with_names({"ChangeEventHeader": {"diffFields": [bitmap]}}, FIELDS)


def record(**fields: Any) -> str:
    told = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"type": "record", "name": "R", "namespace": "a.b", "fields": told})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"string"',
        '{"type": "record"}',
        record(a="nothing"),
        record(a={"type": "array", "items": "null"}),
        record(a={"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}}),
        record(a={"type": "array", "items": {"type": "record", "name": "E", "fields": []}}),
        record(a=["null", "R"]),
        record(a=["null", {"type": "array", "items": "a.b.R"}]),
        json.dumps({"type": "record", "name": "R", "fields": 7}),
        "[" * 100_000,
    ],
)
def test_schema_that_makes_much_of_few_bytes_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnfitSchema):
        schema_of(text)


def test_foreign_bytes_never_break_the_reader() -> None:
    schema = schema_of(json.dumps(OPPORTUNITY))
    whole = avro_of(amount(5))
    for cut in range(len(whole)):
        for value in (whole[:cut], whole[:cut] + b"\xff" * 9):
            with pytest.raises(Malformed):
                schema.json_of(value)


@given(st.binary(max_size=300))
def test_any_bytes_are_json_or_malformed(value: bytes) -> None:
    try:
        json.loads(READ_BY.json_of(value, VENDOR.from_avro))
    except (Malformed, Unreadable):
        pass


READ_BY = schema_of(json.dumps(OPPORTUNITY))


# --- settings -------------------------------------------------------------------------------------


def settings_of(tmp_path: Path, **told: Any) -> Any:
    known = {"name": "sf", "kind": "salesforce", "topics": ["crm"]}
    return load_settings(None, {"sources": [{**known, **told}]})


def test_schema_file_is_read_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "deal.avsc").write_text(json.dumps(OPPORTUNITY))
    good = settings_of(tmp_path, avro_schemas={"crm": str(tmp_path / "deal.avsc")})
    assert open_schemas(good, {})["sf"].by_topic.keys() == {"crm"}
    (tmp_path / "deal.avsc").write_text('"string"')
    for path in ("deal.avsc", "none.avsc"):
        wrong = settings_of(tmp_path, avro_schemas={"crm": str(tmp_path / path)})
        with pytest.raises(SettingsError, match=path):
            open_schemas(wrong, {})


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise avro.AvroMissing

    monkeypatch.setattr("streams.gateway.avro_sources.have_reader", missing)
    with pytest.raises(SettingsError, match=r"pip install 'salesfloor\[avro\]'"):
        open_schemas(settings_of(tmp_path, schema_registry="http://registry:8081"), {})


def test_login_of_the_registry_comes_from_a_variable(tmp_path: Path) -> None:
    told = settings_of(tmp_path, schema_registry="https://registry/", schema_registry_login_env="LOGIN")
    opened = open_schemas(told, {"LOGIN": "reader:hunter2"})["sf"]
    assert (opened.registry, opened.login) == ("https://registry", "reader:hunter2")
    assert "hunter2" not in repr(opened)
    with pytest.raises(SettingsError, match="LOGIN"):
        open_schemas(told, {})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"schema_registry": "registry:8081"}, "not an address"),
        ({"schema_registry": "https://user:word@registry"}, "not an address"),
        ({"schema_registry": "http://registry", "schema_registry_login_env": "L"}, "in the clear"),
        ({"schema_registry_login_env": "L"}, "no schema_registry"),
        ({"avro_schemas": {"other": "a.avsc"}}, "not one of its topics"),
        ({"schema_registry": "http://registry", "topics": [], "secret_env": ["S"]}, "no topics"),
    ],
)
def test_settings_that_cannot_work_say_what_to_do(tmp_path: Path, told: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of(tmp_path, **told)
