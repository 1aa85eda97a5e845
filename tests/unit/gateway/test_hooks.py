"""A source's door: who gets in, what is produced, what the vendor hears, and what is counted."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.gateway.app import create_app
from streams.gateway.ledger import Ledger
from streams.gateway.model import Delivery, Source
from streams.gateway.replays import Replays
from streams.gateway.vendors import VENDORS
from tests.senders import RecordingSender

NOW_MS = 1_763_134_929_000  # 2025-11-14T15:42:09Z
URL = "https://hooks.example.com/in/hubspot"
Client = TestClient[Any, Any]


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


def hubspot(**told: Any) -> Source:
    vendor = VENDORS["hubspot"]
    known = {
        "name": "hubspot",
        "kind": "hubspot",
        "account": "62515",
        "secrets": ("s3cret",),
        "public_url": URL,
        "signatures": ("v3",),
        "stage_status": vendor.stage_status,
        "options": vendor.options,
    }
    return Source(**{**known, **told}, zone=ZoneInfo("UTC"))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def client(sender: RecordingSender, clock: ManualClock, ledger: Ledger) -> AsyncIterator[Client]:
    app = create_app(
        sender, clock, token="hunter2", retention_ms=800 * 86_400_000, sources=[hubspot()], ledger=ledger
    )
    async with TestClient(TestServer(app)) as client:
        yield client


def note(**more: object) -> dict[str, object]:
    return {
        "eventId": 1,
        "subscriptionId": 7,
        "portalId": 62515,
        "occurredAt": NOW_MS - 2000,
        "subscriptionType": "deal.propertyChange",
        "attemptNumber": 0,
        "objectId": 9_007_199_254_740_993,
        "propertyName": "dealstage",
        "propertyValue": "closedwon",
        **more,
    }


def signed(body: bytes, *, secret: str = "s3cret", stamp_ms: int = NOW_MS, url: str = URL) -> dict[str, str]:
    source = b"POST" + url.encode() + body + str(stamp_ms).encode()
    digest = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": str(stamp_ms),
    }


async def post(
    client: Client, body: object, headers: dict[str, str] | None = None, query: str = ""
) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = signed(raw) if headers is None else headers
    async with client.post(f"/hooks/hubspot{query}", data=io.BytesIO(raw), headers=shown) as response:
        return response.status, await response.json()


def count(ledger: Ledger, fate: str, reason: str = "") -> float:
    labels = {"source": "hubspot", "fate": fate, "reason": reason}
    return ledger.registry.get_sample_value("salesfloor_gateway_events_total", labels) or 0.0


async def test_notification_becomes_an_event_under_its_deals_id(
    client: Client, sender: RecordingSender, ledger: Ledger
) -> None:
    status, answer = await post(client, [note()])
    assert (status, answer["accepted"]) == (200, 1)
    (record,) = sender.sent
    assert (record.topic, record.key) == ("sales.deals", b"9007199254740993")
    event = json.loads(record.value)
    assert event.pop("id")
    assert event == {
        "specversion": "1.0",
        "source": "/crm/hubspot/62515",
        "type": "sales.deal.won",
        "time": "2025-11-14T15:42:07.000Z",
        "subject": "9007199254740993",
        "data": {"deal_id": "9007199254740993", "stage": "closedwon"},
    }
    assert count(ledger, "accepted") == 1


async def test_both_subscriptions_and_every_attempt_give_one_and_the_same_event(
    client: Client, sender: RecordingSender
) -> None:
    generic = {"subscriptionType": "object.propertyChange", "objectTypeId": "0-3", "eventId": 2}
    await post(client, [note(), note(attemptNumber=3), note(subscriptionId=8, **generic)])
    assert len(sender.sent) == 3
    assert len({record.value for record in sender.sent}) == 1


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Content-Type": "application/json"}, "missing_signature"),
        (signed(b"[]", secret="other"), "wrong_signature"),
        (signed(b"[ ]"), "wrong_signature"),
        (signed(b"[]", url="https://evil.example/in/hubspot"), "wrong_signature"),
        (signed(b"[]", stamp_ms=NOW_MS - 300_001), "stale_timestamp"),
        (signed(b"[]", stamp_ms=NOW_MS + 300_001), "stale_timestamp"),
        ({**signed(b"[]"), "X-HubSpot-Request-Timestamp": "soon"}, "wrong_signature"),
    ],
)
async def test_stranger_is_turned_away_counted_and_nothing_is_produced(
    client: Client, sender: RecordingSender, ledger: Ledger, headers: dict[str, str], reason: str
) -> None:
    status, _answer = await post(client, b"[]", headers)
    assert (status, sender.sent) == (401, [])
    assert count(ledger, "refused", reason) == 1


async def test_query_is_part_of_what_is_signed(client: Client) -> None:
    assert (await post(client, b"[]", signed(b"[]", url=URL + "?a=1"), "?a=1"))[0] == 200
    assert (await post(client, b"[]", signed(b"[]", url=URL + "?a=1"), "?a=2"))[0] == 401


async def test_the_very_same_request_is_refused_once_it_was_taken(
    client: Client, sender: RecordingSender, ledger: Ledger
) -> None:
    body = json.dumps([note()]).encode()
    sender.ready = False
    assert (await post(client, body))[0] == 503
    sender.ready = True
    assert (await post(client, body))[0] == 200, "what was not taken may come again"
    assert (await post(client, body))[0] == 401
    assert count(ledger, "refused", "replayed") == 1
    assert len(sender.sent) == 1


async def test_vendor_is_asked_to_come_again_while_kafka_is_away(
    client: Client, sender: RecordingSender, ledger: Ledger
) -> None:
    sender.ready = False
    status, answer = await post(client, [note()])
    assert status == 503
    assert "changes nothing twice" in answer["error"]
    assert count(ledger, "unavailable", "kafka_away") == 1
    assert count(ledger, "accepted") == 0


@pytest.mark.parametrize(
    ("unwanted", "reason"),
    [
        (note(portalId=1), "other_account"),
        (note(subscriptionType="ticket.creation"), "unknown_object"),
        (note(subscriptionType="deal.whatever"), "unknown_operation"),
        (note(propertyName="favourite_colour", propertyValue="red"), "unknown_property"),
        (note(propertyName="amount", propertyValue="REDACTED"), "redacted"),
    ],
)
async def test_what_is_not_wanted_is_acknowledged_and_counted(
    client: Client, sender: RecordingSender, ledger: Ledger, unwanted: object, reason: str
) -> None:
    status, answer = await post(client, [unwanted])
    assert (status, answer["skipped"], sender.sent) == (200, 1, [])
    assert count(ledger, "skipped", reason) == 1


async def test_unusable_notification_is_kept_whole_and_stops_no_other(
    client: Client, sender: RecordingSender, ledger: Ledger
) -> None:
    body = json.dumps([note(propertyName="amount", propertyValue="a lot"), note(), 7]).encode()
    status, answer = await post(client, body)
    assert (status, answer["accepted"], answer["dead_letters"]) == (200, 1, 2)
    letter = sender.sent[-1]
    assert (letter.topic, letter.value) == ("sales.dead-letters", body)
    said = dict(letter.headers)
    assert said["salesfloor-reason"] == b"wrong_type"
    assert said["salesfloor-source"] == b"hubspot"
    assert b"a lot" not in b"".join(said.values())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe[]",
        b"null",
        b"7",
        b"[" * 100_000,
        b'[{"a": NaN}]',
        b"\xef\xbb\xbf[]",
        b'{"a":' * 5000,
    ],
    ids=repr,
)
async def test_no_bytes_upset_the_door_and_none_are_lost(
    client: Client, sender: RecordingSender, body: bytes
) -> None:
    status, answer = await post(client, body)
    assert status == 400, answer
    (letter,) = sender.sent
    assert (letter.topic, letter.value) == ("sales.dead-letters", body)


async def test_other_content_type_and_oversize_get_their_own_status(client: Client) -> None:
    headers = {**signed(b"[]"), "Content-Type": "text/plain"}
    assert (await post(client, b"[]", headers))[0] == 415
    large = b" " * ((1 << 20) + 1)
    assert (await post(client, large))[0] == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b"[]"), 200),
        (b"nonsense", 400),
        (gzip.compress(b" " * (2 << 20)), 413),
    ],
    ids=["whole", "broken", "bomb"],
)
async def test_packed_body_is_unpacked_within_bounds(client: Client, body: bytes, status: int) -> None:
    headers = {**signed(b"[]"), "Content-Encoding": "gzip"}
    assert (await post(client, body, headers))[0] == status


async def test_door_of_nobody_is_not_there(client: Client) -> None:
    async with client.post("/hooks/zoho", data=b"{}") as response:
        assert response.status == 404


async def test_created_deal_is_marked_and_stays_visible_until_its_values_come(
    client: Client, sender: RecordingSender
) -> None:
    created = {"subscriptionType": "deal.creation", "propertyName": None, "propertyValue": None}
    status, answer = await post(client, [note(**created)])
    assert (status, answer["accepted"], answer["incomplete"]) == (200, 1, 1)
    event = json.loads(sender.sent[0].value)
    assert (event["type"], event["data"]) == ("sales.deal.created", {"deal_id": "9007199254740993"})
    async with client.get("/incomplete", headers={"Authorization": "Bearer hunter2"}) as response:
        (waiting,) = (await response.json())["incomplete"]
    assert (waiting["object"], waiting["id"], waiting["op"]) == ("deal", "9007199254740993", "create")


@pytest.mark.parametrize("path", ["/tail", "/incomplete"])
async def test_only_who_has_the_token_may_look(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 401


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer "])
async def test_without_a_token_nobody_may_look(
    sender: RecordingSender, clock: ManualClock, authorization: str
) -> None:
    app = create_app(sender, clock, token=None, retention_ms=None)
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/incomplete", headers={"Authorization": authorization}) as response,
    ):
        assert response.status == 401


async def test_tail_tells_what_was_taken_and_refused_and_nothing_of_the_body(client: Client) -> None:
    async with client.get("/tail", headers={"Authorization": "Bearer hunter2"}) as tail:
        await post(client, [note(propertyName="hubspot_owner_id", propertyValue="910901")])
        await post(client, b"[]", {"Content-Type": "application/json"})
        taken = json.loads(await tail.content.readline())
        refused = json.loads(await tail.content.readline())
    assert (taken["fate"], taken["type"], taken["id"]) == (
        "accepted",
        "sales.deal.updated",
        "9007199254740993",
    )
    assert (refused["fate"], refused["reason"]) == ("refused", "missing_signature")
    assert "910901" not in json.dumps(taken)


async def test_metrics_have_bounded_labels(client: Client) -> None:
    await post(client, [note(), note(portalId=1)])
    async with client.get("/metrics") as response:
        text = await response.text()
    assert 'salesfloor_gateway_events_total{fate="accepted",reason="",source="hubspot"} 1.0' in text
    assert 'salesfloor_gateway_deliveries_total{source="hubspot",status="200"} 1.0' in text


async def test_answer_comes_within_the_vendors_patience(
    sender: RecordingSender, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.gateway.door._SHARE_OF_PATIENCE", 0.01)
    sender.hangs = True
    app = create_app(sender, clock, token=None, retention_ms=None, sources=[hubspot()])
    async with TestClient(TestServer(app)) as client:
        assert (await post(client, [note()]))[0] == 503


async def test_body_that_does_not_arrive_is_given_up(
    sender: RecordingSender, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_whole() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    monkeypatch.setattr("streams.gateway.door._SHARE_OF_PATIENCE", 0.01)
    app = create_app(sender, clock, token=None, retention_ms=None, sources=[hubspot()])
    async with (
        TestClient(TestServer(app)) as client,
        client.post("/hooks/hubspot", data=never_whole(), headers=signed(b"[]")) as response,
    ):
        assert response.status == 408


def test_replays_are_forgotten_once_their_signature_is_stale() -> None:
    replays = Replays(kept_max=2)
    replays.remember("a", "x", 0)
    assert replays.seen("a", "x", 600_000)
    assert not replays.seen("b", "x", 0)
    assert not replays.seen("a", "x", 600_001)
    for once in "pqr":
        replays.remember("a", once, 0)
    assert [once for once in "pqr" if replays.seen("a", once, 0)] == ["q", "r"]


def test_hubspot_never_falls_back_to_a_signature_that_is_not_allowed() -> None:
    body = b"[]"
    old = hashlib.sha256(b"s3cret" + body).hexdigest()
    headers = {"x-hubspot-signature": old, "x-hubspot-signature-version": "v1"}
    delivery = Delivery("POST", URL, headers, "application/json", body, NOW_MS)
    verify = VENDORS["hubspot"].verify
    assert type(verify(delivery, hubspot())).__name__ == "Refusal"
    assert type(verify(delivery, hubspot(signatures=("v3", "v1")))).__name__ == "Verified"
