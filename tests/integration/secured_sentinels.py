"""A master, a replica and a sentinel that let nobody in without TLS and a login; the sentinel has own users.

Certificates are made anew for each run. All listen on loopback, on TLS ports only.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from tests.integration.secured import PASSWORD, REDIS_USERS, make_certificates, running, until_listening
from tests.ports import free_port, free_ports

NAME: Final = "floor"
START_SECONDS: Final = 60.0
SENTINEL_PASSWORD: Final = "sentinel-0123456789"
SENTINEL_USER: Final = "roles"
SENTINEL_RIGHTS: Final = "+auth +sentinel|masters"
"""All that a role asks of a sentinel."""

_TLS: Final = """
port 0
tls-port {port}
bind 127.0.0.1
dir {directory}
tls-cert-file {certificates}/server.pem
tls-key-file {certificates}/server.key
tls-ca-cert-file {certificates}/ca.pem
tls-auth-clients no
tls-replication yes
"""
_SERVER: Final = """
save ""
appendonly yes
repl-diskless-sync-delay 0
masteruser upkeep
masterauth {password}
user default off
user upkeep on >{password} ~* &* +@all
"""
_SENTINEL: Final = """
user default off
user {user} on >{password} resetchannels -@all {may}
user upkeep on >{password} ~* &* +@all
sentinel monitor {name} 127.0.0.1 {master} 1
sentinel auth-user {name} upkeep
sentinel auth-pass {name} {server_password}
sentinel down-after-milliseconds {name} 500
sentinel failover-timeout {name} 5000
"""


@dataclass(frozen=True)
class Guarded:
    directory: Path
    master: Popen[bytes]
    sentinel_port: int

    def url(
        self,
        user: str,
        *,
        scheme: str = "rediss+sentinel",
        password: str = PASSWORD,
        sentinel_password: str = SENTINEL_PASSWORD,
        ca: str = "ca.pem",
    ) -> str:
        """Return an address whose first sentinel is down."""
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{self.sentinel_port}"
        own = f"sentinel_username={SENTINEL_USER}&sentinel_password={sentinel_password}"
        tls = f"&ssl_ca_certs={self.directory / ca}" if scheme.startswith("rediss") else ""
        return f"{scheme}://{user}:{password}@{hosts}/{NAME}/0?{own}{tls}"


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[Guarded]:
    absent = [tool for tool in ("openssl", "redis-server") if shutil.which(tool) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed")
    make_certificates(directory)
    master, replica, sentinel = free_ports(3)
    users = [f"user {name} on >{PASSWORD} resetchannels -@all {may}" for name, may in REDIS_USERS.items()]
    server = [_SERVER.format(password=PASSWORD), *users]
    watching = _SENTINEL.format(
        user=SENTINEL_USER, password=SENTINEL_PASSWORD, may=SENTINEL_RIGHTS,
        name=NAME, master=master, server_password=PASSWORD,
    )  # fmt: skip
    with (
        _started(directory, master, server) as first,
        _started(directory, replica, [*server, f"replicaof 127.0.0.1 {master}"]),
    ):
        async with _upkeep(directory, replica, PASSWORD) as client:
            await _until_copied(client)
        # Started last: it learns of replicas at its first look, and then every ten seconds only.
        with _started(directory, sentinel, [watching], "--sentinel"):
            async with _upkeep(directory, sentinel, SENTINEL_PASSWORD) as client:
                await _until_known(client)
            yield Guarded(directory, first, sentinel)


@contextmanager
def _started(directory: Path, port: int, lines: Sequence[str], *options: str) -> Any:
    place = directory / str(port)
    place.mkdir()
    tls = _TLS.format(port=port, directory=place, certificates=directory)
    config, log = place / "redis.conf", place / "log"
    config.write_text("\n".join([tls, *lines]))
    with (
        log.open("wb") as output,
        running(["redis-server", str(config), *options], output.fileno()) as process,
    ):
        until_listening(port, process, log)
        yield process


def _upkeep(directory: Path, port: int, password: str) -> Redis:
    return Redis(
        port=port, username="upkeep", password=password, protocol=2, decode_responses=True,
        ssl=True, ssl_ca_certs=str(directory / "ca.pem"),
    )  # fmt: skip


async def _until_copied(replica: Redis) -> None:
    async with asyncio.timeout(START_SECONDS):
        while (await replica.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.05)


async def _until_known(sentinel: Redis) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            states: Any = await sentinel.sentinel_masters()
            if states[NAME]["num-slaves"] == 1:
                return
            await asyncio.sleep(0.05)
