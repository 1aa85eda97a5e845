"""Wall and CPU time of this process, for benches; on a busy machine only the second tells what code costs."""

import resource
import time
from typing import NamedTuple


class Seconds(NamedTuple):
    wall: float
    cpu: float
    """User and system time of all threads of the process."""
    user: float


class Stopwatch:
    def __init__(self) -> None:
        self._began = _now()

    def stop(self) -> Seconds:
        return Seconds(*(now - began for now, began in zip(_now(), self._began, strict=True)))


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
