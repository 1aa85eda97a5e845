"""A contest's result is written down once: by the first who has it, for everybody, across restarts."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from metrics.contest import Contest, ContestStanding, Stage, result_of
from metrics.kpi_snapshot import JsonValue
from metrics.leaderboard import Entry
from streams import contest_results
from streams.contest_results import keep_contest_results, write_due
from streams.stores.base import StoreUnavailable
from streams.stores.results import ResultStore
from tests.contract.test_store_contract import redis_url

CONTEST = Contest("sprint", "deals_won", 0, 1000)


def due(key: str) -> ContestStanding:
    return ContestStanding(CONTEST, Stage.FINAL, 2000, (Entry(1, key, 3.0, 3.0),))


class Standings:
    """A metrics role's view: what it would write down, and what it was told is written."""

    def __init__(self, *standings: ContestStanding) -> None:
        self._due = standings
        self.known: dict[str, Mapping[str, JsonValue]] = {}
        self.told = asyncio.Event()

    def keep(self, results: Mapping[str, Mapping[str, JsonValue]]) -> None:
        self.known |= results
        if results:
            self.told.set()

    def to_be_kept(self) -> tuple[ContestStanding, ...]:
        return tuple(each for each in self._due if each.contest.id not in self.known)


class MemoryResults:
    def __init__(self, failures: int = 0) -> None:
        self.results: dict[str, bytes] = {}
        self.failures = failures

    async def keep(self, result_id: str, result: bytes) -> bytes:
        return self.results.setdefault(result_id, result)

    async def kept(self) -> dict[str, bytes]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return dict(self.results)


@pytest.fixture(params=["redis", "redis 6", "fakeredis"])
async def results(request: pytest.FixtureRequest) -> AsyncIterator[ResultStore]:
    async with redis_url(request.param) as url:
        store = ResultStore(url, namespace="floor")
        yield store
        await store.close()


async def test_the_first_result_is_kept_and_told_to_everybody(results: ResultStore) -> None:
    assert await results.kept() == {}
    assert await results.keep("a", b"first") == b"first"
    assert await results.keep("a", b"second") == b"first"
    assert await results.keep("b", b"other") == b"other"
    assert await results.kept() == {"a": b"first", "b": b"other"}


async def test_a_store_that_is_away_says_so() -> None:
    store = ResultStore("redis://127.0.0.1:1/0", namespace="floor")
    with pytest.raises(StoreUnavailable):
        await store.keep("a", b"")
    with pytest.raises(StoreUnavailable):
        await store.kept()
    await store.close()


async def test_of_two_roles_the_second_takes_over_what_the_first_wrote() -> None:
    shared, first, second = MemoryResults(), Standings(due("ann")), Standings(due("bob"))
    await write_due(shared, first)
    await write_due(shared, second)
    assert first.known == second.known == {CONTEST.id: json.loads(json.dumps(result_of(due("ann"))))}
    await write_due(shared, second)
    assert len(shared.results) == 1


async def test_after_a_restart_the_kept_result_is_taken_over_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contest_results, "_RETRY_SECONDS", 0.0)
    shared, role = MemoryResults(failures=2), Standings(due("bob"))
    shared.results = {CONTEST.id: json.dumps(result_of(due("ann"))).encode(), "broken": b"{"}
    task = asyncio.create_task(keep_contest_results(shared, role))
    async with asyncio.timeout(5):
        await role.told.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert role.known == {CONTEST.id: json.loads(json.dumps(result_of(due("ann"))))}
