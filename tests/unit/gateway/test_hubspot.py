"""HubSpot beyond the samples: merges, links, flags, leads, workflows, and records in their rarer forms."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.events import EntityKind
from streams.gateway.model import Canonical, Delivery, Outcome, Skipped, SkipReason, Source, Thin, Unreadable
from streams.gateway.vendors import VENDORS

VENDOR = VENDORS["hubspot"]
AT_MS = 1_763_134_927_311  # 2025-11-14T15:42:07.311Z
AT = "2025-11-14T15:42:07.311Z"


def source(**told: Any) -> Source:
    options = {**VENDOR.options, **told.pop("options", {})}
    known = {
        "stage_status": VENDOR.stage_status,
        "activity_kinds": VENDOR.activity_kinds,
        "lead_steps": VENDOR.lead_steps,
        "zone": ZoneInfo("UTC"),
    }
    return Source(name="hubspot", kind="hubspot", **{**known, **told}, options=options)


def read(body: object, **told: Any) -> list[Outcome]:
    delivery = Delivery("POST", "", {}, "application/json", json.dumps(body).encode(), AT_MS + 5000)
    return list(VENDOR.normalise(delivery, source(**told)))


def note(kind: str, **more: object) -> dict[str, object]:
    return {"portalId": 1, "occurredAt": AT_MS, "subscriptionType": kind, "objectId": 9, **more}


def changed(kind: str, name: str, value: str, **told: Any) -> Canonical:
    (found,) = read([note(f"{kind}.propertyChange", propertyName=name, propertyValue=value)], **told)
    assert isinstance(found, Canonical), found
    return found


def record(name: str, properties: Mapping[str, str | None], **more: Any) -> list[Outcome]:
    told = {
        key: more.pop(key) for key in list(more) if key in ("options", "currency", "stage_status", "zone")
    }
    body = {"id": "9", "properties": properties, "updatedAt": AT, "createdAt": "2025-11-01T08:00:00Z", **more}
    assert VENDOR.record is not None
    return list(VENDOR.record(name, body, source(**told)))


def only(outcomes: list[Outcome]) -> Canonical:
    (found,) = outcomes
    assert isinstance(found, Canonical), found
    return found


def test_merge_into_a_new_record_makes_the_primary_one_a_loser_too() -> None:
    merge = note("deal.merge", primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=4)
    found = [one for one in read([merge]) if isinstance(one, Canonical)]
    assert [(one.entity_id, one.data) for one in found] == [(loser, {"merged_into": "4"}) for loser in "231"]


@pytest.mark.parametrize(
    ("name", "value", "action", "data"),
    [
        ("dealstage", "closedlost", "lost", {"stage": "closedlost"}),
        ("dealstage", "81234", "updated", {"stage": "81234"}),
        ("dealstage", "", "updated", {"stage": None}),
        ("hs_is_closed_won", "true", "won", {}),
        ("hs_is_closed_lost", "true", "lost", {}),
        ("hs_is_closed", "false", "updated", {"status": "open"}),
        ("amount", "", "updated", {"amount": None}),
        ("deal_currency_code", "eur", "updated", {"currency": "EUR"}),
        ("hubspot_owner_id", "", "updated", {"rep_id": None}),
        ("closedate", "", "updated", {"expected_close_on": None}),
    ],
)
def test_changed_property_of_a_deal(name: str, value: str, action: str, data: dict[str, object]) -> None:
    found = changed("deal", name, value)
    assert (found.type, found.data) == (f"sales.deal.{action}", data)


@pytest.mark.parametrize(
    ("name", "value"), [("hs_is_closed", "true"), ("hs_is_closed_won", "false"), ("x", "y")]
)
def test_property_that_does_not_settle_anything_is_skipped(name: str, value: str) -> None:
    assert read([note("deal.propertyChange", propertyName=name, propertyValue=value)]) == [
        Skipped(SkipReason.PROPERTY)
    ]


def test_stage_of_an_own_pipeline_is_known_by_the_settings() -> None:
    told = {"stage_status": {"81234": "won"}, "stage_names": {"81234": "Signed"}}
    found = changed("deal", "dealstage", "81234", **told)
    assert (found.type, found.data) == ("sales.deal.won", {"stage": "Signed"})


def test_close_date_in_the_past_is_also_when_a_closed_deal_closed() -> None:
    zone = ZoneInfo("Europe/Berlin")
    past = changed("deal", "closedate", "2025-11-13T23:30:00Z", zone=zone)
    assert str(past.data["expected_close_on"]) == "2025-11-14"
    assert past.data["closed_at"] == "2025-11-13T23:30:00.000Z"
    assert "closed_at" not in changed("deal", "closedate", "2025-12-19").data


@pytest.mark.parametrize(
    ("stage", "action"),
    [("salesqualifiedlead", "qualified"), ("opportunity", "converted"), ("subscriber", "updated")],
)
def test_contact_steps_through_its_life(stage: str, action: str) -> None:
    found = changed("contact", "lifecyclestage", stage)
    assert (found.type, found.entity_id) == (f"sales.lead.{action}", "9")


def test_leads_are_contacts_or_hubspots_own_never_both() -> None:
    own = {"options": {"lead_object": "lead"}}
    created = [note("contact.creation"), note("object.creation", objectTypeId="0-136")]
    contact, lead = read(created)
    assert (type(contact), type(lead)) == (Thin, Skipped)
    contact, lead = read(created, **own)
    assert (type(contact), type(lead)) == (Skipped, Thin)


def link(kind: str, **more: object) -> dict[str, object]:
    ends = {"associationType": kind, "fromObjectId": 5, "toObjectId": 6, "objectId": None}
    return note(f"{kind.split('_')[0].lower()}.associationChange", **{**ends, **more})


@pytest.mark.parametrize(
    ("told", "entity_id", "data"),
    [
        (link("DEAL_TO_CONTACT"), "5", {"lead_id": "6"}),
        (link("CONTACT_TO_DEAL"), "6", {"lead_id": "5"}),
        (link("COMPANY_TO_DEAL", isPrimaryAssociation=True), "6", {"account_id": "5"}),
        (link("DEAL_TO_COMPANY", associationRemoved=True), "5", {"account_id": None}),
        (link("CONTACT_TO_COMPANY"), "5", {"account_id": "6"}),
    ],
)
def test_link_is_told_alike_from_both_sides(
    told: dict[str, object], entity_id: str, data: dict[str, object]
) -> None:
    found = only(read([told]))
    assert (found.entity_id, found.data) == (entity_id, data)


def test_both_sides_of_one_link_are_one_event() -> None:
    one, other = read([link("DEAL_TO_CONTACT"), link("CONTACT_TO_DEAL", fromObjectId=6, toObjectId=5)])
    assert one == other


def test_link_that_says_nothing_for_sure_changes_nothing() -> None:
    removed, secondary, strange, call = read(
        [
            link("DEAL_TO_CONTACT", associationRemoved=True),
            link("DEAL_TO_COMPANY", isPrimaryAssociation=False),
            link("DEAL_TO_TICKET"),
            link("CALL_TO_DEAL"),
        ]
    )
    assert isinstance(removed, Thin)
    assert (removed.object, removed.entity_id, removed.changed) == ("deal", "5", ("lead_id",))
    assert (secondary, strange) == (Skipped(SkipReason.NOT_PRIMARY), Skipped(SkipReason.OBJECT))
    assert isinstance(call, Thin)
    assert (call.object, call.entity_id, call.kind) == ("call", "5", EntityKind.ACTIVITY)


@pytest.mark.parametrize("op", ["creation", "deletion", "restore"])
def test_activity_needs_its_record_to_find_its_place(op: str) -> None:
    (found,) = read([note(f"object.{op}", objectTypeId="0-48")])
    assert isinstance(found, Thin)
    assert found.mark is None


def test_privacy_deletion_and_deletion_are_one_event() -> None:
    one, other = read([note("contact.deletion"), note("contact.privacyDeletion")])
    assert one == other


def test_record_that_is_archived_is_deleted_and_says_where_it_lies() -> None:
    archived = {"archived": True, "archivedAt": "2025-11-14T16:00:00Z"}
    found = only(record("call", {"hubspot_owner_id": "7"}, **archived))
    assert (found.type, found.data, found.time_ms) == (
        "sales.activity.deleted",
        {"rep_id": "7"},
        1_763_136_000_000,
    )


def test_won_record_closed_when_its_close_date_says() -> None:
    flags = {"hs_is_closed": "true", "hs_is_closed_won": "true", "closedate": "2025-11-10T12:00:00Z"}
    data = only(record("deal", {**flags, "amount": "5", "deal_currency_code": None}, currency="EUR")).data
    assert (data["status"], data["closed_at"], data["currency"]) == ("won", "2025-11-10T12:00:00.000Z", "EUR")
    lost = only(record("deal", {"hs_is_closed": "true", "hs_is_closed_won": "false"})).data
    assert lost == {"status": "lost"}


def test_empty_property_of_a_record_clears_and_an_absent_one_leaves() -> None:
    assert only(record("deal", {"amount": "", "closedate": None})).data == {
        "amount": None,
        "expected_close_on": None,
    }


def test_steps_of_a_contact_count_when_they_were_taken() -> None:
    snapshot, step = record(
        "contact",
        {"lifecyclestage": "opportunity", "hs_lifecyclestage_opportunity_date": "2025-11-02T10:00:00Z"},
    )
    assert isinstance(snapshot, Canonical)
    assert isinstance(step, Canonical)
    assert (step.type, step.time_ms) == ("sales.lead.converted", 1_762_077_600_000)


def test_planned_meeting_is_booked_when_its_record_was_made_and_not_yet_done() -> None:
    times = {"hs_meeting_start_time": "2025-11-20T09:00:00Z", "hs_meeting_end_time": "2025-11-20T09:30:00Z"}
    told = {"hs_meeting_outcome": "SCHEDULED", "hs_activity_type": "Product demo", "hubspot_owner_id": "7"}
    kinds = {**VENDOR.activity_kinds, "Product demo": "demo"}
    body = {"id": "9", "properties": {**times, **told}, "updatedAt": AT, "createdAt": "2025-11-01T08:00:00Z"}
    assert VENDOR.record is not None
    booked, planned = VENDOR.record("meeting", body, source(activity_kinds=kinds))
    assert isinstance(booked, Canonical)
    assert isinstance(planned, Canonical)
    assert (booked.type, booked.data) == ("sales.activity.scheduled", {"rep_id": "7", "kind": "demo"})
    assert planned.type == "sales.activity.updated"
    assert planned.data == {
        "rep_id": "7",
        "kind": "demo",
        "scheduled_at": "2025-11-20T09:00:00.000Z",
        "duration_seconds": 1800.0,
    }


def test_task_is_a_follow_up_that_is_due() -> None:
    task = {"hs_timestamp": "2025-11-20T09:00:00Z", "hs_task_status": "NOT_STARTED", "hubspot_owner_id": "7"}
    found = only(record("task", task))
    assert (found.type, found.data["kind"], found.data["due_at"]) == (
        "sales.activity.updated",
        "follow_up",
        "2025-11-20T09:00:00.000Z",
    )
    assert only(record("task", {**task, "hs_task_status": "COMPLETED"})).data["completed_at"] == AT


def test_workflow_sends_the_record_whole_with_the_times_of_its_values() -> None:
    stage = {"value": "closedwon", "timestamp": AT_MS}
    found = only(
        read({"portalId": 1, "dealId": 7, "properties": {"dealstage": stage, "amount": {"value": "5"}}})
    )
    assert (found.type, found.entity_id, found.time_ms) == ("sales.deal.updated", "7", AT_MS)
    assert (found.data["stage"], found.data["status"], str(found.data["amount"])) == ("closedwon", "won", "5")
    assert read({"ticketId": 7}) == [Skipped(SkipReason.OBJECT)]
    assert read({"portalId": 1, "dealId": 7}, account="2") == [Skipped(SkipReason.ACCOUNT)]


def test_unreadable_record_names_the_property_and_not_its_value() -> None:
    with pytest.raises(Unreadable, match="amount is not a number"):
        record("deal", {"amount": "a lot"})
