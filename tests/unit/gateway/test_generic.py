"""The generic door: any JSON through a column map, and who may post it."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.columns import parse_map
from streams.gateway.json_rows import fitted, with_origin
from streams.gateway.model import (
    AsIs,
    Delivery,
    Malformed,
    Refusal,
    Skipped,
    SkipReason,
    Source,
    Unusable,
    Verified,
)
from streams.gateway.vendors import VENDORS

MAP = """
[tables.deals]
each = "deals"
thousands_mark = ","

[[events]]
table = "deals"
type = "sales.deal.updated"
when = { kind = { not = "test" } }
id = "id"
time = { column = "changed", format = "epoch_seconds" }

[events.fields]
amount = "money.value"
currency = "money.currency"
status = { column = "stage.name", values = { Won = "won", Lost = "lost" }, other = "open" }
rep_id = { first = ["owner.id", "owners.0.id"] }
expected_close_on = { column = "closes", format = "%d/%m/%Y" }
closed_at = { column = "changed", format = "epoch_seconds", when = { "stage.name" = "Won" } }
"""
VENDOR = VENDORS["generic"]


def source(**told: Any) -> Source:
    mapping = with_origin(parse_map(MAP, "map"), "generic", "shop")
    known = {"secrets": ("user:pä:ss",), "options": VENDOR.options, "mapping": mapping}
    return Source(**{"name": "shop", "kind": "generic", **known, **told}, zone=ZoneInfo("Europe/Berlin"))


def delivery(body: object, **headers: str) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery("POST", "", headers, "application/json", raw, 1_763_134_929_000)


def events(*deals: object) -> list[dict[str, Any]]:
    outcomes = VENDOR.normalise(delivery({"deals": list(deals)}), source())
    assert all(isinstance(outcome, AsIs) for outcome in outcomes), outcomes
    return [json.loads(outcome.value) for outcome in outcomes if isinstance(outcome, AsIs)]


DEAL = {
    "id": 9_007_199_254_740_993,
    "changed": 1_763_134_927,
    "money": {"value": "48,000.10", "currency": "EUR"},
    "stage": {"name": "Won"},
    "owners": [{"id": 7}],
    "closes": "19/12/2025",
}


def test_paths_reach_into_objects_and_lists_and_numbers_stay_exact() -> None:
    (event,) = events(DEAL)
    assert event["source"] == "/crm/generic/shop"
    assert event["time"] == "2025-11-14T15:42:07.000Z"
    assert event["data"] == {
        "deal_id": "9007199254740993",
        "amount": "48000.10",
        "currency": "EUR",
        "status": "won",
        "rep_id": "7",
        "expected_close_on": "2025-12-19",
        "closed_at": "2025-11-14T15:42:07.000Z",
    }


def test_null_clears_a_field_and_absent_leaves_it() -> None:
    (event,) = events({"id": "D", "changed": 1_763_134_927, "closes": None, "stage": {"name": "New"}})
    assert event["data"] == {"deal_id": "D", "status": "open", "expected_close_on": None}


def test_what_the_source_says_of_reps_stages_and_currency_lies_on_top_of_the_map() -> None:
    told = source(reps={"7": "ann"}, stage_status={"Lost": "open", "Signed": "won"}, currency="CHF")
    mapped = replace(told, mapping=fitted(told.mapping, told)) if told.mapping else told
    deals = [
        {"id": "D", "changed": 1, "stage": {"name": name}, "owner": {"id": owner}}
        for name, owner in (("Lost", 7), ("Signed", 8), ("Won", None))
    ]
    outcomes = VENDOR.normalise(delivery({"deals": deals}), mapped)
    events = [json.loads(outcome.value)["data"] for outcome in outcomes if isinstance(outcome, AsIs)]
    assert [event["status"] for event in events] == ["open", "won", "won"]
    assert [event.get("rep_id") for event in events] == ["ann", "8", None]
    assert {event["currency"] for event in events} == {"CHF"}


def test_every_row_has_its_own_answer_and_none_repeats_a_value() -> None:
    told = [DEAL, {**DEAL, "kind": "test"}, {**DEAL, "closes": "2025-12-19"}, {**DEAL, "id": ""}]
    first, skipped, wrong, without_id = VENDOR.normalise(delivery({"deals": told}), source())
    assert isinstance(first, AsIs)
    assert isinstance(skipped, Skipped)
    assert isinstance(wrong, Unusable)
    assert wrong.detail == "[2] expected_close_on: is not a date of the form '%d/%m/%Y'"
    assert isinstance(without_id, Unusable)


WHOLE_BODY = parse_map(MAP.replace('each = "deals"', ""), "map")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"7", b"[7]", b'{"a":' * 30 + b"1" + b"}" * 30, b'{"a":' * 5000, b'{"a": NaN}', b"\xff"],
)
def test_body_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        VENDOR.normalise(delivery(body), source(mapping=WHOLE_BODY))


@pytest.mark.parametrize("body", [7, [7], {}, {"deals": None}, {"deals": []}, {"other": [DEAL]}])
def test_body_without_the_rows_is_skipped(body: object) -> None:
    assert VENDOR.normalise(delivery(body), source()) == [Skipped(SkipReason.NOT_WANTED)]


def test_form_is_a_row_too() -> None:
    form = Delivery("POST", "", {}, "application/x-www-form-urlencoded", b"id=D&changed=1763134927", 0)
    (outcome,) = VENDOR.normalise(form, source(mapping=WHOLE_BODY))
    assert isinstance(outcome, AsIs)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("shown", "right"),
    [
        ("user:pä:ss", True),
        ("Bearer user:pä:ss", True),
        (basic("user:pä:ss"), True),
        (basic("user:pä"), False),
        ("Basic !!!", False),
        ("Bearer ", False),
        ("", False),
    ],
)
def test_secret_may_be_shown_bare_as_bearer_or_as_basic(shown: str, right: bool) -> None:
    verdict = VENDOR.verify(delivery({}, authorization=shown), source())
    assert isinstance(verdict, Verified if right else Refusal)


def test_with_hmac_only_a_signature_of_the_body_opens() -> None:
    signing = source(options={**VENDOR.options, "hmac_header": "X-Signature"})
    digest = hmac.digest("user:pä:ss".encode(), b"{}", hashlib.sha256)
    for shown in (digest.hex(), f"sha256={digest.hex()}", base64.b64encode(digest).decode()):
        assert isinstance(VENDOR.verify(delivery(b"{}", **{"x-signature": shown}), signing), Verified)
        assert isinstance(VENDOR.verify(delivery(b"{ }", **{"x-signature": shown}), signing), Refusal)
    assert isinstance(VENDOR.verify(delivery(b"{}", authorization="user:pä:ss"), signing), Refusal)
