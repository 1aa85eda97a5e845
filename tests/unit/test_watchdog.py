"""A hung main loop ends the process; a process that was stopped as a whole has not hung."""

import asyncio
import threading
import time

import pytest

from streams.watchdog import MainLoopWatchdog, StallMeter, StopDeadline


def stalled(looks: list[tuple[int, float]]) -> list[float]:
    meter = StallMeter()
    return [meter.look(ticks, slept_seconds=slept, look_every_seconds=1.0) for ticks, slept in looks]


def test_time_without_a_tick_adds_up() -> None:
    assert stalled([(1, 1.0), (1, 1.0), (1, 1.5), (2, 1.0), (2, 1.0)]) == [0.0, 1.0, 2.5, 0.0, 1.0]


def test_time_in_which_the_watcher_did_not_run_either_does_not_count() -> None:
    assert stalled([(1, 1.0), (1, 1.0), (1, 600.0), (1, 1.0)]) == [0.0, 1.0, 0.0, 1.0]


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
