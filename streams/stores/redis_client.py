"""Redis settings in, a client out whose failures speak the store's language. Knows no keys."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLCertVerificationError, SSLError
from typing import Any

import hiredis
from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from streams.redis_address import SUFFIX, Sentinels, sentinels_of
from streams.stores.base import StoreMisconfigured, StoreRefuses, StoreUnavailable

# A healthy Redis answers the largest commit in a fraction of this; a longer wait holds up the slot's fold.
_SOCKET_TIMEOUT_SECONDS = 2.0
_CONNECT_TIMEOUT_SECONDS = 1.0
# A connection idle this long is pinged before use, so that a dead one is found by the ping.
_HEALTH_CHECK_SECONDS = 15

# Replies that say "not now"; Redis 6 wraps them in "Error running script … -OOM …".
_TRANSIENT = (
    "OOM",
    "READONLY",
    "MISCONF",
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "NOREPLICAS",
)
# redis-py takes the code off the text of the errors it knows.
_TRANSIENT_KINDS: dict[type[Exception], str] = {
    redis_errors.OutOfMemoryError: "OOM",
    redis_errors.ReadOnlyError: "READONLY",
    redis_errors.TryAgainError: "TRYAGAIN",
    redis_errors.ClusterDownError: "CLUSTERDOWN",
}

_OR_SENTINELS = ", also sentinel_username and sentinel_password in it if the sentinels ask for a login"

Part = str | bytes | int


def connect(url: str, *, health_check_seconds: int = _HEALTH_CHECK_SECONDS) -> Redis:
    """Build a client; nothing is contacted yet. Raises `ValueError` for a URL that is none.

    Of sentinels, each new connection asks for the master of that moment.
    """
    options: dict[str, Any] = {
        "decode_responses": False,
        "protocol": 2,
        "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "health_check_interval": health_check_seconds,
        # One more try, at once, for a pooled connection that died unnoticed. Waiting is for the caller.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis_errors.ConnectionError,)),
    }
    sentinels = sentinels_of(url)
    client = Redis.from_url(url, **options) if sentinels is None else _of_master(sentinels, options)
    pool = client.connection_pool
    pool.connection_class = type("OwnConnection", (_Cancellable, _PackedInC, pool.connection_class), {})
    return client


def _of_master(address: Sentinels, options: dict[str, Any]) -> Redis:
    own: dict[str, Any] = dict(parse_url(address.server_url))
    is_tls = own.pop("connection_class", None) is not None
    own.pop("host")
    of_tls = {name: value for name, value in own.items() if name.startswith("ssl_")}
    asked = {name: value for name, value in options.items() if name != "health_check_interval"}
    asked |= of_tls | address.login | {"ssl": is_tls}
    sentinel = _Telling(address.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.master,
        sentinel,
        connection_class=SentinelManagedSSLConnection if is_tls else SentinelManagedConnection,
        **options,
        **own,
    )
    return _MasterClient(pool, sentinel)


class _Telling(Sentinel):
    """Says why, when no sentinel lets us in: to its base that looks like a failover, which one waits out."""

    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        except MasterNotFoundError as error:
            unknown = error
        # Asked out here: what is raised while another error is handled forgets what it came of.
        for sentinel in self.sentinels:
            try:
                await ask(sentinel, "SENTINEL MASTERS")
            except redis_errors.RedisError as error:
                if isinstance(error, redis_errors.AuthenticationError) or _untrusted(error):
                    raise
        raise unknown


class _MasterClient(Redis):
    """Closes what it asks the sentinels by, too."""

    def __init__(self, pool: SentinelConnectionPool, sentinel: Sentinel) -> None:
        super().__init__(connection_pool=pool)
        self._sentinel = sentinel
        self.auto_close_connection_pool = True

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await self._sentinel.aclose()


class _PackedInC:
    """Packs commands in C, as redis-py's blocking client does. Its asyncio client goes argument by
    argument, and a commit has ten thousands of them."""

    def pack_command(self, name: str | bytes, *args: Part) -> list[bytes]:
        words = name.encode() if isinstance(name, str) else name
        return [hiredis.pack_command((*words.split(), *args))]  # type: ignore[arg-type]  # its stub says one


class _Cancellable:
    """Lets no cancellation get lost in a send: the client waits with `asyncio.wait_for`, which before
    Python 3.12 forgets one that comes the very moment the data is written; a stopping role then hangs."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)  # type: ignore[misc]
        if task is not None and task.cancelling() > before:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]  # the reply will not be read
            raise asyncio.CancelledError


async def ask(client: Redis, *command: Part) -> Any:
    """Send one command. Its reply has no type here: the caller names what the command returns."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def ask_all(client: Redis, *commands: tuple[Part, ...]) -> Any:
    """Send commands as one transaction and return their replies: all of one instant."""
    async with client.pipeline(transaction=True) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return await pipe.execute()


async def check(client: Redis, address: str, *, require_noeviction: bool) -> list[str]:
    """Return warnings about a Redis; raise when it would drop state in normal operation."""
    with translated(address):
        await ask(client, "PING")
    config: dict[str, str] = {}
    try:
        # One at a time: before version 7, CONFIG GET takes one name only.
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "cluster-enabled"):
            with translated(address):
                said: dict[bytes | str, bytes | str] = await ask(client, "CONFIG GET", name)
            config.update((_text(key), _text(value)) for key, value in said.items())
    except (redis_errors.ResponseError, StoreRefuses):
        # Hosted Redis and narrow ACLs hide CONFIG.
        return [
            f"Redis at {address} does not show its configuration: "
            "make sure that maxmemory-policy is noeviction and appendonly is yes."
        ]
    return _judge(config, address, require_noeviction=require_noeviction)


def _judge(config: dict[str, str], address: str, *, require_noeviction: bool) -> list[str]:
    warnings = []
    if config.get("cluster-enabled") == "yes":
        raise StoreMisconfigured(
            f"Redis at {address} is a node of a Redis Cluster, which holds only some of the slots. Name a "
            "Redis that is not part of one: one master, with replicas and sentinels if you like."
        )
    policy = config.get("maxmemory-policy", "noeviction")
    # Without a memory limit nothing is ever evicted, whatever the policy says.
    if config.get("maxmemory", "0") != "0" and policy != "noeviction":
        complaint = (
            f"Redis at {address} has maxmemory-policy {policy}: when full, it drops state without a word. "
            "Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
        )
        if require_noeviction:
            fix = "or accept the loss with redis.require_noeviction = false"
            raise StoreMisconfigured(f"{complaint}, {fix}.")
        warnings.append(f"{complaint}.")
    if config.get("appendonly") == "no":
        warnings.append(
            f"Redis at {address} has appendonly off: after its restart all state is folded again "
            "from the topics. Set appendonly yes to keep it."
        )
    return warnings


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Turn what a caller can only wait out into `StoreUnavailable`; our own mistakes stay as they are."""
    try:
        yield
    except (redis_errors.AuthenticationError, redis_errors.AuthorizationError):
        raise StoreRefuses(
            f"Redis at {address} refuses the user or password; check redis.url_file (or SALESFLOOR_REDIS)"
            f"{_OR_SENTINELS if SUFFIX in address else ''}"
        ) from None
    except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
        if untrusted := _untrusted(error):
            raise StoreRefuses(f"Redis at {address} {untrusted}") from None
        if isinstance(error, MasterNotFoundError):
            raise StoreUnavailable(
                f"no sentinel of {address} names a master that is up; is its name right, a failover over, "
                "and do they want TLS (rediss+sentinel://)?"
            ) from None
        # Its text may repeat the URL; its kind says enough.
        raise StoreUnavailable(f"Redis at {address} does not answer ({type(error).__name__})") from None
    except redis_errors.ResponseError as error:
        if _is_denied(error):
            raise StoreRefuses(
                f"Redis at {address} does not let this user do that ({error}); "
                "docs/security.md lists the rights each role needs"
            ) from None
        code = _transient_code(error)
        if code is None:
            raise
        raise StoreUnavailable(f"Redis at {address} refuses for now ({code})") from None


def _untrusted(error: BaseException | None) -> str:
    """Return what is wrong with the TLS, "" when that is not it; the client hides it behind its own error."""
    while error is not None and not isinstance(error, SSLError):
        error = error.__cause__ or error.__context__
    if error is None:
        return ""
    if isinstance(error, SSLCertVerificationError):
        return (
            f"shows a certificate that is not trusted ({error.verify_message}); name the authority that "
            "signed it at the end of redis.url: ?ssl_ca_certs=FILE"
        )
    return (
        f"and this side find no common TLS ({error.reason}); check that redis.url is right to say rediss://"
    )


def _is_denied(error: redis_errors.ResponseError) -> bool:
    # A script is refused by another text than a command.
    return isinstance(error, redis_errors.NoPermissionError) or "ACL failure in script" in str(error)


def _transient_code(error: redis_errors.ResponseError) -> str | None:
    for kind, code in _TRANSIENT_KINDS.items():
        if isinstance(error, kind):
            return code
    text = str(error)
    return next((code for code in _TRANSIENT if text.startswith(f"{code} ") or f"-{code} " in text), None)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
