"""Sources, a clerk and a token in, the gateway's HTTP application out. Composes, decides nothing.

POST /events takes CloudEvents, POST /hooks/<source> what a source's vendor sends; /tail and /incomplete say
what became of it, /metrics counts it. Never keeps an event: what was not acknowledged is the sender's to
send again, which changes nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from streams.clock import Clock
from streams.gateway.clerk import FOR_EVER_MS, Clerk
from streams.gateway.door import BODY_BYTES_MAX, Door, refusal
from streams.gateway.ledger import Ledger
from streams.gateway.model import Source
from streams.gateway.replays import Replays
from streams.gateway.sender import Sender
from streams.gateway.signing import bearer, same
from streams.gateway.vendors import VENDORS
from streams.limits import Rate

EVENTS: Final = "events"
"""The name under which what comes to POST /events is counted."""
_STILL_HERE_SECONDS: Final = 10.0

CLERK = web.AppKey("clerk", Clerk)
TOKEN = web.AppKey("token", str)

AddDoors = Callable[[web.Application], None]
"""Adds routes to the gateway; finds the clerk and the token under `CLERK` and `TOKEN`."""


def create_app(
    sender: Sender,
    clock: Clock,
    *,
    token: str | None,
    retention_ms: int | None,
    sources: Iterable[Source] = (),
    ledger: Ledger | None = None,
    more_doors: Iterable[AddDoors] = (),
    rate: Rate | None = None,
) -> web.Application:
    """Build the gateway. Without a token it stands, but lets nobody in. `retention_ms` None leaves it to the
    workers to say what is too old: with the event clock only they know what now is. `rate` is what each
    source may send."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_plain_headers])
    clerk = Clerk(sender, clock, ledger or Ledger(), FOR_EVER_MS if retention_ms is None else retention_ms)
    app[CLERK], app[TOKEN] = clerk, token or ""
    app.router.add_post("/events", _door(_events_source(token), clerk, rate).handle)
    for source in sources:
        app.router.add_post(f"/hooks/{source.name}", _door(source, clerk, rate).handle)
    app.router.add_get("/tail", _tail)
    app.router.add_get("/incomplete", _incomplete)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    app.on_shutdown.append(_end_tails)
    for add_doors in more_doors:
        add_doors(app)
    return app


def shows_token(request: web.Request) -> bool:
    """Say whether the request carries the gateway's own bearer token."""
    return same(bearer(request.headers.get("Authorization", "")), [request.app[TOKEN]])


def _events_source(token: str | None) -> Source:
    secrets = (token,) if token else ()
    return Source(name=EVENTS, kind="cloudevents", zone=ZoneInfo("UTC"), secrets=secrets)


def _door(source: Source, clerk: Clerk, rate: Rate | None) -> Door:
    return Door(source, VENDORS[source.kind], clerk, Replays(), rate)


async def _tail(request: web.Request) -> web.StreamResponse:
    """Send a JSON line for everything that becomes of deliveries, and an empty one now and then."""
    if not shows_token(request):
        return _not_you()
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    with request.app[CLERK].ledger.followed() as lines:
        while True:
            text = b""
            try:
                async with asyncio.timeout(_STILL_HERE_SECONDS):
                    line = await lines.get()
                if line is None:
                    return response
                text = msgspec.json.encode(line)
            except TimeoutError:
                pass
            await response.write(text + b"\n")


async def _end_tails(app: web.Application) -> None:
    app[CLERK].ledger.close()


async def _incomplete(request: web.Request) -> web.Response:
    if not shows_token(request):
        return _not_you()
    body = msgspec.json.encode({"incomplete": request.app[CLERK].ledger.incomplete()})
    return web.Response(body=body, content_type="application/json")


def _not_you() -> web.Response:
    message = "send Authorization: Bearer TOKEN with the token that the gateway was started with"
    return refusal(401, message, headers={"WWW-Authenticate": 'Bearer realm="salesfloor"'})


async def _metrics(request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encode(request.app[CLERK].ledger.registry)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _ready(request: web.Request) -> web.Response:
    if request.app[CLERK].sender.ready:
        return web.Response(text="ok\n")
    return web.Response(text="no connection to Kafka yet\n", status=503)


@web.middleware
async def _plain_headers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
    return response
