"""The Redis client: a task that is cancelled ends, whenever the cancellation comes."""

import asyncio

import pytest

from streams.stores.base import StoreUnavailable
from streams.stores.redis_client import _Cancellable, ask, connect, translated


class Forgetful:
    """Sends as redis-py does before Python 3.12: a cancellation at the wrong moment is forgotten."""

    def __init__(self) -> None:
        self.sent = 0
        self.disconnected = False

    async def send_packed_command(self, command: object, check_health: bool = True) -> None:
        self.sent += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def disconnect(self, nowait: bool = False) -> None:
        self.disconnected = True


class Connection(_Cancellable, Forgetful):
    pass


async def send_for_ever(connection: Connection) -> None:
    while connection.sent < 3:
        await connection.send_packed_command([b"PING"])


async def test_cancellation_that_the_client_forgets_still_ends_the_task() -> None:
    connection = Connection()
    task = asyncio.create_task(send_for_ever(connection))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.sent == 1
    assert connection.disconnected, "a reply nobody read must not answer the next command"


SENTINELS = "redis+sentinel://127.0.0.1:1,127.0.0.1:2/floor/0"


@pytest.mark.parametrize(
    "url",
    [
        *("redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "unix:///nowhere.sock"),
        *(SENTINELS, "rediss+sentinel://u:p@127.0.0.1:1/floor?ssl_ca_certs=ca.pem"),
    ],
)
async def test_every_kind_of_connection_is_cancellable(url: str) -> None:
    client = connect(url)
    assert issubclass(client.connection_pool.connection_class, _Cancellable)
    await client.aclose()


async def test_sentinels_that_name_no_master_are_waited_for() -> None:
    client = connect(SENTINELS)
    with pytest.raises(StoreUnavailable, match="no sentinel of here names a master"), translated("here"):
        await ask(client, "PING")
    await client.aclose()
