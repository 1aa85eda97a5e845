"""Salesforce's tasks and calendar events: what counts, whose it is, and what needs the record."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.gateway.model import Outcome, Skipped, SkipReason, Thin
from tests.salesforce_told import AT_MS, DEAL, LEAD, OWNER, VENDOR, change, only, read, source

TASK = "00T8d00001AbCdEEAV"


def task(
    kind: str = "CREATE", *, header: Mapping[str, Any] = {}, name: str = "Task", **values: Any
) -> list[Outcome]:
    told = {key: values.pop(key) for key in list(values) if key in ("options", "activity_kinds", "zone")}
    return read(change(name, kind, ids=[TASK], header=header, **values), **told)


def test_open_task_is_a_follow_up_due_until_its_day_ends() -> None:
    zone = ZoneInfo("Asia/Kuala_Lumpur")
    found = only(task(OwnerId=OWNER, WhatId=DEAL, Status="Not Started", ActivityDate="2025-03-10", zone=zone))
    assert found.type == "sales.activity.updated"
    assert found.data == {
        "deal_id": DEAL,
        "rep_id": OWNER,
        "kind": "follow_up",
        "due_at": "2025-03-10T15:59:59.999Z",
    }


def test_own_type_of_a_task_comes_before_salesforces_kind_of_it() -> None:
    values: dict[str, Any] = {
        "OwnerId": OWNER,
        "WhoId": LEAD,
        "TaskSubtype": "Call",
        "Type": "Demo",
        "Status": "Completed",
    }
    found = only(task(**values, activity_kinds={**VENDOR.activity_kinds, "Demo": "demo"}))
    assert (found.type, found.data["kind"], found.data["lead_id"]) == (
        "sales.activity.completed",
        "demo",
        LEAD,
    )
    assert task(**{**values, "Type": None, "TaskSubtype": "ListEmail"}) == [Skipped(SkipReason.NOT_WANTED)]


def test_task_done_is_told_by_the_record_unless_the_channel_says_whose_it_is() -> None:
    (thin,) = task("UPDATE", Status="Completed")
    assert isinstance(thin, Thin)
    assert (thin.op, thin.entity_id, thin.changed) == ("update", TASK, ("Status",))
    header = {"changedFields": ["Status", "CallDisposition"]}
    found = only(task("UPDATE", header=header, Status="Completed", CallDisposition="No answer", **ENRICHED))
    assert found.type == "sales.activity.completed"
    assert found.data == {"deal_id": DEAL, "rep_id": OWNER, "outcome": "no_answer"}


ENRICHED: dict[str, Any] = {"OwnerId": OWNER, "WhatId": DEAL, "WhoId": None, "Subject": None}
LEFT_OUT: dict[str, Any] = {"activity_kinds": {**VENDOR.activity_kinds, "Internal": "", "Demo": "demo"}}


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ({}, "fetched"),
        ({"Type": None, "TaskSubtype": None}, "fetched"),
        ({"Type": "Internal", "TaskSubtype": "Task"}, "left out"),
        ({"Type": "Demo", "TaskSubtype": "Task"}, "counts"),
        ({"Type": None, "TaskSubtype": "Call"}, "counts"),
        ({"Type": None, "TaskSubtype": "ListEmail"}, "left out"),
    ],
)
def test_task_done_of_a_kind_that_is_left_out_counts_by_no_change(told: Any, outcome: str) -> None:
    header = {"changedFields": ["Status"]}
    (found,) = task("UPDATE", header=header, Status="Completed", **ENRICHED, **told, **LEFT_OUT)
    if outcome == "left out":
        assert found == Skipped(SkipReason.NOT_WANTED)
    elif outcome == "fetched":
        assert isinstance(found, Thin)
    else:
        done = only([found])
        assert (done.type, done.data) == ("sales.activity.completed", {"deal_id": DEAL, "rep_id": OWNER})


def test_kind_that_changes_as_the_task_is_done_decides() -> None:
    header = {"changedFields": ["Status", "Type"]}
    values: dict[str, Any] = {**ENRICHED, "TaskSubtype": "Task", "Type": "Internal", "Status": "Completed"}
    assert task("UPDATE", header=header, **values, **LEFT_OUT) == [Skipped(SkipReason.NOT_WANTED)]


ACCOUNT, CONTACT, QUEUE = "0018d00000AbCdEAAV", "0038d00000AbCdEAAV", "00G8d000001AbCdEAM"


def test_other_change_of_a_task_is_a_patch_of_what_changed() -> None:
    found = only(task("UPDATE", ActivityDate="2025-03-10", Subject="Call again"))
    assert (found.type, found.data) == ("sales.activity.updated", {"due_at": "2025-03-10T23:59:59.999Z"})
    assert only(task("UPDATE", ActivityDate=None)).data == {"due_at": None}
    assert only(task("UPDATE", CallDurationInSeconds=90)).data == {"duration_seconds": 90.0}
    assert only(task("UPDATE", Status="In Progress", IsClosed=False)).data == {"completed_at": None}
    assert task("UPDATE", Subject="Call again") == [Skipped(SkipReason.PROPERTY)]


def test_deleted_task_is_deleted_whatever_else_is_told() -> None:
    deleted = only(task("DELETE"))
    assert (deleted.type, deleted.entity_id, deleted.data) == ("sales.activity.deleted", TASK, {})
    assert only(task("DELETE", **ENRICHED)).data == {"deal_id": DEAL, "rep_id": OWNER}


@pytest.mark.parametrize(
    ("values", "data"),
    [
        ({"OwnerId": OWNER}, {"rep_id": OWNER}),
        ({"OwnerId": QUEUE}, {"rep_id": None}),
        ({"WhatId": DEAL}, {"deal_id": DEAL}),
        ({"WhatId": ACCOUNT}, {"deal_id": None, "account_id": ACCOUNT}),
        ({"WhatId": None}, {"deal_id": None}),
        ({"WhoId": LEAD}, {"lead_id": LEAD}),
        ({"WhoId": None}, {"lead_id": None}),
        ({"AccountId": ACCOUNT}, {"account_id": ACCOUNT}),
        ({"WhoId": CONTACT, "WhatId": DEAL}, {"deal_id": DEAL}),
    ],
)
def test_task_that_is_given_to_another_moves(values: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    found = only(task("UPDATE", **values))
    assert (found.type, found.data) == ("sales.activity.updated", data)


def test_meeting_that_is_moved_is_patched() -> None:
    found = only(task("UPDATE", name="Event", StartDateTime=AT_MS + 3_600_000, DurationInMinutes=45))
    assert found.data == {"scheduled_at": "2025-03-05T11:45:12.000Z", "duration_seconds": 2700.0}
    (thin,) = task("UPDATE", name="Event", Held__c="Held", options={"meeting_outcome": "Held__c"})
    assert isinstance(thin, Thin)


def test_meeting_is_booked_or_when_entered_afterwards_held() -> None:
    ahead: dict[str, Any] = {
        "OwnerId": OWNER,
        "StartDateTime": AT_MS + 3_600_000,
        "EndDateTime": AT_MS + 5_400_000,
    }
    booked = only(task(name="Event", **ahead, DurationInMinutes=30))
    assert (booked.type, booked.data["scheduled_at"]) == (
        "sales.activity.scheduled",
        "2025-03-05T11:45:12.000Z",
    )
    assert (booked.data["kind"], booked.data["duration_seconds"]) == ("meeting", 1800.0)
    past: dict[str, Any] = {
        "OwnerId": OWNER,
        "StartDateTime": AT_MS - 7_200_000,
        "EndDateTime": AT_MS - 3_600_000,
    }
    held = only(task(name="Event", **past))
    assert (held.type, held.data["completed_at"]) == ("sales.activity.completed", "2025-03-05T09:45:12.000Z")
    own = only(task(name="Event", **ahead, Result__c="No Show", options={"meeting_outcome": "Result__c"}))
    assert (own.data["outcome"], own.data["completed_at"]) == ("no_show", "2025-03-05T10:45:12.000Z")
    assert task(name="Event", **ahead, IsChild=True) == [Skipped(SkipReason.NOT_PRIMARY)]


def test_meeting_read_back_was_booked_when_it_was_made() -> None:
    assert VENDOR.record is not None
    row = {"Id": TASK, "OwnerId": OWNER, "StartDateTime": AT_MS + 3_600_000, "LastModifiedDate": AT_MS}
    made_ms = AT_MS - 60_000
    booked, updated = VENDOR.record("Event", {**row, "CreatedDate": made_ms}, source())
    assert (only([booked]).type, only([booked]).time_ms) == ("sales.activity.scheduled", made_ms)
    assert only([booked]).data == {"rep_id": OWNER, "kind": "meeting"}
    assert (only([updated]).type, only([updated]).data["scheduled_at"]) == (
        "sales.activity.updated",
        "2025-03-05T11:45:12.000Z",
    )
    held = only(VENDOR.record("Event", {**row, "CreatedDate": AT_MS, "StartDateTime": made_ms}, source()))
    assert (held.type, held.data["outcome"]) == ("sales.activity.completed", "held")
