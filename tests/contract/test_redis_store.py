"""What only the Redis store does: errors without secrets, whole refusals, generations, subscriptions."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError

from metrics.panes import Cell
from streams import embedded
from streams.board import BoardFollower
from streams.stores import redis as redis_store
from streams.stores import redis_client
from streams.stores.base import Claim, Commit, Outcome, Shown, StoreMisconfigured, StoreUnavailable
from streams.stores.redis import RedisStore
from tests.boards import Writer, sums_of_log

NAMESPACE = "floor"


@dataclass(frozen=True)
class Server:
    url: str
    client: Redis
    pid: int

    async def say(self, *command: str | bytes | int) -> object:
        return await self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    def store(
        self, *, version: str = "v1", generation: int | None = None, url: str | None = None
    ) -> RedisStore:
        return RedisStore(url or self.url, namespace=NAMESPACE, version=version, generation=generation)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.chdir(tmp_path)  # where the server puts its append-only file, when told to keep one
    async with embedded.embedded_redis() as running:
        if running.engine == "fakeredis":
            pytest.skip("needs a real redis-server")
        async with Redis.from_url(running.redis_url, protocol=2) as client:
            yield Server(running.redis_url, client, running.pid)


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    made = server.store()
    yield made
    await made.close()


def step(claim: Claim, seq: int, fields: dict[bytes, bytes] | None = None) -> Commit:
    return Commit(
        claim.owner, seq, {"sales.deals": seq + 1}, fields or {b"c": b"%d" % seq}, [], {b"d": b"1"}, []
    )


# Errors


async def test_a_redis_that_is_not_there_is_named_without_its_password() -> None:
    store = RedisStore("redis://ann:s3cret@127.0.0.1:1/3", namespace=NAMESPACE, version="v1")
    for call in (store.claim(0), store.read_board(0), store.read_mark(0), store.check(), store.slots()):
        with pytest.raises(StoreUnavailable, match=r"redis://127\.0\.0\.1:1/3 does not answer") as caught:
            await call
        assert "s3cret" not in repr(caught.value)
        assert "ann" not in str(caught.value)
    with pytest.raises(StoreUnavailable):
        async with store.follow():
            pass
    await store.close()


async def test_an_address_that_is_none_is_the_users_mistake() -> None:
    with pytest.raises(StoreMisconfigured, match="http://cache:80") as caught:
        RedisStore("http://u:s3cret@cache:80", namespace=NAMESPACE, version="v1")
    assert "s3cret" not in str(caught.value)


async def test_a_wrong_password_is_said_so(server: Server) -> None:
    await server.say("CONFIG SET", "requirepass", "right")
    store = server.store(url=server.url.replace("redis://", "redis://:wr0ng@"))
    with pytest.raises(StoreUnavailable, match="refuses the user or password") as caught:
        await store.claim(0)
    assert "wr0ng" not in str(caught.value)
    await store.close()


async def test_a_full_redis_refuses_a_commit_whole_and_takes_it_later(
    server: Server, store: RedisStore
) -> None:
    claim = await store.claim(0)
    await store.commit(0, step(claim, 0))
    before = await store.read_board(0)
    await server.say("CONFIG SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="OOM"):
        await store.commit(0, step(claim, 1, {b"p%d" % n: b"x" * 100 for n in range(9_000)}))
    await server.say("CONFIG SET", "maxmemory", 0)
    assert await store.read_board(0) == before
    assert await store.commit(0, step(claim, 1)) is Outcome.DONE


async def test_a_read_only_replica_is_waited_out(server: Server, store: RedisStore) -> None:
    claim = await store.claim(0)
    await server.say("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="READONLY"):
        await store.commit(0, step(claim, 0))
    await server.say("REPLICAOF", "NO", "ONE")
    assert await store.commit(0, step(claim, 0)) is Outcome.DONE


async def test_a_frozen_redis_times_out_and_the_retry_is_already_done(
    server: Server, store: RedisStore
) -> None:
    claim = await store.claim(0)
    await store.commit(0, step(claim, 0))  # loads the script
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            await store.commit(0, step(claim, 1))
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    # What was sent waits in the socket and is carried out after all.
    async with asyncio.timeout(30):
        while (await store.read_mark(0)).seq < 2:
            await asyncio.sleep(0.02)
    assert await store.commit(0, step(claim, 1)) is Outcome.ALREADY_DONE


async def test_our_own_mistakes_are_not_taken_for_an_outage(server: Server, store: RedisStore) -> None:
    await server.say("SET", "{floor:0}:g0:board", "somebody else's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await store.claim(0)


async def test_a_restarted_redis_has_no_scripts_and_gets_them_again(
    server: Server, store: RedisStore
) -> None:
    claim = await store.claim(0)
    await server.say("SCRIPT FLUSH")
    assert await store.commit(0, step(claim, 0)) is Outcome.DONE
    await server.say("SCRIPT FLUSH")
    assert (await store.claim(0)).seq == 1


async def test_a_claim_overtaken_while_it_loads_is_not_handed_out(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await store.claim(0)
    await store.commit(0, step(first, 0))
    rival, scan = server.store(), RedisStore._scan

    async def overtaken(loading: RedisStore, key: str) -> dict[bytes, bytes]:
        if loading is store:
            await rival.commit(0, step(await rival.claim(0), 1, {b"c": b"rival's"}))
        return await scan(loading, key)

    monkeypatch.setattr(RedisStore, "_scan", overtaken)
    with pytest.raises(StoreUnavailable, match="changed hands"):
        await store.claim(0)
    await rival.close()


# Check


async def test_a_redis_that_evicts_is_refused(server: Server, store: RedisStore) -> None:
    await server.say("CONFIG SET", "maxmemory-policy", "allkeys-lru")
    assert not any("maxmemory" in warning for warning in await store.check())  # no limit: nothing is evicted
    await server.say("CONFIG SET", "maxmemory", "100mb")
    with pytest.raises(StoreMisconfigured, match="noeviction"):
        await store.check()
    warnings = await store.check(require_noeviction=False)
    assert any("allkeys-lru" in warning for warning in warnings)


def test_a_node_of_a_cluster_is_refused() -> None:
    with pytest.raises(StoreMisconfigured, match="Redis Cluster"):
        redis_client._judge({"cluster-enabled": "yes"}, "redis://r:6379/0", require_noeviction=True)


async def test_a_redis_without_append_only_file_is_warned_of(server: Server, store: RedisStore) -> None:
    assert any("appendonly" in warning for warning in await store.check())
    await server.say("CONFIG SET", "appendonly", "yes")
    try:
        assert await store.check() == []
    finally:
        await server.say("CONFIG SET", "appendonly", "no")


async def test_a_redis_that_hides_its_configuration_is_a_warning(server: Server) -> None:
    await server.say("ACL SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", "-config")
    store = server.store(url=server.url.replace("redis://", "redis://ann:pw@"))
    (warning,) = await store.check()
    assert "does not show its configuration" in warning
    assert (await store.claim(0)).seq == 0
    await store.close()


async def test_the_number_of_slots_is_told_to_readers(store: RedisStore) -> None:
    assert await store.shown() is None
    assert await store.slots() == 0
    assert await store.announce(Shown(12, "v1", "zone a")) == "v1"
    assert await store.shown() == Shown(12, "v1", "zone a")
    assert await store.slots() == 12


async def test_what_is_shown_changes_only_by_a_switch(store: RedisStore) -> None:
    await store.announce(Shown(4, "v1", "zone a"))
    assert await store.announce(Shown(8, "v2", "zone b")) == "v1"
    assert await store.shown() == Shown(4, "v1", "zone a")
    await store.show(Shown(8, "v2", "zone b", generation=3))
    assert await store.announce(Shown(4, "v1", "zone a")) == "v2"
    assert await store.announce(Shown(9, "v2", "zone b, more holidays")) == "v2"
    assert await store.shown() == Shown(9, "v2", "zone b, more holidays", generation=3)
    assert await store.announce(Shown(1, "v3", ""), whatever=True) == "v3"


# Generations


async def test_a_switch_of_generation_fences_the_owner_and_readers_follow(
    server: Server, store: RedisStore
) -> None:
    claim = await store.claim(0)
    await store.commit(0, step(claim, 0, {b"c": b"old"}))
    beside = server.store(generation=1)
    rebuilt = await beside.claim(0)
    async with store.follow() as changes:
        for seq in range(3):
            assert await beside.commit(0, step(rebuilt, seq, {b"c": b"new"})) is Outcome.DONE
        assert (await store.read_board(0)).fields == {b"c": b"old"}
        assert not await store.discard(0, 0)  # in use
        await store.activate(0, 1)
        assert await store.commit(0, step(claim, 1)) is Outcome.FENCED
        assert (await store.read_mark(0)).seq == 3
        assert (await store.read_board(0)).fields == {b"c": b"new"}
        assert await store.discard(0, 0)

        again = await store.claim(0)
        assert (again.seq, again.board) == (3, {b"c": b"new"})
        assert await store.commit(0, step(again, 3, {b"c": b"newest"})) is Outcome.DONE
        # Nothing was told of the generation that was not in use.
        assert (await anext(changes)).set == {b"c": b"newest"}
    assert await server.client.keys("*:g0:*") == []
    await beside.close()


async def test_another_process_finds_the_switch_at_its_next_claim_and_read(
    server: Server, store: RedisStore
) -> None:
    claim = await store.claim(0)
    await store.commit(0, step(claim, 0))
    reader = server.store()
    assert (await reader.read_board(0)).seq == 1
    other = server.store(generation=4)
    rebuilt = await other.claim(0)
    await other.commit(0, step(rebuilt, 0, {b"c": b"new"}))
    await other.activate(0, 4)
    assert (await reader.read_mark(0)).owner == rebuilt.owner
    assert (await reader.read_board(0)).fields == {b"c": b"new"}
    assert (await store.claim(0)).board == {b"c": b"new"}
    for each in (reader, other):
        await each.close()


async def test_namespaces_keep_apart(server: Server, store: RedisStore) -> None:
    other = RedisStore(server.url, namespace="other", version="v1")
    claim = await other.claim(0)
    async with store.follow() as changes:
        assert await other.commit(0, step(claim, 0)) is Outcome.DONE
        mine = await store.claim(0)
        assert mine.seq == 0
        await store.commit(0, step(mine, 0))
        assert (await anext(changes)).owner == mine.owner
    await other.close()


# Subscriptions


async def test_a_subscription_that_was_cut_says_so(server: Server, store: RedisStore) -> None:
    async with store.follow() as changes:
        await server.say("CLIENT KILL", "TYPE", "pubsub")
        with pytest.raises(StoreUnavailable):
            await anext(changes)
    async with store.follow() as changes:
        claim = await store.claim(0)
        await store.commit(0, step(claim, 0))
        assert (await anext(changes)).seq == 1


async def test_a_quiet_subscription_stays(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_SILENCE_SECONDS", 1.0)
    asked, ping = asyncio.Event(), PubSub.ping

    async def counted(pubsub: PubSub) -> None:
        if asked_once:
            asked.set()
        asked_once.append(True)
        await ping(pubsub)

    asked_once: list[bool] = []
    monkeypatch.setattr(PubSub, "ping", counted)
    async with store.follow() as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asked.wait()  # the first silence was asked about and answered
        claim = await store.claim(0)
        await store.commit(0, step(claim, 0))
        assert (await waiting).seq == 1


async def test_a_subscription_without_a_sign_of_life_is_given_up(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store.follow() as changes:
        monkeypatch.setattr(redis_store, "_SILENCE_SECONDS", 0.2)
        os.killpg(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="silent"):
                await anext(changes)
        finally:
            os.killpg(server.pid, signal.SIGCONT)


async def test_the_board_follower_gets_over_a_cut_subscription(server: Server, store: RedisStore) -> None:
    writer, cell = await Writer.of(store, 0), Cell(rep="a")
    reader = server.store()
    follower = BoardFollower(reader, slots=1, definition_version="v1")
    running = asyncio.create_task(follower.run())

    async def holds(offset: int) -> None:
        async with asyncio.timeout(60):
            while not (follower.connected and follower.state().offsets == {"sales.deals": {0: offset}}):
                await asyncio.sleep(0.01)

    await writer.commit(1, {(cell, 5): {1: 1}})
    await holds(1)
    await writer.commit(2, {(cell, 6): {1: 2}})
    await holds(2)
    await server.say("CLIENT KILL", "TYPE", "pubsub")
    await writer.commit(3, {(cell, 7): {1: 4}}, delete=1)
    await holds(3)
    assert sums_of_log(follower) == {(cell, 6, 1): 2, (cell, 7, 1): 4}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reader.close()
