"""The HTTP faces: what they show, what they refuse, and that no page can be talked into running anything."""

import base64
import gzip
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from metrics.web.app import NoSnapshot, create_app
from metrics.web.query import Ask, BadAsk, ask_from_query, instant_ms

Client = TestClient[Any, Any]
KPIS = ("revenue", "deals_won")


@dataclass(frozen=True)
class Rendered:
    content_type: str
    body: bytes

    @property
    def gzipped(self) -> bytes:
        return gzip.compress(self.body)


class FixedSource:
    """Always the same numbers; keeps what it was asked."""

    def __init__(self) -> None:
        self.reason = ""
        self.has_snapshot = True
        self.asked: list[Ask] = []

    def exposition(self, *, openmetrics: bool) -> Rendered:
        kind = "application/openmetrics-text" if openmetrics else "text/plain; version=0.0.4"
        return Rendered(f"{kind}; charset=utf-8", b"salesfloor_floor_deals_won 3\n")

    def live_json(self, ask: Ask) -> dict[str, Any]:
        if not self.has_snapshot:
            raise NoSnapshot("no board read yet")
        self.asked.append(ask)
        return {"as_of": "2026-11-21T09:30:00Z", "values": []}

    def json_at(self, ask: Ask) -> dict[str, Any]:
        self.asked.append(ask)
        return {"as_of": "then", "values": []}

    def catalogue(self) -> list[dict[str, Any]]:
        return [{"name": name, "unit": "count"} for name in KPIS]

    def not_ready(self) -> str:
        return self.reason


@pytest.fixture
def source() -> FixedSource:
    return FixedSource()


@pytest.fixture
async def client(source: FixedSource) -> AsyncIterator[Client]:
    app = create_app(source, floor_name='Kühn & <script>alert("x")</script>', zone="Europe/Berlin")
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client


# --- /metrics


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.2,text/plain;version=0.0.4;q=0.3", "text/plain"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("application/openmetrics-text;q=nonsense", "text/plain"),
    ],
)
async def test_scraper_gets_the_format_it_prefers(client: Client, accept: str, expected: str) -> None:
    async with client.get("/metrics", headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.content_type == expected


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("identity", False), ("gzip;q=0", False)],
)
async def test_scrape_is_zipped_only_for_who_can_unzip_it(
    client: Client, accepted: str, zipped: bool
) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": accepted}) as response:
        body = await response.read()
        assert (response.headers.get("Content-Encoding") == "gzip") == zipped
        assert (gzip.decompress(body) if zipped else body) == b"salesfloor_floor_deals_won 3\n"


# --- the API


async def test_snapshot_without_a_question_is_the_live_one(client: Client, source: FixedSource) -> None:
    async with client.get("/api/snapshot") as response:
        assert await response.json() == {"as_of": "2026-11-21T09:30:00Z", "values": [], "not_ready": ""}
    assert source.asked == [Ask()]


async def test_snapshot_passes_on_what_was_asked(client: Client, source: FixedSource) -> None:
    query = "?at=2026-11-21T09:30:00%2B01:00&level=team&level=rep&kpi=revenue,deals_won&window=1h"
    async with client.get(f"/api/snapshot{query}") as response:
        assert response.status == 200
    assert source.asked == [Ask(1_795_249_800_000, ("team", "rep"), ("revenue", "deals_won"), ("1h",))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("at=yesterday", "2026-11-21T09:30:00Z"),
        ("at=2026-11-21T09:30:00", "names no zone"),
        ("at=2026-11-21T09:30:00Z&at=2026-11-21T09:30:00Z", "given twice"),
        ("level=squad", "no level 'squad'; there is floor"),
        ("kpi=revenu", "did you mean 'revenue'?"),
        ("window=2h", "no window '2h'"),
        ("windows=1h", "no parameter 'windows'; there is at, level, kpi, window"),
    ],
)
async def test_bad_question_is_answered_with_the_fix(client: Client, query: str, expected: str) -> None:
    async with client.get(f"/api/snapshot?{query}") as response:
        assert response.status == 400
        assert expected in (await response.json())["error"]


def test_plus_that_an_unescaped_address_lost_is_mended() -> None:
    assert instant_ms("2026-11-21T09:30:00 08:00") == instant_ms("2026-11-21T09:30:00+08:00")


def test_instant_with_a_blank_between_date_and_time_is_read() -> None:
    assert instant_ms("2026-11-21 09:30:00.250Z") == 1_795_253_400_250


def test_question_names_nothing_twice() -> None:
    assert ask_from_query({"window": ["1h,1h", "1h"]}, known_kpis=KPIS).windows == ("1h",)


def test_custom_kpi_may_be_asked_for_only_where_it_exists() -> None:
    assert ask_from_query({"kpi": ["calls_per_win"]}, known_kpis=["calls_per_win"]).kpis == ("calls_per_win",)
    with pytest.raises(BadAsk, match="no kpi"):
        ask_from_query({"kpi": ["calls_per_win"]}, known_kpis=KPIS)


async def test_catalogue_lists_the_kpis(client: Client) -> None:
    async with client.get("/api/kpis") as response:
        assert [kpi["name"] for kpi in (await response.json())["kpis"]] == list(KPIS)


# --- probes


async def test_not_ready_says_why_and_healthy_stays(client: Client, source: FixedSource) -> None:
    source.reason = "slot 2 of 4 is missing"
    async with client.get("/-/ready") as response:
        assert (response.status, await response.text()) == (503, "slot 2 of 4 is missing\n")
    async with client.get("/-/healthy") as response:
        assert response.status == 200
    source.reason = ""
    async with client.get("/-/ready") as response:
        assert response.status == 200


async def test_before_the_first_board_the_api_says_what_it_waits_for(
    client: Client, source: FixedSource
) -> None:
    source.has_snapshot = False
    async with client.get("/api/snapshot") as response:
        assert (response.status, await response.json()) == (503, {"error": "no board read yet"})


# --- the page


@pytest.mark.parametrize("path", ["/", "/wall"])
async def test_page_escapes_the_floors_name(client: Client, path: str) -> None:
    async with client.get(path) as response:
        page = await response.text()
        assert response.status == 200
    assert "Kühn &amp; &lt;script&gt;" in page
    assert "<script>alert" not in page


async def test_page_may_run_exactly_its_own_script_and_style(client: Client) -> None:
    async with client.get("/") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
        assert f"{tag}-src 'sha256-{digests[0]}'" in policy
        assert len(bodies) == 1
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


async def test_page_fetches_nothing_from_elsewhere(client: Client) -> None:
    async with client.get("/") as response:
        page = await response.text()
    assert re.findall(r"(?:https?:)?//[a-z]|(?:src|srcset)=|@import|url\(|\sstyle=|\son[a-z]+=", page) == []


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/api/kpis", "/api/snapshot?level=x", "/-/ready", "/nowhere"]
)
async def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"
