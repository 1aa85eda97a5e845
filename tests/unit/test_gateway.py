"""The gateway's door: who gets in, what is taken, and what the answer promises."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import LooseHeaders

from streams.clock import ManualClock
from streams.gateway.app import create_app
from streams.gateway.sender import KafkaAway, KafkaSender, Outgoing, kafka_sender
from streams.gateway.vendors.cloudevents import BATCH, SINGLE
from streams.limits import Rate
from streams.settings import KafkaSettings
from tests.senders import RecordingSender

DAY_MS = 86_400_000
NOW_MS = 1_795_000_000_000  # 2026-11-18T06:26:40Z
Client = TestClient[Any, Any]


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
async def client(sender: RecordingSender) -> AsyncIterator[Client]:
    app = create_app(sender, ManualClock(NOW_MS), token="hunter2", retention_ms=800 * DAY_MS)
    async with TestClient(TestServer(app)) as client:
        yield client


def event(
    type_: str = "sales.deal.created", time: str = "2026-11-18T06:00:00Z", **data: object
) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "/crm",
        "type": type_,
        "time": time,
        "data": data or {"deal_id": "D-1", "amount": "10.00", "currency": "EUR"},
    }


def headers(content_type: str = SINGLE, token: str = "hunter2") -> LooseHeaders:
    return {"Content-Type": content_type, "Authorization": f"Bearer {token}"}


async def post(client: Client, body: object, content_type: str = SINGLE) -> tuple[int, dict[str, Any]]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post("/events", data=io.BytesIO(text), headers=headers(content_type)) as response:
        return response.status, await response.json()


async def test_event_is_taken_as_it_came_under_its_deal_id(client: Client, sender: RecordingSender) -> None:
    body = json.dumps(event()).encode()
    assert await post(client, body) == (202, {"accepted": 1})
    assert sender.sent == [Outgoing("sales.deals", b"D-1", body)]


async def test_what_holds_until_it_is_replaced_is_never_too_old(
    client: Client, sender: RecordingSender
) -> None:
    old = "2019-01-01T00:00:00Z"
    rate = {"currency": "USD", "rate": "0.9", "valid_from": "2019-01-01"}
    body = json.dumps(event("sales.rate.set", time=old, **rate)).encode()
    assert await post(client, body) == (202, {"accepted": 1})
    assert sender.sent == [Outgoing("sales.reference", b"rate:USD:2019-01-01", body)]
    status, answer = await post(client, event(time=old))
    assert (status, answer["errors"][0]["reason"]) == (400, "too_old")


async def test_batch_goes_to_each_events_own_topic(client: Client, sender: RecordingSender) -> None:
    batch = [
        event(),
        event("sales.lead.created", lead_id="L-1"),
        event("sales.activity.completed", activity_id="A-1", kind="call", lead_id="L-1", rep_id="R-1"),
    ]
    assert await post(client, batch, BATCH) == (202, {"accepted": 3})
    assert [(record.topic, record.key) for record in sender.sent] == [
        ("sales.deals", b"D-1"),
        ("sales.leads", b"L-1"),
        ("sales.activities", b"A-1"),
    ]


async def test_activity_that_moves_to_another_deal_stays_in_its_partition(
    client: Client, sender: RecordingSender
) -> None:
    for concerned in ({"deal_id": "D-1", "rep_id": "R-1"}, {"deal_id": "D-2"}, {}):
        await post(client, event("sales.activity.completed", activity_id="A-1", kind="call", **concerned))
    assert [record.key for record in sender.sent] == [b"A-1"] * 3


@pytest.mark.parametrize("token", ["", "hunter", "hunter22", "HUNTER2", "hünter2"])
async def test_wrong_token_is_turned_away(client: Client, sender: RecordingSender, token: str) -> None:
    async with client.post("/events", json=event(), headers=headers(token=token)) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert sender.sent == []


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ", "Basic aHVudGVyMg=="])
async def test_gateway_without_a_token_lets_nobody_in(
    sender: RecordingSender, authorization: str | None
) -> None:
    app = create_app(sender, ManualClock(NOW_MS), token=None, retention_ms=800 * DAY_MS)
    sent = {"Authorization": authorization} if authorization is not None else {}
    async with (
        TestClient(TestServer(app)) as client,
        client.post("/events", json=event(), headers=sent) as response,
    ):
        assert response.status == 401


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (event(amount="10"), "missing_id"),
        (event(deal_id="D-1", amount="-10"), "bad_amount"),
        (event(deal_id="D-1", stage=7), "wrong_type"),
        (event(time="yesterday"), "bad_time"),
        (event(time="2099-01-01T00:00:00Z"), "future"),
        (event(time="2019-01-01T00:00:00Z"), "too_old"),
        (event("shop.order.created"), "not_cloudevent"),
        (event("sales.activity.completed", activity_id="", kind="call"), "missing_id"),
        ([1], "malformed"),
    ],
)
async def test_wrong_event_is_refused_with_its_reason(
    client: Client, sender: RecordingSender, wrong: object, reason: str
) -> None:
    status, answer = await post(client, wrong)
    assert status == 400
    assert [(error["index"], error["reason"]) for error in answer["errors"]] == [(0, reason)]
    assert sender.sent == []


async def test_history_is_taken_where_the_events_tell_the_time(sender: RecordingSender) -> None:
    app = create_app(sender, ManualClock(NOW_MS), token="hunter2", retention_ms=None)
    async with TestClient(TestServer(app)) as client:
        assert (await post(client, event(time="2019-01-01T00:00:00Z")))[0] == 202


async def test_batch_with_one_wrong_event_is_refused_whole(client: Client, sender: RecordingSender) -> None:
    status, answer = await post(client, [event(), event(amount="10"), event()], BATCH)
    assert (status, [error["index"] for error in answer["errors"]]) == (400, [1])
    assert sender.sent == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
async def test_batch_that_is_no_array_is_refused(
    client: Client, sender: RecordingSender, body: bytes
) -> None:
    assert (await post(client, body, BATCH))[0] == 400
    assert sender.sent == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"type": 7}'])
async def test_no_bytes_upset_the_door(client: Client, sender: RecordingSender, body: bytes) -> None:
    assert (await post(client, body))[0] == 400
    assert sender.sent == []


async def test_other_content_type_is_refused_with_the_right_ones(client: Client) -> None:
    status, answer = await post(client, event(), "application/json")
    assert status == 415
    assert SINGLE in answer["error"]


async def test_body_over_one_mebibyte_is_refused(client: Client, sender: RecordingSender) -> None:
    status, answer = await post(client, b" " * (1 << 20) + b"{}")
    assert status == 413
    assert "smaller batches" in answer["error"]
    assert sender.sent == []


async def test_nothing_is_promised_while_kafka_is_away(client: Client, sender: RecordingSender) -> None:
    sender.ready = False
    async with client.post("/events", json=event(), headers=headers()) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
    async with client.get("/-/ready") as response:
        assert response.status == 503
    async with client.get("/-/healthy") as response:
        assert response.status == 200


async def test_sender_without_a_broker_is_not_ready_and_takes_nothing(unused_tcp_port: int) -> None:
    async with kafka_sender(KafkaSettings(bootstrap=f"127.0.0.1:{unused_tcp_port}")) as sender:
        assert not sender.ready
        with pytest.raises(KafkaAway, match="no connection"):
            await sender.send([Outgoing("sales.deals", b"D-1", b"{}")])


def test_sender_is_what_the_door_expects() -> None:
    assert isinstance(KafkaSender(KafkaSettings()).ready, bool)


async def test_a_source_that_sends_too_often_is_told_when_to_come_again_and_others_are_not(
    sender: RecordingSender,
) -> None:
    rate = Rate(0.2, lambda: 0.0)  # two at once
    app = create_app(sender, ManualClock(NOW_MS), token="hunter2", retention_ms=None, rate=rate)
    async with TestClient(TestServer(app)) as client:
        for _ in range(5):  # who is not recognised takes nothing from the source
            async with client.post("/events", data=b"x", headers=headers(token="wrong")) as response:
                assert response.status == 401
        found = [(await post(client, event()))[0] for _ in range(3)]
        async with client.post("/events", data=b"{}", headers=headers()) as response:
            assert int(response.headers["Retry-After"]) >= 1
    assert found == [202, 202, 429]
    assert rate.take("another source") == 0
    assert len(sender.sent) == 2
