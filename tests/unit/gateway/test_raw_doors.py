"""Raw bytes at the gateway's doors: changed deliveries, odd headers, broken requests. No fault of ours.

Samples of every sender are changed token by token or cut, and posted to every door. Whatever is produced is
an event that counts. The long form (`SALESFLOOR_TEST_LONG=1`) makes half a million requests.
"""

import asyncio
import json
import logging
import random
import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import pytest

from streams.decode import decode
from streams.events import Event
from streams.gateway.model import Outgoing
from streams.gateway.vendors.cloudevents import BATCH, SINGLE
from streams.routing import key_of
from streams.serving import serving
from streams.topics import KIND_OF_TOPIC
from tests.crm_samples import folders, media_type, samples
from tests.doors import TOKEN, gateway
from tests.raw_requests import HEADERS, MORE_VALUES, VALUES, status_of
from tests.senders import RecordingSender
from tests.strength import LONG, amount

REQUESTS: Final = amount(600, long=250_000)
CALLERS: Final = 6
TOO_MUCH: Final = 1 << 20
pytestmark = pytest.mark.timeout(amount(120, long=7_200))

VALUE_TOKENS: Final = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null)(?!\s*:)')
ODD: Final = [
    b"null", b"true", b"[]", b"{}", b'""', b"0", b"-1", b"1e400", b"-1e-400", b"9" * 40, b"1" + b"0" * 5_000,
    b"0.1234567890123456789", b"1e999999999", b'"\\ud800"', b'"\\u0000"', b'"\\u202e"', b'"[" ', b'"1,5"',
    b'"' + b"x" * 3_000 + b'"', b'"2026-02-30T00:00:00Z"', b'"9999-12-31T23:59:60+23:59"', b'"-0"', b'"EUR"',
    b'"0001-01-01T00:00:00-23:59"', b'"1763134929"', b"1763134929000", b'"XTS"', b'{"id": 1}',
    b"[1, [2, [3]]]", b"[" * 300 + b"]" * 300, b'"NaN"', '"２０２６"'.encode(),
]  # fmt: skip
BROKEN: Final = [
    b"NaN", b"Infinity", b'"\xff\xfe"', b'"\xed\xa0\x80"', b"[" * 300, b"[" * 200_000, b'{"a":' * 300, b",",
    b"}", b'"', b"\x00", b"1" * 60_000,
]  # fmt: skip
TYPES: Final = [
    "application/json", SINGLE, BATCH, "application/x-www-form-urlencoded", "text/xml", "text/plain", "x",
    "application/json; charset=utf-16", "application/json; charset=nonsense",
    "multipart/form-data; boundary=a",
]  # fmt: skip
# What changes where a request ends: sent on a connection of its own.
FRAMING: Final = {b"Content-Length", b"Transfer-Encoding", b"Expect", b"Upgrade", b"Connection", b"Host"}
CALM: Final = [header for header in HEADERS if header not in FRAMING]
EVENT: Final = {
    "specversion": "1.0", "id": "1", "source": "/crm", "type": "sales.deal.won",
    "time": "2026-11-18T06:00:00Z",
    "data": {"deal_id": "D-1", "amount": "10.00", "currency": "USD", "rep_id": "R", "stage": "closing"},
}  # fmt: skip
NOTICE: Final = {
    "status": "firing",
    "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-18T06:00:00Z"}],
}


def bodies() -> dict[str, list[tuple[str, bytes]]]:
    """Return by path what a good sender posts: (content type, body) each."""
    event = json.dumps(EVENT).encode()
    found = {
        "/events": [(SINGLE, event), (BATCH, b"[" + event + b"," + event.replace(b'"1"', b'"2"') + b"]")],
        "/alertmanager": [("application/json", json.dumps(NOTICE).encode())],
    }
    for folder in folders():
        found[f"/hooks/{folder.source().name}"] = [
            (media_type(sample["file"]), (owner.path / sample["file"]).read_bytes())
            for owner, sample in samples()
            if owner.name == folder.name
        ] or [("application/json", event)]
    return found


def spoiled(rng: random.Random, body: bytes) -> bytes:
    """Return the body with up to four of its tokens changed, or with bytes cut, doubled or replaced."""
    if rng.random() < 0.2:
        return body
    if rng.random() < 0.2:
        at, end = sorted(rng.randrange(len(body) + 1) for _ in range(2))
        return rng.choice([body[:at], body[:at] + body[end:], body[:end] + body[at:], rng.randbytes(at % 64)])
    for _ in range(rng.randrange(1, 5)):
        at, end = rng.choice(tokens_of(body) or [(0, 0)])
        body = body[:at] + rng.choice(ODD if rng.random() < 0.9 else BROKEN) + body[end:]
        if len(body) > 50_000:
            break
    return body


_tokens: dict[bytes, list[tuple[int, int]]] = {}


def tokens_of(body: bytes) -> list[tuple[int, int]]:
    if len(_tokens) > 200:
        _tokens.clear()
    found = _tokens.get(body)
    if found is None:
        found = _tokens[body] = [each.span() for each in VALUE_TOKENS.finditer(body)]
    return found


@dataclass
class Sender:
    """Asks the doors on one connection, opened anew when it is closed."""

    address: str
    rng: random.Random
    good: dict[str, list[tuple[str, bytes]]]
    statuses: Counter[int | None] = field(default_factory=Counter)
    _open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def request(self) -> bytes:
        """Return a request that says rightly where it ends."""
        rng = self.rng
        path = rng.choice(list(self.good))
        kind, body = rng.choice(self.good[path])
        body = spoiled(rng, body)
        if rng.random() < 0.0005:
            body += b" " * TOO_MUCH
        method = "POST" if rng.random() < 0.97 else rng.choice(["GET", "PUT", "HEAD", "DELETE"])
        path += "" if rng.random() < 0.97 else rng.choice(["x", "/", "?a=%ff", "/../events"])
        shown = f"Bearer {TOKEN}" if rng.random() < 0.9 else rng.choice(["", "Bearer x", "Basic é"])
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Content-Type: {kind if rng.random() < 0.9 else rng.choice(TYPES)}",
            f"Content-Length: {len(body)}",
            f"Authorization: {shown}",
        ]
        odd = [
            rng.choice(CALM) + b": " + rng.choice([*MORE_VALUES, *VALUES])
            for _ in range(rng.choice([0, 0, 0, 1, 2]))
        ]
        return b"\r\n".join(["\r\n".join(head).encode(), *odd, b"", body])

    async def ask(self) -> None:
        request = self.request()
        if self.rng.random() < 0.05:
            await self._ask_badly(request)
            return
        try:
            status = await self._answer_to(request)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            if len(request) > TOO_MUCH:
                self.statuses[None] += 1  # who sends on, unread, may miss the answer
                return
            # A body that could not be read to its end costs the connection, which the next request finds out.
            status = await self._answer_to(request)
        self.statuses[status] += 1
        assert is_fair(status), (status, request)

    async def _ask_badly(self, request: bytes) -> None:
        """Break the request itself; it may be answered by a closed connection, and by no fault."""
        at = self.rng.randrange(len(request))
        broken = request[:at] + self.rng.randbytes(self.rng.randrange(4)) + request[at + 1 :]
        framing = self.rng.choice(sorted(FRAMING)) + b": " + self.rng.choice(MORE_VALUES)
        broken = broken.replace(b"\r\n", b"\r\n" + framing + b"\r\n", 1)
        try:
            async with asyncio.timeout(0.2):
                status = await status_of(self.address, broken)
        except TimeoutError:
            status = None  # it promised more than it held
        self.statuses[status] += 1
        assert status is None or is_fair(status), (status, broken)

    async def _answer_to(self, request: bytes) -> int:
        if self._open is None:
            place = urlsplit(self.address)
            self._open = await asyncio.open_connection(place.hostname, place.port)
        reader, writer = self._open
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        said = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
        if not request.startswith(b"HEAD"):
            await reader.readexactly(int(said.get(b"content-length", b"0")))
        if head.startswith(b"HTTP/1.0") or said.get(b"connection") == b"close":
            self.close()
        return int(lines[0].split(b" ")[1])

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def is_fair(status: int) -> bool:
    """Say whether it is an answer, a fault of who asks, or Kafka that is away; and no fault of ours."""
    return 200 <= status < 500 or status == 503


def counts(record: Outgoing) -> bool:
    """Say whether a record of a topic that is folded is an event that counts; it must be."""
    kind = KIND_OF_TOPIC.get(record.topic)
    if kind is None:
        return False
    event = decode(record.value, (), kind=kind)
    assert isinstance(event, Event), event
    assert record.key == key_of(event)
    return True


@pytest.mark.parametrize("verified", [True, False])
async def test_no_delivery_is_a_fault_of_ours_and_what_is_produced_counts(
    verified: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    producer, good = RecordingSender(), bodies()
    counted = 0
    statuses: Counter[int | None] = Counter()
    async with serving(gateway(producer, verified=verified), "127.0.0.1", 0, role="gateway") as address:

        async def send(number: int) -> None:
            nonlocal counted
            sender = Sender(address, random.Random(f"{number} {verified}"), good, statuses)
            with closing(sender):
                for _ in range(REQUESTS // CALLERS):
                    producer.ready = sender.rng.random() > 0.05
                    await sender.ask()
                    told, producer.sent = producer.sent, []
                    counted += sum(map(counts, told))

        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(send(number))
    print(f"{sum(statuses.values())} requests: {dict(statuses)}; {counted} events")
    ways = {202, 400, 401, 404, 405} | ({200, 413, 415, 503} if verified and LONG else set())
    assert ways <= set(statuses), "every way must be taken"
    assert counted > REQUESTS // (20 if verified else 400), "the requests must reach Kafka to show anything"
    assert statuses[None] < REQUESTS / 10
    assert not caplog.text


@pytest.mark.parametrize("path", ["/events", "/alertmanager", "/hooks/zoho"])
async def test_a_body_that_is_encoded_otherwise_than_it_says_is_refused(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Content-Type: application/json\r\nContent-Encoding: deflate\r\n"
    request = f"{head}Content-Length: 9\r\n\r\nno deflat".encode()
    async with serving(gateway(verified=True), "127.0.0.1", 0, role="gateway") as address:
        assert await status_of(address, request) == 400
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("host", [b"\xf0", b"[", b"a:b:c", b"", "Ĳ".encode(), b"x" * 300])
async def test_a_host_that_is_none_is_told_so(host: bytes, caplog: pytest.LogCaptureFixture) -> None:
    request = b"POST /hooks/zoho HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 2\r\n\r\n{}"
    async with serving(gateway(verified=True), "127.0.0.1", 0, role="gateway") as address:
        status = await status_of(address, request)
    assert status is not None
    assert 400 <= status < 500
    assert "Traceback" not in caplog.text
