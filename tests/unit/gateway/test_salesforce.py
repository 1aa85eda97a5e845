"""Salesforce's change events beyond the samples: wrappings, what connectors leave open, status and days."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.events import EntityKind, Reason
from streams.gateway.model import Canonical, Malformed, Skipped, SkipReason, Thin, Unusable
from streams.gateway.placing import cloud_event
from streams.gateway.vendors.salesforce_ids import long_id, short_id
from tests.crm_samples import ms
from tests.salesforce_told import AT_MS, DEAL, LEAD, ORGANISATION, OWNER, VENDOR, change, only, read, source

# --- wrappings ------------------------------------------------------------------------------------


def test_a_change_gives_the_same_event_in_every_wrapping() -> None:
    bare = change("Opportunity", StageName="Closed Won", IsWon=True)
    message = {"schema": "x", "payload": bare, "event": {"replayId": 7}}
    wrapped = [
        bare,
        message,
        {"data": message, "channel": "/data/OpportunityChangeEvent"},
        {"schema": {"type": "struct"}, "payload": bare},
        {**bare, "Id": DEAL, "ReplayId": "7", "_ObjectType": "OpportunityChangeEvent", "Amount": None},
    ]
    events = [cloud_event(only(read(one)), source()) for one in wrapped]
    assert len(set(events)) == 1
    assert json.loads(events[0])["data"] == {"deal_id": DEAL, "stage": "Closed Won"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"channel": "/meta/connect", "successful": True}, SkipReason.NOT_WANTED),
        (change("Quote", Amount=1), SkipReason.OBJECT),
        (change("Contact", OwnerId=OWNER), SkipReason.OBJECT),
        (change("Opportunity", "SNAPSHOT"), SkipReason.OPERATION),
        (change("Opportunity", Description="x"), SkipReason.PROPERTY),
        (change("Account", "UNDELETE", ids=["0018d00000TrBq2AAF"]), SkipReason.OPERATION),
    ],
)
def test_what_is_not_wanted_is_skipped_with_its_reason(body: object, reason: SkipReason) -> None:
    assert read(body) == [Skipped(reason)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"Id": DEAL}, Reason.MALFORMED),
        (7, Reason.MALFORMED),
        (change("Opportunity", ids=[], Amount=1), Reason.MISSING_ID),
        (change("Opportunity", header={"commitTimestamp": "soon"}, Amount=1), Reason.BAD_TIME),
        (change("Opportunity", Amount="many"), Reason.WRONG_TYPE),
        (change("Opportunity", header={"changedFields": ["0x400000"]}, Amount=1), Reason.MALFORMED),
        (change("Opportunity", header={"changedFields": ["2-0x40"]}, Amount=1), Reason.MALFORMED),
    ],
)
def test_what_cannot_be_read_is_unusable_and_stops_no_other(body: object, reason: Reason) -> None:
    wrong, right = read([body, change("Opportunity", Amount=5)])
    assert isinstance(wrong, Unusable)
    assert wrong.reason is reason
    assert only([right]).data == {"amount": Decimal(5)}


@pytest.mark.parametrize("body", [b"\0\0\0\0\7abc", b"{", b"\xff\xfe", b"NaN", b"[" * 100_000])
def test_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


# --- what changed ---------------------------------------------------------------------------------


def test_only_named_fields_are_applied_and_only_named_nulls_clear() -> None:
    body = change(
        "Opportunity",
        header={"changedFields": ["StageName", "LeadSource", "Gone__c"], "nulledFields": ["Amount"]},
        StageName="Qualification",
        LeadSource=None,
        Amount=None,
        OwnerId=None,
        AccountId=None,
        CloseDate="2025-04-01",
    )
    assert only(read(body)).data == {
        "stage": "Qualification",
        "status": "open",
        "source": None,
        "amount": None,
    }


def test_a_created_records_nulls_clear_nothing() -> None:
    body = change("Opportunity", "CREATE", StageName="Qualification", Amount=None, OwnerId=OWNER)
    assert only(read(body)).data == {"stage": "Qualification", "status": "open", "rep_id": OWNER}


def test_update_that_names_no_fields_applies_what_it_holds_and_clears_nothing() -> None:
    body = change("Opportunity", header={"changedFields": []}, Amount=7, OwnerId=None)
    assert only(read(body)).data == {"amount": Decimal(7)}


@pytest.mark.parametrize(
    ("payload", "region"),
    [
        ({"BillingAddress": {"Country": "Malaysia"}}, "Malaysia"),
        ({"BillingAddress": None, "Country": "Malaysia"}, "Malaysia"),
        ({"BillingAddress": None}, None),
    ],
)
def test_part_of_a_compound_field_is_read_and_its_other_parts_stay(
    payload: Mapping[str, Any], region: str | None
) -> None:
    options = {"account_region": "BillingAddress.Country", "account_since": "BillingAddress.Since"}
    header = {"changedFields": ["BillingAddress.Country"]}
    found = only(read(change("Account", header=header, **payload), options=options))
    assert found.data == {"region": region}


def test_own_fields_hold_what_no_standard_field_does() -> None:
    options = {
        "deal_cost": "Cost__c", "deal_pipeline": "RecordTypeId", "deal_products": "Lines__c",
        "deal_region": "Region__c",
    }  # fmt: skip
    values: dict[str, Any] = {
        "Cost__c": 12.5,
        "RecordTypeId": "0128d00000AbCdE",
        "Lines__c": "POS;Care",
        "Region__c": "EMEA",
    }
    found = only(read(change("Opportunity", **values), options=options))
    pipeline = long_id("0128d00000AbCdE")
    assert found.data == {
        "cost": Decimal("12.5"), "pipeline": pipeline, "products": ["POS", "Care"], "region": "EMEA",
    }  # fmt: skip
    since = {"account_since": "Since__c", "account_until": "Until__c"}
    account = change("Account", Since__c="2025-03-01", Until__c=AT_MS)
    zone = ZoneInfo("Asia/Kuala_Lumpur")
    assert only(read(account, options=since, zone=zone)).data == {
        "active_from": "2025-02-28T16:00:00.000Z",
        "churned_at": "2025-03-05T10:45:12.000Z",
    }


def test_merged_event_tells_of_each_record_under_an_id_of_its_own() -> None:
    ids = [DEAL, "0068d00000LmNo2AAD", DEAL]
    events = read(change("Opportunity", ids=ids, OwnerId=OWNER))
    assert [event.entity_id for event in events if isinstance(event, Canonical)] == ids[:2]
    assert len({json.loads(cloud_event(event, source()))["id"] for event in events}) == 2  # type: ignore[arg-type]


def test_of_two_changes_in_one_millisecond_the_later_has_the_greater_event_id() -> None:
    def event_id(commit: int, place: int) -> str:
        header = {"commitNumber": commit, "sequenceNumber": place}
        found = only(read(change("Opportunity", header=header, Amount=place)))
        return str(json.loads(cloud_event(found, source()))["id"])

    # Beyond 2^53 these commits are one and the same to whoever reads them as fractions.
    commit = 1_741_171_512_420_098_049
    told = [(999, 5), (commit, 1), (commit, 2), (commit, 10), (commit + 1, 1)]
    ids = [event_id(*one) for one in told]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_wildcard_and_overflow_ask_for_all_records_again() -> None:
    wanted = [Thin("Opportunity", "", "reconcile", AT_MS, EntityKind.DEAL)]
    assert read(change("Opportunity", ids=["006*"], Amount=1)) == wanted
    assert read(change("Opportunity", "GAP_OVERFLOW", ids=["000000000000000AAA"])) == wanted


@pytest.mark.parametrize(
    ("kind", "op", "mark"),
    [
        ("GAP_CREATE", "create", "sales.deal.created"),
        ("GAP_UPDATE", "update", ""),
        ("GAP_UNDELETE", "restore", "sales.deal.restored"),
    ],
)
def test_gap_tells_what_can_be_told_and_asks_for_the_rest(kind: str, op: str, mark: str) -> None:
    (found,) = read(change("Opportunity", kind))
    assert isinstance(found, Thin)
    assert (found.op, found.entity_id) == (op, DEAL)
    assert (found.mark.type if found.mark else "") == mark


def test_deleted_record_is_deleted_with_or_without_a_gap_and_comes_back_whole() -> None:
    assert [only(read(change("Opportunity", kind))).type for kind in ("DELETE", "GAP_DELETE")] == [
        "sales.deal.deleted"
    ] * 2
    back = only(read(change("Opportunity", "UNDELETE", Amount=3, StageName="Qualification")))
    assert back.type == "sales.deal.restored"
    assert back.data == {"amount": Decimal(3), "stage": "Qualification", "status": "open"}


# --- deals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "type_", "status"),
    [
        ({"IsWon": True, "IsClosed": True}, "won", None),
        ({"IsWon": True}, "won", None),
        ({"IsClosed": True}, "lost", None),
        ({"IsWon": False}, "lost", None),
        ({"IsClosed": False, "IsWon": False}, "updated", "open"),
        ({"StageName": "Closed Lost"}, "lost", None),
        ({"StageName": "Verbal"}, "updated", None),
        ({"StageName": "Signed"}, "won", None),
        ({"StageName": "Closed Lost", "IsClosed": True, "IsWon": True}, "won", None),
    ],
)
def test_changed_flags_say_the_status_before_the_stage(
    values: Mapping[str, Any], type_: str, status: str | None
) -> None:
    stages = {**VENDOR.stage_status, "Signed": "won"}
    found = only(read(change("Opportunity", **values), stage_status=stages))
    assert (found.type, found.data.get("status")) == (f"sales.deal.{type_}", status)


@pytest.mark.parametrize(
    ("closes", "closed_at"),
    [("2025-03-05", None), ("2025-03-31", None), ("2025-02-28", "2025-02-27T16:00:00.000Z")],
)
def test_deal_is_won_when_it_is_marked_so_or_on_the_earlier_day_that_is_said(
    closes: str, closed_at: str | None
) -> None:
    body = change("Opportunity", IsWon=True, CloseDate=closes)
    found = only(read(body, zone=ZoneInfo("Asia/Kuala_Lumpur")))
    assert found.data.get("closed_at") == closed_at
    assert found.data["expected_close_on"] == date.fromisoformat(closes)


def test_whole_record_says_when_it_closed_and_takes_the_sources_currency() -> None:
    values: dict[str, Any] = {
        "IsClosed": True,
        "IsWon": False,
        "CloseDate": "2025-03-04",
        "Amount": 10,
        "LastModifiedDate": AT_MS,
    }
    assert VENDOR.record is not None
    row = {"attributes": {"type": "Opportunity"}, "Id": DEAL, "AccountId": None, **values}
    found = only(VENDOR.record("Opportunity", row, source(currency="MYR")))
    assert found.type == "sales.deal.updated"
    assert found.data == {
        "amount": Decimal(10),
        "currency": "MYR",
        "account_id": None,
        "expected_close_on": date(2025, 3, 4),
        "status": "lost",
        "closed_at": "2025-03-04T00:00:00.000Z",
    }


def test_push_topic_row_is_a_record_whose_nulls_clear_nothing() -> None:
    row = {
        "_ObjectType": "Lead",
        "Id": LEAD,
        "LastModifiedDate": "2025-03-05T10:45:12.000+0000",
        "OwnerId": None,
    }
    found = only(read({**row, "_EventType": "created", "LeadSource": "Web"}))
    assert (found.type, found.time_ms, found.data) == ("sales.lead.created", AT_MS, {"source": "Web"})
    assert only(read({**row, "_EventType": "deleted"})).type == "sales.lead.deleted"
    assert read({**row, "_EventType": "moved"}) == [Skipped(SkipReason.OPERATION)]
    assert read({**row, "_ObjectType": "Case", "_EventType": "created"}) == [Skipped(SkipReason.OBJECT)]


# --- leads and owners -----------------------------------------------------------------------------


def test_status_of_a_lead_is_a_step_and_a_new_one_may_have_taken_it() -> None:
    def changed(**values: Any) -> list[str]:
        return [one.type for one in read(change("Lead", ids=[LEAD], **values)) if isinstance(one, Canonical)]

    assert changed(Status="Qualified") == ["sales.lead.qualified"]
    assert changed(Status="Closed - Not Converted") == ["sales.lead.disqualified"]
    assert changed(Status="Working", OwnerId=OWNER) == ["sales.lead.updated"]
    assert changed(IsConverted=True, Status="Mine") == ["sales.lead.converted"]
    created = read(change("Lead", "CREATE", ids=[LEAD], Status="Qualified", OwnerId=OWNER))
    assert [one.type for one in created if isinstance(one, Canonical)] == [
        "sales.lead.created",
        "sales.lead.qualified",
    ]


def test_converted_lead_is_named_by_its_deal() -> None:
    body = change("Lead", ids=[LEAD], IsConverted=True, ConvertedOpportunityId=DEAL[:15])
    lead, deal = read(body)
    assert only([lead]).data == {"deal_id": DEAL}
    assert (only([deal]).type, only([deal]).entity_id) == ("sales.deal.updated", DEAL)
    assert only([deal]).data == {"lead_id": LEAD}


def test_lead_told_whole_was_converted_on_its_day_but_not_before_there_was_it() -> None:
    assert VENDOR.record is not None
    row = {"Id": LEAD, "IsConverted": True, "ConvertedDate": "2025-03-01", "LastModifiedDate": AT_MS}
    for created, converted in ((None, "2025-03-01T00:00:00Z"), ("2025-03-01T09:30:00Z",) * 2):
        updated, step = VENDOR.record("Lead", {**row, "LeadSource": "Web", "CreatedDate": created}, source())
        assert only([updated]).type == "sales.lead.updated"
        found = only([step])
        assert (found.type, found.time_ms) == ("sales.lead.converted", ms(converted))


@pytest.mark.parametrize(
    ("owner", "rep"),
    [
        (OWNER, "ann"),
        (OWNER[:15], "ann"),
        ("0058d000003kLm7AAE", "0058d000003kLm7AAE"),
        ("00G8d000001AbcDEAS", None),
    ],
)
def test_owner_is_a_rep_by_either_form_of_the_id_and_a_queue_is_nobody(owner: str, rep: str | None) -> None:
    for reps in ({OWNER: "ann"}, {OWNER[:15]: "ann"}):
        found = only(read(change("Lead", ids=[LEAD], OwnerId=owner), reps=reps))
        assert found.data == {"rep_id": rep}


def test_short_id_becomes_the_long_one_and_a_wrong_check_is_found() -> None:
    assert long_id("0055f000005mc66") == "0055f000005mc66AAA"
    assert long_id("00D8d000004tQrZ") == ORGANISATION
    assert (short_id(ORGANISATION), short_id(ORGANISATION.lower())) == ("00D8d000004tQrZ", "")
    assert (long_id("not an id"), short_id("not an id")) == ("not an id", "")
