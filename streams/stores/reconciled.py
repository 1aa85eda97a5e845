"""What the last reconcile found, in Redis: written by the command, read by whoever shows it. Knows no kind.

    {<namespace>}:reconciled   hash   "last" -> JSON

Independent of definition versions and rebuilds, and lost together with the state.
"""

from streams.redis_address import address_of
from streams.stores.redis_client import ask, connect, translated


class ReconciledStore:
    """Every method may raise `StoreUnavailable`."""

    def __init__(self, url: str, *, namespace: str) -> None:
        self._redis = connect(url)
        self._address = address_of(url)
        self._key = f"{{{namespace}}}:reconciled"

    async def keep(self, found: bytes) -> None:
        with translated(self._address):
            await ask(self._redis, "HSET", self._key, "last", found)

    async def last(self) -> bytes | None:
        """Return what was kept last; None before the first reconcile."""
        with translated(self._address):
            found: bytes | None = await ask(self._redis, "HGET", self._key, "last")
        return found

    async def close(self) -> None:
        await self._redis.aclose()
