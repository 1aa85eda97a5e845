"""Alertmanager's notices over HTTP in, events on `sales.alerts` out; 202 only once Kafka has them all.

Alertmanager sends a notice again when it gets 5xx or no answer, and gives it up for any 4xx. So what is wrong
by form is refused for good, and what could not be produced is asked for again, under the same ids.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from streams.alert_events import NoticeError, encoded, event_of, read_notice
from streams.gateway.app import CLERK, shows_token
from streams.gateway.door import BODY_BYTES_MAX, refusal
from streams.gateway.ledger import Fate, Line
from streams.gateway.model import Outgoing
from streams.gateway.sender import KafkaAway
from streams.logs import fields
from streams.topics import ALERTS

log = logging.getLogger(__name__)

PATH: Final = "/alertmanager"
SOURCE: Final = "alertmanager"
"""The name under which the gateway counts what comes to this door."""


def add_doors(app: web.Application) -> None:
    app.router.add_post(PATH, _post)


async def _post(request: web.Request) -> web.Response:
    loop = asyncio.get_running_loop()
    came_at = loop.time()
    response = await _take(request)
    request.app[CLERK].ledger.answered(SOURCE, response.status, loop.time() - came_at)
    return response


async def _take(request: web.Request) -> web.Response:
    if not shows_token(request):
        return _refused(request, 401, "token", "send Authorization: Bearer TOKEN with the gateway's token")
    if request.content_type != "application/json":
        return _refused(request, 415, "content_type", "send Content-Type: application/json")
    now_ms = request.app[CLERK].clock.now_ms()
    try:
        alerts = read_notice(await request.read())
        events = [event_of(alert, now_ms=now_ms) for alert in alerts]
    except web.HTTPRequestEntityTooLarge:
        message = f"the body is larger than {BODY_BYTES_MAX} bytes; lower max_alerts of the receiver"
        return _refused(request, 413, "too_large", message)
    except web.RequestPayloadError:
        message = "the body broke off, or is not encoded as its Content-Encoding says; send it again"
        return _refused(request, 400, "encoding", message)
    except NoticeError as error:
        return _refused(request, 400, "notice", f"no notice of Alertmanager's webhook, version 4: {error}")
    records = [
        Outgoing(ALERTS, alert.fingerprint.encode(), encoded(event))
        for alert, event in zip(alerts, events, strict=True)
    ]
    try:
        await request.app[CLERK].sender.send(records)
    except KafkaAway as away:
        log.warning(fields("alerts not taken", role="gateway", alerts=len(records), reason=away))
        _note(request, Fate.UNAVAILABLE, "kafka_away")
        message = "Kafka did not acknowledge; send the same again later, it changes nothing twice"
        return refusal(503, message, headers={"Retry-After": "5"})
    _note_all(request, events)
    return web.json_response({"accepted": len(records)}, status=202)


def _refused(request: web.Request, status: int, reason: str, message: str) -> web.Response:
    _note(request, Fate.REFUSED, reason, detail=message)
    headers = {"WWW-Authenticate": 'Bearer realm="salesfloor"'} if status == 401 else {}
    return refusal(status, message, headers=headers)


def _note_all(request: web.Request, events: Sequence[dict[str, object]]) -> None:
    for event in events:
        _note(request, Fate.ACCEPTED, type=str(event["type"]), id=str(event["subject"]))


def _note(
    request: web.Request, fate: Fate, reason: str = "", *, type: str = "", id: str = "", detail: str = ""
) -> None:
    clerk = request.app[CLERK]
    clerk.ledger.note(Line(clerk.clock.now_ms(), SOURCE, fate, reason, type, id, detail))
