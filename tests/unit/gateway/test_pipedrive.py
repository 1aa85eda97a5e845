"""Pipedrive beyond the samples: both versions' rarer forms, merges, restores, activities, steps of leads."""

import base64
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.events import Reason
from streams.gateway.app import create_app
from streams.gateway.model import (
    Canonical,
    Delivery,
    Outcome,
    Refusal,
    RefusalReason,
    Skipped,
    SkipReason,
    Source,
    Thin,
    Unreadable,
    Unusable,
    Verified,
)
from streams.gateway.placing import cloud_event
from streams.gateway.vendors import VENDORS
from tests.senders import RecordingSender

VENDOR = VENDORS["pipedrive"]
AT = "2026-02-03T09:40:02.218Z"
AT_MS = 1_770_111_602_218
DEAL = {"id": 7, "owner_id": 3, "value": 100, "currency": "eur", "status": "open", "stage_id": 2}
CALL = {"id": 8, "type": "call", "owner_id": 3, "deal_id": 7, "done": True}


def source(**told: Any) -> Source:
    options = {**VENDOR.options, **told.pop("options", {})}
    kinds = {**VENDOR.activity_kinds, **told.pop("activity_kinds", {})}
    steps = {**VENDOR.lead_steps, **told.pop("lead_steps", {})}
    zone = told.pop("zone", ZoneInfo("UTC"))
    return Source(
        name="pd",
        kind="pipedrive",
        zone=zone,
        options=options,
        activity_kinds=kinds,
        lead_steps=steps,
        **told,
    )


def delivery(body: bytes, authorization: str = "") -> Delivery:
    headers = {"authorization": authorization} if authorization else {}
    return Delivery("POST", "", headers, "application/json", body, AT_MS + 5000)


def read(body: object, **told: Any) -> list[Outcome]:
    return list(VENDOR.normalise(delivery(json.dumps(body).encode()), source(**told)))


def v2(action: str, entity: str, data: object, previous: object = None, **meta: object) -> dict[str, object]:
    said = {
        "action": action, "entity": entity, "entity_id": "7", "id": "e-1", "company_id": "9",
        "timestamp": AT, "version": "2.0", "attempt": 1,
    }  # fmt: skip
    return {"meta": {**said, **meta}, "data": data, "previous": previous}


def v1(action: str, entity: str, current: object, previous: object = None, **meta: object) -> dict[str, Any]:
    said = {"action": action, "object": entity, "id": 7, "company_id": 9, "timestamp": 1770111602}
    return {
        "v": 1, "meta": {**said, **meta}, "retry": 0, "current": current, "previous": previous,
        "event": f"{action}.{entity}",
    }  # fmt: skip


def only(outcomes: list[Outcome]) -> Canonical:
    (found,) = outcomes
    assert isinstance(found, Canonical), found
    return found


# --- the sender -----------------------------------------------------------------------------------


def shown(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", RefusalReason.MISSING),
        ("Bearer user:pass", RefusalReason.MISSING),
        ("Basic !!!", RefusalReason.MISSING),
        ("Basic é", RefusalReason.MISSING),
        (shown("user:päss".encode("latin-1")), RefusalReason.MISSING),
        (shown(b"user:other"), RefusalReason.WRONG),
        (shown(b"user"), RefusalReason.WRONG),
    ],
)
def test_user_and_password_that_are_not_shown_right_are_refused(
    authorization: str, reason: RefusalReason
) -> None:
    verdict = VENDOR.verify(delivery(b"{}", authorization), source(secrets=("user:päss",)))
    assert isinstance(verdict, Refusal)
    assert verdict.reason is reason
    assert "päss" not in verdict.detail


def test_old_and_new_password_open_the_door_and_none_opens_without_one() -> None:
    old, new = shown(b"user:old"), shown(b"user:new")
    for one in (old, new):
        assert isinstance(
            VENDOR.verify(delivery(b"", one), source(secrets=("user:new", "user:old"))), Verified
        )
    assert isinstance(VENDOR.verify(delivery(b"", old), source(secrets=("user:new",))), Refusal)
    assert isinstance(VENDOR.verify(delivery(b"", old), source()), Refusal)


@pytest.mark.parametrize(
    ("secret", "fits"), [("user:pass", True), ("user:p:q", True), ("user", False), (":x", False)]
)
def test_secret_must_be_a_user_and_a_password(secret: str, fits: bool) -> None:
    assert VENDOR.unfit_secret is not None
    assert (VENDOR.unfit_secret(secret) == "") is fits


# --- never refused for what is in it --------------------------------------------------------------


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe{}", b"[1]", b"{}", b'{"meta": 5}', b"[" * 5000])
def test_body_that_cannot_be_read_is_a_dead_letter_and_no_refusal(body: bytes) -> None:
    (found,) = VENDOR.normalise(delivery(body), source())
    assert isinstance(found, Unusable)
    assert found.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (v2("create", "note", {"id": 7}), SkipReason.OBJECT),
        (v2("create", "stage", {"id": 7}), SkipReason.OBJECT),
        (v1("updated", "product", {"id": 7}), SkipReason.OBJECT),
        (v2("sneezed", "deal", DEAL), SkipReason.OPERATION),
        (v2("change", "person", {"id": 7}), SkipReason.NOT_WANTED),
        (v2("change", "deal", DEAL, company_id="10"), SkipReason.ACCOUNT),
        (v2("create", "activity", {**CALL, "type": "parade"}), SkipReason.NOT_WANTED),
    ],
)
def test_what_is_not_wanted_is_skipped(body: object, reason: SkipReason) -> None:
    assert read(body, account="9") == [Skipped(reason)]


def test_attempts_of_one_delivery_are_one_event_and_two_changes_are_two() -> None:
    first, again = (only(read(v2("change", "deal", DEAL, attempt=one))) for one in (1, 3))
    assert cloud_event(first, source()) == cloud_event(again, source())
    retried = v1("updated", "deal", DEAL) | {"retry": 2}
    assert read(v1("updated", "deal", DEAL)) == read(retried)
    other = only(read(v2("change", "deal", DEAL, id="e-2")))
    assert cloud_event(first, source()) != cloud_event(other, source())


def test_ids_beyond_two_to_the_53_keep_every_digit() -> None:
    big = 2**63 - 1
    found = only(read(v2("change", "deal", {**DEAL, "owner_id": big}, entity_id=big)))
    assert (found.entity_id, found.data["rep_id"]) == (str(big), str(big))


@pytest.mark.parametrize("stamp", [AT, "1770111602218", 1770111602218, 1770111602218000])
def test_time_of_a_change_is_read_in_every_form(stamp: object) -> None:
    assert only(read(v2("change", "deal", DEAL, timestamp=stamp))).time_ms == AT_MS


def test_version_1_tells_the_finest_time_it_has() -> None:
    assert only(read(v1("updated", "deal", DEAL))).time_ms == 1770111602000
    fine = only(read(v1("updated", "deal", DEAL, timestamp_micro=1770111602218450, timestamp_milli=1)))
    assert (fine.time_ms, fine.dedup) == (AT_MS, ("updated.deal", "7", "1770111602218450"))


@pytest.mark.parametrize("stamp", ["", "yesterday", "12", "9" * 30])
def test_time_that_cannot_be_read_makes_a_dead_letter(stamp: str) -> None:
    (found,) = read(v2("change", "deal", DEAL, timestamp=stamp))
    assert isinstance(found, Unusable)
    assert found.reason is Reason.BAD_TIME


# --- deals ----------------------------------------------------------------------------------------


def test_null_clears_a_field_and_an_absent_one_stays() -> None:
    data = {"id": 7, "value": None, "probability": None, "org_id": None, "expected_close_date": None}
    assert only(read(v2("change", "deal", data))).data == {
        "amount": None, "probability": None, "account_id": None, "expected_close_on": None,
    }  # fmt: skip


def test_amounts_are_exact_and_names_are_those_of_the_settings() -> None:
    body = json.dumps(v2("change", "deal", DEAL)).replace("100", "1234567890123.45")
    told = source(reps={"3": "ann"}, stage_names={"2": "Offer"})
    (found,) = VENDOR.normalise(delivery(body.encode()), told)
    assert isinstance(found, Canonical)
    assert str(found.data["amount"]) == "1234567890123.45"
    assert (found.data["rep_id"], found.data["stage"], found.data["currency"]) == ("ann", "Offer", "EUR")


@pytest.mark.parametrize(
    ("data", "previous", "said"),
    [
        ({"status": "won", "won_time": "2026-02-01 08:00:00"}, None, "2026-02-01T08:00:00.000Z"),
        ({"status": "lost", "close_time": "2026-02-01T08:00:00Z"}, None, "2026-02-01T08:00:00.000Z"),
        ({"status": "lost", "lost_time": None}, {"status": "open"}, AT),
        ({"status": "won"}, {"title": "before"}, "absent"),
        ({"status": "won"}, {"status": "won", "title": "before"}, "absent"),
        ({"status": "open"}, {"status": "won"}, None),
    ],
)
def test_deal_closed_when_it_says_or_when_its_status_changed(data: Any, previous: Any, said: object) -> None:
    found = only(read(v2("change", "deal", data, previous), zone=ZoneInfo("Asia/Tokyo")))
    assert found.data["status"] == data["status"]
    assert found.data.get("closed_at", "absent") == said


def test_merge_is_told_by_the_loser_and_by_the_winner_alike() -> None:
    loser = only(read(v2("delete", "deal", None, DEAL, entity_id="6", merged_to_id="7")))
    winner = read(v2("change", "deal", DEAL, {}, merged_from_id=6))
    assert (loser.type, loser.entity_id, loser.data) == ("sales.deal.merged", "6", {"merged_into": "7"})
    assert [(one.type, one.entity_id) for one in winner if isinstance(one, Canonical)] == [
        ("sales.deal.merged", "6"),
        ("sales.deal.updated", "7"),
    ]
    old = read(v1("merged", "organization", {"id": 7, "owner_id": 3}, {"id": 6, "owner_id": 3}))
    assert [(one.type, one.entity_id) for one in old if isinstance(one, Canonical)] == [
        ("sales.account.merged", "6"),
        ("sales.account.updated", "7"),
    ]


def test_deal_in_the_bin_is_deleted_and_one_taken_out_of_it_restored() -> None:
    assert only(read(v2("change", "deal", {**DEAL, "status": "deleted"}))).type == "sales.deal.deleted"
    assert only(read(v1("deleted", "deal", None, DEAL))).type == "sales.deal.deleted"
    back = read(v2("change", "deal", DEAL, {"status": "deleted"}))
    assert [one.type for one in back if isinstance(one, Canonical)] == [
        "sales.deal.restored",
        "sales.deal.updated",
    ]


KEY = "ab" * 20


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("channel", "Fair"),
        (KEY, "31"),
        ("cd" * 20, "Partner"),
        ("ef" * 20, None),
        ("", "absent"),
        ("gone", "absent"),
    ],
)
def test_source_of_a_deal_is_the_field_that_the_option_names(option: str, said: object) -> None:
    custom = {
        KEY: {"type": "enum", "id": 31},
        "cd" * 20: {"type": "varchar", "value": "Partner"},
        "ef" * 20: None,
    }
    data = {**DEAL, "channel": "Fair", "custom_fields": custom}
    found = only(read(v2("change", "deal", data), options={"deal_source": option}))
    assert found.data.get("source", "absent") == said


# --- leads ----------------------------------------------------------------------------------------


def test_leads_are_pipedrives_own_or_persons_never_both() -> None:
    bodies = v2("create", "lead", {"id": "u"}), v2("create", "person", {"id": 7, "org_id": 5})
    assert [type(read(body)[0]) for body in bodies] == [Canonical, Skipped]
    assert [type(read(body, options={"lead_object": "person"})[0]) for body in bodies] == [Skipped, Canonical]
    deal = v2("change", "deal", {**DEAL, "person_id": 4})
    assert "lead_id" not in only(read(deal)).data
    assert only(read(deal, options={"lead_object": "person"})).data["lead_id"] == "4"


@pytest.mark.parametrize(
    ("action", "data", "previous", "steps"),
    [
        ("change", {"is_archived": True}, {"is_archived": False}, ["disqualified"]),
        ("change", {"is_archived": True}, {"title": "before"}, []),
        ("change", {"label_ids": ["hot", "new"]}, {"label_ids": ["new"]}, ["qualified"]),
        ("change", {"label_ids": ["hot"], "is_archived": True}, {"is_archived": False}, ["disqualified"]),
        ("change", {"label_ids": []}, {"label_ids": ["hot"]}, []),
        ("create", {"label_ids": ["hot"]}, None, ["qualified"]),
    ],
)
def test_lead_takes_a_step_when_its_label_is_new(
    action: str, data: Any, previous: Any, steps: list[str]
) -> None:
    found = read(v2(action, "lead", {"id": "u", **data}, previous), lead_steps={"hot": "qualified"})
    types = [one.type for one in found if isinstance(one, Canonical)]
    assert types[1:] == [f"sales.lead.{step}" for step in steps]


@pytest.mark.parametrize("means", ["deleted", "converted"])
def test_deleted_lead_is_what_the_settings_say(means: str) -> None:
    gone = v2("delete", "lead", None, {"id": "u"}, entity_id="u")
    assert only(read(gone, options={"deleted_lead": means})).type == f"sales.lead.{means}"
    other = v2("delete", "deal", None, DEAL)
    assert only(read(other, options={"deleted_lead": means})).type == "sales.deal.deleted"


# --- activities -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "told", "previous", "what", "completed"),
    [
        ("create", {"marked_as_done_time": "2026-02-03 09:00"}, None, "completed", f"{AT[:11]}09:00:00.000Z"),
        ("create", {"marked_as_done_time": "2026-02-04T09:00:00Z"}, None, "completed", AT),
        ("create", {}, None, "completed", AT),
        ("change", {}, {"done": False}, "completed", AT),
        ("change", {}, {"subject": "before"}, "updated", "absent"),
        ("change", {"done": False}, {"done": True}, "updated", None),
        ("create", {"done": 0}, None, "scheduled", None),
    ],
)  # fmt: skip
def test_activity_is_completed_when_it_was_marked_as_done(
    action: str, told: Any, previous: Any, what: str, completed: object
) -> None:
    found = only(read(v2(action, "activity", {**CALL, **told}, previous)))
    assert found.type == f"sales.activity.{what}"
    assert found.data.get("completed_at", "absent") == completed


@pytest.mark.parametrize(
    ("told", "field", "said"),
    [
        ({"due_time": "10:00"}, "scheduled_at", "2026-02-06T10:00:00.000Z"),
        ({"due_time": {"value": "10:00:00"}}, "scheduled_at", "2026-02-06T10:00:00.000Z"),
        (
            {"due_time": {"value": "10:00", "timezone_id": "Europe/Tallinn"}},
            "scheduled_at",
            "2026-02-06T08:00:00.000Z",
        ),
        ({"due_time": {"value": "", "timezone_id": None}}, "scheduled_at", "2026-02-05T15:00:00.000Z"),
        ({"due_time": None, "type": "task"}, "due_at", "2026-02-06T15:00:00.000Z"),
        ({"due_date": None}, "scheduled_at", None),
    ],
)  # fmt: skip
def test_activity_is_planned_for_its_due_time_or_its_day(told: Any, field: str, said: object) -> None:
    data = {**CALL, "done": False, "due_date": "2026-02-06", **told}
    assert only(read(v2("create", "activity", data), zone=ZoneInfo("Asia/Tokyo"))).data[field] == said


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("01:30", 5400.0), ({"value": "00:00:45"}, 45.0), ({"value": ""}, None), (None, None)],
)
def test_duration_of_an_activity(duration: object, seconds: float | None) -> None:
    found = only(read(v2("create", "activity", {**CALL, "duration": duration})))
    assert found.data.get("duration_seconds") == seconds


@pytest.mark.parametrize(
    "told",
    [
        {"duration": "soon"},
        {"due_date": "tomorrow"},
        {"due_date": "2026-02-06", "due_time": {"value": "10:00", "timezone_id": "Moon/Base"}},
        {"due_date": "9999-12-31", "type": "task"},
        {"marked_as_done_time": "17"},
        {"done": "perhaps"},
    ],
)
def test_value_of_an_activity_that_cannot_be_read_is_a_dead_letter(told: Any) -> None:
    (found,) = read(v2("create", "activity", {**CALL, **told}))
    assert isinstance(found, Unusable)


def test_activity_of_nobody_is_incomplete_and_a_deleted_one_lies_where_it_lay() -> None:
    (found,) = read(v2("create", "activity", {"type": "call", "done": True}))
    assert isinstance(found, Thin)
    gone = only(read(v2("delete", "activity", None, CALL)))
    assert (gone.type, gone.data) == ("sales.activity.deleted", {"rep_id": "3", "deal_id": "7"})
    (lost,) = read(v2("delete", "activity", None, None))
    assert isinstance(lost, Thin)
    assert lost.op == "delete"


# --- records read back ----------------------------------------------------------------------------


def test_record_read_back_is_the_state_at_its_last_change() -> None:
    assert VENDOR.record is not None
    answer = {"success": True, "data": {**DEAL, "update_time": AT}}
    (found,) = VENDOR.record("deal", answer, source())
    assert isinstance(found, Canonical)
    assert (found.type, found.entity_id, found.time_ms) == ("sales.deal.updated", "7", AT_MS)
    with pytest.raises(Unreadable):
        VENDOR.record("deal", {"data": {"id": 7}}, source())


# --- over HTTP ------------------------------------------------------------------------------------


async def test_door_refuses_nothing_but_strangers_and_asks_to_come_again_when_kafka_is_away() -> None:
    producer = RecordingSender()
    app = create_app(
        producer,
        ManualClock(AT_MS),
        token=None,
        retention_ms=10**12,
        sources=[source(secrets=("user:pass",), account="9")],
    )
    wanted = json.dumps(v2("change", "deal", DEAL)).encode()
    unwanted = json.dumps(v2("create", "note", {"id": 7})).encode()
    other = json.dumps(v2("change", "deal", DEAL, company_id="10")).encode()
    negative = json.dumps(v2("change", "deal", {**DEAL, "value": -1})).encode()
    known = {"Authorization": shown(b"user:pass"), "Content-Type": "application/json"}
    async with TestClient(TestServer(app)) as client:

        async def status(body: bytes, **more: str) -> int:
            async with client.post("/hooks/pd", data=body, headers={**known, **more}) as response:
                return response.status

        assert [await status(body) for body in (wanted, unwanted, other, negative, b"{", b"[]")] == [200] * 6
        assert [record.topic for record in producer.sent] == ["sales.deals", *["sales.dead-letters"] * 3]
        assert await status(wanted, Authorization=shown(b"user:other")) == 401
        producer.ready = False
        assert await status(wanted) == 503
        assert await status(unwanted) == 200
