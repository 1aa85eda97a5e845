"""A floor whose wall is served over HTTP, stepped by hand, and a page that reads its stream; for tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from metrics.beside import BesideRules
from metrics.catalogue import BUILT_IN
from metrics.kpi import Catalogue
from metrics.service import SnapshotService
from metrics.snapshot import SnapshotConfig
from metrics.wall.alerts import FiringAlert
from metrics.wall.boards import Board, FeedWidget, KpiWidget, WallRules, WinRules
from metrics.wall.wins import DealTurn
from metrics.web.app import create_app
from metrics.web.wall import Assets, Wall
from metrics.web.wall_stream import WallStream
from tests.panes import READY, FakeReader, Row
from tests.unit.wall.floors import NOW_MS, REFERENCES, ROWS

Client = TestClient[Any, Any]
Message = tuple[str, dict[str, Any]]
REVENUE = KpiWidget("revenue", "today")
BOARDS = (
    Board("floor", (REVENUE, KpiWidget("leads_created", "today"), FeedWidget()), "Floor"),
    Board("south", (KpiWidget("revenue", "today", "team", "south"),), team="south", seconds=7),
)
RULES = WallRules(boards=BOARDS, wins=WinRules(seconds=9, sound=True, quiet=(20 * 60, 8 * 60)))
NARROW = SnapshotConfig(
    levels=("floor", "team", "rep"),
    windows=("today", "mtd"),
    catalogue=Catalogue(tuple(BUILT_IN[name] for name in ("revenue", "deals_won", "leads_created"))),
)


@dataclass
class Turns:
    waiting: list[DealTurn] = field(default_factory=list)

    def take(self) -> Sequence[DealTurn]:
        taken, self.waiting = self.waiting, []
        return taken


@dataclass
class Alerts:
    now: list[FiringAlert] = field(default_factory=list)

    def firing(self) -> Sequence[FiringAlert]:
        return self.now


class Floor:
    """A service over panes that the test sets, its wall, and a clock moved by hand."""

    def __init__(
        self, rules: WallRules = RULES, *, assets: Assets | None = None, config: SnapshotConfig = NARROW
    ) -> None:
        self.now_ms = NOW_MS
        state = replace(READY, newest_event_ms=NOW_MS)
        self.reader = FakeReader(ROWS, references=REFERENCES, state=state)
        self.service = SnapshotService(
            self.reader, now_ms=lambda: self.now_ms, config=config, beside=BesideRules()
        )
        self.turns, self.alerts = Turns(), Alerts()
        self.assets = assets or Assets("1-abc", "<p>{{floor}} {{release}} {{language}} {{dir}}</p>", {})
        self.stream = WallStream(
            self.service, rules, floor="Main & floor", release=self.assets.release,
            now_ms=lambda: self.now_ms, turns=self.turns, alerts=self.alerts,
        )  # fmt: skip
        self.wall = Wall(self.stream, self.assets)

    async def tick(self, rows: Iterable[Row] | None = None, *, after_ms: int = 1000) -> None:
        self.now_ms += after_ms
        if rows is not None:
            self.reader.put(rows)
        self.service.tick()
        await self.stream.tick()

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[Client]:
        app = create_app(self.service, floor_name="Main & floor", wall=self.wall, **options)
        async with TestClient(TestServer(app)) as client:
            yield client


class Page:
    """Reads a stream message by message."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.ids: list[int] = []

    async def next(self) -> Message:
        event, data = "", ""
        while True:
            line = (await self.response.content.readline()).decode()
            assert line, "the stream ended"
            name, _, value = line.strip().partition(": ")
            match name:
                case "event":
                    event = value
                case "data":
                    data = value
                case "id":
                    self.ids.append(int(value))
                case "" if data:
                    return event, json.loads(data)

    async def all_of(self, count: int) -> dict[str, dict[str, Any]]:
        return dict([await self.next() for _ in range(count)])


@asynccontextmanager
async def watched(floor: Floor, client: Client, query: str = "?board=floor") -> AsyncIterator[Page]:
    """Connect a page and read its greeting."""
    before = set(floor.stream._screens)
    asking = asyncio.create_task(client.get(f"/wall/stream{query}"))
    while not floor.stream._screens - before and not asking.done():
        await asyncio.sleep(0)
    if not asking.done():
        await floor.tick()
    async with await asking as response:
        yield Page(response)
