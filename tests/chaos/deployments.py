"""Deployments that get into each other's way."""

import asyncio

from tests.chaos.redis import RedisServer
from tests.chaos.stage import Stage, scenario

OTHER_GROUP = {"SALESFLOOR_KAFKA__GROUP": "another"}


@scenario(
    rows=(30,),
    holds="a second deployment on the same state waits, and takes over when the first is gone",
)
async def two_deployments(stage: Stage) -> None:
    floor = stage.floor
    claims = await floor.metric_sum("claims_total")
    second = await floor.add_worker(ready=False, **OTHER_GROUP)

    async def waits() -> bool:
        return "another deployment" in second.said()

    await stage.until("the second says that it waits", waits)
    await asyncio.sleep(3.0)
    assert await floor.metric_sum("claims_total") == claims, "the second one took slots"
    assert await floor.metric_sum("fenced_total") == 0
    stage.note(next(line for line in second.said().splitlines() if "another deployment" in line))
    async with stage.fault("the first deployment ends, the second goes on"):
        for worker in list(floor.workers):
            if worker is not second:
                await floor.remove_worker(worker)
    await floor.remove_worker(second)
    await floor.staff(1)


@scenario(rows=(12,), holds="a node of a Redis Cluster is refused at the start, and told why", workers=1)
async def redis_cluster(stage: Stage) -> None:
    node = RedisServer(stage.floor.directory, "--cluster-enabled", "yes", name="redis-node")
    stage.floor.beside.append(node)
    await node.start()
    worker = await stage.floor.add_worker(ready=False, SALESFLOOR_REDIS=node.url)
    worker.wanted = False
    code = await worker.ended(60.0)
    stage.floor.workers.remove(worker)
    said = worker.said().strip().splitlines()[-1]
    stage.note(f"exit code {code}: {said}")
    assert code != 0
    assert "Cluster" in said
