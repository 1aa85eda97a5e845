"""Faults of a Redis that sentinels watch: the master dies, or freezes and comes back believing it is one."""

import asyncio

from tests.chaos.redis import RedisServer
from tests.chaos.redis_scenarios import in_step
from tests.chaos.sentinels import Sentinels
from tests.chaos.stage import Stage, scenario

LAG_SECONDS = 2.0


@scenario(
    rows=(9,),
    holds="sentinels make the replica the master: everybody finds it, and what it had not got is replayed",
    fresh=True,
)
async def redis_sentinels(stage: Stage) -> None:
    floor, master = stage.floor, stage.floor.redis
    replica = RedisServer(floor.directory, "--replicaof", f"127.0.0.1 {master.port}", name="redis-replica")
    floor.beside.append(replica)
    await replica.start()
    sentinels = Sentinels(floor.directory, master)
    try:
        await sentinels.start()
        await stage.until("the sentinels know each other", sentinels.agree_on, 1)
        await _ask_them(stage, sentinels)
        for number in range(stage.amount(2, long=6)):
            await asyncio.sleep(2.0)  # under load
            await stage.until("the replica is in step", in_step, replica)
            if number % 2:
                await _freeze(stage, sentinels, master, replica)
            else:
                await _kill(stage, sentinels, master, replica)
            master, replica = replica, master
    finally:
        await sentinels.stop()
    refused = await floor.metric_sum("rolled_back_total") + await floor.metric_sum("fenced_total")
    assert refused > 0, "nobody noticed that the new master had not got everything"
    stage.note(f"{refused:.0f} commits were refused because the new master had not got the last ones")
    assert not any(worker.gave_up for worker in floor.workers), "a worker gave up"


async def _ask_them(stage: Stage, sentinels: Sentinels) -> None:
    """Let workers and metrics reach Redis by the sentinels alone."""
    floor = stage.floor
    await floor.staff(0)
    floor.more_environment["SALESFLOOR_REDIS"] = sentinels.url
    await floor.staff(2)
    assert floor.metrics is not None
    await floor.metrics.stop()
    await floor.start_metrics()


async def _kill(stage: Stage, sentinels: Sentinels, master: RedisServer, replica: RedisServer) -> None:
    # The link breaks first: what the master acknowledges from now on is lost with it.
    await replica.ask("REPLICAOF", "127.0.0.1", 1)
    await asyncio.sleep(LAG_SECONDS)
    async with stage.fault(f"master killed, its replica {LAG_SECONDS} s behind"):
        master.kill()
        await _switched(stage, sentinels, replica)
    await master.start()
    await stage.until("the old master follows", in_step, master)


async def _freeze(stage: Stage, sentinels: Sentinels, master: RedisServer, replica: RedisServer) -> None:
    async with stage.fault("master frozen"):
        master.part.freeze()
        await _switched(stage, sentinels, replica)
    async with stage.fault("the frozen one is back, and believes it is the master"):
        master.part.thaw()
    await stage.until("the old master follows", in_step, master)


async def _switched(stage: Stage, sentinels: Sentinels, to: RedisServer) -> None:
    async def says_so() -> bool:
        return await sentinels.master_port() == to.port

    await stage.until("the replica is the master", says_so)
    stage.floor.redis = to
