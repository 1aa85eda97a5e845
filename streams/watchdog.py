"""Ends a process whose main loop hangs, or that was told to stop and does not: `os._exit` out. Knows nothing
of Kafka.

Kafka's heartbeats come from a thread of their own, so a hung worker would keep its partitions for ever.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from streams.logs import fields

log = logging.getLogger(__name__)

EXIT_CODE = 70  # EX_SOFTWARE
TICK_SECONDS = 0.5
TASKS = Path("/proc/self/task")


class Scheduled(NamedTuple):
    """What the system's scheduler gave this process so far; zeros where it does not tell."""

    waited_seconds: float = 0.0
    """Its threads were ready to run, and others had the CPUs, or a quota held them. Added up over threads."""
    ran_seconds: float = 0.0
    """The watched loop's thread had a CPU."""


UNKNOWN: Final = Scheduled()


def scheduled(loop_thread: int, tasks: Path = TASKS) -> Scheduled:
    """Read what Linux keeps of each thread; `loop_thread` is its native id."""
    waited = ran = 0
    try:
        for task in tasks.iterdir():
            with suppress(ProcessLookupError, FileNotFoundError):  # a thread that ended just now
                ran_ns, waited_ns = (task / "schedstat").read_text().split()[:2]
                waited += int(waited_ns)
                if task.name == str(loop_thread):
                    ran = int(ran_ns)
    except (OSError, ValueError):
        return UNKNOWN
    return Scheduled(waited / 1e9, ran / 1e9)


class StallMeter:
    """How long the watched loop has not ticked, counting only time in which it could have.

    A process that was stopped as a whole (SIGSTOP, a sleeping laptop) has not hung; nor has one that waits
    for a CPU: ended for that, it would begin anew with the same work on the same machine. Work that never
    ends is found all the same, by the time that the loop's thread runs.
    """

    def __init__(self) -> None:
        self._seen = -1
        self._stalled_seconds = 0.0
        self._scheduled = UNKNOWN

    def look(
        self,
        ticks: int,
        *,
        slept_seconds: float,
        look_every_seconds: float,
        scheduled: Scheduled = UNKNOWN,
    ) -> float:
        """Return the seconds since the last tick, of those that count, having slept since the last look."""
        waited = scheduled.waited_seconds - self._scheduled.waited_seconds
        ran = scheduled.ran_seconds - self._scheduled.ran_seconds
        self._scheduled = scheduled
        if ticks != self._seen or slept_seconds > 2 * look_every_seconds + 1.0:
            self._seen = ticks
            self._stalled_seconds = 0.0
        else:
            # A thread that ended takes what it waited along: then nothing is known to have been waited for.
            self._stalled_seconds += max(slept_seconds - max(waited, 0.0), min(ran, slept_seconds), 0.0)
        return self._stalled_seconds


class MainLoopWatchdog:
    """Ticks in the running loop and watches from a thread that the ticks go on."""

    def __init__(self, timeout_seconds: float, on_hang: Callable[[], None] | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._on_hang = on_hang or _dump_and_exit
        self._ticks = 0
        self._ticked_at = time.monotonic()
        self._loop_thread = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="main-loop-watchdog", daemon=True)

    @property
    def tick_age_seconds(self) -> float:
        return time.monotonic() - self._ticked_at

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    async def tick(self) -> None:
        """Tick in the watched loop. Runs until cancelled."""
        self._loop_thread = threading.get_native_id()
        while True:
            self._ticks += 1
            self._ticked_at = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    def _watch(self) -> None:
        look_every = min(1.0, self._timeout_seconds / 4)
        meter = StallMeter()
        before = time.monotonic()
        while not self._ended.wait(look_every):
            now = time.monotonic()
            stalled = meter.look(
                self._ticks,
                slept_seconds=now - before,
                look_every_seconds=look_every,
                scheduled=scheduled(self._loop_thread),
            )
            before = now
            if stalled > self._timeout_seconds:
                log.critical(fields("main loop hangs", seconds=f"{stalled:.1f}", exit_code=EXIT_CODE))
                self._on_hang()
                return


class StopDeadline:
    """Inside the `with`, and once it has begun, the process has so long to leave it.

    A task that swallows its cancellation, or a thread of a library that does not end, would otherwise keep a
    stopped process there for ever, and nobody would start it again.
    """

    def __init__(self, seconds: float, on_overdue: Callable[[], None] | None = None) -> None:
        self._seconds = seconds
        self._on_overdue = on_overdue or _dump_and_exit
        self._timer = threading.Timer(seconds, self._overdue)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    async def begin_with(self, stop: asyncio.Event) -> None:
        """Begin when the event is set."""
        await stop.wait()
        self._timer.start()

    def _overdue(self) -> None:
        log.critical(fields("told to stop, does not end", seconds=self._seconds, exit_code=EXIT_CODE))
        self._on_overdue()


def _dump_and_exit() -> None:
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    os._exit(EXIT_CODE)
