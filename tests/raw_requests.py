"""Odd values and headers for raw HTTP requests, what such a one may be told, and a caller. Judges nothing."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

TOKEN: Final = "office-0123456789"
ANSWERS: Final = {200, 206, 304, 400, 401, 403, 404, 405, 408, 412, 413, 416, 417, 421, 429, 503}
"""What a request may be told: not that it was a fault of ours, and not nothing."""

VALUES: Final = [
    b"revenue", b"team", b"mtd", b"2026-11-21T09:30:00Z", b"2026-11-21T09:30:00+08:00",
    b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:60Z", b"-1", b"1e9", b"9" * 400, "１２".encode(),
    "²".encode(), b"%ff", b"%ed%a0%80", b"%c0%ae", b"%", b"%zz", b"%00", b"\xff\xfe", b"\x00", b"\x7f",
    b"a,,b,", b"'", b"<script>", b"{}", b"[", b";", "Ĳ".encode(), "\u202e".encode(), b"%F0%9F%92%A9",
    b"..%2f..%2fetc%2fpasswd", b"nan", b"inf", b"+", b" ", b"",
]  # fmt: skip
HEADERS: Final = [
    b"Host", b"Accept", b"Accept-Encoding", b"Authorization", b"Range", b"If-None-Match",
    b"If-Modified-Since", b"Content-Length", b"Content-Encoding", b"Transfer-Encoding", b"Expect",
    b"Upgrade", b"Connection", b"Cookie", b"X-Forwarded-For", b"Content-Type", b"Accept-Language",
    b"Last-Event-ID", b"Origin",
]  # fmt: skip
MORE_VALUES: Final = [
    b"gzip;q=0", b"gzip;q=abc", b"gzip;q=" + b"9" * 50, b"*;q=0.0.0", b"br, gzip",
    b"application/openmetrics-text;q=1e9", b"text/plain;q=;;,", b"bytes=0-1", b"bytes=-5,0-",
    b"bytes=a-b", b"100-continue", b"websocket", b"chunked", b"close", b"keep-alive, Upgrade",
    b"Bearer", b"Bearer " + TOKEN.encode(), b"bearer  x", b"Basic \xff", b"W/\"a\"",
    b"Thu, 01 Jan 1970 00:00:00 GMT", b"a=b; a", b"5", b"0", b"-5", b"deflate",
    b"text/plain; charset=nonsense",
]  # fmt: skip


async def status_of(address: str, request: bytes) -> int | None:
    """Return the first status that is told; None if the door hangs up, or waits for more, without a word."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request)
        line = await reader.readline()
        while line.startswith(b"HTTP/1.1 100"):
            await reader.readline()
            line = await reader.readline()
        return int(line.split(b" ")[1]) if line else None
    except ConnectionResetError:
        return None
    finally:
        writer.close()
