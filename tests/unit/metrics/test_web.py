"""The HTTP faces: what they show, what they refuse, and that no page can be talked into running anything."""

import base64
import gzip
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from metrics.beside import BesideReport
from metrics.catalogue import BUILT_IN
from metrics.formula import KpiUnit
from metrics.kpi import LEVELS, Catalogue, Kpi
from metrics.kpi_snapshot import KpiSnapshot, LevelKeys, Series
from metrics.panes import FeedState, PaneLog
from metrics.reference import Target
from metrics.rewards import CommissionEstimate
from metrics.scrapes import Rendered
from metrics.snapshot import EVERYTHING, Filters, PaneImage, SnapshotConfig, take_snapshot
from metrics.targets import FIGURES
from metrics.web.app import create_app
from metrics.web.query import BadAsk, ask_of, instant_ms
from tests.panes import FakeReader

Client = TestClient[Any, Any]
AS_OF_MS = 1_795_253_400_000  # 2026-11-21T09:30:00Z
CATALOGUE = Catalogue((BUILT_IN["revenue"], BUILT_IN["deals_won"], BUILT_IN["open_deals"]))


def series(kpi: str, level: str, *values: float) -> Series:
    windows = ("1h", "today")
    return Series(BUILT_IN[kpi], level, windows, np.array([values, values]))


def taken(as_of_ms: int) -> KpiSnapshot:
    return KpiSnapshot(
        as_of_ms=as_of_ms,
        reporting_currency="EUR",
        state=FeedState(),
        windows=(),
        left_out=(),
        missing_rates={},
        data_age_seconds=None,
        keys={"floor": LevelKeys(("all",)), "team": LevelKeys(("east", "west"))},
        series=(
            series("revenue", "floor", 30.0),
            series("deals_won", "floor", 3.0),
            series("deals_won", "team", 1.0, 2.0),
            Series(BUILT_IN["open_deals"], "team", (), np.array([[4.0, 5.0]])),
        ),
    )


class FixedSource:
    """Always the same numbers; keeps what of the past it was asked."""

    config = SnapshotConfig(levels=("floor", "team"), windows=("1h", "today"), catalogue=CATALOGUE)

    def __init__(self) -> None:
        self.reason = ""
        self.current: KpiSnapshot | None = taken(AS_OF_MS)
        self.beside: BesideReport | None = None
        self.asked: list[tuple[int, Filters]] = []

    async def scrape(self, *, openmetrics: bool, gzipped: bool) -> Rendered:
        kind = "application/openmetrics-text" if openmetrics else "text/plain; version=0.0.4"
        body = b"salesfloor_floor_deals_won 3\n"
        return Rendered(f"{kind}; charset=utf-8", body)

    def image(self) -> PaneImage:
        longs, ints = np.array([], dtype=np.int64), np.array([], dtype=np.int32)
        return PaneImage((), PaneLog(longs, ints, ints, longs), (), (), FeedState())

    def at_image(self, image: PaneImage, as_of_ms: int, filters: Filters = EVERYTHING) -> KpiSnapshot:
        self.asked.append((as_of_ms, filters))
        return taken(as_of_ms)

    def commissions(self, image: PaneImage, as_of_ms: int) -> tuple[CommissionEstimate, ...]:
        return ()

    def not_ready(self) -> str:
        return self.reason


@pytest.fixture
def source() -> FixedSource:
    return FixedSource()


@pytest.fixture
async def client(source: FixedSource) -> AsyncIterator[Client]:
    app = create_app(source, floor_name='Kühn & <script>alert("x")</script>', zone="Europe/Berlin")
    async with TestClient(TestServer(app)) as client:
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
    source: FixedSource, accepted: str, zipped: bool
) -> None:
    headers = {"Accept-Encoding": accepted}
    async with (
        TestClient(TestServer(create_app(source)), auto_decompress=False) as client,
        client.get("/metrics", headers=headers) as response,
    ):
        body = await response.read()
        assert (response.headers.get("Content-Encoding") == "gzip") == zipped
        assert (gzip.decompress(body) if zipped else body) == b"salesfloor_floor_deals_won 3\n"


# --- the API


async def snapshot(client: Client, query: str = "") -> dict[str, Any]:
    async with client.get(f"/api/snapshot{query}") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_snapshot_without_a_question_is_the_live_one(client: Client, source: FixedSource) -> None:
    assert source.current is not None
    assert await snapshot(client) == {**source.current.to_json_obj(), "not_ready": ""}
    assert source.asked == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?kpi=revenue", [("revenue", "floor", "1h"), ("revenue", "floor", "today")]),
        ("?level=team&window=1h", [*2 * [("deals_won", "team", "1h")], *2 * [("open_deals", "team", None)]]),
        ("?level=floor&kpi=deals_won&window=today", [("deals_won", "floor", "today")]),
    ],
)
async def test_live_snapshot_is_cut_to_what_was_asked(
    client: Client, source: FixedSource, query: str, expected: list[tuple[str, str, str | None]]
) -> None:
    values = (await snapshot(client, query))["values"]
    assert [(value["kpi"], value["level"], value.get("window")) for value in values] == expected
    assert source.asked == []


async def test_what_the_gauges_leave_out_is_computed_for_the_same_instant(
    client: Client, source: FixedSource
) -> None:
    await snapshot(client, "?level=product&window=30d")
    assert source.asked == [(AS_OF_MS, Filters(levels=("product",), windows=("30d",)))]


async def test_new_tick_is_not_answered_with_the_old_one(client: Client, source: FixedSource) -> None:
    await snapshot(client)
    source.current = taken(AS_OF_MS + 1000)
    assert (await snapshot(client))["as_of"] == "2026-11-21T09:30:01.000Z"


async def test_past_instant_is_asked_for_as_it_was_written(client: Client, source: FixedSource) -> None:
    query = "?at=2026-11-21T09:30:00%2B01:00&level=team&level=floor&kpi=revenue,deals_won&window=1h"
    assert (await snapshot(client, query))["as_of"] == "2026-11-21T08:30:00.000Z"
    filters = Filters(("team", "floor"), ("revenue", "deals_won"), ("1h",))
    assert source.asked == [(AS_OF_MS - 3_600_000, filters)]


@pytest.mark.parametrize("path", ["/api/snapshot", "/api/targets"])
async def test_an_answer_about_the_past_says_too_when_not_all_is_read(
    client: Client, source: FixedSource, path: str
) -> None:
    source.reason = "3 of 4 slots are read"
    async with client.get(f"{path}?at=2026-11-21T09:30:00Z") as response:
        assert (await response.json())["not_ready"] == "3 of 4 slots are read"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("at=yesterday", "2026-11-21T09:30:00Z"),
        ("at=2026-11-21T09:30:00", "names no zone"),
        ("at=2026-11-21T09:30:00Z&at=2026-11-21T09:30:00Z", "given twice"),
        ("level=squad", "unknown level 'squad'; use one of floor"),
        ("kpi=revenu", "did you mean revenue?"),
        ("window=2h", "unknown window '2h'"),
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
    assert ask_of({"window": ["1h,1h", "1h"]}, BUILT_IN) == (None, Filters(windows=("1h",)))


def test_custom_kpi_may_be_asked_for_only_where_it_exists() -> None:
    custom = Kpi("calls_per_win", "Calls per deal won.", "calls / deals_won", KpiUnit.COUNT)
    query = {"kpi": ["calls_per_win"]}
    assert ask_of(query, BUILT_IN.with_custom([custom]))[1] == Filters(kpis=("calls_per_win",))
    with pytest.raises(BadAsk, match="unknown KPI"):
        ask_of(query, BUILT_IN)


async def test_catalogue_lists_the_kpis(client: Client) -> None:
    async with client.get("/api/kpis") as response:
        kpis = (await response.json())["kpis"]
    figures = [figure.name for figure in FIGURES]
    assert [kpi["name"] for kpi in kpis] == ["revenue", "deals_won", "open_deals", *figures]
    assert kpis[3]["gauges"] == [FIGURES[0].gauge_name(level) for level in LEVELS]
    assert kpis[0] == {
        "name": "revenue",
        "sentence": "Amount of the deals won in the window.",
        "formula": "won_amount",
        "unit": "money",
        "levels": ["floor", "team", "rep", "product", "source", "region"],
        "quantiles": [],
        "gauges": [f"salesfloor_{level}_revenue" for level in kpis[0]["levels"]],
    }


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
    source.current, source.reason = None, "no board read yet"
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


# --- targets


def with_targets(source: FixedSource) -> None:
    noon_ms = round(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp() * 1000)
    targets = (
        Target("deals_won", "floor", "", "2026-11", Decimal(21)),
        Target("revenue", "floor", "", "2026-11", Decimal(21), "USD"),
        Target("nothing", "floor", "", "2026-11", Decimal(21)),
    )
    reader = FakeReader(references=targets)
    source.current = take_snapshot(reader, noon_ms, SnapshotConfig(catalogue=CATALOGUE))


async def targets_at(client: Client, query: str = "") -> dict[str, Any]:
    async with client.get(f"/api/targets{query}") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_targets_are_told_alone_and_by_kpi(client: Client, source: FixedSource) -> None:
    with_targets(source)
    told = await targets_at(client)
    assert [target["kpi"] for target in told["targets"]] == ["deals_won", "revenue"]
    assert [problem["record"] for problem in told["reference_problems"]] == ["target:nothing:floor::2026-11"]
    assert (told["as_of"], told["not_ready"]) == ("2026-11-18T12:00:00.000Z", "")
    assert "values" not in told
    only = await targets_at(client, "?kpi=deals_won&level=floor")
    assert [target["kpi"] for target in only["targets"]] == ["deals_won"]
    assert (await targets_at(client, "?level=team"))["targets"] == []


async def test_targets_of_a_past_instant_are_computed_for_it(client: Client, source: FixedSource) -> None:
    await targets_at(client, "?at=2026-11-18T12:00:00Z&kpi=deals_won")
    ((as_of_ms, filters),) = source.asked
    assert as_of_ms == round(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp() * 1000)
    assert filters == Filters(kpis=("deals_won",), windows=())


async def test_targets_know_no_windows_and_wait_for_the_first_tick(
    client: Client, source: FixedSource
) -> None:
    async with client.get("/api/targets?window=1h") as response:
        assert response.status == 400
        assert "no parameter 'window'; there is at, level, kpi" in (await response.json())["error"]
    source.current = None
    async with client.get("/api/targets") as response:
        assert response.status == 503
