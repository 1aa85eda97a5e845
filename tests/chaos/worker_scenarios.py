"""Faults of workers: killed, frozen, joining and leaving, hung, and stopped the gentle way."""

import asyncio

from tests.chaos.stage import Stage, scenario

KILLS_LONG, KILLS_SHORT = 100, 5


@scenario(rows=(1, 2), holds="a worker killed at any moment loses and doubles nothing", short=True)
async def killed_workers(stage: Stage) -> None:
    for number in range(stage.amount(KILLS_SHORT, long=KILLS_LONG)):
        victim = stage.dice.choice(stage.floor.workers)
        await stage.moment(0.0, 2.0)
        async with stage.fault(f"SIGKILL {number + 1}"):
            victim.kill()
    gave_up = sum(len(worker.gave_up) for worker in stage.floor.workers)
    assert gave_up == 0, f"{gave_up} workers gave up by themselves"


@scenario(rows=(3, 4), holds="a worker that wakes up after its session is fenced", short=True)
async def zombie(stage: Stage) -> None:
    fenced = 0.0
    for _ in range(stage.amount(1, long=5)):
        victim = stage.dice.choice(stage.floor.workers)
        before = await stage.floor.metric(victim, "fenced_total")
        victim.freeze()
        await asyncio.sleep(8.0)
        async with stage.fault("SIGCONT past the session"):
            victim.thaw()
        fenced += await stage.floor.metric(victim, "fenced_total") - before
    stage.note(f"{fenced:.0f} commits of zombies were fenced")
