"""Faults of workers: killed, frozen, joining and leaving, hung, and stopped the gentle way."""

import asyncio
import signal
import sys
import time

from tests.chaos.floor import SESSION_SECONDS, Worker
from tests.chaos.stage import Stage, scenario

PAST_SESSION_SECONDS = 1.6 * SESSION_SECONDS
ZOMBIES_MORE = 5
STOPS_WITHIN_SECONDS = 10.0
HANGING = (sys.executable, "-m", "tests.chaos.hanging_worker")
HANG_EXIT_CODE = 70


@scenario(rows=(1, 2), holds="workers killed at any moment lose and double nothing", short=True)
async def killed_workers(stage: Stage) -> None:
    for number in range(stage.amount(5, long=100)):
        victim = stage.dice.choice(stage.floor.workers)
        # Also while a successor is still starting, joining or loading.
        await stage.moment(0.0, stage.amount(1, long=4))
        async with stage.fault(f"SIGKILL {number + 1}"):
            victim.kill()
    gave_up = [code for worker in stage.floor.workers for code in worker.gave_up]
    assert not gave_up, f"workers gave up by themselves with {gave_up}"


@scenario(rows=(3,), holds="a worker that wakes up after its session is fenced", short=True)
async def zombie(stage: Stage) -> None:
    fenced, wanted = 0.0, stage.amount(1, long=10)
    for number in range(wanted + ZOMBIES_MORE):
        # One that wakes with nothing left to commit hears of the new owner before it commits again.
        if number >= wanted and fenced:
            break
        victim = stage.dice.choice(stage.floor.workers)
        await stage.until("the victim owns slots", _owns, stage, victim)
        before = await stage.floor.metric(victim, "fenced_total")
        victim.freeze()
        await asyncio.sleep(PAST_SESSION_SECONDS)
        async with stage.fault("SIGCONT past the session"):
            victim.thaw()
        await stage.floor.until_ready(victim)
        fenced += max(0.0, await stage.floor.metric(victim, "fenced_total") - before)
    assert fenced > 0, "no commit of a zombie was fenced"
    gave_up = sum(len(worker.gave_up) for worker in stage.floor.workers)
    stage.note(f"{fenced:.0f} commits of zombies were fenced; {gave_up} fenced four times a minute gave up")


async def _owns(stage: Stage, worker: Worker) -> bool:
    return await stage.floor.metric(worker, "applied_offset") > 0


@scenario(
    rows=(4,), holds="a worker that freezes while it takes slots over, and wakes late, does not quarrel"
)
async def zombie_taking_over(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=10)):
        newcomer = await stage.floor.add_worker(ready=False)
        await stage.until("it has joined", _said, newcomer, "slot owned")
        before = newcomer.said().count("slot owned")
        stage.floor.workers[0].kill()  # its successor's join makes all take over anew
        await stage.until("taking over", _said, newcomer, "slot owned", before + 1)
        newcomer.freeze()
        await asyncio.sleep(PAST_SESSION_SECONDS)
        async with stage.fault("SIGCONT in the middle of taking over"):
            newcomer.thaw()
        await stage.floor.remove_worker(newcomer)
    await _nobody_gave_up(stage)
    stage.note(f"{await stage.floor.metric_sum('fenced_total'):.0f} commits were fenced, nobody gave up")


async def _said(worker: Worker, text: str, times: int = 1) -> bool:
    return worker.said().count(text) >= times


async def _nobody_gave_up(stage: Stage) -> None:
    gave_up = [code for worker in stage.floor.workers for code in worker.gave_up]
    assert not gave_up, f"workers gave up by themselves with {gave_up}"


@scenario(rows=(1,), holds="workers that join and leave under load hand their slots over")
async def joining_and_leaving(stage: Stage) -> None:
    slowest = 0.0
    for number in range(stage.amount(2, long=12)):
        floor = stage.floor
        may_join, may_leave = len(floor.workers) < 4, len(floor.workers) > 1
        if may_join and (not may_leave or number % 2 == 0 or stage.dice.random() < 0.3):
            async with stage.fault(f"join {number + 1}"):
                await floor.add_worker()
        else:
            leaver = stage.dice.choice(floor.workers)
            started = time.monotonic()
            async with stage.fault(f"leave {number + 1}"):
                code = await floor.remove_worker(leaver)
                slowest = max(slowest, time.monotonic() - started)
            assert code == 0, f"{leaver.name} left with exit code {code}"
    stage.note(f"{await stage.floor.metric_sum('fenced_total'):.0f} fenced; slowest leave {slowest:.1f} s")
    assert slowest < STOPS_WITHIN_SECONDS


@scenario(rows=(5,), holds="a worker whose main loop hangs ends itself, though its heartbeats go on")
async def hung_main_loop(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=3)):
        victim = await stage.floor.add_worker(
            program=HANGING, SALESFLOOR_WORKER__MAIN_LOOP_TIMEOUT_SECONDS="3"
        )
        await stage.until("it owns slots", _owns, stage, victim)
        victim.wanted = False
        hung = time.monotonic()
        async with stage.fault("main loop hangs, from its death on"):
            victim.process.send_signal(signal.SIGUSR1)
            code = await victim.ended(60.0)
        stage.note(f"ended itself with {code} {time.monotonic() - hung:.1f} s after the hang and recovery")
        assert code == HANG_EXIT_CODE, f"it ended with {code}"
        assert "main loop hangs" in victim.said()
        stage.floor.workers.remove(victim)


@scenario(rows=(2,), holds="SIGTERM commits what was folded, and ends within 10 s", workers=0)
async def gentle_stop(stage: Stage) -> None:
    for _ in range(stage.amount(1, long=5)):
        worker = await stage.floor.add_worker(SALESFLOOR_WORKER__COMMIT_INTERVAL_MS="10000")
        # Beyond 5,000 changed keys it commits early; well below, all waits for the stop.
        await stage.until("it has folded", _has_uncommitted, stage, worker)
        await stage.load.stop()
        ends = stage.ends()
        await stage.until("all is folded", _folded, stage, worker, sum(ends.values()))
        before = sum((await stage.floor.stored()).values())
        started = time.monotonic()
        code = await stage.floor.remove_worker(worker)
        seconds = time.monotonic() - started
        stored = await stage.floor.stored()
        stage.note(f"ended with {code} in {seconds:.1f} s; committed {sum(stored.values()) - before} records")
        assert code == 0, f"it ended with {code}"
        assert seconds < STOPS_WITHIN_SECONDS
        assert stored == ends, f"{stored} is stored of {ends}"
        stage.load.start()


async def _has_uncommitted(stage: Stage, worker: Worker) -> bool:
    applied = await stage.floor.metric(worker, "applied_offset")
    return applied > await stage.floor.metric(worker, "flushed_offset")


async def _folded(stage: Stage, worker: Worker, ends: int) -> bool:
    return await stage.floor.metric(worker, "applied_offset") == ends
