"""The gateway's door for Alertmanager: who gets in, what is taken, and what the answer promises."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.gateway import alertmanager
from streams.gateway.app import create_app
from tests.senders import RecordingSender
from tests.unit.test_alert_events import NOW_MS, alert, notice

Client = TestClient[Any, Any]


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
async def client(sender: RecordingSender) -> AsyncIterator[Client]:
    app = create_app(
        sender, ManualClock(NOW_MS), token="hunter2", retention_ms=None, more_doors=[alertmanager.add_doors]
    )
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(
    client: Client, body: bytes, *, token: str = "hunter2", content_type: str = "application/json"
) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {token}"}
    async with client.post("/alertmanager", data=io.BytesIO(body), headers=headers) as response:
        return response.status, await response.json()


async def test_each_alert_of_a_notice_becomes_a_record_under_its_fingerprint(
    client: Client, sender: RecordingSender
) -> None:
    body = notice(alert(), alert(fingerprint="b2", status="resolved", endsAt="2026-11-22T09:00:00Z"))
    assert await post(client, body) == (202, {"accepted": 2})
    assert [(each.topic, each.key) for each in sender.sent] == [
        ("sales.alerts", b"6f1c0d9ab2e34f57"),
        ("sales.alerts", b"b2"),
    ]
    types = [json.loads(each.value)["type"] for each in sender.sent]
    assert types == ["sales.alert.firing", "sales.alert.resolved"]


async def test_nothing_is_taken_without_the_token(client: Client, sender: RecordingSender) -> None:
    status, told = await post(client, notice(alert()), token="guess")
    assert status == 401
    assert "Authorization: Bearer" in told["error"]
    assert sender.sent == []


async def test_a_notice_waits_for_kafka_and_is_asked_for_again(
    client: Client, sender: RecordingSender
) -> None:
    sender.ready = False
    status, told = await post(client, notice(alert()))
    assert status == 503
    assert "send the same again" in told["error"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{}", "application/json", 400, "version"),
        (notice(alert(), alert(status="?")), "application/json", 400, "$.alerts[1].status"),
        (notice(alert()), "text/plain", 415, "application/json"),
        (b" " * ((1 << 20) + 1), "application/json", 413, "max_alerts"),
    ],
)
async def test_what_is_wrong_is_refused_whole_and_says_what_to_mend(
    client: Client, sender: RecordingSender, body: bytes, content_type: str, status: int, said: str
) -> None:
    answered, told = await post(client, body, content_type=content_type)
    assert answered == status
    assert said in told["error"]
    assert sender.sent == []


async def test_what_became_of_notices_is_counted(client: Client) -> None:
    await post(client, notice(alert()))
    await post(client, b"{}")
    async with client.get("/metrics") as response:
        text = await response.text()
    counted = 'salesfloor_gateway_events_total{fate="accepted",reason="",source="alertmanager"} 1.0'
    assert counted in text
    assert 'salesfloor_gateway_deliveries_total{source="alertmanager",status="400"} 1.0' in text
