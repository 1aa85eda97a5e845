"""Which topics the state was folded from, in Redis: a topic's id when it was first seen. Knows no slot.

    {<namespace>}:topics   hash   topic -> the id that the brokers gave it

Independent of definition versions and rebuilds, and lost together with the state.
"""

from collections.abc import Mapping

from streams.redis_address import address_of
from streams.stores.redis_client import ask, connect, translated


class KnownTopics:
    """Every method may raise `StoreUnavailable`."""

    def __init__(self, url: str, *, namespace: str) -> None:
        self._redis = connect(url)
        self._address = address_of(url)
        self._key = f"{{{namespace}}}:topics"

    async def first_seen(self, ids: Mapping[str, str]) -> dict[str, str]:
        """Return the ids under which these topics were seen first; those not seen before are, from now on."""
        if not ids:
            return {}
        with translated(self._address):
            found: list[bytes | None] = await ask(self._redis, "HMGET", self._key, *ids)
        known = {topic: name.decode() for topic, name in zip(ids, found, strict=True) if name is not None}
        # Two workers that see a topic first at once see the same id.
        await self.accept({topic: topic_id for topic, topic_id in ids.items() if topic not in known})
        return {**ids, **known}

    async def accept(self, ids: Mapping[str, str]) -> None:
        """Take these for the topics that the state is folded from."""
        if ids:
            pairs = [part for pair in ids.items() for part in pair]
            with translated(self._address):
                await ask(self._redis, "HSET", self._key, *pairs)

    async def close(self) -> None:
        await self._redis.aclose()
