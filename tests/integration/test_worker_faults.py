"""Worker processes that are killed, joined, stopped and cut off: each time the oracle's numbers, exactly.

The fold is idempotent, so equal KPIs alone would not show a record folded twice. Therefore the counters of
records, which are not, must equal the ends of the logs as well.
"""

import asyncio
import random
import signal
from fractions import Fraction
from functools import partial

import pytest

from oracle import numbers as oracle
from oracle.activities import activity_numbers
from oracle.windows import Floor, Span
from streams.topics import DEALS
from tests.histories import Event, Generator
from tests.integration.cluster import SLOTS, Cluster, Worker, until

pytestmark = pytest.mark.timeout(300)

AS_OF_MS = 1_750_000_000_000
FOR_EVER = Span(-(1 << 62), 1 << 62)


def floor_history(seed: int, length: int) -> list[Event]:
    times = [AS_OF_MS - 1_000 * n for n in range(0, 3_600, 7)]
    return Generator(seed, times=times, entities=60).history(length)


def expected(events: list[Event]) -> dict[str, Fraction]:
    books = oracle.books_of(events, Floor())
    deals = oracle.deal_numbers(books.deals, FOR_EVER)
    leads = oracle.lead_numbers(books.leads, FOR_EVER)
    activities = activity_numbers(books.activities, FOR_EVER)
    revenue = deals["revenue", None]
    assert revenue is not None
    numbers = {
        "won": deals["deals_won", None],
        "lost": deals["deals_lost", None],
        "created": deals["deals_created", None],
        "won_amount": revenue * 100,
        "leads_new": leads["leads_created", None],
        "leads_converted_total": leads["leads_converted", None],
        "calls_done": activities["calls", None],
        "activities_done": activities["activities", None],
    }
    return {name: number for name, number in numbers.items() if number is not None}


async def assert_exact(cluster: Cluster, events: list[Event]) -> None:
    await cluster.committed()
    totals = await cluster.totals()
    right = expected(events)
    assert {name: totals[name] for name in right} == right
    assert totals["records accepted"] + totals["records rejected"] == sum(cluster.ends.values())
    assert totals["records gaps"] == totals["records lost"] == 0


async def feeding(cluster: Cluster, events: list[Event]) -> asyncio.Task[None]:
    return asyncio.create_task(cluster.produce(events, pause_seconds=0.05))


async def test_clean_start_and_stop_is_exact_and_leaves_quickly(cluster: Cluster) -> None:
    events = floor_history(1, 2_000)
    worker = await cluster.worker()
    await cluster.produce(events)
    await assert_exact(cluster, events)
    assert await worker.stop() == 0


async def test_stop_commits_what_was_folded(cluster: Cluster) -> None:
    """A long commit interval leaves the last commit to the shutdown."""
    events = floor_history(2, 500)
    await cluster.produce(events)
    worker = await cluster.worker(SALESFLOOR_WORKER__COMMIT_INTERVAL_MS="10000")

    async def is_folded() -> bool:
        return await worker.metric("salesfloor_worker_applied_offset") == sum(cluster.ends.values())

    await until(is_folded)
    assert await worker.metric("salesfloor_worker_flushed_offset") == 0
    assert await worker.stop() == 0
    await assert_exact(cluster, events)


async def test_killed_at_random_moments_is_exact(cluster: Cluster) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    events, dice = floor_history(seed, 4_000), random.Random(seed)
    feed = await feeding(cluster, events)
    for _ in range(4):
        worker = await cluster.worker(ready=dice.random() < 0.7)
        await asyncio.sleep(dice.uniform(0.0, 1.5))  # the fault is the moment: there is nothing to wait for
        await worker.kill()
    await feed
    await cluster.worker()
    await assert_exact(cluster, events)


async def test_faust_table_is_exact_through_a_kill(cluster: Cluster) -> None:
    events = floor_history(3, 4_000)
    feed = await feeding(cluster, events)
    for _ in range(2):
        worker = await cluster.worker("--count-wins")
        await until(partial(has_committed, worker))
        await worker.kill()
    await feed
    worker = await cluster.worker("--count-wins")
    await cluster.committed()
    await worker.stop()
    wins = sum(event["type"] == "sales.deal.won" for event in events)
    assert sum(int(row) for row in await cluster.table_rows("wins")) == wins


async def test_second_worker_joins_and_leaves_exactly(cluster: Cluster) -> None:
    events = floor_history(4, 4_000)
    first = await cluster.worker()
    feed = await feeding(cluster, events)
    second = await cluster.worker()
    await until(lambda: owns_slots(second))
    assert await second.stop() == 0
    await feed
    await assert_exact(cluster, events)
    assert await first.metric("salesfloor_worker_fenced_total") == 0


async def has_committed(worker: Worker) -> bool:
    return await worker.metric("salesfloor_worker_commits_total") > 0


async def owns_slots(worker: Worker) -> bool:
    return await worker.metric("salesfloor_worker_claims_total") > 0


async def test_zombie_is_fenced_and_numbers_stay_exact(cluster: Cluster) -> None:
    events = floor_history(5, 4_000)
    zombie = await cluster.worker()
    feed = await feeding(cluster, events)
    await until(lambda: has_committed(zombie))
    zombie.process.send_signal(signal.SIGSTOP)
    heir = await cluster.worker(ready=False)
    await until(lambda: owns_all(heir))
    zombie.process.send_signal(signal.SIGCONT)
    await feed
    await assert_exact(cluster, events)
    await zombie.ready()
    await heir.ready()


async def owns_all(worker: Worker) -> bool:
    return await worker.metric("salesfloor_worker_claims_total") >= SLOTS


@pytest.mark.parametrize("kept", [True, False], ids=["its file kept", "its file lost"])
async def test_redis_killed_and_restarted_is_exact(cluster_with_own_redis: Cluster, *, kept: bool) -> None:
    cluster, redis = cluster_with_own_redis, cluster_with_own_redis.redis
    events = floor_history(6, 4_000)
    worker = await cluster.worker()
    feed = await feeding(cluster, events)
    await until(lambda: has_committed(worker))
    redis.kill()
    await until(lambda: is_unready(worker))
    if not kept:
        redis.forget_everything()
    await redis.start()
    await feed
    await assert_exact(cluster, events)
    await worker.ready()
    assert await worker.metric("salesfloor_worker_store_errors_total") > 0


async def is_unready(worker: Worker) -> bool:
    return await worker.metric("salesfloor_worker_ready") == 0


async def test_frozen_redis_delays_and_changes_nothing(cluster_with_own_redis: Cluster) -> None:
    cluster, redis = cluster_with_own_redis, cluster_with_own_redis.redis
    events = floor_history(7, 4_000)
    worker = await cluster.worker()
    feed = await feeding(cluster, events)
    await until(lambda: has_committed(worker))
    redis.signal(signal.SIGSTOP)
    await until(lambda: is_unready(worker))
    redis.signal(signal.SIGCONT)
    await feed
    await assert_exact(cluster, events)


async def test_worker_waits_for_a_redis_that_comes_later(cluster_with_own_redis: Cluster) -> None:
    cluster, redis = cluster_with_own_redis, cluster_with_own_redis.redis
    redis.kill()
    worker = await cluster.worker(ready=False)
    await until(lambda: says(worker, "waiting for Redis"))
    assert await is_unready(worker)
    await redis.start()
    await worker.ready()


async def says(worker: Worker, text: str) -> bool:
    return text in worker.log.read_text()


async def test_broken_record_becomes_a_dead_letter_with_its_origin(cluster: Cluster) -> None:
    worker = await cluster.worker()
    offset = await cluster.produce_raw(DEALS, 2, b"{not json", key=b"D-1", headers=[("trace", b"7")])
    events = floor_history(8, 200)
    await cluster.produce(events)
    await assert_exact(cluster, events)
    [(key, value, headers)] = await cluster.dead_letters(1)
    assert (key, value, headers.pop("trace")) == (b"D-1", b"{not json", b"7")
    assert headers.pop("salesfloor-detail")
    assert headers == {
        "salesfloor-reason": b"malformed",
        "salesfloor-topic": DEALS.encode(),
        "salesfloor-partition": b"2",
        "salesfloor-offset": str(offset).encode(),
    }
    assert await worker.metric("salesfloor_worker_dead_letters_total") == 1
