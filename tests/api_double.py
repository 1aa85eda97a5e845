"""What the stand-ins of vendors' APIs share: a token, requests remembered, faults used up one by one.

Strict where the vendor is: what its documentation does not allow is refused, so a fetcher that asks otherwise
is found out here. tests/vendors has the vendors' own clients ask the same doubles.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass(slots=True)
class Fault:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    body: str = '{"status":"error","message":"says pat-eu1-hunter2"}'


class Asked(NamedTuple):
    """One request as it came in."""

    method: str
    path: str
    """With its query."""
    body: Any
    """Parsed; None where there was none."""


@dataclass(kw_only=True)
class ApiDouble:
    """Answers by `answer`, once token and faults let a request through."""

    token: str
    scheme: str = "Bearer"
    faults: deque[Fault] = field(default_factory=deque)
    heard: list[Asked] = field(default_factory=list)
    """Every request, whatever its answer."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        told = Asked(request.method, request.path_qs, json.loads(raw) if raw else None)
        self.heard.append(told)
        if self.faults:
            fault = self.faults.popleft()
            if fault.hangs:
                await asyncio.Event().wait()
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        if not self.allows(request.headers.get("Authorization")):
            return self.token_refused()
        if raw and not request.content_type.endswith("json"):
            return web.Response(status=415)
        return self.answer(told)

    def allows(self, authorization: str | None) -> bool:
        return authorization == f"{self.scheme} {self.token}"

    def token_refused(self) -> web.Response:
        raise NotImplementedError

    def answer(self, asked: Asked) -> web.Response:
        raise NotImplementedError


@asynccontextmanager
async def served(double: ApiDouble) -> AsyncIterator[str]:
    """Yield the address of the double's API."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield str(server.make_url("")).rstrip("/")
