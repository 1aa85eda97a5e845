"""Raw bytes at the doors of the metrics role: odd encodings, headers, requests. None is a fault of ours."""

import asyncio
import random
from collections.abc import Callable

import pytest

from metrics.web.access import Scope, grant_of
from metrics.web.app import create_app
from streams.serving import serving
from tests.raw_requests import ANSWERS, HEADERS, MORE_VALUES, TOKEN, VALUES, status_of
from tests.strength import amount
from tests.unit.metrics.test_api_doors import Explainer
from tests.unit.wall.screens import Floor

REQUESTS = amount(400, long=250_000)
pytestmark = pytest.mark.timeout(amount(120, long=7_200))
WAIT_SECONDS = 2.0
"""A request that promises more than it holds is waited for, which is right; here for so long."""
PATHS = [
    b"/", b"/wall", b"/wall/south", b"/wall/assets/1-abc/x.js", b"/wall/assets/pictures/a.png",
    b"/metrics", b"/api/kpis", b"/api/snapshot", b"/api/targets", b"/api/explain", b"/api/leaderboards",
    b"/api/commissions", b"/-/ready", b"/nowhere", b"*", b"http://x/api/kpis", b"//api//kpis",
    b"/api/../wall", b"/%2e%2e/", b"",
]  # fmt: skip
NAMES = [
    b"at", b"kpi", b"level", b"window", b"key", b"page", b"limit", b"token", b"lang", b"board", b"",
    b"%00",
]  # fmt: skip


def made_up(rng: random.Random) -> bytes:
    """Return a request, mostly one that a parser lets through to a handler."""
    pairs = b"&".join(
        rng.choice(NAMES) + rng.choice([b"=", b"=", b"", b"=="]) + rng.choice(VALUES)
        for _ in range(rng.randrange(4))
    )
    path = rng.choice(PATHS) + (rng.choice(VALUES) if rng.random() < 0.2 else b"")
    method = rng.choice([b"GET"] * 12 + [b"HEAD", b"POST", b"OPTIONS", b"PUT", b"TRACE", b"get", b"\xff"])
    head = [method + b" " + path + (b"?" + pairs if pairs else b"") + b" HTTP/1.1", b"Host: 127.0.0.1"]
    values = [*MORE_VALUES, *VALUES]
    head += [rng.choice(HEADERS) + b": " + rng.choice(values) for _ in range(rng.randrange(4))]
    request = b"\r\n".join([*head, b"", rng.choice([b"", b"", b"5\r\nhello\r\n0\r\n\r\n", b"\x1f\x8b\x00"])])
    if rng.random() < 0.1:
        at = rng.randrange(len(request))
        request = request[:at] + rng.randbytes(rng.randrange(1, 4)) + request[at + 1 :]
    return request + b"\r\n\r\n"


@pytest.mark.parametrize("guarded", [False, True])
async def test_no_bytes_are_a_fault_of_ours(guarded: bool, caplog: pytest.LogCaptureFixture) -> None:
    floor, seed = Floor(), 20261122 + guarded
    grants = [grant_of("office", TOKEN, Scope.ALL)] if guarded else []
    app = create_app(floor.service, wall=floor.wall, explain=Explainer(), grants=grants)
    await floor.tick()
    rng = random.Random(seed)
    silent = 0
    async with serving(app, "127.0.0.1", 0, role="metrics") as address:
        for number in range(REQUESTS):
            request = made_up(rng)
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    status = await status_of(address, request)
            except TimeoutError:
                status = None
            silent += status is None
            assert status is None or status in ANSWERS, (seed, number, status, request, caplog.text)
        alive = b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert await status_of(address, alive) == 200
    assert silent < REQUESTS / 4, "most are to be answered, or nothing was tried"
    assert "Traceback" not in caplog.text


def test_requests_are_as_odd_as_they_are_meant_to_be() -> None:
    rng = random.Random(1)
    many = [made_up(rng) for _ in range(500)]
    odd: list[Callable[[bytes], bool]] = [
        lambda each: b"\xff" in each, lambda each: b"%ed%a0%80" in each, lambda each: b"\x00" in each
    ]  # fmt: skip
    assert all(any(map(is_odd, many)) for is_odd in odd)
