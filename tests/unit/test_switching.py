"""Which state a starting worker takes for its own, and what it says while it waits."""

import asyncio
import logging

import pytest

from streams.definition import shown_of
from streams.settings import FloorSettings, Settings
from streams.stores.base import Commit, ForeignState
from streams.stores.memory import MemoryStore
from streams.switching import named, until_ours
from streams.worker_metrics import WorkerStatus

SETTINGS = Settings()


async def folded(slots: int) -> MemoryStore:
    """Return a store with a state of so many slots, something in the first."""
    store = MemoryStore(version=SETTINGS.definition_version)
    await store.announce(shown_of(SETTINGS, slots=slots))
    claim = await store.claim(0)
    await store.commit(0, Commit(claim.owner, 0, {}, {b"s": b""}, [], {}, []))
    return store


async def is_held_back(store: MemoryStore, slots: int) -> bool:
    stop, status = asyncio.Event(), WorkerStatus(lambda: 0.0)
    waiting = asyncio.create_task(until_ours(store, SETTINGS, slots, stop, tell=status.wait_for))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    stop.set()
    reason = status.unready_because()
    assert reason is not None
    assert (f"{slots} partitions" in reason) is not bool(done)
    assert status.redis_reachable is not bool(done), "who is held up by an operator has asked Redis"
    assert await waiting is bool(done)
    return not done


@pytest.mark.parametrize(("now", "says"), [(6, "salesfloor topics spread"), (2, "salesfloor rebuild")])
async def test_state_of_other_partitions_is_waited_for_and_stays_as_it_was(
    now: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await folded(4)
    with caplog.at_level(logging.WARNING, "streams"):
        assert await is_held_back(store, now)
    assert f"{now} partitions" in caplog.text
    assert says in caplog.text
    shown = await store.shown()
    assert shown is not None
    assert shown.slots == 4


async def test_state_of_the_same_partitions_is_ours() -> None:
    assert not await is_held_back(await folded(4), 4)


async def test_who_is_refused_a_slot_is_told_in_which_setting_its_state_differs() -> None:
    refused = ForeignState("beef")
    others = Settings(floor=FloorSettings(zone="Asia/Kolkata"))
    store = await folded(4)
    assert "floor.zone" in await named(refused, store, others)
    assert await named(refused, store, SETTINGS) == str(refused), "a rebuild has yet to show what it made"


async def test_partitions_added_before_the_first_record_change_nothing() -> None:
    store = MemoryStore(version=SETTINGS.definition_version)
    await store.announce(shown_of(SETTINGS, slots=4))
    assert not await is_held_back(store, 6)
    shown = await store.shown()
    assert shown is not None
    assert shown.slots == 6
