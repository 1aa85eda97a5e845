"""Who gets through which door of the metrics role, what a refusal says, and whose commission is told."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from metrics.commission import Plan, PlanVersion, Tier
from metrics.rewards import RewardRules
from metrics.service import SnapshotService
from metrics.web.access import ANYBODY, Grant, Scope, grant_of, guard, visitor_of
from metrics.web.app import create_app
from streams.serving import serving
from tests.panes import FakeReader
from tests.unit.metrics.test_beside import THURSDAY_NOON_MS, Clock, service_of, won

Client = TestClient[Any, Any]

ALL, WALL, METRICS, ANN, BOB = (f"{name}-0123456789+/==" for name in ("all", "wall", "metrics", "ann", "bob"))
GRANTS: tuple[Grant, ...] = (
    grant_of("office", ALL, Scope.ALL),
    grant_of("lobby", WALL, Scope.WALL),
    grant_of("prometheus", METRICS, Scope.METRICS),
    grant_of("ann", ANN, Scope.REP, "ann"),
    grant_of("bob", BOB, Scope.REP, "bob"),
)
TIERS = (Tier(Decimal(0), None, Decimal("0.1")),)
SECRET = PlanVersion("secret", date(2025, 1, 1), "revenue", "month", TIERS)
OPEN = replace(SECRET, name="open", visible="all")
BOBS = replace(SECRET, name="bobs", reps=("bob",))
RULES = RewardRules(plans=tuple(Plan(version.name, (version,)) for version in (SECRET, OPEN, BOBS)))

DOORS = (
    "/",
    "/wall",
    "/metrics",
    "/api/kpis",
    "/api/snapshot",
    "/api/commissions",
    "/api/explain",
    "/nowhere",
)
OF_THE_WALL = {"/", "/wall", "/api/kpis", "/api/snapshot", "/api/commissions"}


class NothingToExplain:
    async def explain(self, _ask: object) -> dict[str, Any]:
        return {}


def a_floor() -> SnapshotService:
    reader = FakeReader([*won("ann", THURSDAY_NOON_MS - 1), *won("bob", THURSDAY_NOON_MS - 2, 20_000)])
    return service_of(reader, Clock(THURSDAY_NOON_MS), RULES)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = create_app(a_floor(), explain=NothingToExplain(), grants=GRANTS)
    app.router.add_get("/wall/assets/{name}", _asset)
    app.router.add_get("/wall/{board}", _said)
    async with TestClient(TestServer(app)) as client:
        yield client


async def _asset(_request: web.Request) -> web.Response:
    return web.Response(text="the same for everybody")


async def _said(request: web.Request) -> web.Response:
    return web.Response(text=json.dumps({"query": str(request.rel_url), "may": visitor_of(request).may}))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(client: Client, path: str, headers: Mapping[str, str] | None = None) -> int:
    async with client.get(path, headers=headers) as response:
        return response.status


# --- doors


async def test_without_a_token_only_the_probes_and_the_walls_own_files_are_open(client: Client) -> None:
    answered = {path: await status(client, path) for path in (*DOORS, "/wall/east")}
    assert set(answered.values()) == {401}
    for path in ("/-/healthy", "/-/ready", "/wall/assets/page.js"):
        assert await status(client, path) == 200


@pytest.mark.parametrize(
    ("token", "opened"),
    [
        (ALL, {*DOORS} - {"/nowhere"}),
        (WALL, OF_THE_WALL),
        (ANN, OF_THE_WALL),
        (METRICS, {"/metrics"}),
    ],
)
async def test_each_scope_opens_its_doors_and_no_other(client: Client, token: str, opened: set[str]) -> None:
    query = "?kpi=deals_won&window=today"
    found = {
        door: await status(client, door + query * (door == "/api/explain"), bearer(token)) for door in DOORS
    }
    shut = 404 if token == ALL else 403
    assert found == {door: 200 if door in opened else shut for door in DOORS}


async def test_a_board_of_the_wall_is_opened_like_the_wall(client: Client) -> None:
    assert await status(client, "/wall/east", bearer(WALL)) == 200
    assert await status(client, "/wall/east", bearer(METRICS)) == 403


async def test_a_floor_without_tokens_is_open_to_whoever_reaches_it() -> None:
    async with TestClient(TestServer(create_app(a_floor()))) as client:
        for path in ("/", "/wall", "/metrics", "/api/kpis", "/api/snapshot?token=left-over-from-before"):
            assert await status(client, path) == 200


# --- the token


@pytest.mark.parametrize("shown", ["%2B/==", "+/==", "%2b%2F%3d%3D"])
async def test_a_link_opens_as_the_header_does_whatever_was_escaped(client: Client, shown: str) -> None:
    token = WALL.replace("+/==", shown)
    assert await status(client, f"/api/snapshot?token={token}&level=floor") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"bearer  {WALL} "},
        {"Authorization": f"BEARER {WALL}"},
    ],
)
async def test_a_header_is_read_as_it_may_be_written(client: Client, headers: dict[str, str]) -> None:
    assert await status(client, "/wall", headers) == 200


async def test_a_proxys_own_login_does_not_hide_the_token_of_the_link(client: Client) -> None:
    assert await status(client, f"/wall?token={WALL}", {"Authorization": "Basic YTpi"}) == 200


@pytest.mark.parametrize(
    "headers",
    [
        bearer(WALL[:-1]),
        bearer(WALL + "x"),
        bearer(""),
        {"Authorization": f"Basic {WALL}"},
        {"Authorization": WALL},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
async def test_anything_but_a_known_token_opens_nothing(client: Client, headers: dict[str, str]) -> None:
    assert await status(client, "/wall", headers) == 401


async def test_a_wrong_header_is_not_mended_by_a_right_link(client: Client) -> None:
    assert await status(client, f"/wall?token={WALL}", bearer("x" * 20)) == 401


async def test_a_refusal_says_what_to_do(client: Client) -> None:
    async with client.get("/api/snapshot") as response:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="salesfloor"'
        assert "add ?token=… to the address or send the header" in (await response.json())["error"]
    async with client.get("/wall?token=0123456789abcdef") as response:
        text = await response.text()
        assert text.startswith("this token is not known here; ")
        assert "0123456789abcdef" not in text
        assert response.headers["Referrer-Policy"] == "no-referrer"
    async with client.get("/metrics", headers=bearer(WALL)) as response:
        assert "shows the wall and the status page only" in await response.text()


async def test_no_handler_sees_the_token_of_the_link(client: Client) -> None:
    async with client.get(f"/wall/east?lang=fa&token={WALL}&theme=dark") as response:
        assert json.loads(await response.text()) == {"query": "/wall/east?lang=fa&theme=dark", "may": "wall"}


async def test_no_token_reaches_a_log_even_when_a_handler_breaks(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(_request: web.Request) -> web.Response:
        raise RuntimeError("broken")

    app = web.Application(middlewares=[guard(GRANTS)])
    app.router.add_get("/wall", breaks)
    with caplog.at_level(logging.DEBUG):
        async with (
            serving(app, "127.0.0.1", 0, role="metrics") as address,
            ClientSession() as session,
            session.get(f"{address}/wall?token={WALL}") as response,
        ):
            assert response.status == 500
    assert "broken" in caplog.text
    assert "wall-0123456789" not in caplog.text
    assert "wall-0123456789" not in repr(GRANTS)


async def test_a_stream_of_events_passes_the_guard_as_it_comes() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await response.write(b"data: two\n\n")
        return response

    app = web.Application(middlewares=[guard(GRANTS)])
    app.router.add_get("/wall/stream", stream)
    async with TestClient(TestServer(app)) as client:
        for _again in range(2):
            async with client.get(f"/wall/stream?board=a&token={WALL}") as response:
                assert await response.read() == b"data: one\n\ndata: two\n\n"


# --- commissions


async def commissions(grants: tuple[Grant, ...], token: str = "") -> dict[str, dict[str, float]]:
    app = create_app(a_floor(), grants=grants)
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/api/commissions", headers=bearer(token) if token else None) as response,
    ):
        found = (await response.json())["commissions"]
        return {estimate["plan"]: estimate["reps"] for estimate in found}


BOTH = {"ann": 10.0, "bob": 20.0}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (ALL, {"secret": BOTH, "open": BOTH, "bobs": {"bob": 20.0}}),
        (WALL, {"open": BOTH}),
        (ANN, {"secret": {"ann": 10.0}, "open": BOTH}),
        (BOB, {"secret": {"bob": 20.0}, "open": BOTH, "bobs": {"bob": 20.0}}),
    ],
)
async def test_a_commission_is_told_to_its_rep_and_to_who_may_see_all(
    token: str, expected: dict[str, dict[str, float]]
) -> None:
    assert await commissions(GRANTS, token) == expected


async def test_where_no_token_is_asked_for_nobody_sees_a_commission_that_is_for_the_rep_alone() -> None:
    assert await commissions(()) == {"open": BOTH}
    assert not ANYBODY.every_commission


async def test_a_rep_who_has_sold_nothing_is_told_so() -> None:
    token = "new-0123456789abc"
    assert (await commissions((grant_of("new", token, Scope.REP, "new"),), token))["secret"] == {"new": 0.0}


async def test_estimates_for_the_rep_alone_follow_the_ticks() -> None:
    reader, clock = FakeReader(won("ann", THURSDAY_NOON_MS - 1)), Clock(THURSDAY_NOON_MS)
    service = service_of(reader, clock, RULES)
    async with TestClient(TestServer(create_app(service, grants=GRANTS))) as client:

        async def told() -> float:
            async with client.get("/api/commissions", headers=bearer(ANN)) as response:
                plans = {each["plan"]: each["reps"] for each in (await response.json())["commissions"]}
                return float(plans["secret"]["ann"])

        assert [await told(), await told()] == [10.0, 10.0]
        reader.put([*won("ann", THURSDAY_NOON_MS - 1), *won("ann", THURSDAY_NOON_MS)])
        clock.now_ms += 1000
        service.tick()
        assert await told() == 20.0
