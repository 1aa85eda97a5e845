"""Secrets and customers, marked, sent through every path of every role: no process says a word of them.

Taken events, refused ones, broken records, requests that are no HTTP, tokens in addresses, and a fold that
crashes with the record's own words in its exception.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from tests.floor_process import Process
from tests.integration.cluster import Cluster, until

pytestmark = pytest.mark.timeout(180)

CUSTOMER = "Zebulon-Quagmire"
"""Stands in every field that a CRM fills: ids, names, stages, notes."""
AMOUNT = "918273"
SECRETS = {
    "gateway": "gwtok-4c1f7e9a0b2d",
    "hook": "hooksec-77aa19be03",
    "office": "office-90ab12cd34ef",
    "wrong": "wrong-5566778899aa",
    "vendor": "vendorapi-31415926",
}
DEADLINE_SECONDS = 60.0
Headers = dict[str, str]


def an_event(number: int, **more: object) -> dict[str, object]:
    data = {
        "deal_id": f"{CUSTOMER}-{number}", "account_id": CUSTOMER, "rep_id": f"rep-{CUSTOMER}",
        "team_id": f"team-{CUSTOMER}", "stage": f"stage {CUSTOMER}", "region": CUSTOMER, "source": CUSTOMER,
        "amount": AMOUNT, "currency": "USD",
    }  # fmt: skip
    now = datetime.now(UTC).isoformat()
    head = {"specversion": "1.0", "id": f"{CUSTOMER}-{number}", "source": f"/{CUSTOMER}", "time": now}
    return {**head, "type": "sales.deal.won", "data": {**data, **more}}


BROKEN: list[bytes] = [
    CUSTOMER.encode(),
    b"\xff" + CUSTOMER.encode(),
    json.dumps(an_event(1, amount=[CUSTOMER])).encode(),
    json.dumps(an_event(2, amount=f"{AMOUNT} {CUSTOMER}")).encode(),
    json.dumps(an_event(3, currency=CUSTOMER)).encode(),
    json.dumps(an_event(4, closed_at=CUSTOMER)).encode(),
    json.dumps(an_event(5, status=CUSTOMER)).encode(),
    json.dumps({**an_event(6), "time": CUSTOMER}).encode(),
    json.dumps({**an_event(7), "type": f"sales.deal.{CUSTOMER}"}).encode(),
    json.dumps({**an_event(8), "data": CUSTOMER}).encode(),
    json.dumps(an_event(9, **{CUSTOMER: CUSTOMER})).encode(),
    json.dumps(an_event(10)).encode()[:-20],
    b"[" * 5_000 + CUSTOMER.encode(),
    b"",
]


@contextmanager
def role(name: str, cluster: Cluster, config: Path, said: list[str]) -> Iterator[str]:
    environment = {
        **cluster.environment,
        "SALESFLOOR_CONFIG": str(config),
        "SALESFLOOR_GATEWAY__TOKEN": SECRETS["gateway"],
        "HOOK_SECRET": SECRETS["hook"],
        "VENDOR_TOKEN": SECRETS["vendor"],
    }
    process = Process(name, f"--{name}-port", "0", environment=environment)
    try:
        pattern = r"(http://\S+)/metrics" if name == "metrics" else r"POST (http://\S+)/events"
        address = process.wait_for(pattern)
        process.drain()
        yield address
    finally:
        process.stop()
        said.extend(process.told)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "office.token").write_text(SECRETS["office"])
    file = tmp_path / "salesfloor.toml"
    file.write_text(
        '[[access]]\nname = "office"\ntoken_file = "office.token"\nmay = "all"\n'
        '[[sources]]\nname = "hub"\nkind = "hubspot"\nsecret_env = ["HOOK_SECRET"]\n'
        'public_url = "https://hooks.example.com/hooks/hub"\n'
        'api_token_env = "VENDOR_TOKEN"\napi_base_url = "http://127.0.0.1:9"\n'
        '[[sources]]\nname = "own"\nkind = "cloudevents"\nsecret_env = ["HOOK_SECRET"]\n'
    )
    return file


async def knock(address: str, path: str, body: bytes | None = None, headers: Headers | None = None) -> int:
    method = "GET" if body is None else "POST"
    async with (
        ClientSession() as session,
        session.request(method, f"{address}{path}", data=body, headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


def shout(address: str, raw: bytes) -> None:
    """Send bytes that are no HTTP."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as door:
        door.sendall(raw)
        door.shutdown(socket.SHUT_WR)
        while door.recv(65_536):
            pass


async def use_the_gateway(address: str) -> None:
    async def is_ready() -> bool:
        return await knock(address, "/-/ready") == 200

    await until(is_ready)
    kind = {"Content-Type": "application/cloudevents+json"}
    right = {"Authorization": f"Bearer {SECRETS['gateway']}"}
    wrong = {"Authorization": f"Bearer {SECRETS['wrong']}"}
    good = json.dumps(an_event(100)).encode()
    assert await knock(address, "/events", good, kind | right) == 202
    assert await knock(address, "/events", good, kind) == 401
    assert await knock(address, "/events", good, kind | wrong) == 401
    assert await knock(address, "/incomplete", headers=wrong) == 401
    signed = {"X-HubSpot-Signature-v3": SECRETS["wrong"], "X-HubSpot-Request-Timestamp": "1"}
    hook = {"Authorization": f"Bearer {SECRETS['hook']}"}
    for body in BROKEN:
        for path, shown in (("/events", right), ("/hooks/own", hook), ("/alertmanager", right)):
            assert await knock(address, path, body, kind | shown) < 500, (path, body)
    for path in ("/hooks/hub", "/hooks/own", f"/hooks/{CUSTOMER}", "/alertmanager"):
        assert await knock(address, path, good, kind | wrong | signed) in (401, 404)
    shouted(address)


async def use_the_metrics(address: str) -> None:
    for token, status in ((SECRETS["office"], 200), (SECRETS["wrong"], 401)):
        assert await knock(address, f"/api/kpis?token={token}") == status
        assert await knock(address, f"/wall?token={token}") == status
        for asked in (f"/api/snapshot?at={CUSTOMER}", f"/api/explain?kpi={CUSTOMER}", f"/wall/{CUSTOMER}"):
            mark = "&" if "?" in asked else "?"
            assert await knock(address, f"{asked}{mark}token={token}") in (400, 401, 404)
    shouted(address)


def shouted(address: str) -> None:
    for raw in (
        f"GET /?token={SECRETS['office']} HTTP/9\r\n\r\n",
        f"GET /?token={SECRETS['office']} HTTP/1.1\r\nHost: x\r\nbad header: {CUSTOMER}\r\n\r\n",
        f"{CUSTOMER} {SECRETS['gateway']}\r\n\r\n",
        f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nX-T: {SECRETS['hook']}\r\n\r\n{CUSTOMER}",
    ):
        shout(address, raw.encode())


async def test_no_role_tells_a_secret_or_a_customer_whatever_it_stumbles_over(
    cluster: Cluster, config: Path
) -> None:
    said: list[str] = []
    worker = await cluster.worker(SALESFLOOR_CONFIG=str(config))
    with role("metrics", cluster, config, said) as metrics, role("gateway", cluster, config, said) as gateway:
        await use_the_gateway(gateway)
        for body in BROKEN:
            await cluster.produce_raw("sales.deals", 0, body, key=CUSTOMER.encode())
        await cluster.committed()
        await use_the_metrics(metrics)
    assert await worker.metric("salesfloor_worker_dead_letters_total") >= 10
    await worker.stop()
    stumbling = await cluster.worker("--stumble", SALESFLOOR_CONFIG=str(config))
    await cluster.produce_raw("sales.deals", 0, json.dumps(an_event(200)).encode())
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await stumbling.process.wait() == 1
    logs = [each.log.read_text() for each in cluster.workers]
    assert "fold failed" in logs[-1], "the crash must have been tried"
    everything = "\n".join([*said, *logs])
    for mark in (CUSTOMER, AMOUNT, *SECRETS.values()):
        lines = [line for line in everything.splitlines() if mark in line]
        assert lines == [], mark
