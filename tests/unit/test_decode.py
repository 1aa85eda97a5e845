"""decode: any bytes in, an event or a reason out."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from streams.decode import RECORD_BYTES_MAX, check_times, decode
from streams.events import (
    AccountChanges,
    ActivityChanges,
    DealChanges,
    EntityKind,
    Event,
    Ignored,
    LeadChanges,
    Reason,
    Rejected,
)
from streams.rfc3339 import rfc3339
from streams.wire import TYPES
from streams.wire_form import AMOUNT_MINOR_MAX

NOON = "2026-11-21T12:00:00Z"
NOON_MS = 1_795_262_400_000
DAY_MS = 86_400_000


def cloudevent(**changes: object) -> dict[str, object]:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/crm/test",
        "type": "sales.deal.updated",
        "time": NOON,
        "data": {"deal_id": "D-1"},
    }
    event.update(changes)
    return {name: value for name, value in event.items() if value is not None}


def decode_json(event: object, kind: EntityKind = EntityKind.DEAL) -> Event | Ignored | Rejected:
    return decode(json.dumps(event).encode(), (), kind=kind)


def deal(action: str = "updated", **data: object) -> DealChanges:
    decoded = decode_json(cloudevent(type=f"sales.deal.{action}", data={"deal_id": "D-1", **data}))
    assert isinstance(decoded, Event), decoded
    assert isinstance(decoded.changes, DealChanges)
    return decoded.changes


def reason_of(decoded: object) -> Reason:
    assert isinstance(decoded, Rejected), decoded
    return decoded.reason


def test_structured_event_keeps_every_field() -> None:
    changes = deal(
        status="open",
        stage="proposal",
        amount="12500.00",
        currency="EUR",
        probability=0.4,
        rep_id="R-9",
        team_id="T-1",
        products=["b", "a", "b"],
        created_at="2026-11-01T00:00:00.123456+08:00",
    )
    assert changes.amount == Decimal("12500.00")
    assert changes.products == ("a", "b")
    assert changes.created_at_ms == 1_793_462_400_123
    assert changes.closed_at_ms is UNSET
    assert changes.deleted is UNSET


def test_a_header_without_a_value_is_a_reason_and_no_fault() -> None:
    headers: list[Any] = [("ce_specversion", None), ("ce_id", None)]
    assert isinstance(decode(b"{}", headers, kind=EntityKind.DEAL), Rejected)


def test_binary_event_equals_structured_event() -> None:
    event = cloudevent(data={"deal_id": "D-1", "amount": 5, "currency": "EUR"})
    names = ("specversion", "id", "source", "type", "time")
    headers = [(f"ce_{name}", str(event[name]).encode()) for name in names]
    binary = decode(json.dumps(event["data"]).encode(), headers, kind=EntityKind.DEAL)
    assert binary == decode_json(event)
    assert isinstance(binary, Event)


def test_base64_data_is_read() -> None:
    data = base64.b64encode(json.dumps({"deal_id": "D-9"}).encode()).decode()
    decoded = decode_json(cloudevent(data=None, data_base64=data))
    assert isinstance(decoded, Event)
    assert decoded.entity_id == "D-9"


def test_absent_is_unset_and_null_is_none() -> None:
    changes = deal(amount=None)
    assert changes.amount is None
    assert changes.rep_id is UNSET


def test_event_type_writes_what_it_means() -> None:
    won, lost, reopened = deal("won"), deal("lost"), deal("reopened")
    assert (won.status, won.closed_at_ms) == ("won", NOON_MS)
    assert (lost.status, lost.closed_at_ms) == ("lost", NOON_MS)
    assert (reopened.status, reopened.closed_at_ms) == ("open", None)
    assert deal("created").created_at_ms == NOON_MS
    assert deal("created", created_at="2026-01-01T00:00:00Z").created_at_ms == 1_767_225_600_000
    assert deal("won", closed_at="2026-01-01T00:00:00Z").closed_at_ms == 1_767_225_600_000
    assert deal("deleted").deleted is True
    restored = deal("restored")
    assert (restored.deleted, restored.merged_into) == (False, None)
    assert deal("merged", merged_into="D-2").merged_into == "D-2"


@pytest.mark.parametrize("action", ["updated", "won", "created", "restored", "deleted"])
def test_merged_into_nothing_is_not_merged(action: str) -> None:
    assert deal(action, merged_into="").merged_into is None


def test_leads_and_accounts_merged_into_nothing_are_not_merged() -> None:
    for kind in (EntityKind.LEAD, EntityKind.ACCOUNT):
        data = {f"{kind}_id": "X", "merged_into": ""}
        event = decode_json(cloudevent(type=f"sales.{kind}.updated", data=data), kind)
        assert isinstance(event, Event)
        assert isinstance(event.changes, LeadChanges | AccountChanges)
        assert event.changes.merged_into is None


def test_lead_and_activity_types_write_their_times() -> None:
    for action in ("created", "qualified", "converted"):
        lead = decode_json(cloudevent(type=f"sales.lead.{action}", data={"lead_id": "L"}), EntityKind.LEAD)
        assert isinstance(lead, Event)
        assert isinstance(lead.changes, LeadChanges)
        assert getattr(lead.changes, f"{action}_at_ms") == NOON_MS
    call = cloudevent(type="sales.activity.completed", data={"activity_id": "A", "kind": "call"})
    activity = decode_json(call, EntityKind.ACTIVITY)
    assert isinstance(activity, Event)
    assert isinstance(activity.changes, ActivityChanges)
    assert activity.changes.completed_at_ms == NOON_MS


def test_unknown_type_is_ignored_and_unknown_fields_are_counted() -> None:
    assert decode_json(cloudevent(type="sales.deal.celebrated")) == Ignored("sales.deal.celebrated")
    decoded = decode_json(cloudevent(data={"deal_id": "D-1", "mood": 1, "hat": {}, "stage": "s"}))
    assert isinstance(decoded, Event)
    assert decoded.unknown_fields == 2
    assert decoded.changes == DealChanges(stage="s")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ([], Reason.NOT_CLOUDEVENT),
        (cloudevent(specversion="0.3"), Reason.NOT_CLOUDEVENT),
        (cloudevent(id=None), Reason.NOT_CLOUDEVENT),
        (cloudevent(data=None), Reason.NOT_CLOUDEVENT),
        (cloudevent(data=None, data_base64="?"), Reason.NOT_CLOUDEVENT),
        (cloudevent(id=""), Reason.MISSING_ID),
        (cloudevent(data={}), Reason.MISSING_ID),
        (cloudevent(data={"deal_id": ""}), Reason.MISSING_ID),
        (cloudevent(type="sales.deal.merged"), Reason.MISSING_ID),
        (cloudevent(type="sales.lead.created"), Reason.WRONG_TOPIC),
        (cloudevent(data={"deal_id": 7}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "amount": [1]}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "amount": "12,50"}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "status": "maybe"}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "probability": 1.5}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "currency": "XYZ"}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "mood": 1, "stage": 5}), Reason.WRONG_TYPE),
        (cloudevent(type="sales.deal.merged", data={"deal_id": "D", "merged_into": "D"}), Reason.WRONG_TYPE),
        (cloudevent(data={"deal_id": "D", "amount": "-0.01"}), Reason.BAD_AMOUNT),
        (cloudevent(data={"deal_id": "D", "amount": "NaN"}), Reason.BAD_AMOUNT),
        (cloudevent(data={"deal_id": "D", "amount": "1e308"}), Reason.BAD_AMOUNT),
        (cloudevent(time="2026-11-21T12:00:00"), Reason.BAD_TIME),
        (cloudevent(time="yesterday"), Reason.BAD_TIME),
        (cloudevent(data={"deal_id": "D", "closed_at": "1970-01-01T00:00:00Z"}), Reason.BAD_TIME),
        (cloudevent(data={"deal_id": "D", "created_at": "2026-11-21"}), Reason.BAD_TIME),
        (cloudevent(time="1970-01-01T00:00:00Z"), Reason.TOO_OLD),
        (cloudevent(id="x" * 257), Reason.TOO_LARGE),
        (cloudevent(data={"deal_id": "é" * 129}), Reason.TOO_LARGE),
    ],
)
def test_bad_event_is_refused_with_its_reason(event: object, reason: Reason) -> None:
    assert reason_of(decode_json(event)) is reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY),
        (b"", Reason.EMPTY),
        (b"{", Reason.MALFORMED),
        (b'{"specversion":"\xff"}', Reason.MALFORMED),
        (json.dumps(cloudevent()).encode().replace(b'"D-1"', b'"D-1","amount":NaN'), Reason.MALFORMED),
        (b'{"x":' * 100_000, Reason.MALFORMED),
        (b" " * (RECORD_BYTES_MAX + 1), Reason.TOO_LARGE),
    ],
)
def test_bad_bytes_are_refused_with_their_reason(value: bytes | None, reason: Reason) -> None:
    assert reason_of(decode(value, (), kind=EntityKind.DEAL)) is reason


def test_amount_bound_is_2_to_the_53_minor_units() -> None:
    largest = str(Decimal(AMOUNT_MINOR_MAX).scaleb(-2))
    assert deal(amount=largest, currency="EUR").amount == Decimal(largest)
    over = str(Decimal(AMOUNT_MINOR_MAX + 1).scaleb(-2))
    decoded = decode_json(cloudevent(data={"deal_id": "D", "amount": over, "currency": "EUR"}))
    assert reason_of(decoded) is Reason.BAD_AMOUNT


def test_leap_second_counts_as_the_millisecond_before() -> None:
    decoded = decode_json(cloudevent(time="2016-12-31T23:59:60Z"))
    assert isinstance(decoded, Event)
    assert decoded.time_ms == 1_483_228_799_999


LEAP_SECOND = "2016-12-31T18:59:60.25-05:00"
BEFORE_IT_MS = 1_483_228_799_999


def test_a_business_time_on_a_leap_second_counts_as_the_millisecond_before() -> None:
    times = {"created_at": "2016-12-31T23:59:60Z", "closed_at": LEAP_SECOND}
    for unknown in ({}, {"note": '12:30:60 is "closed_at"'}):
        changes = deal("won", **times, **unknown, amount="12.10", stage="at 23:59:60")
        assert (changes.created_at_ms, changes.closed_at_ms) == (BEFORE_IT_MS, BEFORE_IT_MS)
        assert (changes.amount, changes.stage) == (Decimal("12.10"), "at 23:59:60")


@pytest.mark.parametrize(
    ("kind", "action", "names"),
    [
        (EntityKind.LEAD, "updated", ["created_at"]),
        (EntityKind.ACTIVITY, "updated", ["scheduled_at", "due_at", "completed_at"]),
        (EntityKind.ACCOUNT, "updated", ["active_from", "churned_at"]),
    ],
)
def test_every_business_time_may_fall_on_a_leap_second(
    kind: EntityKind, action: str, names: list[str]
) -> None:
    data = {f"{kind}_id": "X"} | dict.fromkeys(names, LEAP_SECOND)
    event = decode_json(cloudevent(type=f"sales.{kind}.{action}", data=data), kind)
    assert isinstance(event, Event), event
    for name in names:
        assert getattr(event.changes, f"{name.removesuffix('_ms')}_ms") == BEFORE_IT_MS


@pytest.mark.parametrize(
    "wrong", ["23:59:60", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60", "2016-12-32T23:59:60Z", 60]
)
def test_what_is_no_time_even_with_a_leap_second_is_refused_by_its_field(wrong: object) -> None:
    refused = decode_json(cloudevent(data={"deal_id": "D", "created_at": LEAP_SECOND, "closed_at": wrong}))
    assert isinstance(refused, Rejected)
    assert refused.detail.endswith("`$.data.closed_at`")


def test_refusal_never_repeats_the_value() -> None:
    decoded = decode_json(cloudevent(data={"deal_id": "D", "status": "Jane Doe's secret"}))
    assert isinstance(decoded, Rejected)
    assert "Jane" not in decoded.detail
    assert "$.data.status" in decoded.detail


@pytest.mark.parametrize(
    ("offset_ms", "reason"),
    [(-800 * DAY_MS - 1, Reason.TOO_OLD), (-800 * DAY_MS, None), (DAY_MS, None), (DAY_MS + 1, Reason.FUTURE)],
)
def test_event_time_is_held_to_the_horizons(offset_ms: int, reason: Reason | None) -> None:
    event = Event(EntityKind.DEAL, "D", NOON_MS + offset_ms, "e", DealChanges(), NOON_MS + offset_ms)
    refused = check_times(event, now_ms=NOON_MS, oldest_ms=NOON_MS - 800 * DAY_MS)
    assert (refused.reason if refused else None) is reason


def test_closing_time_far_ahead_is_refused() -> None:
    closed_at_ms = NOON_MS + DAY_MS + 1
    event = Event(EntityKind.DEAL, "D", NOON_MS, "e", DealChanges(closed_at_ms=closed_at_ms), closed_at_ms)
    refused = check_times(event, now_ms=NOON_MS, oldest_ms=0)
    assert refused is not None
    assert refused.reason is Reason.FUTURE


def test_the_latest_time_of_an_event_is_that_of_every_field_that_must_not_lie_ahead() -> None:
    """Folding asks `check_times` of no event whose latest time is near: it must have answered the same."""
    ahead_ms, asked = NOON_MS + 10 * DAY_MS, 0
    for name, each in TYPES.items():
        for field in sorted(each.form.times):
            data = {each.form.id_field: "X", field: rfc3339(ahead_ms)}
            if each.action == "merged":
                data["merged_into"] = "Y"
            event = decode_json(cloudevent(type=name, data=data), kind=each.kind)
            assert isinstance(event, Event)
            refused = check_times(event, now_ms=NOON_MS, oldest_ms=0)
            assert event.latest_ms == (NOON_MS if refused is None else ahead_ms), (name, field)
            asked += refused is not None
    assert asked >= 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
attributes = st.sampled_from(["id", "time", "source", "data", "specversion", "type"])
wire_fields = st.sampled_from(
    ["deal_id", "status", "amount", "currency", "products", "created_at", "closed_at", "merged_into", "kind"]
)
almost_events = st.builds(
    lambda kind, data, overrides: json.dumps(cloudevent(type=kind, data=data) | overrides).encode(),
    st.sampled_from(sorted(TYPES)),
    st.dictionaries(wire_fields, json_values).map(lambda data: {"deal_id": "D"} | data),
    st.dictionaries(attributes, json_values, max_size=1),
)


@given(value=st.binary() | almost_events, kind=st.sampled_from(EntityKind))
@example(value=b'{"specversion":"1.0","id":"\\ud800"}', kind=EntityKind.DEAL)
def test_any_bytes_get_an_answer(value: bytes, kind: EntityKind) -> None:
    assert isinstance(decode(value, (), kind=kind), Event | Ignored | Rejected)


header_names = st.sampled_from(["ce_id", "ce_time", "ce_type", "x"])


@given(value=st.binary(), headers=st.dictionaries(header_names, st.binary()))
def test_any_headers_get_an_answer(value: bytes, headers: dict[str, bytes]) -> None:
    binary = [("ce_specversion", b"1.0"), *headers.items()]
    assert isinstance(decode(value, binary, kind=EntityKind.LEAD), Ignored | Rejected)
