"""Requests in; those that may pass on to their handler, with who asks attached, or a 401 or 403 out.

Which door a request knocks at is told by the route that matched, not by the text of its path. Keeps only
digests of tokens, shows no token to a handler, and knows neither settings nor numbers.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the name of a parameter, no secret


class Scope(StrEnum):
    """What a token opens."""

    ALL = "all"
    WALL = "wall"
    """The wall and the status page, with what they ask of the API."""
    METRICS = "metrics"
    """/metrics, and nothing else."""
    REP = "rep"
    """What the wall shows, and one rep's own commission."""


@dataclass(frozen=True)
class Visitor:
    """Who asks. Without any grant everybody sees all but the commissions that are for the rep alone."""

    may: Scope = Scope.ALL
    rep: str = ""
    every_commission: bool = False


@dataclass(frozen=True)
class Grant:
    """One token and what it opens. `rep` is whose commission it shows, with the scope REP only."""

    name: str
    digest: bytes = field(repr=False)
    visitor: Visitor


def grant_of(name: str, token: str, may: Scope, rep: str = "") -> Grant:
    return Grant(name, _digest(token), Visitor(may, rep, every_commission=may is Scope.ALL))


ANYBODY: Final = Visitor()
VISITOR = web.RequestKey("visitor", Visitor)

_OPEN_DOORS: Final = ("/-/healthy", "/-/ready")
_ASSETS: Final = "/wall/assets/"
"""Without a number in it, and pictures under names nobody can guess; a page adds its token to no link."""
_WALL_DOORS: Final = frozenset(
    {"/", "/wall"}
    | {f"/api/{name}" for name in ("kpis", "snapshot", "targets", "leaderboards", "contests", "commissions")}
)
_OPENED: Final = {
    Scope.ALL: frozenset(Scope),
    Scope.WALL: frozenset({Scope.WALL}),
    Scope.METRICS: frozenset({Scope.METRICS}),
    Scope.REP: frozenset({Scope.REP, Scope.WALL}),
}
_SHOWN_BY: Final = {
    Scope.WALL: "the wall and the status page",
    Scope.METRICS: "/metrics",
    Scope.REP: "the wall, the status page and one rep's commission",
}
_FIX: Final = (
    "add ?token=… to the address or send the header Authorization: Bearer …; "
    "[[access]] in the settings of this floor says which tokens there are"
)


def visitor_of(request: web.Request) -> Visitor:
    """Return who asks, for handlers whose answer depends on it; KeyError at a door that is open to all."""
    return request[VISITOR]


def allow(request: web.Request, scope: Scope) -> bool:
    """Say whether who asks may see what this scope shows."""
    return scope in _OPENED[visitor_of(request).may]


def guard(grants: Iterable[Grant] | Callable[[], Sequence[Grant]] = ()) -> Middleware:
    """Return the middleware that lets in by these grants; without any, everybody as `ANYBODY`.

    A function tells those that hold at each request; where it tells none, nobody gets in.
    """
    fixed = () if callable(grants) else tuple(grants)
    holding = grants if callable(grants) else lambda: fixed
    closed = callable(grants) or bool(fixed)

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        needed = _scope_of_door(request)
        if needed is not None:
            request[VISITOR] = _identify(request, holding()) if closed else ANYBODY
            if not allow(request, needed):
                raise _refusal(request, web.HTTPForbidden, _too_little(visitor_of(request)))
        if TOKEN_PARAMETER in request.query:
            # No handler has a use for it, and what it does not know it cannot write into an answer or a log.
            request = request.clone(rel_url=request.rel_url.without_query_params(TOKEN_PARAMETER))
        return await handler(request)

    return check


def asked_by_name(names: Collection[str] | None) -> Middleware:
    """Return the middleware that answers only under these names (lower case, without a port); None: any.

    A page of somebody else's may have its own name point to this machine, and so make the browser of who
    sits at it ask for numbers that are open to this machine. The name it asks by tells.
    """

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        asked = _name_in(request.headers.get("Host", ""))
        if names is not None and asked and asked not in names and _scope_of_door(request) is not None:
            said = (
                "these numbers are open to this machine under its own name only; ask for 127.0.0.1, or "
                "write the name you ask by into [metrics] hosts, or add an [[access]] with a token"
            )
            raise _refusal(request, web.HTTPMisdirectedRequest, said)
        return await handler(request)

    return check


def _name_in(host: str) -> str:
    """Return the name in a Host header, without the port."""
    name, colon, port = host.strip().lower().rpartition(":")
    return (name if colon and port.isascii() and port.isdigit() else host.strip().lower()).rstrip(".")


def _scope_of_door(request: web.Request) -> Scope | None:
    """Return which scope opens what the request asks for; None if it is open to all."""
    resource = request.match_info.route.resource
    door = "" if resource is None else resource.canonical
    if door in _OPEN_DOORS or door.startswith(_ASSETS):
        return None
    if door == "/metrics":
        return Scope.METRICS
    return Scope.WALL if door in _WALL_DOORS or door.startswith("/wall/") else Scope.ALL


def _identify(request: web.Request, grants: Sequence[Grant]) -> Visitor:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = shown.strip()
    else:  # a `+` that stands in an address as it is reads as a blank; no token has one
        token = request.query.get(TOKEN_PARAMETER, "").replace(" ", "+")
    digest = _digest(token)
    # All are compared, so that the time says nothing about which one is near.
    found = [grant for grant in grants if hmac.compare_digest(grant.digest, digest)]
    if not found:
        said = f"this token is not known here; {_FIX}" if token else f"this floor asks for a token; {_FIX}"
        raise _refusal(request, web.HTTPUnauthorized, said)
    return found[0].visitor


def _too_little(visitor: Visitor) -> str:
    return f"this token shows {_SHOWN_BY[visitor.may]} only; ask for one whose [[access]] says more"


def _refusal(request: web.Request, kind: type[web.HTTPError], said: str) -> web.HTTPError:
    headers = {"WWW-Authenticate": 'Bearer realm="salesfloor"'} if kind is web.HTTPUnauthorized else None
    if request.path.startswith("/api/"):
        return kind(text=json.dumps({"error": said}), content_type="application/json", headers=headers)
    return kind(text=f"{said}\n", headers=headers)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
