"""A `SnapshotSource` in, HTTP answers out: /metrics, the JSON API, the status page and the probes.

Never computes a number of the live tick, and knows nothing of where the panes come from.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from importlib.resources import files
from typing import Protocol

from aiohttp import web

from metrics.beside import BesideReport
from metrics.kpi_snapshot import KpiSnapshot
from metrics.rewards import CommissionEstimate, RewardReport
from metrics.scrapes import Rendered
from metrics.snapshot import Filters, PaneImage, SnapshotConfig
from metrics.web.access import Grant, asked_by_name, guard, visitor_of
from metrics.web.answers import NoSnapshot, SnapshotAnswers, described
from metrics.web.explain import ExplainSource, explain_ask_of
from metrics.web.query import BadAsk, ask_of
from metrics.web.rewards import ANSWERS_OF, Estimates, commissions_answer, seen_by
from metrics.web.wall import Wall, add_wall


class SnapshotSource(Protocol):
    """What the pages show. Only `at_image` and `commissions` may take long: in a thread."""

    @property
    def config(self) -> SnapshotConfig: ...

    @property
    def current(self) -> KpiSnapshot | None:
        """Return the newest tick's snapshot; None before the first."""

    @property
    def beside(self) -> BesideReport | None:
        """Return what stands beside the newest tick's snapshot; None before the first."""

    async def scrape(self, *, openmetrics: bool, gzipped: bool) -> Rendered: ...

    def image(self) -> PaneImage: ...

    def at_image(self, image: PaneImage, as_of_ms: int, filters: Filters = ...) -> KpiSnapshot: ...

    def commissions(self, image: PaneImage, as_of_ms: int) -> tuple[CommissionEstimate, ...]:
        """Return the estimates of every plan; called in a thread too."""

    def not_ready(self) -> str:
        """Return why the numbers cannot be relied on now, "" when they can."""


SOURCE = web.AppKey("source", SnapshotSource)
ANSWERS = web.AppKey("answers", SnapshotAnswers)
ESTIMATES = web.AppKey("estimates", Estimates)
EXPLAIN = web.AppKey("explain", ExplainSource)
PAGE = web.AppKey("page", bytes)
POLICY = web.AppKey("policy", str)
_GZIP_WORTH_BYTES = 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Server": "salesfloor",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NO_FRAMES = "frame-ancestors 'none'"
_POLICY_OF_DATA = f"default-src 'none'; {_NO_FRAMES}"


def create_app(
    source: SnapshotSource,
    *,
    floor_name: str = "Sales floor",
    zone: str = "UTC",
    explain: ExplainSource | None = None,
    grants: Iterable[Grant] | Callable[[], Sequence[Grant]] = (),
    hosts: Collection[str] | None = None,
    wall: Wall | None = None,
) -> web.Application:
    """Build the doors. Without `grants` they are open to whoever asks by one of the names `hosts`."""
    app = web.Application(middlewares=[_dress, asked_by_name(hosts), guard(grants)])
    app[SOURCE] = source
    app[PAGE], app[POLICY] = _page(floor_name, zone)
    app[ANSWERS], app[ESTIMATES] = SnapshotAnswers(), Estimates()
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/api/snapshot", _snapshot)
    app.router.add_get("/api/targets", _targets)
    app.router.add_get("/api/kpis", _kpis)
    if explain is not None:
        app[EXPLAIN] = explain
        app.router.add_get("/api/explain", _explain)
    for name in ANSWERS_OF:
        app.router.add_get(f"/api/{name}", _rewards)
    app.router.add_get("/api/commissions", _commissions)
    app.router.add_get("/", _status_page)
    if wall is None:
        app.router.add_get("/wall", _status_page)
    else:
        add_wall(app, wall, floor=floor_name)
    app.router.add_get("/-/healthy", _healthy)
    app.router.add_get("/-/ready", _ready)
    return app


async def _metrics(request: web.Request) -> web.Response:
    gzipped = _accepts_gzip(request)
    rendered = await request.app[SOURCE].scrape(
        openmetrics=_prefers_openmetrics(request.headers.get("Accept", "")), gzipped=gzipped
    )
    headers = {"Content-Type": rendered.content_type, "Vary": "Accept, Accept-Encoding"}
    if not gzipped:
        return web.Response(body=rendered.body, headers=headers)
    return web.Response(body=rendered.gzipped, headers={**headers, "Content-Encoding": "gzip"})


async def _snapshot(request: web.Request) -> web.Response:
    source, answers = request.app[SOURCE], request.app[ANSWERS]
    query = {name: request.query.getall(name) for name in request.query}
    at_ms, filters = ask_of(query, source.config.catalogue)
    if at_ms is not None:
        return _json(request, await answers.then(source, at_ms, filters))
    if source.current is None:
        raise NoSnapshot(source.not_ready() or "the first snapshot is being computed")
    return _json(request, await answers.now(source, source.current, filters))


async def _targets(request: web.Request) -> web.Response:
    source, answers = request.app[SOURCE], request.app[ANSWERS]
    query = {name: request.query.getall(name) for name in request.query}
    at_ms, filters = ask_of(query, source.config.catalogue, parameters=("at", "level", "kpi"))
    if at_ms is not None:
        return _json(request, await answers.targets_then(source, at_ms, filters))
    if source.current is None:
        raise NoSnapshot(source.not_ready() or "the first snapshot is being computed")
    return _json(request, await answers.targets(source, source.current, filters))


async def _rewards(request: web.Request) -> web.Response:
    answer = ANSWERS_OF[request.path.rpartition("/")[2]](_reward_report(request))
    return _json(request, json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())


async def _commissions(request: web.Request) -> web.Response:
    report, visitor = _reward_report(request), visitor_of(request)
    found = report.commissions
    if visitor.rep or visitor.every_commission:
        every = await request.app[ESTIMATES].of_tick(request.app[SOURCE], report)
        found = tuple(seen_by(visitor, every))
    answer = commissions_answer(report, found)
    return _json(request, json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())


def _reward_report(request: web.Request) -> RewardReport:
    """Return the newest tick's report, for a question without parameters."""
    source = request.app[SOURCE]
    if request.query:
        raise BadAsk(
            f"no parameter {next(iter(request.query))!r}; {request.path} answers for now and takes none"
        )
    if source.beside is None:
        raise NoSnapshot(source.not_ready() or "the first snapshot is being computed")
    return source.beside.rewards


async def _explain(request: web.Request) -> web.Response:
    query = {name: request.query.getall(name) for name in request.query}
    ask = explain_ask_of(query, request.app[SOURCE].config.catalogue)
    answer = await request.app[EXPLAIN].explain(ask)
    return _json(request, json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())


async def _kpis(request: web.Request) -> web.Response:
    answer = {"kpis": described(request.app[SOURCE].config.catalogue)}
    return _json(request, json.dumps(answer, ensure_ascii=False).encode())


async def _status_page(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[PAGE],
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": request.app[POLICY]},
    )


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _ready(request: web.Request) -> web.Response:
    reason = request.app[SOURCE].not_ready()
    return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)


def _json(request: web.Request, content: bytes, *, status: int = 200) -> web.Response:
    response = web.Response(body=content, status=status, content_type="application/json")
    if len(content) > _GZIP_WORTH_BYTES and _accepts_gzip(request):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _json_error(request: web.Request, error: Exception, *, status: int) -> web.Response:
    return _json(request, json.dumps({"error": str(error)}).encode(), status=status)


def _accepts_gzip(request: web.Request) -> bool:
    offers = request.headers.get("Accept-Encoding", "").lower().split(",")
    return any(re.fullmatch(r"\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$)[\d.]+\s*)?", offer) for offer in offers)


def _prefers_openmetrics(accept: str) -> bool:
    """Say whether a scraper would rather have OpenMetrics than the text format, by its q values."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for offer in accept.lower().split(","):
        media, *parameters = [part.strip() for part in offer.split(";")]
        if media in weights:
            said = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            weights[media] = max(weights[media], float(said) if re.fullmatch(r"[01](\.\d*)?", said) else 0.0)
    return weights["application/openmetrics-text"] > weights["text/plain"]


@web.middleware
async def _dress(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Put the security headers on every answer, and turn what went wrong into one that names the fix."""
    try:
        response = await handler(request)
    except BadAsk as error:
        response = _json_error(request, error, status=400)
    except NoSnapshot as error:
        response = _json_error(request, error, status=503)
    except web.HTTPException as error:
        error.headers.update({**_HEADERS, "Content-Security-Policy": _POLICY_OF_DATA})
        raise
    response.headers.setdefault("Content-Security-Policy", _POLICY_OF_DATA)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if _NO_FRAMES not in response.headers["Content-Security-Policy"]:
        del response.headers["X-Frame-Options"]  # it knows all or nothing; the policy says by whom
    return response


def _page(floor_name: str, zone: str) -> tuple[bytes, str]:
    """Return the status page and the policy that lets exactly its own script and style run."""
    page = files("metrics.web").joinpath("static/status.html").read_text(encoding="utf-8")
    version = hashlib.sha256(page.encode()).hexdigest()[:12]
    for mark, text in (("{{floor}}", floor_name), ("{{zone}}", zone), ("{{version}}", version)):
        page = page.replace(mark, html.escape(text))
    policy = (
        f"default-src 'none'; script-src {_hash_of('script', page)}; style-src {_hash_of('style', page)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.encode(), policy


def _hash_of(tag: str, page: str) -> str:
    match = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert match is not None, f"the status page has no <{tag}>"
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"
