"""Requests in, the wall's page, its assets, its pictures and its stream out. Computes no number.

The page's assets are the same for every floor and are served under a name that changes with their content,
so that a screen keeps them for ever and yet shows a new release at once.
"""

import asyncio
import hashlib
import html
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from metrics.self_metrics import own_version
from metrics.wall.boards import LANGUAGES, PICTURES, RIGHT_TO_LEFT, Board, WallRules
from metrics.web.wall_stream import WallStream

HEARTBEAT_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 20.0
"""A page that takes nothing for so long is gone: a television that was switched off says no goodbye."""
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_PAGE: Final = "wall.html"
_FOLDERS: Final = {"static": "", "text": "text/"}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


@dataclass(frozen=True)
class Assets:
    """What the page is made of: path under `/wall/assets/<release>/` -> content."""

    release: str
    page: str
    files: dict[str, bytes]

    @classmethod
    def read(cls) -> "Assets":
        found = dict(sorted(_found()))
        page = found.pop(_PAGE, b"").decode()
        digest = hashlib.sha256()
        for name, content in ((_PAGE, page.encode()), *found.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return cls(f"{own_version()}-{digest.hexdigest()[:12]}", page, found)


def _found() -> Iterator[tuple[str, bytes]]:
    for folder, prefix in _FOLDERS.items():
        for entry in _entries(files("metrics.wall").joinpath(folder)):
            yield prefix + entry.name, entry.read_bytes()


def _entries(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))


class Wall(NamedTuple):
    """What the wall's doors lead to. `stream` runs beside the ticks, by whoever runs these."""

    stream: WallStream
    assets: Assets


STREAM = web.AppKey("stream", WallStream)
ASSETS = web.AppKey("assets", Assets)
FLOOR = web.AppKey("floor", str)


def add_wall(app: web.Application, wall: Wall, *, floor: str) -> None:
    """Add the wall's doors to the application of the metrics role."""
    app[STREAM], app[ASSETS] = wall
    app[FLOOR] = floor
    app.router.add_get("/wall", _page)
    app.router.add_get("/wall/stream", _stream)
    app.router.add_get(f"{PICTURES}{{name}}", _picture)
    app.router.add_get("/wall/assets/{release}/{path:.+}", _asset)
    app.router.add_get("/wall/{board}", _page)
    app.on_shutdown.append(_end_streams)


async def _end_streams(app: web.Application) -> None:
    app[STREAM].close()


async def _page(request: web.Request) -> web.Response:
    stream, assets = request.app[STREAM], request.app[ASSETS]
    name = request.match_info.get("board")
    if name is not None:
        _board(stream.rules, name)
    wanted = request.query.get("lang", "")
    language = wanted if wanted in LANGUAGES else stream.rules.language
    text = assets.page
    for mark, said in (
        ("{{release}}", assets.release),
        ("{{floor}}", request.app[FLOOR]),
        ("{{language}}", language),
        ("{{dir}}", "rtl" if language in RIGHT_TO_LEFT else "ltr"),
        ("{{theme}}", stream.rules.theme),
    ):
        text = text.replace(mark, html.escape(said))
    response = web.Response(
        text=text, content_type="text/html", headers={"Content-Security-Policy": policy_of(stream.rules)}
    )
    response.enable_compression()
    return response


def policy_of(rules: WallRules) -> str:
    """Return the policy under which the page may run: its own files, and pictures from where they are."""
    addresses = [urlsplit(url) for url in rules.pictures.values()]
    pictures = sorted({f"{each.scheme}://{each.netloc}" for each in addresses if each.netloc})
    framed_by = " ".join(rules.embed_in) or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src {' '.join(('data:', *pictures))} 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {framed_by}"
    )


async def _asset(request: web.Request) -> web.Response:
    assets, path = request.app[ASSETS], request.match_info["path"]
    content = assets.files.get(path)
    if content is None or request.match_info["release"] != assets.release:
        raise web.HTTPNotFound(text="no such asset in this release; reload the page\n")
    suffix = path[path.rfind(".") :]
    response = web.Response(
        body=content,
        content_type=_TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream",
        charset="utf-8" if suffix in _TYPES else None,
        headers={"Cache-Control": _FOR_EVER},
    )
    response.enable_compression()
    return response


async def _picture(request: web.Request) -> web.StreamResponse:
    path = request.app[STREAM].rules.picture_files.get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="there is no such picture\n")
    return web.FileResponse(path, headers={"Cache-Control": _FOR_EVER})


def _board(rules: WallRules, name: str) -> Board:
    board = rules.board(name)
    if board is None:
        known = ", ".join(each.name for each in rules.boards)
        raise web.HTTPNotFound(text=f"there is no board {name!r}; there is {known}\n")
    return board


async def _stream(request: web.Request) -> web.StreamResponse:
    stream = request.app[STREAM]
    name = request.query.get("board", "")
    board = _board(stream.rules, name) if name else stream.rules.boards[0]
    if stream.closed or stream.is_full:
        raise web.HTTPServiceUnavailable(
            text=f"{stream.screens} screens are connected, as many as [wall] screens_max allows; raise it\n",
            headers={"Retry-After": "30"},
        )
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Content-Type-Options": "nosniff",
        }
    )
    screen = stream.join(board)
    try:
        await response.prepare(request)
        while message := await stream.next_for(screen, HEARTBEAT_SECONDS):
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(message)
    except (ConnectionError, TimeoutError):
        pass  # the page is gone; it connects again when it can
    finally:
        stream.leave(screen)
    return response
