"""Zoho beyond the samples: tokens and headers, what must be fetched, maps that guess nothing, records."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.columns import parse_map
from streams.events import Reason
from streams.gateway.app import create_app
from streams.gateway.model import (
    AsIs,
    Canonical,
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Skipped,
    SkipReason,
    Source,
    Thin,
    Unusable,
    Verified,
)
from streams.gateway.placing import cloud_event
from streams.gateway.vendors import VENDORS
from tests.crm_samples import FOLDER
from tests.senders import RecordingSender

VENDOR = VENDORS["zoho"]
AT = "2025-11-12T09:12:33.100Z"
AT_MS = 1_762_938_753_100
TOKEN = "a-token-of-the-channel"


def source(**told: Any) -> Source:
    known = {
        "zone": ZoneInfo("UTC"),
        "stage_status": VENDOR.stage_status,
        "activity_kinds": VENDOR.activity_kinds,
        "lead_steps": VENDOR.lead_steps,
        "secrets": (TOKEN,),
    }
    options = {**VENDOR.options, **told.pop("options", {})}
    return Source(name="zoho", kind="zoho", **{**known, **told}, options=options)


def delivery(body: bytes, content_type: str = "application/json", **headers: str) -> Delivery:
    return Delivery("POST", "", headers, content_type, body, AT_MS + 5000)


def read(body: object, **told: Any) -> list[Outcome]:
    return list(VENDOR.normalise(delivery(json.dumps(body).encode()), source(**told)))


def notice(
    module: str, operation: str, values: object = None, changed: object = None, **more: object
) -> dict[str, object]:
    said: dict[str, object] = {
        "server_time": AT_MS, "module": module, "operation": operation, "ids": ["7"], "channel_id": "68001",
        "token": TOKEN, "affected_fields": [] if changed is None else [{"7": changed}],
    }  # fmt: skip
    if values is not None:
        said["affected_values"] = [{"record_id": "7", "values": values}]
    return {**said, **more}


def only(outcomes: list[Outcome]) -> Canonical:
    (found,) = outcomes
    assert isinstance(found, Canonical), found
    return found


def thin(outcomes: list[Outcome]) -> Thin:
    (found,) = outcomes
    assert isinstance(found, Thin), found
    return found


# --- the sender -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        ({"token": TOKEN}, {}, None),
        ({"token": "another"}, {}, RefusalReason.WRONG),
        ({"token": ""}, {}, RefusalReason.MISSING),
        ({"token": None}, {}, RefusalReason.MISSING),
        ({"token": [TOKEN]}, {}, RefusalReason.MISSING),
        ({}, {}, RefusalReason.MISSING),
        ([TOKEN], {}, RefusalReason.MISSING),
        ({}, {"authorization": TOKEN}, None),
        ({}, {"authorization": f"Bearer {TOKEN}"}, None),
        ({"token": TOKEN}, {"authorization": "Bearer another"}, RefusalReason.WRONG),
    ],
)
def test_token_of_the_body_or_secret_of_the_header_opens_the_door(
    body: object, headers: dict[str, str], reason: RefusalReason | None
) -> None:
    verdict = VENDOR.verify(delivery(json.dumps(body).encode(), **headers), source())
    if reason is None:
        assert isinstance(verdict, Verified)
    else:
        assert isinstance(verdict, Refusal)
        assert verdict.reason is reason
        assert TOKEN not in verdict.detail


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 9000, b"not json", b'"' + TOKEN.encode() + b'"'])
def test_body_that_cannot_be_read_opens_nothing(body: bytes) -> None:
    assert isinstance(VENDOR.verify(delivery(body), source()), Refusal)


def test_old_and_new_token_open_the_door_and_no_secret_opens_none() -> None:
    body = json.dumps({"token": "old"}).encode()
    assert isinstance(VENDOR.verify(delivery(body), source(secrets=("new", "old"))), Verified)
    assert isinstance(VENDOR.verify(delivery(body), source(secrets=("new",))), Refusal)
    assert isinstance(VENDOR.verify(delivery(body), source(secrets=())), Refusal)


# --- notifications --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (notice("Invoices", "insert"), SkipReason.OBJECT),
        (notice("Contacts", "insert"), SkipReason.OBJECT),
        (notice("Deals", "sneezed"), SkipReason.OPERATION),
        (notice("Deals", "update", channel_id="9"), SkipReason.ACCOUNT),
        (notice("Deals", "update", {"Description": "x"}, ["Description"]), SkipReason.PROPERTY),
        (notice("Deals", "update", None, ["Description", "Type"]), SkipReason.PROPERTY),
        (notice("Leads", "update", {"Company": "x"}, ["Company"]), SkipReason.PROPERTY),
        (notice("Calls", "update", None, ["Subject"]), SkipReason.PROPERTY),
    ],
)  # fmt: skip
def test_what_no_number_needs_is_skipped(body: object, reason: SkipReason) -> None:
    assert read(body, account="68001") == [Skipped(reason)]


def test_module_counts_not_the_address_of_the_resource() -> None:
    body = notice("Deals", "delete", resource_uri="https://www.zohoapis.com/crm/v8/Leads")
    assert only(read(body)).type == "sales.deal.deleted"


@pytest.mark.parametrize(
    ("values", "action", "data"),
    [
        ({"Stage": "Closed Lost"}, "lost", {"stage": "Closed Lost"}),
        ({"Stage": "Qualification"}, "updated", {"stage": "Qualification", "status": "open"}),
        ({"Stage": "Pilot"}, "updated", {"stage": "Pilot"}),
        ({"Amount": None}, "updated", {"amount": None}),
        ({"Currency": "eur"}, "updated", {"currency": "EUR"}),
        ({"Probability": 35}, "updated", {"probability": 0.35}),
        ({"Owner": {"name": "Mia", "id": "41"}}, "updated", {"rep_id": "mia"}),
        ({"Owner": "41"}, "updated", {"rep_id": "mia"}),
        ({"Account_Name": {"name": "K", "id": "29"}}, "updated", {"account_id": "29"}),
        ({"Closing_Date": ""}, "updated", {"expected_close_on": None}),
        ({"Pipeline": {"name": "Standard", "id": "3"}}, "updated", {"pipeline": "Standard"}),
        ({"Lead_Source": "Partner", "Description": "x"}, "updated", {"source": "Partner"}),
    ],
)
def test_changed_values_of_a_deal(values: dict[str, object], action: str, data: dict[str, object]) -> None:
    found = only(read(notice("Deals", "update", values, list(values)), reps={"41": "mia"}))
    assert (found.type, found.data, found.time_ms) == (f"sales.deal.{action}", data, AT_MS)


def test_own_stages_are_known_by_the_settings() -> None:
    found = only(
        read(notice("Deals", "update", {"Stage": "Pilot"}, ["Stage"]), stage_status={"Pilot": "won"})
    )
    assert found.type == "sales.deal.won"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Amount": "12,500.00"}, Reason.WRONG_TYPE),
        ({"Amount": "12.500,00"}, Reason.WRONG_TYPE),
        ({"Closing_Date": "12/11/2025"}, Reason.BAD_TIME),
        ({"Closing_Date": "20251112"}, Reason.BAD_TIME),
        ({"Created_Time": "1762938753100"}, Reason.BAD_TIME),
        ({"Probability": "high"}, Reason.WRONG_TYPE),
    ],
)
def test_number_or_day_of_a_screen_is_never_guessed(values: dict[str, object], reason: Reason) -> None:
    (found,) = read(notice("Deals", "update", values, list(values)))
    assert isinstance(found, Unusable)
    assert found.reason is reason
    assert str(next(iter(values.values()))) not in found.detail


def test_value_that_cannot_be_read_stops_no_other_record() -> None:
    body = notice("Deals", "update", ids=["7", "8"]) | {
        "affected_values": [
            {"record_id": "7", "values": {"Amount": "a lot"}},
            {"record_id": "8", "values": {"Amount": 5}},
        ],
    }
    first, second = read(body)
    assert (type(first), type(second)) == (Unusable, Canonical)


def test_field_that_is_named_without_its_value_is_to_be_fetched() -> None:
    patch, rest = read(notice("Deals", "update", {"Amount": 5}, ["Amount", "Stage", "Description"]))
    assert isinstance(patch, Canonical)
    assert isinstance(rest, Thin)
    assert (patch.data["amount"], rest.changed) == (5, ("Stage",))
    assert thin(read(notice("Deals", "update"))).changed == ()


@pytest.mark.parametrize("values", [None, {"field71": "x"}])
def test_field_by_its_internal_name_may_count_and_is_to_be_fetched(values: object) -> None:
    assert thin(read(notice("Deals", "update", values, ["field71"]))).changed == ("field71",)


def test_deal_is_created_at_once_and_its_values_are_fetched() -> None:
    found = thin(read(notice("Deals", "insert", {"Stage": "Closed Won", "Amount": 5})))
    assert found.op == "create"
    assert found.mark is not None
    assert found.mark.type == "sales.deal.created"
    assert found.mark.data == {"stage": "Closed Won", "amount": 5, "status": "won", "closed_at": AT}
    assert thin(read(notice("Accounts", "insert"))).mark is None


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_activities_are_always_fetched_for_whose_they_are_decides_where_they_lie(operation: str) -> None:
    body = notice("Calls", operation, {"Call_Duration": "05:12"}, ["Call_Duration"])
    assert thin(read(body)).object == "Calls"
    assert read(body, activity_kinds={"Calls": ""}) == [Skipped(SkipReason.NOT_WANTED)]


@pytest.mark.parametrize(
    ("status", "action"),
    [("Pre-Qualified", "qualified"), ("Junk Lead", "disqualified"), ("Contacted", "updated")],
)
def test_lead_takes_steps_by_its_status(status: str, action: str) -> None:
    found = only(read(notice("Leads", "update", {"Lead_Status": status}, ["Lead_Status"])))
    assert found.type == f"sales.lead.{action}"


def test_leads_are_zohos_leads_or_its_contacts_never_both() -> None:
    own = {"options": {"lead_object": "Contacts"}}
    bodies = [notice(module, "delete") for module in ("Leads", "Contacts")]
    assert [type(read(body)[0]) for body in bodies] == [Canonical, Skipped]
    assert [type(read(body, **own)[0]) for body in bodies] == [Skipped, Canonical]


def test_same_notification_again_is_the_same_event_and_ids_keep_every_digit() -> None:
    big = str(2**63 - 1)
    body = notice("Deals", "delete", ids=[int(big), big])
    first, again = only(read(body)), only(read(body))
    assert first.entity_id == big
    assert cloud_event(first, source()) == cloud_event(again, source())
    later = only(read({**body, "server_time": AT_MS + 1}))
    assert cloud_event(later, source()) != cloud_event(first, source())


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": []},
        {"ids": [None]},
        {"ids": "7"},
        {"server_time": "soon"},
        {"server_time": None},
        {"affected_values": [5]},
        {"affected_fields": ["Stage"]},
        {"module": {}},
    ],
)
def test_notification_that_cannot_be_read_is_a_dead_letter(wrong: dict[str, object]) -> None:
    (found,) = read({**notice("Deals", "update"), **wrong})
    assert isinstance(found, Unusable)


def test_body_that_is_no_json_is_malformed() -> None:
    with pytest.raises(Malformed):
        VENDOR.normalise(delivery(b"nope"), source())


# --- workflow webhooks ----------------------------------------------------------------------------

MAP = (FOLDER / "zoho" / "workflow-map.toml").read_text(encoding="utf-8")
BODY = json.loads((FOLDER / "zoho" / "workflow-webhook-deal.json").read_bytes())


def mapped(text: str, body: dict[str, object]) -> Outcome:
    (found,) = read(body, mapping=parse_map(text, "test"))
    return found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MAP.replace('thousands_mark = ","\n', ""), {}),
        (MAP.replace('thousands_mark = ","', 'thousands_mark = "."\ndecimal_mark = ","'), {}),
        (MAP.replace(', format = "%d/%m/%Y"', ""), {}),
        (MAP.replace("%d/%m/%Y", "%m/%d/%Y"), {"closing_date": "31/12/2025"}),
        (MAP, {"amount": "12,50"}),
        (MAP, {"closing_date": "2025-11-12"}),
    ],
)
def test_number_or_date_in_another_form_than_the_map_declares_is_a_dead_letter(
    text: str, said: dict[str, object]
) -> None:
    assert isinstance(mapped(MAP, BODY), AsIs)
    found = mapped(text, {**BODY, **said})
    assert isinstance(found, Unusable)
    assert found.reason is Reason.WRONG_TYPE
    assert "2025" not in found.detail
    assert "12," not in found.detail


def test_workflow_may_send_a_form_and_other_events_are_skipped() -> None:
    told = source(mapping=parse_map(MAP, "test"))
    form = delivery(
        b"event=deal_won&deal_id=7&amount=1%2C000.00",
        "application/x-www-form-urlencoded",
        authorization=TOKEN,
    )
    assert isinstance(VENDOR.verify(form, told), Verified)
    (found,) = VENDOR.normalise(form, told)
    assert isinstance(found, AsIs)
    assert json.loads(found.value)["data"] == {"deal_id": "7", "amount": "1000.00"}
    other = replace(form, body=b"event=else")
    assert VENDOR.normalise(other, told) == [Skipped(SkipReason.NOT_WANTED)]
    assert isinstance(VENDOR.verify(replace(form, headers={}), told), Refusal)


def test_workflow_without_a_map_is_a_dead_letter_that_says_so() -> None:
    (found,) = read(BODY)
    assert isinstance(found, Unusable)
    assert "map" in found.detail


def test_page_of_zoho_shows_the_map_that_is_tested() -> None:
    page = (Path(__file__).parents[3] / "docs" / "crm" / "zoho.md").read_text(encoding="utf-8")
    assert MAP.partition("\n\n")[2] in page


# --- over HTTP ------------------------------------------------------------------------------------


async def test_one_door_takes_notifications_and_workflows_and_keeps_what_it_cannot_read() -> None:
    producer = RecordingSender()
    app = create_app(
        producer,
        ManualClock(AT_MS),
        token=None,
        retention_ms=10**12,
        sources=[source(mapping=parse_map(MAP, "test"))],
    )
    changed = json.dumps(notice("Deals", "update", {"Amount": 5}, ["Amount"])).encode()
    screen = json.dumps({**BODY, "closing_date": "12.11.2025"}).encode()
    async with TestClient(TestServer(app)) as client:

        async def status(body: bytes, secret: str = "") -> int:
            headers = {"Content-Type": "application/json"}
            if secret:
                headers["Authorization"] = f"Bearer {secret}"
            async with client.post("/hooks/zoho", data=body, headers=headers) as response:
                return response.status

        assert await status(changed) == 200
        assert await status(json.dumps(BODY).encode(), TOKEN) == 200
        assert await status(screen, TOKEN) == 200
        assert await status(json.dumps(BODY).encode()) == 401
        assert await status(json.dumps(BODY).encode(), "another") == 401
        assert await status(changed.replace(TOKEN.encode(), b"another")) == 401
    assert [record.topic for record in producer.sent] == ["sales.deals", "sales.deals", "sales.dead-letters"]
    assert producer.sent[2].value == screen
