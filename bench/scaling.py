"""What a further event costs as the floor grows: more reps, open deals, history, workers; and the memory.

Run `python -m bench scaling [--runs 5] [--events 50000] [--deals 1000000] [--only PART …] [--json FILE]`.
Each larger floor runs beside a small one, in turn, round by round: 200 reps, 10,000 open deals, five minutes
of history, one worker. An event is a change of an open deal or a call of a rep, in turn. Told is the CPU time
of all workers together, Redis' beside it, and for each round the rate of the large floor by that of the small
one. What could not run is named, with the reason.
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from bench.figures import Spread, spread
from bench.floor import MIB, YEAR_MS, Cost, Floor, Memory, Plan, opened
from bench.processes import role
from bench.report import add_json, keep
from streams.embedded import free_port

SMALL: Final = Plan()
FLAT: Final = 0.2
MIB_A_DEAL: Final = 0.005
"""Of worker, Redis and broker together, roughly: a floor that has no room is not begun."""


def plans(deals: int) -> dict[str, Plan]:
    return {
        "2,000 reps": SMALL._replace(reps=2_000),
        "20,000 reps": SMALL._replace(reps=20_000),
        f"{deals:,} open deals": SMALL._replace(deals=deals),
        "a year of history": SMALL._replace(history_ms=YEAR_MS),
        "2 workers": SMALL._replace(workers=2),
        "4 workers": SMALL._replace(workers=4),
    }


async def metrics_mib(floor: Floor) -> float:
    """Return what a metrics process holds that shows this floor and was scraped once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"SALESFLOOR_METRICS__PORT": str(port)}
    async with (
        role("metrics", f"{url}/-/ready", **floor.environment, **settings) as process,
        aiohttp.ClientSession() as client,
        client.get(f"{url}/metrics") as answer,
    ):
        await answer.read()
        return float(psutil.Process(process.pid).memory_info().rss / MIB)


class Measured:
    """What a pair of floors showed; rates are events per CPU second."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._costs: list[tuple[Cost, Cost]] = []
        self.memory: dict[str, tuple[Memory, float]] = {}
        """"small" or "large" -> worker and Redis, metrics process; MiB after the history."""

    def add(self, small: Cost, large: Cost) -> None:
        self._costs.append((small, large))

    def rate(self, which: int) -> Spread:
        return spread([self._events / pair[which].cpu for pair in self._costs])

    @property
    def ratio(self) -> Spread:
        return spread([small.cpu / large.cpu for small, large in self._costs])

    def redis_us(self, which: int) -> Spread:
        return spread([pair[which].redis_cpu / self._events * 1e6 for pair in self._costs])

    def as_json(self) -> dict[str, object]:
        return {
            "events_per_cpu_second": self.rate(1)._asdict(),
            "small_floor_events_per_cpu_second": self.rate(0)._asdict(),
            "ratio": self.ratio._asdict(),
            "flat": abs(self.ratio.median - 1) <= FLAT,
            "redis_us_per_event": self.redis_us(1)._asdict(),
            "small_floor_redis_us_per_event": self.redis_us(0)._asdict(),
            "memory_mib": {
                name: {**memory._asdict(), "metrics": metrics}
                for name, (memory, metrics) in self.memory.items()
            },
        }


async def measured(plan: Plan, events: int, runs: int) -> Measured:
    found = Measured(events)
    async with AsyncExitStack() as parts:
        floors: dict[str, Floor] = {}
        for name, each in (("small", SMALL), ("large", plan)):
            floor = floors[name] = await parts.enter_async_context(opened(each))
            await parts.enter_async_context(floor.working())
            await floor.folded()
            memory = await floor.memory()
            found.memory[name] = memory, await metrics_mib(floor)
            await floor.round(events)  # warms up
        small, large = floors["small"], floors["large"]
        for number in range(runs):
            if number % 2:
                of_large = await large.round(events)
                found.add(await small.round(events), of_large)
            else:
                of_small = await small.round(events)
                found.add(of_small, await large.round(events))
    return found


def why_not(plan: Plan) -> str | None:
    needed = (plan.deals + SMALL.deals) * MIB_A_DEAL
    free = psutil.virtual_memory().available / MIB
    return None if needed < free else f"wants {needed:,.0f} MiB of memory, {free:,.0f} MiB are free"


async def main(options: argparse.Namespace) -> None:
    answers: dict[str, Measured | str] = {}
    for name, plan in plans(options.deals).items():
        if options.only and not any(part in name for part in options.only):
            continue
        try:
            answers[name] = why_not(plan) or await measured(plan, options.events, options.runs)
        except Exception as error:  # noqa: BLE001  one floor may fail, and the others go on
            answers[name] = f"{type(error).__name__}: {error}"
        print(f"{name}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        floors = {
            name: {"could_not_run": each} if isinstance(each, str) else each.as_json()
            for name, each in answers.items()
        }
        # After each: what was measured stays, should a later floor be given up.
        keep(options.json, {"events": options.events, "runs": options.runs, "floors": floors})
    show(answers, options)


def show(answers: dict[str, Measured | str], options: argparse.Namespace) -> None:
    console = Console(width=None if sys.stdout.isatty() else 170)
    table = Table(title=f"Rounds of {options.events:,} events; median (min–max) of {options.runs}")
    heads = (
        "floor",
        "events per CPU s",
        "of the small floor beside it",
        "flat",
        "Redis µs per event",
        "small",
    )
    for heading in heads:
        table.add_column(heading, justify="left" if heading == "floor" else "right")
    memory = Table(title="MiB after the history, and beyond the small floor's")
    for heading in ("floor", "workers", "metrics", "Redis"):
        memory.add_column(heading, justify="left" if heading == "floor" else "right")
    for name, each in answers.items():
        if isinstance(each, str):
            console.print(f"{name} could not run: {each}")
            continue
        ratio = each.ratio
        flat = "yes" if abs(ratio.median - 1) <= FLAT else "no"
        redis = (each.redis_us(1).told(".1f"), each.redis_us(0).told(".1f"))
        table.add_row(name, each.rate(1).told(), ratio.told(".2f"), flat, *redis)
        (large, metrics), (small, small_metrics) = each.memory["large"], each.memory["small"]
        pairs = ((large.workers, small.workers), (metrics, small_metrics), (large.redis, small.redis))
        memory.add_row(name, *(f"{one:,.0f} ({one - other:+,.0f})" for one, other in pairs))
    console.print(table)
    console.print(memory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=50_000, help="in a round")
    parser.add_argument("--deals", type=int, default=1_000_000, help="open on the floor that has many")
    parser.add_argument("--only", nargs="*", default=[], help="only floors whose name holds one of these")
    add_json(parser)
    asyncio.run(main(parser.parse_args()))
