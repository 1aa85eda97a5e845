"""The ids of topics in a real Redis: the one seen first stays until another is accepted."""

from streams import embedded
from streams.stores.known_topics import KnownTopics


async def test_the_id_seen_first_stays_until_another_is_accepted() -> None:
    async with embedded.embedded_redis() as running:
        known = KnownTopics(running.redis_url, namespace="floor")
        other_floor = KnownTopics(running.redis_url, namespace="other")
        try:
            assert await known.first_seen({}) == {}
            assert await known.first_seen({"a": "1"}) == {"a": "1"}
            assert await known.first_seen({"a": "2", "b": "7"}) == {"a": "1", "b": "7"}
            await known.accept({"a": "2"})
            assert await known.first_seen({"a": "3", "b": "8"}) == {"a": "2", "b": "7"}
            assert await other_floor.first_seen({"a": "3"}) == {"a": "3"}
        finally:
            await known.close()
            await other_floor.close()
