"""Zoho's records, read back by id: when a deal closed, what a lead became, calls, meetings and tasks."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.gateway.model import Canonical, Outcome, Skipped, SkipReason, Source, Unreadable
from streams.gateway.vendors import VENDORS

VENDOR = VENDORS["zoho"]


def source(**told: Any) -> Source:
    known = {
        "zone": ZoneInfo("UTC"),
        "stage_status": VENDOR.stage_status,
        "activity_kinds": VENDOR.activity_kinds,
        "lead_steps": VENDOR.lead_steps,
    }
    options = {**VENDOR.options, **told.pop("options", {})}
    return Source(name="zoho", kind="zoho", **{**known, **told}, options=options)


def only(outcomes: list[Outcome]) -> Canonical:
    (found,) = outcomes
    assert isinstance(found, Canonical), found
    return found


def record(module: str, values: Mapping[str, object], **told: Any) -> list[Outcome]:
    assert VENDOR.record is not None
    body = {"data": [{"id": "7", "Modified_Time": "2025-11-12T10:12:33+01:00", **values}]}
    return list(VENDOR.record(module, body, source(**told)))


@pytest.mark.parametrize(
    ("values", "closed"),
    [
        ({"Stage_Modified_Time": "2025-11-10T10:00:00+01:00"}, "2025-11-10T09:00:00.000Z"),
        ({"Closing_Date": "2025-11-09"}, "2025-11-08T15:00:00.000Z"),
        ({"Closing_Date": "2025-12-31"}, "2025-11-12T09:12:33.000Z"),
        ({}, "2025-11-12T09:12:33.000Z"),
    ],
)
def test_closed_deal_closed_when_its_stage_was_reached_or_on_its_day(
    values: dict[str, object], closed: str
) -> None:
    found = only(record("Deals", {"Stage": "Closed Won", **values}, zone=ZoneInfo("Asia/Tokyo")))
    assert (found.data["status"], found.data["closed_at"]) == ("won", closed)


def test_account_with_one_currency_says_it_in_the_settings() -> None:
    assert only(record("Deals", {"Amount": 5}, currency="EUR")).data == {"amount": 5, "currency": "EUR"}


def test_converted_lead_says_when_and_into_which_deal() -> None:
    state, step = record(
        "Leads",
        {
            "Converted__s": True,
            "Converted_Date_Time": "2025-11-11T08:00:00Z",
            "Converted_Deal": {"name": "x", "id": "99"},
            "Lead_Status": "Junk Lead",
        },
    )
    assert isinstance(state, Canonical)
    assert isinstance(step, Canonical)
    assert (step.type, step.data, step.time_ms) == (
        "sales.lead.converted", {"deal_id": "99"}, 1_762_848_000_000
    )  # fmt: skip


def test_contact_carries_its_account_and_owner() -> None:
    values = {"Owner": {"id": "41"}, "Account_Name": {"id": "29"}, "Lead_Source": None}
    found = only(record("Contacts", values, options={"lead_object": "Contacts"}))
    assert found.data == {"rep_id": "41", "account_id": "29", "source": None}
    assert record("Contacts", values) == [Skipped(SkipReason.OBJECT)]


CHANGED = "2025-11-12T09:12:33.000Z"
CALL: dict[str, object] = {"Owner": {"id": "41"}, "What_Id": {"id": "5"}, "$se_module": "Deals",
        "Call_Start_Time": "2025-11-12T09:00:00+01:00", "Call_Duration": "05:12"}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "what", "said"),
    [
        ({}, "completed", {"completed_at": "2025-11-12T08:05:12.000Z", "duration_seconds": 312.0}),
        ({"Call_Type": "Missed", "Call_Duration": None}, "completed", {"outcome": "no_answer"}),
        ({"Call_Result": "Interested"}, "completed", {"outcome": "Interested"}),
        ({"Outgoing_Call_Status": "Scheduled"}, "updated", {"scheduled_at": "2025-11-12T08:00:00.000Z"}),
        ({"Call_Start_Time": "2025-11-12T10:12:00+01:00"}, "completed", {"completed_at": CHANGED}),
    ],
)  # fmt: skip
def test_call_that_is_not_planned_was_made(
    values: dict[str, object], what: str, said: dict[str, object]
) -> None:
    found = only(record("Calls", {**CALL, **values}))
    assert found.type == f"sales.activity.{what}"
    assert {"deal_id": "5", "rep_id": "41", **said}.items() <= found.data.items()


@pytest.mark.parametrize(
    ("about", "options", "field"),
    [
        ({"$se_module": "Leads"}, {}, "lead_id"),
        ({"$se_module": "Accounts"}, {}, "account_id"),
        ({"What_Id": None, "Who_Id": {"id": "5"}}, {"lead_object": "Contacts"}, "lead_id"),
    ],
)
def test_activity_is_about_what_it_names(
    about: dict[str, object], options: dict[str, str], field: str
) -> None:
    found = only(record("Calls", {**CALL, **about}, options=options))
    assert found.data[field] == "5"


def test_meeting_is_booked_when_made_and_held_once_it_is_over() -> None:
    times = {
        "Created_Time": "2025-11-01T08:00:00Z",
        "Start_DateTime": "2025-11-12T08:00:00Z",
        "End_DateTime": "2025-11-12T08:30:00Z",
    }
    booked, held = record("Events", {"Owner": {"id": "41"}, **times})
    assert isinstance(booked, Canonical)
    assert isinstance(held, Canonical)
    assert (booked.type, booked.time_ms) == ("sales.activity.scheduled", 1_761_984_000_000)
    assert (held.type, held.data["duration_seconds"]) == ("sales.activity.completed", 1800.0)
    _, coming = record("Events", {"Owner": {"id": "41"}, **times, "End_DateTime": "2025-11-12T09:30:00Z"})
    assert isinstance(coming, Canonical)
    assert coming.type == "sales.activity.updated"


def test_task_has_all_of_its_day_and_is_done_when_it_was_closed() -> None:
    values: dict[str, object] = {"Owner": {"id": "41"}, "Due_Date": "2025-11-12"}
    found = only(record("Tasks", {**values, "Status": "Not Started"}, zone=ZoneInfo("Asia/Tokyo")))
    assert (found.type, found.data["due_at"]) == ("sales.activity.updated", "2025-11-12T15:00:00.000Z")
    done = only(record("Tasks", {**values, "Status": "Completed", "Closed_Time": "2025-11-11T08:00:00Z"}))
    assert (done.data["kind"], done.data["completed_at"]) == ("follow_up", "2025-11-11T08:00:00.000Z")


@pytest.mark.parametrize(
    ("module", "values"),
    [
        ("Calls", {"Call_Duration": "five minutes"}),
        ("Tasks", {"Due_Date": "9999-12-31"}),
        ("Deals", {"Modified_Time": None}),
        ("Deals", {"id": None}),
    ],
)
def test_record_that_cannot_be_read_says_why(module: str, values: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        record(module, values)


def test_records_of_other_kinds_are_skipped_and_an_answer_must_be_a_list() -> None:
    assert record("Invoices", {}) == [Skipped(SkipReason.OBJECT)]
    assert record("Tasks", {}, activity_kinds={"Tasks": ""}) == [Skipped(SkipReason.NOT_WANTED)]
    assert VENDOR.record is not None
    with pytest.raises(Unreadable):
        VENDOR.record("Deals", {"data": 5}, source())
