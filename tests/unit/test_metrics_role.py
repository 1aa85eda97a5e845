"""The metrics role before Redis, before a worker, and after Redis went: no zero that means "unknown"."""

from streams.board import BoardFollower
from streams.metrics_role import FollowedService, LateReader
from streams.settings import Settings
from streams.stores.base import Commit
from streams.stores.memory import MemoryStore

SETTINGS = Settings()


async def followed_slot() -> BoardFollower:
    """Return a follower that has read the one slot there is."""
    store = MemoryStore(version=SETTINGS.definition_version)
    claim = await store.claim(0)
    await store.commit(0, Commit(claim.owner, claim.seq, {"sales.deals": 1}, {}, [], {}, []))
    follower = BoardFollower(store, slots=1, definition_version=SETTINGS.definition_version)
    await follower.load()
    return follower


def test_before_anything_is_known_there_is_a_reason_and_no_number() -> None:
    service = FollowedService(LateReader(), SETTINGS)
    assert "no partitions are known yet" in service.not_ready()
    assert b"salesfloor_floor_" not in service.exposition(openmetrics=False).body


async def test_numbers_are_ready_once_boards_are_read_and_followed() -> None:
    reader = LateReader()
    service = FollowedService(reader, SETTINGS)
    follower = await followed_slot()
    reader.follow(follower)
    follower.connected = True
    service.tick()
    assert service.not_ready() == ""


async def test_numbers_nobody_follows_any_more_are_not_ready() -> None:
    reader = LateReader()
    service = FollowedService(reader, SETTINGS)
    reader.follow(await followed_slot())
    service.tick()
    assert "Redis is away" in service.not_ready()


async def test_another_follower_is_another_version_even_if_it_counts_from_the_start() -> None:
    reader = LateReader()
    versions = [reader.version()]
    for follower in (await followed_slot(), await followed_slot()):
        reader.follow(follower)
        versions.append(reader.version())
    assert versions == sorted(set(versions))
