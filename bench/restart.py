"""What a worker with much state costs: memory, a start on its checkpoint, and a rebuild from the topics.

Run `python -m bench restart [--deals 1000000] [--days 365] [--json FILE]`. A worker folds that many deals and
the reps' calls of so many days, is stopped, and started again on the same checkpoint. Then a metrics process
is started on it, and `salesfloor rebuild` folds all of it again. Told is wall and CPU time.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from bench.floor import MIB, Floor, Plan, cpu_of, opened
from bench.processes import role
from bench.report import add_json, keep
from streams.embedded import free_port

DAY_MS: Final = 86_400_000


class Step(NamedTuple):
    wall: float
    cpu: float
    mib: float | None = None
    """Resident memory at its end."""
    events: int | None = None
    """That went through it."""

    def as_json(self) -> dict[str, float | None]:
        rates = {
            "events_per_second": self.events / self.wall if self.events else None,
            "events_per_cpu_second": self.events / self.cpu if self.events else None,
        }
        return {"wall_seconds": self.wall, "cpu_seconds": self.cpu, "mib": self.mib, **rates}


@asynccontextmanager
async def started(floor: Floor, steps: dict[str, Step], name: str) -> AsyncIterator[None]:
    """Run the worker, and note what its start took."""
    began = time.perf_counter()
    async with floor.working():
        worker = floor.workers[0]
        steps[name] = Step(time.perf_counter() - began, cpu_of(worker), worker.memory_info().rss / MIB)
        yield


async def metrics_started(floor: Floor) -> Step:
    port, began = free_port(), time.perf_counter()
    settings = {"SALESFLOOR_METRICS__PORT": str(port)}
    ready = f"http://127.0.0.1:{port}/-/ready"
    async with role("metrics", ready, **floor.environment, **settings) as process:
        metrics = psutil.Process(process.pid)
        return Step(time.perf_counter() - began, cpu_of(metrics), metrics.memory_info().rss / MIB)


async def rebuilt(floor: Floor) -> Step:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from streams.cli import main; main()", "rebuild"),
        env=os.environ | floor.environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise SystemExit(f"the rebuild ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Step(time.perf_counter() - began, cpu, events=floor.written)


async def measured(plan: Plan) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    async with opened(plan) as floor:
        async with started(floor, steps, "worker's start on nothing"):
            worker, began = floor.workers[0], time.perf_counter()
            before = cpu_of(worker)
            await floor.folded()
            took = time.perf_counter() - began
            memory = worker.memory_info().rss / MIB
            steps["all folded and committed"] = Step(took, cpu_of(worker) - before, memory, floor.written)
        async with started(floor, steps, "worker's start on that checkpoint"):
            pass
        steps["metrics process' start on it"] = await metrics_started(floor)
        steps["rebuild from the topics"] = await rebuilt(floor)
    return steps


async def main(options: argparse.Namespace) -> None:
    plan = Plan(deals=options.deals, history_ms=options.days * DAY_MS, session_seconds=5)
    steps = await measured(plan)
    size = {"deals": plan.deals, "calls": plan.calls, "days": options.days}
    keep(options.json, {**size, "steps": {name: step.as_json() for name, step in steps.items()}})
    table = Table(title=f"{plan.deals:,} deals and {plan.calls:,} calls of {options.days:,} days")
    for heading in ("", "s", "CPU s", "MiB", "events/s", "events per CPU s"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, step in steps.items():
        rates = (step.events / step.wall, step.events / step.cpu) if step.events else ()
        memory = "" if step.mib is None else f"{step.mib:,.0f}"
        table.add_row(
            name, f"{step.wall:.1f}", f"{step.cpu:.1f}", memory, *(f"{each:,.0f}" for each in rates)
        )
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deals", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365, help="that the events are spread over")
    add_json(parser)
    asyncio.run(main(parser.parse_args()))
