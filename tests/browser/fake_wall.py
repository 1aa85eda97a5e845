"""A wall without a floor behind it: the real page, and a stream whose every message the caller decides.

For page tests that must steer time and faults, and for working on the page:
    python -m tests.browser.fake_wall --port 8500
"""

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.browser.fake_floor import FakeFloor

WALL = Path(__file__).parent.parent.parent / "metrics" / "wall"
RELEASE = "fake-1"
Message = tuple[str, Mapping[str, Any]]


class FakeWall:
    """Serves the page; `send` reaches every open stream, `first_messages` greet a new one."""

    def __init__(self, floor: FakeFloor | None = None) -> None:
        self.floor = floor or FakeFloor()
        self.release = RELEASE
        self.open_streams: set[asyncio.Queue[Message | None]] = set()
        self.connected = asyncio.Event()
        self.connections = 0
        self.pages = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hello(self) -> dict[str, Any]:
        return {**self.floor.hello(), "release": self.release}

    def first_messages(self, board: str) -> Sequence[Message]:
        return (("hello", self.hello()), ("board", self.floor.board(board)))

    def send(self, name: str, data: Mapping[str, Any]) -> None:
        for queue in self.open_streams:
            queue.put_nowait((name, data))

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/wall", self._page)
        app.router.add_get("/wall/stream", self._stream)
        app.router.add_get("/wall/assets/{release}/{name:.+}", self._asset)
        app.router.add_get("/wall/{board}", self._page)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        # The same port after a restart: a page looks for its server where it left it.
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert site._server is not None
        listening: Any = site._server
        sockets: Sequence[socket.socket] = listening.sockets
        self.port = sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.drop_streams()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def drop_streams(self) -> None:
        for queue in self.open_streams:
            queue.put_nowait(None)
        self.open_streams.clear()

    async def _page(self, request: web.Request) -> web.Response:
        self.pages += 1
        language = request.query.get("lang", self.floor.language)
        page = (WALL / "static" / "wall.html").read_text(encoding="utf-8")
        for mark, text in (
            ("{{release}}", self.release),
            ("{{language}}", language),
            ("{{dir}}", "rtl" if language == "fa" else "ltr"),
            ("{{floor}}", self.floor.name),
            ("{{theme}}", "auto"),
        ):
            page = page.replace(mark, text)
        return web.Response(text=page, content_type="text/html")

    async def _asset(self, request: web.Request) -> web.FileResponse:
        name = request.match_info["name"]
        folder = WALL if name.startswith("text/") else WALL / "static"
        return web.FileResponse(folder / name, headers={"Cache-Control": "no-store"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await answer.prepare(request)
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        for message in self.first_messages(request.query.get("board", "") or self.floor.boards[0]["name"]):
            queue.put_nowait(message)
        self.open_streams.add(queue)
        self.connections += 1
        self.connected.set()
        try:
            while (sent := await queue.get()) is not None:
                name, data = sent
                await answer.write(
                    f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
                )
        except ConnectionError:
            pass
        finally:
            self.open_streams.discard(queue)
        return answer


@asynccontextmanager
async def fake_wall(floor: FakeFloor | None = None) -> AsyncIterator[FakeWall]:
    wall = FakeWall(floor)
    await wall.start()
    try:
        yield wall
    finally:
        await wall.stop()


async def _show(port: int) -> None:
    wall = FakeWall()
    wall.port = port
    await wall.start()
    print(f"{wall.address}/wall", flush=True)
    tick = 0
    try:
        while True:
            await asyncio.sleep(1)
            tick += 1
            for board in wall.floor.boards:
                wall.send("change", wall.floor.tick(board["name"]))
            if tick % 20 == 5:
                wall.send("win", wall.floor.win())
            if tick == 3:
                wall.send("alerts", wall.floor.alerts())
    finally:
        await wall.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8500)
    try:
        asyncio.run(_show(arguments.parse_args().port))
    except KeyboardInterrupt:
        pass
