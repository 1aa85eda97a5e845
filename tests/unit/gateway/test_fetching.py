"""Records known by their id only: read back from a double of HubSpot's API, whatever it answers, to Kafka."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.events import EntityKind
from streams.gateway.api_client import retry_after_seconds
from streams.gateway.apis import Api
from streams.gateway.app import CLERK, create_app
from streams.gateway.clerk import Clerk
from streams.gateway.fetch_queue import Pace
from streams.gateway.fetchers import FETCHERS
from streams.gateway.fetchers.model import Batch, Fetcher
from streams.gateway.fetching import SourceFetcher, fetching
from streams.gateway.ledger import Ledger
from streams.gateway.model import Source, Thin, ThinOp
from streams.gateway.vendors import VENDORS
from streams.topics import DEAD_LETTERS, INCOMPLETE
from tests.api_double import Fault
from tests.hubspot_double import TOKEN, HubSpotDouble, hubspot_double
from tests.senders import RecordingSender
from tests.unit.gateway.test_hooks import NOW_MS, hubspot, note, signed

QUICK = Pace(linger=0.0, first=0.001, last=0.01, give_up=60.0, request=5.0)
KINDS = {"deal": EntityKind.DEAL, "call": EntityKind.ACTIVITY}
SAMPLES = Path(__file__).parents[2] / "crm" / "hubspot"


@dataclass
class Floor:
    """A clerk with a fetcher for one HubSpot source, and the double that it asks."""

    double: HubSpotDouble
    sender: RecordingSender
    clerk: Clerk
    source: Source
    fetcher: SourceFetcher

    async def tell(self, *thins: Thin) -> None:
        await self.clerk.take(thins, self.source)

    def events(self) -> list[dict[str, Any]]:
        return events_of(self.sender)

    def incomplete(self) -> list[str]:
        return [one.id for one in self.clerk.ledger.incomplete()]

    def count(self, name: str, reason: str = "") -> float:
        labels = {"source": "hubspot"} | ({"reason": reason} if reason else {})
        return self.clerk.ledger.registry.get_sample_value(f"salesfloor_gateway_fetch{name}", labels) or 0.0


def events_of(sender: RecordingSender) -> list[dict[str, Any]]:
    return [json.loads(one.value) for one in sender.sent if one.topic not in (DEAD_LETTERS, INCOMPLETE)]


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not so():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def opened(
    pace: Pace = QUICK, token: Callable[[], str] = lambda: TOKEN, **told: Any
) -> AsyncIterator[Floor]:
    source, sender = hubspot(**told), RecordingSender()
    clerk = Clerk(sender, ManualClock(NOW_MS), Ledger())
    async with (
        hubspot_double() as (double, url),
        fetching(clerk, [source], {"hubspot": Api(url, token)}, pace) as running,
    ):
        yield Floor(double, sender, clerk, source, running["hubspot"])


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    async with opened() as floor:
        yield floor


def thin(one: str, op: ThinOp = "create", name: str = "deal", time_ms: int = NOW_MS - 1000) -> Thin:
    return Thin(name, one, op, time_ms, KINDS[name])


def deal(one: str, **properties: str) -> dict[str, Any]:
    said = {"hs_lastmodifieddate": "2025-11-14T15:00:00Z", "amount": "100.50", "deal_currency_code": "EUR"}
    return {"id": one, "properties": {**said, "dealname": "Secret name", **properties}, "archived": False}


# --- what is asked for and what comes of it -------------------------------------------------------


async def test_deal_known_by_its_id_becomes_an_event_with_its_values(floor: Floor) -> None:
    floor.double.put("deals", deal("1", hubspot_owner_id="7"), contacts=["31", "32"])
    floor.double.put("deals", deal("1", hubspot_owner_id="7"), companies=["41"])
    floor.double.link_primary("deals", "companies", "1", "42")
    await floor.tell(thin("1"))
    assert floor.incomplete() == ["1"]
    await until(lambda: floor.incomplete() == [])
    [event] = floor.events()
    assert event["type"] == "sales.deal.updated"
    assert event["time"] == "2025-11-14T15:00:00.000Z"
    said = event["data"]
    assert (said["amount"], said["currency"], said["rep_id"]) == ("100.50", "EUR", "7")
    assert (said["lead_id"], said["account_id"]) == ("31", "42"), "the primary company, the first contact"
    assert floor.count("ed_records_total") == 1
    assert floor.count("_queue_records") == 0


async def test_names_and_notes_of_people_are_not_even_asked_for(floor: Floor) -> None:
    floor.double.put("deals", deal("1"))
    await floor.tell(thin("1"))
    await until(lambda: floor.incomplete() == [])
    assert b"Secret name" not in b"".join(one.value for one in floor.sender.sent)


async def test_many_records_take_one_request_for_each_hundred(floor: Floor) -> None:
    for one in range(250):
        floor.double.put("deals", deal(str(one)))
    await floor.tell(*(thin(str(one)) for one in range(250)), thin("7"))
    await until(lambda: floor.incomplete() == [])
    assert [len(ids) for ids in floor.double.reads] == [100, 100, 50]
    assert len(floor.events()) == 250


async def test_records_that_are_not_found_spoil_no_other_and_are_given_up(floor: Floor) -> None:
    for one in ("1", "3"):
        floor.double.put("deals", deal(one))
    await floor.tell(thin("1"), thin("2"), thin("3"))
    await until(lambda: floor.count("_given_up_records_total", "missing") == 1)
    assert {event["subject"] for event in floor.events()} == {"1", "3"}
    assert floor.incomplete() == ["2"]
    assert floor.count("_failures_total", "missing") == 3, "a record may be told of before it can be read"


async def test_deleted_activity_is_found_among_the_archived_ones(floor: Floor) -> None:
    call = json.loads((SAMPLES / "call-record.json").read_text(encoding="utf-8"))
    gone = {**call, "archived": True, "archivedAt": "2021-03-18T00:00:00Z"}
    floor.double.put("calls", gone, contacts=["500"])
    await floor.tell(thin(call["id"], "delete", "call"))
    await until(lambda: floor.incomplete() == [])
    [event] = floor.events()
    assert (event["type"], event["time"]) == ("sales.activity.deleted", "2021-03-18T00:00:00.000Z")
    assert event["data"]["lead_id"] == "500"
    assert floor.double.asked[0][0].endswith("archived=true")


async def test_record_deleted_before_it_was_read_is_deleted(floor: Floor) -> None:
    floor.double.put("deals", {**deal("1"), "archived": True, "archivedAt": "2025-11-14T15:30:00Z"})
    await floor.tell(thin("1", "create"))
    await until(lambda: floor.incomplete() == [])
    assert [event["type"] for event in floor.events()] == ["sales.deal.deleted"]


async def test_removed_contact_clears_the_deals_lead_and_a_foreign_one_is_not_asked_for() -> None:
    async with opened() as floor:
        floor.double.put("deals", deal("1"))
        await floor.tell(replace(thin("1", "update"), changed=("lead_id",)))
        await until(lambda: floor.incomplete() == [])
        assert floor.events()[0]["data"]["lead_id"] is None
    async with opened(options={**VENDORS["hubspot"].options, "lead_object": "lead"}) as floor:
        floor.double.put("deals", deal("1"), contacts=["31"])
        await floor.tell(thin("1"))
        await until(lambda: floor.incomplete() == [])
        assert "lead_id" not in floor.events()[0]["data"]
        assert not [path for path, _ids in floor.double.asked if "contacts" in path]


CLOSED = {"dealstage": "81234", "closedate": "2025-11-01T00:00:00Z", "hs_is_closed": "true"}
WHOLE: list[tuple[str, dict[str, str]]] = [
    ("deal", {**CLOSED, "hs_is_closed_won": "true"}),
    ("deal", {**CLOSED, "hs_is_closed_won": "false"}),
    ("deal", {**CLOSED, "hs_is_closed_lost": "true"}),
    (
        "contact",
        {"hs_lifecyclestage_salesqualifiedlead_date": "2025-11-01T00:00:00Z", "hubspot_owner_id": "7"},
    ),
    ("contact", {"hs_analytics_source": "PAID", "associatedcompanyid": "4", "createdate": "1761955200000"}),
    ("company", {"hs_lifecyclestage_customer_date": "2025-11-01T00:00:00Z", "hubspot_owner_id": "7"}),
    (
        "feedback_submission",
        {"hs_survey_type": "NPS", "hs_value": "9", "hs_submission_timestamp": "1761955200000"},
    ),
    (
        "task",
        {"hs_task_status": "COMPLETED", "hs_task_completion_date": "1761955200000", "hubspot_owner_id": "7"},
    ),
]


def whole() -> Iterator[tuple[str, dict[str, Any]]]:
    told = json.loads((SAMPLES / "source.json").read_text(encoding="utf-8"))["records"]
    for file, name in told.items():
        yield name, json.loads((SAMPLES / file).read_text(encoding="utf-8"))
    for name, properties in WHOLE:
        changed = {"hs_lastmodifieddate": "2025-11-14T15:00:00Z"}
        yield name, {"id": "1", "properties": changed | properties, "archived": False}


async def test_all_that_is_read_of_a_record_is_asked_for() -> None:
    """What records become does not change when only the asked properties are answered."""
    vendor = VENDORS["hubspot"]
    source = hubspot(activity_kinds=vendor.activity_kinds, currency="EUR", lead_steps=vendor.lead_steps)
    read = vendor.record
    assert read is not None
    for name, record in whole():
        call = next(FETCHERS["hubspot"].read(Batch(name, [record["id"]], False), source))
        assert isinstance(call.body, dict)
        asked = call.body["properties"]
        kept = {key: value for key, value in record["properties"].items() if key in asked}
        assert read(name, {**record, "properties": kept}, source) == read(name, record, source), name


async def test_record_changed_while_it_was_being_read_is_read_again(floor: Floor) -> None:
    floor.double.put("deals", deal("1"))
    missing: list[list[str]] = []

    def change() -> None:
        missing.append(floor.incomplete())
        if len(missing) == 1:
            floor.fetcher.want(floor.source, thin("1", "update", time_ms=NOW_MS))

    floor.double.on_read = change
    await floor.tell(thin("1"))
    await until(lambda: floor.incomplete() == [])
    assert missing == [["1"], ["1"]], "not complete with values that are known to be old"


async def test_record_that_cannot_be_read_is_kept_as_a_dead_letter_and_no_other_suffers(floor: Floor) -> None:
    floor.double.put("deals", deal("1", amount="a lot"))
    floor.double.put("deals", deal("2"))
    await floor.tell(thin("1"), thin("2"))
    await until(lambda: floor.incomplete() == [])
    assert [event["subject"] for event in floor.events()] == ["2"]
    [letter] = [one for one in floor.sender.sent if one.topic == "sales.dead-letters"]
    assert json.loads(letter.value)["id"] == "1"
    assert dict(letter.headers)["salesfloor-detail"] == b"amount is not a number"


# --- when the API does not answer as it should ----------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(429), "rate_limited"),
        (Fault(429, {"Retry-After": "0"}), "rate_limited"),
        (Fault(500), "server"),
        (Fault(503, {"Retry-After": "0"}), "server"),
        (Fault(401), "token_refused"),
    ],
)
async def test_passing_trouble_is_waited_out(floor: Floor, fault: Fault, reason: str) -> None:
    floor.double.put("deals", deal("1"))
    floor.double.faults += [fault, fault]
    await floor.tell(thin("1"))
    await until(lambda: floor.incomplete() == [])
    assert floor.count("_failures_total", reason) == 2
    assert len(floor.events()) == 1


async def test_after_retry_after_nothing_is_asked_for_until_then(floor: Floor) -> None:
    floor.double.put("deals", deal("1"))
    floor.double.faults.append(Fault(429, {"Retry-After": "3600"}))
    await floor.tell(thin("1"))
    await until(lambda: floor.count("_failures_total", "rate_limited") == 1)
    await floor.tell(thin("2"))
    loop = asyncio.get_running_loop()
    assert floor.fetcher._paused_until - loop.time() > 3000
    assert len(floor.double.asked) == 1


def test_retry_after_is_read_as_seconds_or_a_date_and_is_bounded() -> None:
    said = ["7", "Fri, 14 Nov 2025 15:42:19 GMT", "Fri, 14 Nov 2025 15:00:00 GMT", "999999", "soon", ""]
    assert [retry_after_seconds(one, NOW_MS) for one in said] == [7.0, 10.0, 0.0, 3600.0, 0.0, 0.0]


async def test_slow_answer_is_not_waited_for_for_ever() -> None:
    async with opened(replace(QUICK, request=0.05)) as floor:
        floor.double.put("deals", deal("1"))
        floor.double.faults.append(Fault(0, hangs=True))
        await floor.tell(thin("1"))
        await until(lambda: floor.count("_failures_total", "timeout") == 1)
        floor.fetcher._pace = QUICK
        await until(lambda: floor.incomplete() == [])


async def test_refused_token_is_said_clearly_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(token=lambda: "pat-old-hunter2") as floor:
        floor.double.put("deals", deal("1"))
        with caplog.at_level(logging.WARNING):
            await floor.tell(thin("1"))
            await until(lambda: floor.count("_failures_total", "token_refused") >= 3)
        assert floor.incomplete() == ["1"]
    said = [record.getMessage() for record in caplog.records if "token_refused" in record.getMessage()]
    assert len(said) == 1, "it is not said again for every try"
    assert "was answered 401: the API token is wrong or has expired; set a valid one" in said[0]
    assert "hunter2" not in caplog.text


async def test_token_that_was_renewed_is_used_without_a_restart() -> None:
    tokens = iter(["expired"])
    async with opened(token=lambda: next(tokens, TOKEN)) as floor:
        floor.double.put("deals", deal("1"))
        await floor.tell(thin("1"))
        await until(lambda: floor.incomplete() == [])


@pytest.mark.parametrize("fault", [Fault(403), Fault(302, {"Location": "https://elsewhere.example"})])
async def test_refusal_for_good_is_given_up_at_once_and_stays_visible(floor: Floor, fault: Fault) -> None:
    floor.double.put("deals", deal("1"))
    floor.double.faults.append(fault)
    await floor.tell(thin("1"))
    await until(lambda: floor.count("_given_up_records_total", "refused") == 1)
    assert (floor.incomplete(), len(floor.double.asked)) == (["1"], 1)


@pytest.mark.parametrize("body", ["<html>", '{"results": 7}', '{"results": [{"properties": {}}]}', "[]", ""])
async def test_answer_that_is_no_answer_of_hubspots_is_given_up(floor: Floor, body: str) -> None:
    floor.double.put("deals", deal("1"))
    floor.double.faults.append(Fault(200, body=body))
    await floor.tell(thin("1"))
    await until(lambda: floor.count("_given_up_records_total", "unreadable") == 1)


async def test_one_bad_id_costs_the_others_of_its_batch_no_more_than_a_second_request(floor: Floor) -> None:
    for one in ("1", "3"):
        floor.double.put("deals", deal(one))
    floor.double.malformed_id = "x"
    await floor.tell(thin("1"), thin("x"), thin("3"))
    await until(lambda: floor.incomplete() == ["x"])
    assert sorted(floor.double.reads) == [["1"], ["1", "x", "3"], ["3"], ["x"]]
    assert floor.count("_given_up_records_total", "refused") == 1


async def test_what_kafka_did_not_take_is_fetched_again(floor: Floor) -> None:
    floor.double.put("deals", deal("1"))
    await floor.tell(thin("1"))
    floor.sender.ready = False
    await until(lambda: floor.count("_failures_total", "kafka_away") >= 1)
    assert floor.incomplete() == ["1"]
    floor.sender.ready = True
    await until(lambda: floor.incomplete() == [])
    assert len(floor.events()) == 1


async def test_trouble_that_does_not_end_is_given_up_in_time() -> None:
    async with opened(replace(QUICK, give_up=0.02)) as floor:
        floor.double.faults += [Fault(500)] * 1000
        await floor.tell(thin("1"))
        await until(lambda: floor.count("_given_up_records_total", "server") == 1)
        assert (floor.incomplete(), floor.count("_queue_records")) == (["1"], 0)


async def test_full_queue_and_a_whole_kind_stay_incomplete() -> None:
    async with opened(replace(QUICK, linger=60.0, waiting_max=1)) as floor:
        await floor.tell(thin("1"), thin("2"), thin("", "reconcile"))
        assert floor.incomplete() == ["1", "2", ""]
        assert floor.count("_given_up_records_total", "queue_full") == 1
        assert floor.count("_given_up_records_total", "reconcile") == 1
        assert floor.count("_queue_records") == 1


async def test_fault_of_ours_stops_no_other_fetch(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole: Fetcher = FETCHERS["hubspot"]

    def broken(*_told: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(floor.fetcher, "_fetcher", replace(whole, read=broken))
    await floor.tell(thin("1"))
    await until(lambda: floor.count("_given_up_records_total", "unexpected") == 1)
    monkeypatch.setattr(floor.fetcher, "_fetcher", whole)
    floor.double.put("deals", deal("2"))
    await floor.tell(thin("2"))
    await until(lambda: floor.incomplete() == ["1"])


# --- the whole way --------------------------------------------------------------------------------


async def test_webhook_with_an_id_only_is_answered_before_the_api_is_and_its_values_follow() -> None:
    sender, source = RecordingSender(), hubspot()
    app = create_app(sender, ManualClock(NOW_MS), token=None, retention_ms=None, sources=[source])
    ledger = app[CLERK].ledger
    async with hubspot_double() as (double, url), TestClient(TestServer(app)) as client:
        call = json.loads((SAMPLES / "call-record.json").read_text(encoding="utf-8"))
        double.put("deals", deal("38472910011", hs_lastmodifieddate="2025-11-14T15:42:08Z"))
        double.put("calls", call, contacts=["500"])
        held = asyncio.Event()
        double.hold = held
        async with fetching(app[CLERK], [source], {"hubspot": Api(url, lambda: TOKEN)}, QUICK):
            created = {"propertyName": None, "propertyValue": None}
            body = json.dumps(
                [
                    note(subscriptionType="deal.creation", objectId=38472910011, **created),
                    note(
                        subscriptionType="object.creation",
                        objectTypeId="0-48",
                        objectId=int(call["id"]),
                        **created,
                    ),
                ]
            ).encode()
            async with client.post("/hooks/hubspot", data=body, headers=signed(body)) as response:
                assert (response.status, (await response.json())["incomplete"]) == (200, 2)
            assert len(ledger.incomplete()) == 2, "answered while the API is still silent"
            held.set()
            await until(lambda: not ledger.incomplete())
        shown = await (await client.get("/metrics")).text()
    types = [event["type"] for event in events_of(sender)]
    assert types[0] == "sales.deal.created"
    assert sorted(types[1:]) == ["sales.activity.completed", "sales.deal.updated"]
    assert 'salesfloor_gateway_fetched_records_total{source="hubspot"} 2.0' in shown


async def test_stop_is_clean_in_the_middle_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as floor:
        floor.double.hold = asyncio.Event()
        await floor.tell(thin("1"))
        await until(lambda: len(floor.double.asked) == 1)
        await floor.tell(thin("2"))
    assert "stopped with records not fetched" in caplog.text
    assert "records=2" in caplog.text
    assert not floor.clerk.fetches


async def test_source_without_a_token_keeps_its_records_as_incomplete() -> None:
    clerk = Clerk(RecordingSender(), ManualClock(NOW_MS), Ledger())
    async with fetching(clerk, [hubspot()], {}) as running:
        await clerk.take([thin("1")], hubspot())
        assert (running, len(clerk.ledger.incomplete())) == ({}, 1)


def test_every_fetcher_has_a_reader_of_its_records() -> None:
    kinds: Iterable[str] = FETCHERS
    assert all(VENDORS[kind].record is not None for kind in kinds)
