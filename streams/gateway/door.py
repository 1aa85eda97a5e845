"""One HTTP request of one source in, the vendor's own acknowledgement or a refusal that says what to fix out.

In this order: size, signature over the raw bytes, content type, reading, Kafka, answer. Nothing is read that
is not verified, and nothing is acknowledged that Kafka does not hold.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from streams.events import Reason
from streams.gateway.clerk import Clerk, RefusedWhole
from streams.gateway.ledger import Fate
from streams.gateway.model import (
    Answer,
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Source,
    Taken,
    Unreadable,
    Unusable,
    Vendor,
)
from streams.gateway.replays import Replays
from streams.gateway.sender import KafkaAway
from streams.limits import Rate, whole_seconds
from streams.logs import fields

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1 << 20
_ERRORS_SHOWN_MAX = 100
_SHARE_OF_PATIENCE: Final = 0.8
"""Of the vendor's patience the work may take so much; the rest is for the way there and back."""


class Turned(Exception):
    """The request ends here. Says how it is answered and counted."""

    def __init__(
        self, status: int, fate: Fate, reason: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.fate, self.reason, self.message = status, fate, reason, message
        self.headers = headers or {}
        self.more: dict[str, Any] = {}


class Door:
    """Takes the deliveries of one source."""

    def __init__(
        self, source: Source, vendor: Vendor, clerk: Clerk, replays: Replays, rate: Rate | None = None
    ) -> None:
        self._source, self._vendor = source, vendor
        self._rate = rate
        self._clerk, self._replays = clerk, replays
        self._limit_seconds = vendor.answer_seconds * _SHARE_OF_PATIENCE

    async def handle(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        came_at = loop.time()
        try:
            delivery = await self._delivery(request)
            answer = await self._take(delivery, came_at + self._limit_seconds)
            response = web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
        except Turned as turned:
            self._clerk.note(self._source, turned.fate, turned.reason, detail=str(turned))
            response = refusal(turned.status, turned.message, headers=turned.headers, **turned.more)
        self._clerk.ledger.answered(self._source.name, response.status, loop.time() - came_at)
        return response

    async def _delivery(self, request: web.Request) -> Delivery:
        """Read the request, whole and within bounds."""
        try:
            async with asyncio.timeout(self._limit_seconds):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            message = f"the body is larger than {BODY_BYTES_MAX} bytes; send smaller batches"
            raise Turned(413, Fate.REFUSED, "too_large", message) from None
        except web.RequestPayloadError:
            message = "the body broke off, or is not encoded as its Content-Encoding says; send it again"
            raise Turned(400, Fate.REFUSED, "encoding", message) from None
        except TimeoutError:
            message = f"the body did not arrive within {self._limit_seconds:.0f} s; send it again"
            raise Turned(408, Fate.REFUSED, "too_slow", message) from None
        _path, mark, query = request.raw_path.partition("?")
        try:
            public = self._source.public_url or str(request.url.with_query(None))
        except ValueError:
            message = "the Host header, or the address asked for, is none; send the name of this gateway"
            raise Turned(400, Fate.REFUSED, "no_host", message) from None
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Delivery(
            method=request.method,
            url=f"{public}{mark}{query}",
            headers={name.lower(): value for name, value in request.headers.items()},
            content_type=content_type,
            body=body,
            received_ms=self._clerk.clock.now_ms(),
        )

    async def _take(self, delivery: Delivery, until: float) -> Answer:
        once = self._check_sender(delivery)
        self._check_rate()
        self._check_content_type(delivery)
        limit_seconds = max(0.05, until - asyncio.get_running_loop().time())
        try:
            outcomes = await self._read(delivery, limit_seconds)
            taken = await self._clerk.take(
                outcomes,
                self._source,
                strict=self._vendor.strict,
                original=delivery,
                limit_seconds=limit_seconds,
            )
        except KafkaAway as away:
            log.warning(fields("events not taken", source=self._source.name, reason=away))
            message = "Kafka did not acknowledge; send the same again later, it changes nothing twice"
            raise Turned(503, Fate.UNAVAILABLE, "kafka_away", message, headers={"Retry-After": "5"}) from away
        except RefusedWhole as refused:
            raise _refused_whole(refused) from None
        if once:
            self._replays.remember(self._source.name, once, delivery.received_ms)
        return (self._vendor.acknowledge or _acknowledge)(taken)

    def _check_content_type(self, delivery: Delivery) -> None:
        if self._vendor.unsupported is not None:
            message = self._vendor.unsupported(delivery)
        elif delivery.content_type in self._vendor.content_types:
            message = ""
        else:
            message = f"send Content-Type: {' or '.join(self._vendor.content_types)}"
        if message:
            raise Turned(415, Fate.REFUSED, "content_type", message)

    def _check_rate(self) -> None:
        # After the sender was recognised: else anybody could use up what is the source's.
        wait = self._rate.take(self._source.name) if self._rate is not None else 0.0
        if wait:
            message = "this source sends more than [gateway] requests_per_second allows; send the same later"
            headers = {"Retry-After": whole_seconds(wait)}
            raise Turned(429, Fate.REFUSED, "too_often", message, headers=headers)

    def _check_sender(self, delivery: Delivery) -> str:
        verdict = self._vendor.verify(delivery, self._source)
        if isinstance(verdict, Refusal):
            headers = {"WWW-Authenticate": 'Bearer realm="salesfloor"'}
            raise Turned(401, Fate.REFUSED, verdict.reason, verdict.detail, headers=headers)
        if verdict.once and self._replays.seen(self._source.name, verdict.once, delivery.received_ms):
            message = "this very request has been taken before"
            raise Turned(401, Fate.REFUSED, RefusalReason.REPLAYED, message)
        return verdict.once

    async def _read(self, delivery: Delivery, limit_seconds: float) -> Sequence[Outcome]:
        """Return what the body says. One that cannot be read is kept, unless its sender can mend it."""
        try:
            return self._vendor.normalise(delivery, self._source)
        except (Malformed, Unreadable) as error:
            reason = error.unusable.reason if isinstance(error, Unreadable) else Reason.MALFORMED
            turned = Turned(400, Fate.REFUSED, reason, str(error))
        except Exception as error:
            log.exception(fields("a delivery could not be read", source=self._source.name))
            detail = f"unexpected {type(error).__name__} while reading; it is kept in the dead letters"
            turned = Turned(500, Fate.FAILED, "unexpected", detail)
        if not self._vendor.strict:
            why = Unusable(Reason.MALFORMED, str(turned))
            await self._clerk.keep(delivery, self._source, why, limit_seconds)
            turned.fate = Fate.FAILED if turned.status == 500 else Fate.DEAD_LETTER
        raise turned


def _refused_whole(refused: RefusedWhole) -> Turned:
    message = (
        f"{len(refused.wrong)} of {refused.of} events are wrong and none was taken; mend them, send all again"
    )
    turned = Turned(400, Fate.REFUSED, refused.wrong[0][1].reason, message)
    turned.more["errors"] = [
        {"index": index, "reason": wrong.reason, "detail": wrong.detail}
        for index, wrong in refused.wrong[:_ERRORS_SHOWN_MAX]
    ]
    return turned


def _acknowledge(taken: Taken) -> Answer:
    return Answer(body=msgspec.json.encode(taken))


def refusal(
    status: int, message: str, *, headers: dict[str, str] | None = None, **more: object
) -> web.Response:
    body = msgspec.json.encode({"error": message, **more})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
