"""An aiohttp application in, the address it answers on out. Knows nothing of what it serves.

Whatever is behind it, a door is kept by the same rules: how many connections there are, how long one may take
to say what it wants or to take its answer, how often one address may ask, which headers every answer wears.
What the HTTP parser refuses is answered and logged without a byte of what was sent: that may hold a token.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from streams.limits import Rate, asker_of, whole_seconds
from streams.logs import fields

log = logging.getLogger(__name__)

# Long enough for an answer under way, short enough that nobody waits for the end of a command.
_SHUTDOWN_SECONDS: Final = 1.0
CONNECTIONS_MAX: Final = 1000
"""Of one role. One more, and the longest-idle connection is closed, or this one if all are at work."""
FIRST_REQUEST_SECONDS: Final = 15.0
"""From connecting to the end of the first request's head."""
IDLE_SECONDS: Final = 120.0
"""From an answer to the end of the next request's head. Proxies keep idle connections for a minute or two."""
STALLED_SECONDS: Final = 30.0
"""Who takes nothing of a waiting answer for so long is gone."""
HEAD_LINE_BYTES_MAX: Final = 8190
"""Of the address with its query, and of each header."""
HEADERS_MAX: Final = 100
REFUSAL_COSTS: Final = 10.0
"""Permits that a 401 costs, so that guessing is slow."""

_NO_FRAMES: Final = "frame-ancestors 'none'"
DEFAULT_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; {_NO_FRAMES}",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Server": "salesfloor",
}
"""Of every answer that says nothing else itself."""


class CannotListen(Exception):
    """The door cannot be opened. The message names the setting and the option to change."""


@asynccontextmanager
async def serving(
    app: web.Application, host: str, port: int, *, role: str, requests_per_second: float = 0
) -> AsyncIterator[str]:
    """Serve until the context ends; yields "http://host:port" with the port really taken.

    `requests_per_second` is what one address may ask for; 0 is no limit.
    """
    app.on_response_prepare.append(_dress)
    if requests_per_second:
        rate = Rate(requests_per_second, asyncio.get_running_loop().time)
        app.middlewares.insert(0, _limited(rate, role))
    runner = _Runner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        max_line_size=HEAD_LINE_BYTES_MAX,
        max_field_size=HEAD_LINE_BYTES_MAX,
        max_headers=HEADERS_MAX,
        lingering_time=2.0,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(
                f"{role} cannot listen on {host}:{port} ({error.strerror}); "
                f"choose another with --{role}-port (0 picks a free one) or [{role}] port"
            ) from None
        yield f"http://{_in_url(host)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _in_url(host: str) -> str:
    """Return how a browser on this machine reaches what listens there."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared with, not bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def _dress(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in DEFAULT_HEADERS.items():
        response.headers.setdefault(name, value)
    # The library has put its own name and version there.
    response.headers["Server"] = DEFAULT_HEADERS["Server"]
    if _NO_FRAMES not in response.headers["Content-Security-Policy"]:
        response.headers.popall("X-Frame-Options", None)  # it knows all or nothing; the policy says by whom


def _limited(rate: Rate, role: str) -> Middleware:
    @web.middleware
    async def limited(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path.startswith("/-/"):
            return await handler(request)  # who watches over the process must not be told that it is ill
        asker = asker_of(request.remote)
        if wait := rate.take(asker):
            raise web.HTTPTooManyRequests(
                text=f"more than [{role}] requests_per_second allows; ask less often, or raise it\n",
                headers={"Retry-After": whole_seconds(wait)},
            )
        try:
            response = await handler(request)
        except web.HTTPUnauthorized:
            rate.take(asker, REFUSAL_COSTS)
            raise
        if response.status == 401:
            rate.take(asker, REFUSAL_COSTS)
        return response

    return limited


# --- connections --------------------------------------------------------------------------------


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handle = made.request_handler

        async def expecting_what_we_know(request: web.BaseRequest) -> web.StreamResponse:
            # aiohttp would repeat what it does not know in its answer, and fail at what is no text.
            if request.headers.get("Expect", "100-continue").lower() != "100-continue":
                text = "expect 100-continue or nothing\n"
                raise web.HTTPExpectationFailed(text=text, headers=DEFAULT_HEADERS)
            return await handle(request)

        return _Server(expecting_what_we_know, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    """Makes the connections' protocols, and sees that there are not too many of them."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def make_room(self, newest: "_Connection") -> None:
        if len(self._connections) <= CONNECTIONS_MAX:
            return
        idle = (each for each in self._connections if isinstance(each, _Connection) and each.idle)
        next(idle, newest).force_close()


class _Connection(web.RequestHandler):
    __slots__ = ("_timer",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Say whether no request of it is being answered: it says nothing, or not all of a head."""
        return self._current_request is None and not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = self._loop.call_later(FIRST_REQUEST_SECONDS, self._close_if_silent)
        if isinstance(self._manager, _Server):
            self._manager.make_room(self)

    def _close_if_silent(self) -> None:
        self._timer = None
        if self._request_count == 0:
            self.force_close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def _watch_writing(self) -> None:
        waiting = self.transport.get_write_buffer_size() if self.transport else 0
        self._cancel_timer()
        self._timer = self._loop.call_later(STALLED_SECONDS, self._abort_if_stalled, waiting)

    def _abort_if_stalled(self, waited: int) -> None:
        if self.transport is None or not self.writing_paused:
            return
        if self.transport.get_write_buffer_size() < waited:
            self._watch_writing()
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def log_exception(self, *args: Any, **kw: Any) -> None:
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            log.debug(fields("the rest of a body is not encoded as it says"))  # it was answered unread
        else:
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status < 500:
            log.debug(fields("request that is no HTTP", remote=request.remote, cause=type(exc).__name__))
        elif isinstance(exc, ConnectionResetError) and request.transport is None:
            log.debug(fields("who asked has left"))  # in the middle of a body, or before the answer
        else:
            log.error(fields("request failed", cause=type(exc).__name__), exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "a fault of ours; the log says more\n" if status >= 500 else "no HTTP that is taken here\n"
        response = web.Response(status=status, text=text, headers=DEFAULT_HEADERS)
        response.force_close()
        return response
