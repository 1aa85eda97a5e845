"""Results that are written down once and never changed, in Redis. Knows no contest and no slot.

    {<namespace>}:results   hash   id -> JSON of the result; whoever writes an id first is believed

Independent of definition versions and rebuilds: a result is kept as it was, whatever is folded anew.
"""

from streams.redis_address import address_of
from streams.stores.redis_client import ask, ask_all, connect, translated


class ResultStore:
    """Every method may raise `StoreUnavailable`; nothing was half-written then."""

    def __init__(self, url: str, *, namespace: str) -> None:
        self._redis = connect(url)
        self._address = address_of(url)
        self._key = f"{{{namespace}}}:results"

    async def keep(self, result_id: str, result: bytes) -> bytes:
        """Write the result down unless there is one; return the one that is there now."""
        with translated(self._address):
            _written, kept = await ask_all(
                self._redis, ("HSETNX", self._key, result_id, result), ("HGET", self._key, result_id)
            )
        found: bytes = kept
        return found

    async def kept(self) -> dict[str, bytes]:
        """Return every result there is."""
        with translated(self._address):
            said: list[bytes] | dict[bytes, bytes] = await ask(self._redis, "HGETALL", self._key)
        pairs = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
        return {result_id.decode(): result for result_id, result in pairs.items()}

    async def close(self) -> None:
        await self._redis.aclose()
