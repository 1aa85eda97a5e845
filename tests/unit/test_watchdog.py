"""A hung main loop ends the process; a process that was stopped as a whole has not hung."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from streams.watchdog import EXIT_CODE, MainLoopWatchdog, Scheduled, StallMeter, StopDeadline, scheduled


def stalled(looks: list[tuple[int, float]]) -> list[float]:
    meter = StallMeter()
    return [meter.look(ticks, slept_seconds=slept, look_every_seconds=1.0) for ticks, slept in looks]


def test_time_without_a_tick_adds_up() -> None:
    assert stalled([(1, 1.0), (1, 1.0), (1, 1.5), (2, 1.0), (2, 1.0)]) == [0.0, 1.0, 2.5, 0.0, 1.0]


def test_time_in_which_the_watcher_did_not_run_either_does_not_count() -> None:
    assert stalled([(1, 1.0), (1, 1.0), (1, 600.0), (1, 1.0)]) == [0.0, 1.0, 0.0, 1.0]


def starved(*looks: tuple[float, float]) -> list[float]:
    """Return the stalled seconds at looks one second apart: (seconds waited for a CPU, seconds with one)."""
    meter, waited, ran, told = StallMeter(), 0.0, 0.0, []
    for more_waited, more_ran in ((0.0, 0.0), *looks):
        waited, ran = waited + more_waited, ran + more_ran
        so_far = Scheduled(waited, ran)
        told.append(meter.look(1, slept_seconds=1.0, look_every_seconds=1.0, scheduled=so_far))
    return told[1:]


def test_time_in_which_the_process_waited_for_a_cpu_does_not_count() -> None:
    assert starved((0.75, 0.25), (1.0, 0.0), (0.0, 1.0)) == [0.25, 0.25, 1.25]


def test_a_loop_that_sleeps_has_stalled_however_busy_the_machine_is() -> None:
    assert starved((0.0, 0.0), (0.25, 0.0)) == [1.0, 1.75]


def test_work_without_an_end_counts_while_it_runs_though_other_threads_wait_for_all_that_time() -> None:
    assert starved((7.0, 0.5), (7.0, 0.5), (7.0, 0.5)) == [0.5, 1.0, 1.5]


def test_what_the_system_tells_for_a_moment_only_or_takes_back_is_not_believed() -> None:
    assert starved((5_000.0, 4_000.0), (-5_000.0, -4_000.0)) == [1.0, 2.0]


def test_where_the_system_tells_nothing_all_time_counts(tmp_path: Path) -> None:
    assert scheduled(1, tmp_path / "none") == Scheduled()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "schedstat").write_text("odd")
    assert scheduled(1, tmp_path) == Scheduled()


STARVING = """
import asyncio, os, sys, time
from streams.watchdog import MainLoopWatchdog

async def main():
    watchdog = MainLoopWatchdog(0.5)
    ticking = asyncio.create_task(watchdog.tick())
    await asyncio.sleep(0)
    watchdog.start()
    if sys.argv[2] == "sleeps":
        time.sleep(60)
    began = time.monotonic()
    while time.monotonic() < began + 2.5:
        pass
    await asyncio.sleep(0)
    ticking.cancel()
    print("went on")

os.sched_setaffinity(0, {int(sys.argv[1])})
os.nice(10)  # a tenth of what the other process on this CPU gets
asyncio.run(main())
"""
SPINNING = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); print(flush=True)\nwhile True: pass"


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell who waits")
@pytest.mark.parametrize(("loop", "said", "code"), [("works", "went on\n", 0), ("sleeps", "", EXIT_CODE)])
def test_on_a_starved_machine_a_loop_that_works_is_left_alone_and_one_that_sleeps_is_ended(
    loop: str, said: str, code: int
) -> None:
    cpu = str(min(os.sched_getaffinity(0)))
    with subprocess.Popen([sys.executable, "-c", SPINNING, cpu], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            asked = [sys.executable, "-c", STARVING, cpu, loop]
            done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=100)
        finally:
            other.kill()
    assert (done.stdout, done.returncode) == (said, code), done.stderr


async def test_blocked_loop_is_found_from_outside() -> None:
    hung = threading.Event()
    watchdog = MainLoopWatchdog(0.2, on_hang=hung.set)
    ticking = asyncio.create_task(watchdog.tick())
    await asyncio.sleep(0)
    watchdog.start()
    deadline = time.monotonic() + 30.0
    while not hung.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251  blocks the loop: that is the fault under test
    ticking.cancel()
    watchdog.stop()
    assert hung.is_set()


async def test_a_process_that_was_told_to_stop_and_stays_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    stop, ended = asyncio.Event(), threading.Event()
    with StopDeadline(0.01, ended.set) as deadline:
        overseeing = asyncio.create_task(deadline.begin_with(stop))
        stop.set()
        assert await asyncio.to_thread(ended.wait, 10)
        await overseeing
    assert "told to stop, does not end" in caplog.text


async def test_a_process_that_ends_in_time_is_left_alone() -> None:
    stop, ended = asyncio.Event(), threading.Event()
    with StopDeadline(0.2, ended.set) as deadline:
        stop.set()
        await deadline.begin_with(stop)
    assert not await asyncio.to_thread(ended.wait, 0.5)
