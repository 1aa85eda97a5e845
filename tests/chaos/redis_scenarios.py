"""Faults of Redis and of the way to it: away, empty, older, full, read-only, slow, silent, misconfigured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.chaos.redis import RedisServer
from tests.chaos.stage import Stage, scenario

AWAY_SECONDS = 3.0
PAUSES_AFTER_SECONDS = 30.0
"""So long without a commit, and workers read no more."""


@scenario(rows=(7,), holds="Redis killed and restarted: workers wait, and nothing is lost", short=True)
async def redis_restart(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=10)):
        await stage.moment(0.0, 2.0)
        async with stage.fault("Redis kill -9, restart with its AOF"):
            stage.floor.redis.kill()
            await asyncio.sleep(AWAY_SECONDS)
            await stage.floor.redis.start()
    await _noticed(stage)


async def _noticed(stage: Stage) -> None:
    errors = await stage.floor.metric_sum("store_errors_total")
    assert errors > 0, "no worker noticed anything"
    stage.note(f"{errors:.0f} calls to Redis failed")
    _nobody_gave_up(stage)


def _nobody_gave_up(stage: Stage) -> None:
    gave_up = [code for worker in stage.floor.workers for code in worker.gave_up]
    assert not gave_up, f"workers gave up by themselves with {gave_up}"


@scenario(rows=(9,), holds="a Redis that comes back with older state is seen and replayed", short=True)
async def redis_loses_seconds(stage: Stage) -> None:
    saved = stage.floor.directory / "saved"
    seen = 0.0
    for _ in range(stage.amount(1, long=10)):
        before = await stage.floor.metric_sum("rolled_back_total") + await stage.floor.metric_sum(
            "fenced_total"
        )
        stage.floor.redis.save_files(saved)
        await stage.moment(1.0, 3.0)
        async with stage.fault("Redis back with files 1 to 3 s old"):
            stage.floor.redis.kill()
            stage.floor.redis.restore_files(saved)
            await stage.floor.redis.start()
        after = await stage.floor.metric_sum("rolled_back_total") + await stage.floor.metric_sum(
            "fenced_total"
        )
        seen += after - before
    assert seen > 0, "no worker saw that Redis fell back"
    stage.note(f"{seen:.0f} commits were refused because Redis had fallen back")
    _nobody_gave_up(stage)


@scenario(rows=(8,), holds="a Redis that comes back empty: folded anew, and said so meanwhile", short=True)
async def redis_empty(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=3)):
        redis = stage.floor.redis
        redis.kill()
        redis.forget_everything()
        shown: list[bool] = []
        async with stage.fault("Redis back empty"), _watching_flag(stage, shown):
            await redis.start()
            await stage.floor.until_stored(stage.ends(), 60.0)
        stage.note(f"flagged as rebuilding in {sum(shown)} of {len(shown)} looks at /api/snapshot")
    _nobody_gave_up(stage)


@asynccontextmanager
async def _watching_flag(stage: Stage, shown: list[bool]) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            told = await stage.floor.snapshot("?kpi=revenue&level=floor&window=1h")
            shown.append(bool(told.get("rebuilding") or told.get("not_ready")))
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


@scenario(rows=(10,), holds="a full Redis refuses whole commits; workers go on in memory", short=True)
async def redis_out_of_memory(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=3)):
        async with stage.fault("maxmemory below what is used"):
            await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 1_000_000)
            await stage.until("all are unready", _all_unready, stage)
            await _applied_goes_on(stage)
            await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 0)
    await _noticed(stage)


async def _all_unready(stage: Stage) -> bool:
    answers = [await stage.floor.get(worker.port, "/-/ready") for worker in stage.floor.workers]
    return all(status == 503 and "Redis" in text for status, text in answers)


async def _applied_goes_on(stage: Stage) -> None:
    """While commits wait, folding goes on in memory."""
    before = await stage.floor.metric_sum("applied_offset")

    async def is_beyond() -> bool:
        return await stage.floor.metric_sum("applied_offset") > before

    await stage.until("folding goes on", is_beyond)


@scenario(
    rows=(10, 26), holds="Redis full for longer: reading pauses, memory is bounded, and it goes on after"
)
async def redis_full_for_long(stage: Stage) -> None:
    async with stage.fault("maxmemory below what is used, 45 s"):
        await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 1_000_000)
        await stage.until("reading pauses", _all_paused, stage, seconds=PAUSES_AFTER_SECONDS + 30)
        before = max(worker.rss_mb for worker in stage.floor.workers)
        await asyncio.sleep(15.0)
        after = max(worker.rss_mb for worker in stage.floor.workers)
        stage.note(f"paused; resident memory {before:.0f} MB, 15 s later {after:.0f} MB")
        assert after < before + 30, "memory grows while reading is paused"
        await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 0)
    _nobody_gave_up(stage)


async def _all_paused(stage: Stage) -> bool:
    return await stage.floor.metric_sum("paused") == len(stage.floor.workers)


@scenario(rows=(10,), holds="a Redis that became a replica refuses; workers wait until it is one no more")
async def redis_read_only(stage: Stage) -> None:
    # A master nobody listens as: it keeps what it has, and says READONLY.
    async with stage.fault("REPLICAOF, 4 s"):
        await stage.floor.redis.ask("REPLICAOF", "127.0.0.1", 1)
        await stage.until("all are unready", _all_unready, stage)
        await asyncio.sleep(4.0)
        await stage.floor.redis.ask("REPLICAOF", "NO", "ONE")
    await _noticed(stage)


@scenario(rows=(10, 25), holds="a full disk under Redis: MISCONF, nothing half applied, it goes on after")
async def redis_disk_full(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=3)):
        async with stage.fault("no file of Redis may grow"):
            stage.floor.redis.part.limit_files(1)
            await stage.until("all are unready", _all_unready, stage)
            await _applied_goes_on(stage)
            stage.floor.redis.part.limit_files(None)
    assert "MISCONF" in "".join(worker.said() for worker in stage.floor.workers)
    await _noticed(stage)


@scenario(
    rows=(11,), holds="a Redis that answers late, or freezes, has no commit counted twice", proxied=True
)
async def slow_redis(stage: Stage) -> None:
    proxy = stage.floor.redis.proxy
    for latency in stage.amount(1, long=3) * (0.3, 1.5):
        async with stage.fault(f"{latency:g} s each way"):
            proxy.latency_seconds = latency
            await asyncio.sleep(8.0)
            proxy.heal()
    async with stage.fault("Redis frozen for 5 s"):
        stage.floor.redis.part.freeze()
        await asyncio.sleep(5.0)
        stage.floor.redis.part.thaw()
    await _noticed(stage)


@scenario(rows=(11,), holds="a network cut to Redis, clean or half-open, delays only", proxied=True)
async def network_cut_to_redis(stage: Stage) -> None:
    proxy = stage.floor.redis.proxy
    for _ in range(stage.amount(1, long=5)):
        async with stage.fault("connections reset and refused, 3 s"):
            proxy.cut()
            await asyncio.sleep(AWAY_SECONDS)
            proxy.heal()
        async with stage.fault("half-open, 5 s, then what waited arrives"):
            proxy.hang()
            await asyncio.sleep(5.0)
            proxy.heal()
        async with stage.fault("half-open, 5 s, then reset"):
            proxy.hang()
            await asyncio.sleep(5.0)
            proxy.forget_waiting()
            proxy.heal()
    await _noticed(stage)


@scenario(rows=(12,), holds="a key that was evicted or expired is folded anew, never half a state")
async def lost_key(stage: Stage) -> None:
    tag = f"{{{stage.floor.namespace}:%d}}:g0:%s"
    for slot, which in ((0, "board"), (1, "entities")):
        async with stage.fault(f"{which} of slot {slot} expired"):
            await stage.floor.redis.ask("PEXPIRE", tag % (slot, which), 1)
    stage.note(f"{await stage.floor.metric_sum('rolled_back_total'):.0f} commits were refused")
    _nobody_gave_up(stage)


@scenario(rows=(12,), holds="a Redis that may evict is refused at the start, and told why", workers=1)
async def evicting_redis(stage: Stage) -> None:
    redis = stage.floor.redis
    await redis.ask("CONFIG", "SET", "maxmemory", 1 << 30, "maxmemory-policy", "allkeys-lru")
    worker = await stage.floor.add_worker(ready=False)
    worker.wanted = False
    code = await worker.ended(60.0)
    stage.floor.workers.remove(worker)
    await redis.ask("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")
    said = worker.said().strip().splitlines()[-1]
    stage.note(f"exit code {code}: {said}")
    assert code != 0
    assert "noeviction" in said


@scenario(
    rows=(9,),
    holds="a failover to a replica that missed the last writes is seen and replayed",
    proxied=True,
    fresh=True,
)
async def redis_failover(stage: Stage) -> None:
    """What happens behind one address: the replica becomes the master, the old master is gone."""
    floor, old = stage.floor, stage.floor.redis
    replica = RedisServer(floor.directory, name="redis-replica")
    floor.beside.append(replica)
    await replica.start()
    await replica.ask("REPLICAOF", "127.0.0.1", old.port)
    await stage.until("the replica is in step", in_step, replica)
    # The link breaks first: the replica misses what is committed from now on.
    await replica.ask("REPLICAOF", "127.0.0.1", 1)
    await asyncio.sleep(2.0)
    async with stage.fault("failover to a replica 2 s behind"):
        await replica.ask("REPLICAOF", "NO", "ONE")
        old.proxy.target = replica.port
        old.kill()
        floor.redis = replica
    refused = await floor.metric_sum("rolled_back_total") + await floor.metric_sum("fenced_total")
    stage.note(f"{refused:.0f} commits were refused because Redis had fallen back")
    assert refused > 0


async def in_step(replica: RedisServer) -> bool:
    return dict(await replica.client.info("replication")).get("master_link_status") == "up"
