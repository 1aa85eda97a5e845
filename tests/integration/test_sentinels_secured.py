"""Redis behind a sentinel, all over TLS, each with its own users: a store works, after a failover too.

Needs redis-server and OpenSSL; starts servers of its own.
"""

import asyncio
import re
from pathlib import Path

import pytest

from streams.stores.base import Claim, Commit, Mark, Outcome, StoreRefuses, StoreUnavailable
from streams.stores.redis import RedisStore
from tests.integration.secured import PASSWORD, ROOT
from tests.integration.secured_sentinels import SENTINEL_PASSWORD, SENTINEL_RIGHTS, guarded

FAILOVER_SECONDS = 60.0


def store_at(url: str) -> RedisStore:
    return RedisStore(url, namespace="salesfloor", version="v1")


def step(claim: Claim, seq: int) -> Commit:
    return Commit(claim.owner, seq, {"sales.deals": seq + 1}, {b"p1": b"%d" % seq}, [], {b"e1": b"x"}, [])


async def test_a_worker_commits_and_a_reader_reads_over_tls_and_with_logins_before_and_after_a_failover(
    tmp_path: Path,
) -> None:
    async with guarded(tmp_path) as servers:
        worker, reader = store_at(servers.url("worker")), store_at(servers.url("metrics"))
        try:
            await worker.check()
            claim = await worker.claim(0)
            assert await worker.commit(0, step(claim, 0)) is Outcome.DONE
            assert (await reader.read_board(0)).fields == {b"p1": b"0"}
            servers.master.kill()
            again = await claimed_when_another_is_master(worker)
            # What the replica had got; the rest is folded again.
            assert again.seq in (0, 1)
            assert await worker.commit(0, step(again, again.seq)) is Outcome.DONE
            assert await reader.read_mark(0) == Mark(again.owner, again.seq + 1)
        finally:
            await worker.close()
            await reader.close()


async def claimed_when_another_is_master(store: RedisStore) -> Claim:
    async with asyncio.timeout(FAILOVER_SECONDS):
        while True:
            try:
                return await store.claim(0)
            except StoreRefuses:
                raise
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_who_refuses_is_told_apart_from_a_master_that_is_away(tmp_path: Path) -> None:
    async with guarded(tmp_path) as servers:
        await refused(servers.url("worker", sentinel_password="no"), "sentinel_password")
        await refused(servers.url("worker", password="no"), "redis.url_file")
        await refused(servers.url("worker", ca="other-ca.pem"), "ssl_ca_certs")
        await refused(servers.url("nobody"), "does not let this user do that")
        plain = store_at(servers.url("worker", scheme="redis+sentinel"))
        with pytest.raises(StoreUnavailable, match="do they want TLS"):
            await plain.claim(0)
        await plain.close()


async def refused(url: str, said: str) -> None:
    store = store_at(url)
    try:
        with pytest.raises(StoreRefuses, match=re.escape(said)) as error:
            await store.claim(0)
    finally:
        await store.close()
    assert PASSWORD not in str(error.value)
    assert SENTINEL_PASSWORD not in str(error.value)


def test_rights_that_are_tried_here_are_those_that_are_documented() -> None:
    assert SENTINEL_RIGHTS in (ROOT / "docs" / "security.md").read_text()
