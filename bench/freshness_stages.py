"""Marks of two roles and what was sent and seen in, how long events were in each stage out. Runs nothing.

A stage is passed by the n-th deal when n deals have passed it, over all partitions: what the gauge tells.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.table import Table

STAGES = (
    "fetched",
    "folded",
    "commit begins",
    "commit packed",
    "committed",
    "told",
    "applied",
    "snapshot begins",
    "snapshot ends",
)
QUANTILES = (50, 99)
Floats = NDArray[np.float64]


class Mark(NamedTuple):
    seconds: float
    partition: int
    deals: int


class Stage(NamedTuple):
    """Milliseconds of all events: how long one took for the stage itself, and since it was produced."""

    name: str
    own_mean: float
    own: tuple[float, ...]
    since: tuple[float, ...]


class Part(NamedTuple):
    """What one part of a role cost in processor time."""

    name: str
    runs: int
    seconds: float


class Cpu:
    """Processor time of this process and its children, from when it was made."""

    def __init__(self) -> None:
        self.since = time.time()
        self._before = dict(_cpu_seconds())

    def spent(self) -> dict[str, float]:
        spent: dict[str, float] = {}
        for (pid, name), seconds in _cpu_seconds():
            spent[name] = spent.get(name, 0.0) + seconds - self._before.get((pid, name), 0.0)
        return spent


def _cpu_seconds() -> Iterator[tuple[tuple[int, str], float]]:
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            name = "this bench" if process == own else _name_of(process.cmdline())
            yield (process.pid, name), times.user + times.system


def _name_of(command: Sequence[str]) -> str:
    """Return the role or the program."""
    if "bench.freshness_marks" in command:
        return command[-1]
    return "producer" if "spawn_main" in " ".join(command) else Path(command[0]).name


class Stages(NamedTuple):
    stages: list[Stage]
    parts: list[Part]
    processes: dict[str, float]

    @classmethod
    def of(
        cls,
        files: Iterable[Path],
        sent: Sequence[float],
        first: int,
        seen: Sequence[tuple[float, int]],
        cpu: Cpu,
    ) -> "Stages":
        lines = (line for file in files for line in file.read_text(encoding="utf-8").splitlines())
        marks, parts = read(lines, cpu.since)
        return cls(stages_of(sent, first, marks, seen), parts, cpu.spent())

    def tables(self) -> Iterator[Table]:
        stages = Table(title="Milliseconds until each stage is passed")
        for name in ("stage", "its own: mean", "p50", "p99", "since the produce call: p50", "p99"):
            stages.add_column(name, justify="left" if name == "stage" else "right")
        for each in self.stages:
            numbers = (each.own_mean, *each.own, *each.since)
            stages.add_row(each.name, *(f"{number:,.0f}" for number in numbers))
        yield stages
        cpu = Table(title="Processor time")
        for name in ("of", "runs", "s", "ms each"):
            cpu.add_column(name, justify="left" if name == "of" else "right")
        for process, seconds in self.processes.items():
            cpu.add_row(process, "", f"{seconds:.2f}", "")
        for part in self.parts:
            cpu.add_row(
                part.name, f"{part.runs:,}", f"{part.seconds:.2f}", f"{part.seconds / part.runs * 1000:.1f}"
            )
        yield cpu


def read(lines: Iterable[str], since: float) -> tuple[dict[str, list[Mark]], list[Part]]:
    """Return the marks of each stage, and what parts cost from an instant on (s since 1970)."""
    marks: dict[str, list[Mark]] = {}
    spent: dict[str, list[float]] = {}
    for line in lines:
        name, *numbers = line.rsplit(maxsplit=3)
        if name == "cpu":
            if float(numbers[0]) >= since:
                spent.setdefault(numbers[1], []).append(float(numbers[2]))
        else:
            marks.setdefault(name, []).append(Mark(float(numbers[0]), int(numbers[1]), int(numbers[2])))
    return marks, [Part(name, len(each), sum(each)) for name, each in spent.items()]


def stages_of(
    sent: Sequence[float], first: int, marks: dict[str, list[Mark]], seen: Sequence[tuple[float, int]]
) -> list[Stage]:
    """`first` deals were there before; `seen` is when (ms since 1970) the gauge told how many."""
    numbers = np.arange(first + 1, first + len(sent) + 1)
    produced = np.array(sent)
    before, found = produced, []
    gauge = np.array([number for _, number in seen]), np.array([at_ms / 1000 for at_ms, _ in seen])
    timelines = {name: _timeline(marks[name]) for name in STAGES} | {"seen": gauge}
    for name, (deals, at) in timelines.items():
        passed = at[np.searchsorted(deals, numbers)]
        found.append(
            Stage(
                name,
                float(np.mean(passed - before)) * 1000,
                tuple(float(np.percentile(passed - before, q)) * 1000 for q in QUANTILES),
                tuple(float(np.percentile(passed - produced, q)) * 1000 for q in QUANTILES),
            )
        )
        before = passed
    return found


def _timeline(marks: Iterable[Mark]) -> tuple[NDArray[np.int64], Floats]:
    """Return how many deals had passed, over all partitions, and when."""
    of_partition: dict[int, int] = {}
    total, deals, at = 0, [], []
    for mark in marks:
        total += max(0, mark.deals - of_partition.get(mark.partition, 0))
        of_partition[mark.partition] = max(mark.deals, of_partition.get(mark.partition, 0))
        deals.append(total)
        at.append(mark.seconds)
    return np.array(deals, dtype=np.int64), np.array(at)
