"""HTTP requests with CloudEvents in; 202 out once Kafka has them all, else a refusal that says what to fix.

Every event is decoded as a worker would before anything is produced. A batch is taken whole or not at
all. Never keeps an event: what was not acknowledged is the sender's to send again, which changes nothing
twice.
"""

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from streams.clock import Clock
from streams.decode import check_times
from streams.gateway.sender import KafkaAway, Outgoing, Sender
from streams.logs import fields
from streams.routing import Routed, route

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1 << 20
SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_ERRORS_SHOWN_MAX = 100
_FOR_EVER_MS = 1 << 62

_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode


SENDER = web.AppKey("sender", Sender)
CLOCK = web.AppKey("clock", Clock)
TOKEN = web.AppKey("token", bytes)
RETENTION_MS = web.AppKey("retention_ms", int)


class Refused(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def create_app(
    sender: Sender, clock: Clock, *, token: str | None, retention_ms: int | None
) -> web.Application:
    """Build the gateway. Without a token it stands, but lets nobody in. `retention_ms` None leaves it to the
    workers to say what is too old: with the event clock only they know what now is."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_plain_errors])
    app[SENDER], app[CLOCK] = sender, clock
    app[TOKEN] = (token or "").encode()
    app[RETENTION_MS] = _FOR_EVER_MS if retention_ms is None else retention_ms
    app.router.add_post("/events", _post_events)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    return app


async def _post_events(request: web.Request) -> web.Response:
    _check_token(request)
    if request.content_type not in (SINGLE, BATCH):
        raise _error(web.HTTPUnsupportedMediaType, f"send Content-Type: {SINGLE} or {BATCH}")
    bodies = _split(await request.read(), batch=request.content_type == BATCH)
    outgoing: list[Outgoing] = []
    errors: list[dict[str, Any]] = []
    now_ms = request.app[CLOCK].now_ms()
    for index, body in enumerate(bodies):
        try:
            outgoing.append(_check(body, now_ms=now_ms, oldest_ms=now_ms - request.app[RETENTION_MS]))
        except Refused as refused:
            errors.append({"index": index, "reason": refused.reason, "detail": refused.detail})
    if errors:
        raise _error(
            web.HTTPBadRequest,
            f"{len(errors)} of {len(bodies)} events are wrong and none was taken; mend them, send all again",
            errors=errors[:_ERRORS_SHOWN_MAX],
        )
    try:
        await request.app[SENDER].send(outgoing)
    except KafkaAway as away:
        log.warning(fields("events not taken", role="gateway", events=len(outgoing), reason=away))
        raise _error(
            web.HTTPServiceUnavailable,
            "Kafka did not acknowledge; send the same again later, it changes nothing twice",
            headers={"Retry-After": "5"},
        ) from away
    return web.json_response({"accepted": len(outgoing)}, status=202)


def _check_token(request: web.Request) -> None:
    expected = request.app[TOKEN]
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), expected)
    if not expected or scheme.lower() != "bearer" or not same:
        raise _error(
            web.HTTPUnauthorized,
            "send Authorization: Bearer TOKEN with the token that the gateway was started with",
            headers={"WWW-Authenticate": 'Bearer realm="salesfloor"'},
        )


def _split(body: bytes, *, batch: bool) -> list[bytes]:
    if not batch:
        return [body]
    try:
        return [bytes(raw) for raw in _decode_batch(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _error(web.HTTPBadRequest, f"the body is no JSON array of events: {error}") from error


def _check(body: bytes, *, now_ms: int, oldest_ms: int) -> Outgoing:
    """Decide topic and key of one event, decoded as the workers will decode it."""
    routed = route(body)
    if isinstance(routed, Routed):
        rejected = check_times(routed.event, now_ms=now_ms, oldest_ms=oldest_ms)
        if rejected is None:
            return Outgoing(routed.topic, routed.key, body)
        routed = rejected
    raise Refused(routed.reason, routed.detail)


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _ready(request: web.Request) -> web.Response:
    if request.app[SENDER].ready:
        return web.Response(text="ok\n")
    return web.Response(text="no connection to Kafka yet\n", status=503)


def _error(
    kind: type[web.HTTPError], message: str, *, headers: dict[str, str] | None = None, **more: object
) -> web.HTTPError:
    text = json.dumps({"error": message, **more})
    return kind(text=text, content_type="application/json", headers=headers)


@web.middleware
async def _plain_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPRequestEntityTooLarge:
        raise web.HTTPRequestEntityTooLarge(
            max_size=BODY_BYTES_MAX,
            actual_size=request.content_length or BODY_BYTES_MAX,
            text=json.dumps(
                {"error": f"the body is larger than {BODY_BYTES_MAX} bytes; send smaller batches"}
            ),
            content_type="application/json",
        ) from None
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
