"""What a raw socket can do to a door: nothing that costs others theirs, and nothing that is told in a log."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from streams import serving as module
from streams.serving import DEFAULT_HEADERS, HEAD_LINE_BYTES_MAX, HEADERS_MAX, serving

MARK = "tok-5f2b9c0d1e"


class Talk:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def everything(self) -> bytes:
        """Return what comes until the other side hangs up."""
        try:
            return await self.reader.read(-1)
        except ConnectionResetError:
            return b""

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def status(self) -> int:
        return int((await self.head()).split(" ", 2)[1])


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Talk]:
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def app() -> web.Application:
    async def plain(_request: web.Request) -> web.Response:
        return web.Response(text="fine")

    async def breaks(_request: web.Request) -> web.Response:
        raise ValueError(f"could not read {MARK}")

    async def much(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (32 << 20))

    async def taken(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def not_you(_request: web.Request) -> web.Response:
        raise web.HTTPUnauthorized

    app = web.Application(client_max_size=1000)
    app.router.add_get("/", plain)
    app.router.add_get("/breaks", breaks)
    app.router.add_get("/much", much)
    app.router.add_post("/taken", taken)
    app.router.add_get("/secret", not_you)
    app.router.add_get("/-/healthy", plain)
    return app


GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_an_answer_wears_the_headers_even_when_it_is_a_refusal(app: web.Application) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway") as address:
        for path in ("/", "/nowhere", "/breaks"):
            async with opened(address) as talk:
                talk.say(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await talk.head()
                for name, value in DEFAULT_HEADERS.items():
                    assert f"{name}: {value}" in head, path
                assert "aiohttp" not in head


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /?token=%b HTTP/1.1\r\nHost: x\r\nx y: z\r\n\r\n" % MARK.encode(),
        b"\x16\x03\x01\x02\x00" + MARK.encode() + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer %b\r\nContent-Length: -5\r\n\r\n" % MARK.encode(),
        b"GET /%b HTTP/9\r\n\r\n" % MARK.encode(),
        b"POST /taken HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%b" % MARK.encode(),
        b"GET /?token=%b%b HTTP/1.1\r\n\r\n" % (MARK.encode(), b"a" * HEAD_LINE_BYTES_MAX),
        b"GET / HTTP/1.1\r\nX-%b: %b\r\n\r\n" % (MARK.encode(), b"a" * (HEAD_LINE_BYTES_MAX + 1)),
        b"GET / HTTP/1.1\r\n%b\r\n" % (f"X-{MARK}: 1\r\n" * (HEADERS_MAX + 1)).encode(),
    ],
    ids=["header", "TLS", "length", "version", "both", "long address", "long header", "many headers"],
)
async def test_what_is_no_http_is_refused_without_a_byte_of_it_in_answer_or_log(
    app: web.Application, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serving(app, "127.0.0.1", 0, role="gateway") as address, opened(address) as talk:
            talk.say(sent)
            answer = (await talk.everything()).decode()
    assert answer.startswith("HTTP/1.0 400"), answer
    assert MARK not in answer
    assert MARK not in caplog.text
    assert "Traceback" not in caplog.text


async def test_what_a_request_expects_is_not_repeated_to_it(app: web.Application) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway") as address:
        for expected in (MARK.encode(), b"\xff\xfe"):
            async with opened(address) as talk:
                talk.say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: %b\r\n\r\n" % expected)
                answer = await talk.everything()
            assert answer.startswith(b"HTTP/1.1 417")
            assert expected not in answer
            assert b"frame-ancestors" in answer
        async with opened(address) as talk:
            talk.say("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n")
            assert await talk.status() == 100
            assert await talk.status() == 200


async def test_a_broken_handler_tells_its_caller_nothing(
    app: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway") as address, opened(address) as talk:
        talk.say("GET /breaks HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
        answer = (await talk.everything()).decode()
    assert answer.startswith("HTTP/1.1 500")
    assert MARK not in answer
    assert "request failed cause=ValueError" in caplog.text


async def test_a_body_that_is_refused_unread_may_be_encoded_as_it_likes(
    app: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    head = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\nContent-Length: 9\r\n\r\n"
    async with serving(app, "127.0.0.1", 0, role="test") as address, opened(address) as talk:
        talk.say(f"{head}{MARK[:9]}")
        assert (await talk.everything()).startswith(b"HTTP/1.1 404")
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


async def test_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(
    app: web.Application, caplog: pytest.LogCaptureFixture
) -> None:
    reading, left = asyncio.Event(), asyncio.Event()

    async def reads(request: web.Request) -> web.Response:
        reading.set()
        await request.read()
        raise AssertionError("the body has not come")

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            left.set()

    app.router.add_post("/reads", reads)
    seen = Seen()
    logging.getLogger("streams.serving").addHandler(seen)
    with caplog.at_level(logging.DEBUG, "streams.serving"):
        async with serving(app, "127.0.0.1", 0, role="test") as address:
            async with opened(address) as talk:
                talk.say("POST /reads HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
                await reading.wait()
                left.clear()
            async with asyncio.timeout(30):
                await left.wait()
    logging.getLogger("streams.serving").removeHandler(seen)
    told = [(each.levelname, each.getMessage()) for each in caplog.records if "left" in each.getMessage()]
    assert told == [("DEBUG", "who asked has left")]
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


async def test_who_connects_and_says_nothing_whole_is_hung_up_on(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_REQUEST_SECONDS", 0.05)
    async with (
        serving(app, "127.0.0.1", 0, role="gateway") as address,
        opened(address) as silent,
        opened(address) as slow,
    ):
        slow.say("GET / HTTP/1.1\r\nX-")
        assert await silent.everything() == b""
        assert await slow.everything() == b""


async def test_who_asked_once_and_then_stops_in_a_head_is_hung_up_on(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.5)
    async with serving(app, "127.0.0.1", 0, role="gateway") as address, opened(address) as talk:
        talk.say(GET)
        assert await talk.status() == 200
        talk.say("GET / HTTP/1.1\r\nX-")
        assert await talk.everything() == b"fine"


async def test_who_takes_nothing_of_a_long_answer_is_hung_up_on(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, hung_up = module._Connection.connection_lost, asyncio.Event()

    def connection_lost(connection: module._Connection, error: BaseException | None) -> None:
        lost(connection, error)
        hung_up.set()

    monkeypatch.setattr(module._Connection, "connection_lost", connection_lost)
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.05)
    async with serving(app, "127.0.0.1", 0, role="metrics") as address, opened(address) as talk:
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        talk.say("GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        await hung_up.wait()  # by the door: this side has not closed
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await talk.everything()) < 32 << 20


async def test_who_is_one_too_many_takes_the_place_of_who_says_nothing(
    app: web.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 2)
    async with (
        serving(app, "127.0.0.1", 0, role="gateway") as address,
        opened(address) as first,
        opened(address) as second,
        opened(address) as third,
    ):
        first.say("GET /")
        assert await first.everything() == b""
        for talk in (second, third):
            talk.say(GET)
            assert await talk.status() == 200


async def test_a_body_over_the_limit_is_refused_before_it_has_come(app: web.Application) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway") as address, opened(address) as talk:
        talk.say(f"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n\r\n{'x' * 2000}")
        assert await talk.status() == 413


async def statuses(address: str, path: str, times: int) -> list[int]:
    async def one() -> int:
        async with opened(address) as talk:
            talk.say(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return await talk.status()

    return [await one() for _ in range(times)]


async def test_who_asks_too_often_is_told_when_to_come_again_but_no_probe_is(app: web.Application) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway", requests_per_second=0.5) as address:
        assert await statuses(address, "/", 7) == [200] * 5 + [429] * 2
        assert await statuses(address, "/-/healthy", 3) == [200] * 3
        async with opened(address) as talk:
            talk.say(GET)
            assert "Retry-After: " in await talk.head()


async def test_guessing_is_slower_than_asking(app: web.Application) -> None:
    async with serving(app, "127.0.0.1", 0, role="gateway", requests_per_second=2) as address:
        assert await statuses(address, "/secret", 4) == [401, 401, 429, 429]
