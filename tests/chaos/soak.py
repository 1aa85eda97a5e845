"""Steady load for as long as asked, a random fault every little while, and what memory does meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.chaos.floor import SESSION_SECONDS
from tests.chaos.process import Part
from tests.chaos.stage import Stage, scenario

PAUSE_SECONDS = (5.0, 25.0)
WARM_UP_SECONDS = 60.0
"""A process has loaded its libraries and met most entities by then; memory counts from here."""
GROWTH_MAX_MB = 80.0
KEYS_MAX = 4 * 3 + 4
"""Of a floor of four slots: two hashes and a generation each, and a few of the floor's own."""


@scenario(
    rows=(26,),
    holds="hours of load with random faults: exact, and memory stays where it was",
    proxied=True,
    fresh=True,
    only_by_name=True,
)
async def soak(stage: Stage) -> None:
    started, confirmed = time.monotonic(), stage.load.confirmed
    end = started + stage.minutes * 60
    await asyncio.sleep(min(WARM_UP_SECONDS, stage.minutes * 10))
    before = _memory(stage)
    stage.say(f"    memory at the start: {before}")
    done: Counter[str] = Counter()
    while time.monotonic() < end:
        await stage.moment(*PAUSE_SECONDS)
        name = stage.dice.choice(list(FAULTS))
        async with stage.fault(name, within_seconds=90.0):
            await FAULTS[name](stage)
        done[name] += 1
        stage.say(f"    {_memory(stage)}")
    held = (stage.load.confirmed - confirmed) / (time.monotonic() - started)
    # New processes have little behind them: only who lived through the end of the soak tells of a leak.
    await asyncio.sleep(10.0)
    after, keys = _memory(stage), await stage.floor.redis.keys()
    stage.note(f"{stage.minutes:g} minutes, {held:.0f} records a second held, faults: {dict(done)}")
    stage.note(f"resident MB at the start {before}, at the end {after}; {keys} keys in Redis")
    assert keys <= KEYS_MAX, f"{keys} keys in Redis"
    grown = {name: after[name] - size for name, size in before.items() if name in after}
    assert max(grown.values()) < GROWTH_MAX_MB, f"memory grew by {grown} MB"


def _memory(stage: Stage) -> dict[str, float]:
    floor = stage.floor
    parts: list[Part | None] = [*floor.workers, floor.metrics, floor.redis.part]
    return {part.name: round(part.rss_mb) for part in parts if part is not None}


async def _kill(stage: Stage) -> None:
    stage.dice.choice(stage.floor.workers).kill()


async def _freeze(stage: Stage) -> None:
    victim = stage.dice.choice(stage.floor.workers)
    victim.freeze()
    await stage.moment(1.0, 2.5 * SESSION_SECONDS)
    victim.thaw()


async def _join_and_leave(stage: Stage) -> None:
    newcomer = await stage.floor.add_worker()
    await stage.moment(1.0, 10.0)
    assert await stage.floor.remove_worker(newcomer) == 0


async def _redis_restart(stage: Stage) -> None:
    stage.floor.redis.kill()
    await stage.moment(0.0, 5.0)
    await stage.floor.redis.start()


async def _redis_older(stage: Stage) -> None:
    saved = stage.floor.directory / "saved"
    stage.floor.redis.save_files(saved)
    await stage.moment(0.5, 3.0)
    stage.floor.redis.kill()
    stage.floor.redis.restore_files(saved)
    await stage.floor.redis.start()


async def _redis_frozen(stage: Stage) -> None:
    stage.floor.redis.part.freeze()
    await stage.moment(0.5, 6.0)
    stage.floor.redis.part.thaw()


async def _redis_cut(stage: Stage) -> None:
    proxy = stage.floor.redis.proxy
    stage.dice.choice((proxy.cut, proxy.hang))()
    await stage.moment(0.5, 8.0)
    proxy.heal()


async def _redis_slow(stage: Stage) -> None:
    stage.floor.redis.proxy.latency_seconds = stage.dice.uniform(0.05, 1.0)
    await stage.moment(1.0, 8.0)
    stage.floor.redis.proxy.heal()


async def _redis_full(stage: Stage) -> None:
    await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 1_000_000)
    await stage.moment(1.0, 8.0)
    await stage.floor.redis.ask("CONFIG", "SET", "maxmemory", 0)


async def _kafka_cut(stage: Stage) -> None:
    proxy = stage.floor.kafka.proxy
    stage.dice.choice((proxy.cut, proxy.hang))()
    await stage.moment(0.5, 8.0)
    proxy.heal()


async def _kafka_frozen(stage: Stage) -> None:
    stage.floor.kafka.part.freeze()
    await stage.moment(0.5, 6.0)
    stage.floor.kafka.part.thaw()


FAULTS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "worker killed": _kill,
    "worker frozen": _freeze,
    "worker joins and leaves": _join_and_leave,
    "Redis killed": _redis_restart,
    "Redis back with older files": _redis_older,
    "Redis frozen": _redis_frozen,
    "network to Redis cut": _redis_cut,
    "Redis slow": _redis_slow,
    "Redis full": _redis_full,
    "network to Kafka cut": _kafka_cut,
    "Kafka frozen": _kafka_frozen,
}
