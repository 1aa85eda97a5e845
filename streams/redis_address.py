"""The address of a Redis in, its parts out: one server, or sentinels that know which one is the master. Pure.

    redis+sentinel://user:password@host1:26379,host2:26379,host3:26379/name-of-the-master/0?option=…

User, password and options are those of the master; `sentinel_username` and `sentinel_password` are the
sentinels' own. `rediss+sentinel` speaks TLS to all of them.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

SCHEMES: Final = ("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")
_SENTINEL_PORT: Final = 26379
SUFFIX: Final = "+sentinel"
_OWN: Final = {"sentinel_username": "username", "sentinel_password": "password"}


@dataclass(frozen=True)
class Sentinels:
    hosts: tuple[tuple[str, int], ...]
    master: str
    """What the sentinels call it."""
    server_url: str
    """redis:// or rediss:// with the first sentinel's host: scheme, login, database and options."""
    login: dict[str, str]
    """The sentinels' own username and password, where they ask for them."""


def sentinels_of(url: str) -> Sentinels | None:
    """Return what a sentinel address says, None for another one; ValueError, with the fix, if it is wrong."""
    parts = urlsplit(url)
    if not parts.scheme.endswith(SUFFIX):
        return None
    hosts = _hosts(parts)
    name, _, database = parts.path.strip("/").partition("/")
    if not name:
        raise ValueError("name the master behind the sentinels, such as …:26379/mymaster/0")
    if database and not database.isdecimal():
        raise ValueError("what follows the master's name is no number of a database; write …/mymaster/0")
    query = parse_qsl(parts.query)
    login = {_OWN[option]: value for option, value in query if option in _OWN}
    options = urlencode([(option, value) for option, value in query if option not in _OWN])
    user, at, _ = parts.netloc.rpartition("@")
    scheme = parts.scheme.removesuffix(SUFFIX)
    server_url = f"{scheme}://{user}{at}sentinel/{database or 0}{'?' if options else ''}{options}"
    return Sentinels(hosts, unquote(name), server_url, login)


def _hosts(parts: SplitResult) -> tuple[tuple[str, int], ...]:
    hosts = []
    for each in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{each.strip()}")
            host, port = one.hostname, one.port
        except ValueError:  # its text repeats what may be a part of the password
            host, port = None, None
        if not host:
            raise ValueError(
                "not every sentinel is host:port; write host1:26379,host2:26379/mymaster, and in a password "
                "%2F for / and %40 for @"
            )
        hosts.append((host, _SENTINEL_PORT if port is None else port))
    return tuple(hosts)


def hosts_of(url: str) -> tuple[str, ...]:
    """Return the hosts that are contacted first; none for a socket."""
    parts = urlsplit(url)
    if parts.scheme.endswith(SUFFIX):
        return tuple(host for host, _ in _hosts(parts))
    return (parts.hostname,) if parts.hostname else ()


def address_of(url: str) -> str:
    """Return a URL as it may be shown: without user, password and options."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    if parts.scheme.endswith(SUFFIX):
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    try:
        port = parts.port or 6379
    except ValueError:
        return f"{parts.scheme}://{parts.hostname}"
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"
