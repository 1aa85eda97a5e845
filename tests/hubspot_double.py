"""A stand-in for HubSpot's CRM API, as documented: batch read of objects and associations, limits and faults.

It answers what the records it is given say, with only the properties that were asked for. `faults` are used
up one for each request: a status with headers, or no answer at all. A request in another form than the
documented one is refused. HubSpot's own client asks it in tests/vendors.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.api_double import Fault

TOKEN = "pat-eu1-hunter2"
BATCH_MAX = 100
LINKS_MAX = 1000
READ_MEMBERS = {"inputs", "properties", "propertiesWithHistory", "idProperty"}
NOW = "2025-11-14T15:00:00.000Z"
TIMES = {"createdAt": NOW, "updatedAt": NOW}
CORRELATION = "aeb5f871-7f07-4993-9211-075dc63e7cbf"


@dataclass
class HubSpotDouble:
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(plural of the kind, id) -> the record as `GET …?associations=` gives it."""
    links: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """(plural, other plural, id) -> associated records."""
    token: str = TOKEN
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    """Path and ids of every request, whatever its answer."""
    on_read: Callable[[], None] = lambda: None
    hold: asyncio.Event | None = None
    """No request is answered before it is set."""
    malformed_id: str = ""
    """A batch with it is refused whole."""

    def put(self, plural: str, record: dict[str, Any], **links: list[str]) -> None:
        self.records[plural, record["id"]] = record
        for other, ids in links.items():
            self.links[plural, other, record["id"]] = [
                {"toObjectId": int(one), "associationTypes": [_link(None)]} for one in ids
            ]

    def link_primary(self, plural: str, other: str, one: str, to: str) -> None:
        ends = self.links.setdefault((plural, other, one), [])
        ends.append({"toObjectId": int(to), "associationTypes": [_link(None), _link("Primary")]})

    @property
    def reads(self) -> list[list[str]]:
        """The ids of every read of records."""
        return [ids for path, ids in self.asked if "/objects/" in path]

    async def _objects(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        ids = [one["id"] for one in body["inputs"]]
        if fault := await self._fault(request, ids, BATCH_MAX):
            return fault
        if self.malformed_id in ids or not body.keys() <= READ_MEMBERS:
            return _error(400, "VALIDATION_ERROR")
        self.on_read()
        archived = request.query.get("archived", "false") == "true"
        results = []
        for one in ids:
            record = self.records.get((request.match_info["kind"], one))
            if record is not None and record.get("archived", False) is archived:
                asked = {name: record["properties"].get(name) for name in body["properties"]}
                told = {name: value for name, value in record.items() if name != "associations"}
                results.append({**TIMES, **told, "properties": {**asked, "hs_object_id": record["id"]}})
        return _multi(results, [one for one in ids if one not in {found["id"] for found in results}])

    async def _links(self, request: web.Request) -> web.StreamResponse:
        ids = [one["id"] for one in (await request.json())["inputs"]]
        if fault := await self._fault(request, ids, LINKS_MAX):
            return fault
        kinds = request.match_info["kind"], request.match_info["other"]
        found = {one: self.links[(*kinds, one)] for one in ids if self.links.get((*kinds, one))}
        results = [{"from": {"id": one}, "to": ends} for one, ends in found.items()]
        return _multi(results, [one for one in ids if one not in found])

    async def _fault(self, request: web.Request, ids: list[str], most: int) -> web.StreamResponse | None:
        self.asked.append((request.path_qs, ids))
        if self.hold is not None:
            await self.hold.wait()
        if self.faults:
            fault = self.faults.popleft()
            if fault.hangs:
                await asyncio.Event().wait()
            if fault.status:
                return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "INVALID_AUTHENTICATION")
        if request.content_type != "application/json" or not request.query.keys() <= {"archived"}:
            return _error(400, "VALIDATION_ERROR")
        if not 1 <= len(ids) <= most or len(set(ids)) != len(ids):
            return _error(400, "VALIDATION_ERROR")
        return None


def _error(status: int, category: str) -> web.Response:
    body = {"status": "error", "message": "as documented", "correlationId": CORRELATION, "category": category}
    return web.json_response(body, status=status)


def _link(label: str | None) -> dict[str, Any]:
    return {"category": "HUBSPOT_DEFINED", "typeId": 5 if label else 341, "label": label}


def _multi(results: list[dict[str, Any]], missing: list[str]) -> web.Response:
    """Answer 200, or 207 with what was not found beside what was."""
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": NOW, "completedAt": NOW}
    if missing:
        error = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some objects, they may be deleted or not exist.",
            "context": {"ids": missing},
            "errors": [],
            "links": {},
        }
        body |= {"numErrors": 1, "errors": [error]}
    return web.json_response(body, status=207 if missing else 200)


@asynccontextmanager
async def hubspot_double() -> AsyncIterator[tuple[HubSpotDouble, str]]:
    """Yield the double and the address of its API."""
    double = HubSpotDouble()
    app = web.Application()
    app.router.add_post("/crm/v3/objects/{kind}/batch/read", double._objects)
    app.router.add_post("/crm/v4/associations/{kind}/{other}/batch/read", double._links)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield double, str(server.make_url("")).rstrip("/")
