"""What every store promises about generations and what is shown, on the reference and on a real Redis."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from streams.stores.base import (
    STORE_FORMAT,
    Claim,
    Commit,
    ForeignFormat,
    GenerationInUse,
    Outcome,
    Shown,
    StateStore,
)
from streams.stores.memory import MemoryStore
from streams.stores.redis import RedisStore
from streams.switching import generation_of
from tests.contract.test_store_contract import NAMESPACE, redis_url

SLOTS = 2


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[StateStore]:
    if request.param == "memory":
        yield MemoryStore(version="v1")
        return
    async with redis_url("redis") as url:
        made = RedisStore(url, namespace=NAMESPACE, version="v1")
        yield made
        await made.close()


def step(claim: Claim, seq: int, value: bytes) -> Commit:
    return Commit(claim.owner, seq, {"sales.deals": seq + 1}, {b"c": value}, [], {b"d": value}, [])


async def commit_to(store: StateStore, slot: int, value: bytes) -> Claim:
    claim = await store.claim(slot)
    assert await store.commit(slot, step(claim, claim.seq, value)) is Outcome.DONE
    return claim


async def test_what_is_folded_beside_is_neither_read_nor_told_until_it_is_activated(
    store: StateStore,
) -> None:
    owner = await commit_to(store, 0, b"old")
    beside = store.of_generation(1, version="v2")
    await commit_to(beside, 0, b"new")
    assert (await store.read_board(0)).fields == {b"c": b"old"}
    assert not await store.discard(0, 0), "in use"
    assert await store.active_generations(SLOTS) == [0, 0]
    await store.activate(0, 1)
    assert await store.active_generations(SLOTS) == [1, 0]
    assert await store.commit(0, step(owner, 1, b"late")) is Outcome.FENCED
    assert (await store.read_board(0)).fields == {b"c": b"new"}
    assert (await beside.version_of(0), await beside.version_of(1)) == ("v2", "")
    assert await store.discard(0, 0)
    await beside.close()


async def test_a_rebuild_that_slept_while_another_one_switched_writes_nothing(store: StateStore) -> None:
    beside = store.of_generation(1, version="v1")
    claim = await commit_to(beside, 0, b"new")
    await store.activate(0, 1)
    assert await beside.commit(0, step(claim, 1, b"late")) is Outcome.FENCED
    with pytest.raises(GenerationInUse, match="another rebuild was faster"):
        await beside.claim(0)
    assert (await store.read_board(0)).fields == {b"c": b"new"}
    assert await store.commit(0, step(await store.claim(0), 1, b"newer")) is Outcome.DONE
    await beside.close()


async def test_a_rebuild_that_slept_through_a_later_switch_does_not_switch_back(store: StateStore) -> None:
    for generation in (2, 1):
        beside = store.of_generation(generation, version="v1")
        await commit_to(beside, 0, b"of %d" % generation)
        assert await store.activate(0, generation) is (generation == 2)
        await beside.close()
    assert await store.active_generation(0) == 2
    assert await store.activate(0, 2), "asked again, as after an answer that got lost"
    assert (await store.read_board(0)).fields == {b"c": b"of 2"}


async def test_what_somebody_else_discarded_or_folded_anew_is_not_switched_to(store: StateStore) -> None:
    beside = store.of_generation(1, version="v1")
    await commit_to(beside, 0, b"whole")
    left = await beside.read_mark(0)
    assert await store.discard(0, 1)
    assert not await store.activate(0, 1, left)
    await beside.claim(0)
    assert not await store.activate(0, 1, left)
    assert await store.active_generation(0) == 0
    await commit_to(beside, 0, b"whole")
    assert await store.activate(0, 1, await beside.read_mark(0))
    await beside.close()


async def test_what_is_shown_changes_only_by_a_switch_or_when_asked_to(store: StateStore) -> None:
    assert await store.shown() is None
    assert await store.announce(Shown(2, "v1", "a")) == "v1"
    assert await store.announce(Shown(2, "v2", "b")) == "v1"
    await store.show(Shown(2, "v2", "b", generation=3))
    assert await store.announce(Shown(4, "v2", "c")) == "v2"
    assert await store.shown() == Shown(4, "v2", "c", generation=3)
    assert await store.announce(Shown(1, "v3", ""), whatever=True) == "v3"


async def test_what_another_release_arranged_is_not_announced_over(store: StateStore) -> None:
    newer = Shown(2, "v9", "", format=STORE_FORMAT + 1)
    await store.show(newer)
    for whatever in (False, True):
        with pytest.raises(ForeignFormat, match=rf"format {STORE_FORMAT + 1} by a newer release"):
            await store.announce(Shown(2, "v1", ""), whatever=whatever)
    assert await store.shown() == newer


async def test_readers_read_what_is_shown_and_never_half_of_a_switch_to_another_version(
    store: StateStore,
) -> None:
    shown = Shown(SLOTS, "v1", generation=0)
    beside = store.of_generation(1, version="v2")
    for slot in range(SLOTS):
        await commit_to(store, slot, b"old")
        await commit_to(beside, slot, b"new")
        assert await generation_of(shown, store) == 0
        await store.activate(slot, 1)
    assert await generation_of(shown, store) == 0
    assert await generation_of(msgspec.structs.replace(shown, version="v2", generation=1), store) == 1
    assert await generation_of(msgspec.structs.replace(shown, generation=None), store) is None
    await beside.close()


async def test_readers_follow_a_switch_of_the_same_version_that_was_not_finished(store: StateStore) -> None:
    shown = Shown(SLOTS, "v1", generation=0)
    beside = store.of_generation(1, version="v1")
    for slot in range(SLOTS):
        await commit_to(store, slot, b"old")
        await commit_to(beside, slot, b"new")
    await store.activate(0, 1)
    assert await generation_of(shown, store) is None
    await beside.close()
