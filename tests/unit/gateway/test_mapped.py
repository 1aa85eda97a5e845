"""Kinds that a shipped column map reads: what their maps and their checks of the sender do at the edges."""

import hmac
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.gateway.app import create_app
from streams.gateway.ledger import Ledger
from streams.gateway.model import (
    AsIs,
    Delivery,
    Malformed,
    Refusal,
    RefusalReason,
    Skipped,
    SkipReason,
    Source,
    Thin,
    Unusable,
    Verified,
)
from streams.gateway.placing import place
from streams.gateway.sources import open_sources, shipped_map
from streams.gateway.vendors import VENDORS
from streams.settings import SettingsError, load_settings
from tests.crm_samples import FOLDER, Folder, folders, media_type, vectors
from tests.senders import RecordingSender

NOW_MS = 1_763_134_929_000
LATER_MS = 1_777_100_000_000  # after every payload that no signed time binds
SHIPPING = sorted(kind for kind, vendor in VENDORS.items() if vendor.ships_map)
BY_KIND = {folder.name: folder for folder in folders()}
FORM = "application/x-www-form-urlencoded"


def delivery(body: object, *, url: str = "", **headers: str) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery("POST", url, headers, "application/json", raw, NOW_MS)


def payload(kind: str, file: str) -> Any:
    return json.loads((FOLDER / kind / file).read_bytes())


def data_of(folder: Folder, body: object, source: Source | None = None) -> list[dict[str, Any]]:
    outcomes = folder.vendor.normalise(delivery(body), source or folder.source())
    return [json.loads(outcome.value)["data"] for outcome in outcomes if isinstance(outcome, AsIs)]


def test_every_map_that_is_shipped_is_of_a_kind_that_ships_one_and_has_samples() -> None:
    files = Path(__file__).parents[3] / "streams" / "gateway" / "maps"
    assert sorted(path.stem for path in files.iterdir()) == SHIPPING
    assert set(SHIPPING) <= BY_KIND.keys()


@pytest.mark.parametrize("kind", SHIPPING)
def test_source_that_names_no_map_gets_the_shipped_one_with_its_origin(kind: str, tmp_path: Path) -> None:
    settings = tmp_path / "salesfloor.toml"
    settings.write_text(
        f'[[sources]]\nname = "it"\nkind = "{kind}"\nsecret_env = ["S"]\n'
        'public_url = "https://h.example/hooks/it"\nreps = { "7" = "ann" }\n',
        encoding="utf-8",
    )
    opened = open_sources(load_settings(settings), {"S": "00" * 16})["it"]
    assert opened.mapping is not None
    assert opened.mapping.source == f"/crm/{kind}/it"
    assert len(opened.mapping.events) == len(shipped_map(kind).events)


def test_key_of_close_that_is_not_hexadecimal_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = tmp_path / "salesfloor.toml"
    settings.write_text('[[sources]]\nname = "it"\nkind = "close"\nsecret_env = ["S"]\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="is no signature_key of Close") as caught:
        open_sources(load_settings(settings), {"S": "whsec_secret"})
    assert "whsec_secret" not in str(caught.value)


@pytest.mark.parametrize("kind", SHIPPING)
def test_body_that_is_no_text_is_malformed_and_lets_nobody_in(kind: str) -> None:
    folder = BY_KIND[kind]
    for raw in (b"\xff\xfe{}", b"[" * 5000):
        sent = Delivery("POST", "", {}, FORM if kind == "twilio" else "application/json", raw, NOW_MS)
        if not (kind == "twilio" and raw.startswith(b"[")):
            with pytest.raises(Malformed):
                folder.vendor.normalise(sent, folder.source())
        assert isinstance(folder.vendor.verify(sent, folder.source(secrets=("00" * 16,))), Refusal)


@pytest.mark.parametrize("kind", sorted(set(SHIPPING) - {"twilio"}))
def test_object_that_the_map_does_not_know_is_skipped(kind: str) -> None:
    folder = BY_KIND[kind]
    event: object = {"object_type": "custom_thing"} if kind == "close" else "newsletter_sent"
    told = {"PrimaryEntityName": "new_thing", "MessageName": "Update", "event": event}
    (outcome,) = folder.vendor.normalise(delivery(told), folder.source())
    assert isinstance(outcome, Skipped)


# --- Aircall --------------------------------------------------------------------------------------


def test_two_events_of_one_call_are_one_activity_where_it_lies() -> None:
    folder = BY_KIND["aircall"]
    places = []
    for file in ("call-hungup.json", "call-ended.json"):
        (outcome,) = folder.vendor.normalise(delivery(payload("aircall", file)), folder.source())
        assert isinstance(outcome, AsIs)
        placed = place(outcome, folder.source(), now_ms=NOW_MS, oldest_ms=0)
        assert not isinstance(placed, Unusable)
        places.append((placed.entity_id, placed.outgoing.key))
    assert places == [("9007199254740993", b"9007199254740993")] * 2


def test_missed_call_is_no_work_of_a_rep_and_a_line_may_have_one() -> None:
    folder = BY_KIND["aircall"]
    body = payload("aircall", "call-ended-missed.json")
    (outcome,) = folder.vendor.normalise(delivery(body), folder.source(reps={"510077": "front-desk"}))
    assert isinstance(outcome, AsIs)
    event = json.loads(outcome.value)
    assert (event["type"], event["data"]["rep_id"]) == ("sales.activity.updated", "front-desk")


# --- Close ----------------------------------------------------------------------------------------


def test_exact_copy_of_a_request_of_close_is_known_by_its_signature() -> None:
    stamp, body = str(NOW_MS // 1000), b"{}"
    shown = hmac.digest(bytes(16), stamp.encode() + body, "sha256").hex()
    sent = delivery(body, **{"close-sig-hash": shown, "close-sig-timestamp": stamp})
    source = BY_KIND["close"].source(secrets=("00" * 16,))
    assert BY_KIND["close"].vendor.verify(sent, source) == Verified(once=shown)


def test_each_date_of_an_opportunity_counts_only_while_its_status_holds() -> None:
    folder = BY_KIND["close"]
    (won,), (lost,), (opened,) = (
        data_of(folder, payload("close", f"opportunity-{name}.json")) for name in ("won", "lost", "created")
    )
    assert (won["closed_at"][:10], "expected_close_on" in won) == ("2025-11-14", False)
    assert (lost["closed_at"][:10], "expected_close_on" in lost) == ("2025-11-14", False)
    assert (opened["expected_close_on"], opened["closed_at"]) == ("2025-12-24", None)


def test_cents_become_exact_units_however_many_there_are() -> None:
    body = payload("close", "opportunity-won.json")
    body["event"]["data"]["value"] = 9007199254740993
    (data,) = data_of(BY_KIND["close"], body)
    assert data["amount"] == "90071992547409.93"


# --- Twilio ---------------------------------------------------------------------------------------


def test_address_of_a_callback_says_whose_the_call_was() -> None:
    folder = BY_KIND["twilio"]
    body = (FOLDER / "twilio" / "call-status-completed.form").read_bytes()
    url = "https://h.example/hooks/twilio?rep_id=cid&deal_id=D-1"
    (outcome,) = folder.vendor.normalise(Delivery("POST", url, {}, FORM, body, NOW_MS), folder.source())
    assert isinstance(outcome, AsIs)
    data = json.loads(outcome.value)["data"]
    assert (data["rep_id"], data["deal_id"]) == ("cid", "D-1")


def test_form_of_too_many_fields_lets_nobody_in() -> None:
    folder = BY_KIND["twilio"]
    sent = Delivery("POST", "", {"x-twilio-signature": "AA=="}, FORM, b"a=1&" * 1001, NOW_MS)
    verdict = folder.vendor.verify(sent, folder.source(secrets=("s",)))
    assert isinstance(verdict, Refusal)
    assert verdict.reason is RefusalReason.WRONG


# --- Typeform -------------------------------------------------------------------------------------


def test_form_with_several_scales_asks_for_the_option() -> None:
    folder = BY_KIND["typeform"]
    (outcome,) = folder.vendor.normalise(delivery(payload("typeform", "response.json")), folder.source())
    assert isinstance(outcome, Unusable)
    assert "options.score_field" in outcome.detail


def test_score_outside_its_scale_is_unusable_not_clipped() -> None:
    folder = BY_KIND["typeform"]
    source = folder.source("response-nps.json", options={"scale": "1-5", "kind": "csat"})
    (outcome,) = folder.vendor.normalise(delivery(payload("typeform", "response-nps.json")), source)
    assert isinstance(outcome, AsIs)
    assert isinstance(place(outcome, source, now_ms=NOW_MS, oldest_ms=0), Unusable)


# --- Dynamics 365 ---------------------------------------------------------------------------------


def test_body_cut_for_its_size_becomes_an_id_to_be_fetched_even_if_a_target_is_left() -> None:
    folder = BY_KIND["dynamics"]
    sent = delivery(
        payload("dynamics", "opportunity-update.json"), **{"x-ms-dynamics-msg-size-exceeded": "1"}
    )
    (outcome,) = folder.vendor.normalise(sent, folder.source())
    assert isinstance(outcome, Thin)
    assert (outcome.object, outcome.op) == ("opportunity", "update")


def test_day_of_closing_stays_that_day_in_a_zone_west_of_utc() -> None:
    folder = BY_KIND["dynamics"]
    body = payload("dynamics", "opportunity-update.json")
    (data,) = data_of(folder, body, folder.source(zone="America/New_York"))
    assert (data["expected_close_on"], data["closed_at"]) == ("2025-11-14", "2025-11-14T05:00:00.000Z")


def test_other_organisations_records_are_skipped() -> None:
    folder = BY_KIND["dynamics"]
    body = {**payload("dynamics", "opportunity-update.json"), "OrganizationId": "AA-1"}
    assert len(data_of(folder, body, folder.source(account="aa-1"))) == 1
    outcomes = folder.vendor.normalise(delivery(body), folder.source(account="aa-2"))
    assert outcomes == [Skipped(SkipReason.ACCOUNT)]


def test_columns_of_the_image_lie_under_the_changed_ones() -> None:
    folder = BY_KIND["dynamics"]
    body = payload("dynamics", "phonecall-completed.json")
    (data,) = data_of(folder, body)
    assert (data["kind"], data["outcome"], data["duration_seconds"]) == ("call", "connected", 300)
    body["PostEntityImages"] = []
    assert data_of(folder, body) == [], "a change that does not say whose it is was taken"


# --- Freshsales -----------------------------------------------------------------------------------


def test_number_with_a_thousands_mark_is_unusable_not_guessed() -> None:
    folder = BY_KIND["freshsales"]
    body = {**payload("freshsales", "workflow-deal.json"), "amount": "48,000"}
    (outcome,) = folder.vendor.normalise(delivery(body), folder.source())
    assert isinstance(outcome, Unusable)
    assert "48" not in outcome.detail


# --- over HTTP ------------------------------------------------------------------------------------


def sendable(kind: str) -> dict[str, Any]:
    return next(
        vector
        for folder, vector in vectors()
        if folder.name == kind and vector["valid"] and "body_file" in vector
    )


@pytest.mark.parametrize("kind", SHIPPING)
async def test_signed_payload_posted_to_its_door_is_produced_and_a_strangers_is_not(kind: str) -> None:
    vector = sendable(kind)
    body = (FOLDER / kind / vector["body_file"]).read_bytes()
    address, _, query = vector.get("url", "https://hooks.example.com/x").partition("?")
    headers = {"Content-Type": media_type(vector["body_file"]), **vector["headers"]}
    source = BY_KIND[kind].source(vector["body_file"], secrets=(vector["secret"],), public_url=address)
    stranger = replace(source, name="stranger", secrets=("11" * 16,))
    sender, clock = RecordingSender(), ManualClock(vector.get("now_unix", LATER_MS // 1000) * 1000)
    app = create_app(
        sender, clock, token=None, retention_ms=LATER_MS, sources=[source, stranger], ledger=Ledger()
    )
    async with TestClient(TestServer(app)) as client:
        refused = await client.post(f"/hooks/stranger?{query}", data=body, headers=headers)
        assert (refused.status, sender.sent) == (401, [])
        taken = await client.post(f"/hooks/{kind}?{query}", data=body, headers=headers)
        assert taken.status == 200, await taken.text()
    (record,) = sender.sent
    assert record.topic != "sales.dead-letters", record.headers
