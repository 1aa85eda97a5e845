"""CloudEvents over HTTP in binary mode, and through a source's own door."""

import io
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.gateway.app import create_app
from streams.gateway.model import Source
from streams.gateway.vendors.cloudevents import SINGLE
from tests.senders import RecordingSender

NOW_MS = 1_795_000_000_000  # 2026-11-18T06:26:40Z
Client = TestClient[Any, Any]
ATTRIBUTES = {
    "Content-Type": "application/json; charset=utf-8",
    "Authorization": "Bearer hunter2",
    "ce-specversion": "1.0",
    "ce-id": "e%2D1",
    "ce-source": "/crm/B%C3%BCro",
    "ce-type": "sales.deal.updated",
    "ce-time": "2026-11-18T06:00:00Z",
}


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
async def client(sender: RecordingSender) -> AsyncIterator[Client]:
    source = Source(name="erp", kind="cloudevents", zone=ZoneInfo("UTC"), secrets=("erps own",))
    app = create_app(sender, ManualClock(NOW_MS), token="hunter2", retention_ms=None, sources=[source])
    async with TestClient(TestServer(app)) as client:
        yield client


async def post(
    client: Client, body: bytes, path: str = "/events", changed: dict[str, str | None] | None = None
) -> int:
    headers = {name: told for name, told in {**ATTRIBUTES, **(changed or {})}.items() if told is not None}
    async with client.post(path, data=io.BytesIO(body), headers=headers) as response:
        return response.status


async def test_attributes_and_data_become_one_structured_event(
    client: Client, sender: RecordingSender
) -> None:
    assert await post(client, b'{"deal_id": "D-1", "amount": 10.10}') == 202
    (record,) = sender.sent
    assert (record.topic, record.key) == ("sales.deals", b"D-1")
    assert msgspec.json.decode(record.value) == {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/crm/Büro",
        "type": "sales.deal.updated",
        "time": "2026-11-18T06:00:00Z",
        "data": {"deal_id": "D-1", "amount": 10.10},
    }


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"deal_id": "D-1"}, "type": "sales.deal.won"', b"\xff", b"[" * 5000]
)
async def test_data_that_is_no_one_json_value_is_refused(
    client: Client, sender: RecordingSender, body: bytes
) -> None:
    assert await post(client, body) == 400
    assert sender.sent == []


async def test_json_without_attributes_is_not_binary_mode(client: Client) -> None:
    assert await post(client, b"{}", changed={"ce-specversion": None}) == 415


async def test_source_of_this_kind_has_its_own_door_and_secret(
    client: Client, sender: RecordingSender
) -> None:
    body = b'{"deal_id": "D-1"}'
    assert await post(client, body, "/hooks/erp") == 401
    assert await post(client, body, "/hooks/erp", {"Authorization": "Bearer erps own"}) == 202
    structured = msgspec.json.decode(sender.sent[0].value)
    again = msgspec.json.encode(structured)
    told: dict[str, str | None] = {name: None for name in ATTRIBUTES if name.startswith("ce-")}
    told |= {"Content-Type": SINGLE, "Authorization": "Bearer erps own"}
    assert await post(client, again, "/hooks/erp", told) == 202
    assert sender.sent[1].value == again
