"""How old a number is when it shows: from the produce call to its gauge and to the wall's stream.

Run `python -m bench freshness [--rates 1000 10000 50000] [--seconds 10] [--reps 50] [--tick-ms 1000]
[--stages] [--json FILE]`. A worker and a metrics process run as they do in production. Each won deal is one
more in the gauge `salesfloor_floor_deals_won`, and `/metrics` is read about fifty times a second: what is
shown at a reading tells which events were visible by then. Rates that producer or worker do not reach show as
what was reached. `--stages` tells where the time went: when events passed each stage from the fetch to the
scrape, and what each process and part took of a processor's time.
"""

import argparse
import asyncio
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from bench.freshness_stages import Cpu, Stages
from bench.processes import SALESFLOOR, role
from bench.report import add_json, keep
from bench.wall import Seen, listen, told, until_shown, waits_ms
from bench.wall_floor import Plan, produced
from streams.admin import ensure_topics
from streams.embedded import embedded, free_port
from streams.settings import load_settings

GAUGE = re.compile(r'^salesfloor_floor_deals_won\{window="today"\} (\S+)$', re.MULTILINE)
READ_EVERY_SECONDS = 0.02


async def read_gauge(url: str, seen: Seen) -> None:
    """Note what the gauge says, until cancelled."""
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"{url}/metrics") as answer:
                shown = GAUGE.search(await answer.text())
            number = int(float(shown[1])) if shown else 0
            if number > (seen[-1][1] if seen else -1):
                seen.append((time.time() * 1000, number))
            await asyncio.sleep(READ_EVERY_SECONDS)


class Shown(NamedTuple):
    rate: float
    reached: float
    load: float
    gauge: dict[str, float]
    wall_stream: dict[str, float]
    stages: Stages | None

    def line(self) -> list[str]:
        numbers = [f"{self.rate:,.0f}", f"{self.reached:,.0f}", f"{self.load:.1f}"]
        return [*numbers, told(self.gauge), told(self.wall_stream)]


async def measure(url: str, plan: Plan, pool: ProcessPoolExecutor, marks: Sequence[Path]) -> Shown:
    """Produce one plan and return how long its numbers took; with files of marks, in which stages."""
    gauge: Seen = []
    cpu = Cpu()
    stream: Seen = []
    watching = [asyncio.create_task(read_gauge(url, gauge)), asyncio.create_task(listen(url, stream))]
    try:
        sent = await asyncio.get_running_loop().run_in_executor(pool, produced, plan)
        for seen in (gauge, stream):
            await until_shown(seen, plan.first + len(sent))
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    reached = (len(sent) - 1) / (sent[-1] - sent[0])
    to_gauge, to_stream = (waits_ms(sent, seen, plan.first) for seen in (gauge, stream))
    stages = Stages.of(marks, sent, plan.first, gauge, cpu) if marks else None
    return Shown(plan.rate, reached, os.getloadavg()[0], to_gauge, to_stream, stages)


async def main(options: argparse.Namespace) -> None:
    console = Console(width=120)
    table = Table(title=f"Produce call to the number shown, {options.reps:,} reps, tick {options.tick_ms} ms")
    for name in ("events/s", "reached", "load", "gauge p50, p99, p99.9", "wall stream p50, p99, p99.9"):
        table.add_column(name, justify="right")
    found: list[dict[str, object]] = []
    async with AsyncExitStack() as parts:
        services = await parts.enter_async_context(embedded(0, 0))
        pool = parts.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        ports = {"worker": free_port(), "metrics": free_port()}
        environment = {
            "SALESFLOOR_KAFKA": services.kafka,
            "SALESFLOOR_REDIS": services.redis_url,
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "2",
            "SALESFLOOR_WORKER__PORT": str(ports["worker"]),
            "SALESFLOOR_METRICS__PORT": str(ports["metrics"]),
            "SALESFLOOR_METRICS__TICK_MS": str(options.tick_ms),
            # Fifty readings a second are the bench's own load: they shall not be long.
            "SALESFLOOR_METRICS__LEVELS": '["floor", "rep"]',
            "SALESFLOOR_WALL__CELEBRATION_SECONDS": "0",
        }
        await ensure_topics(load_settings(overrides={"kafka": {"bootstrap": services.kafka}}))
        marks: list[Path] = []
        if options.stages:
            kept = Path(parts.enter_context(TemporaryDirectory()))
            marks = [kept / name for name in ports]
        for name, port in ports.items():
            run = ("-m", "bench.freshness_marks", str(kept / name)) if marks else SALESFLOOR
            ready = f"http://127.0.0.1:{port}/-/ready"
            await parts.enter_async_context(role(name, ready, run=run, **environment))
        url, first = f"http://127.0.0.1:{ports['metrics']}", 0
        for number, rate in enumerate((options.rates[0], *options.rates)):
            plan = Plan(services.kafka, first, round(rate * options.seconds), rate, reps=options.reps)
            shown = await measure(url, plan, pool, marks)
            first += plan.deals
            if number:  # the first warms up
                table.add_row(*shown.line())
                found.append(shown._asdict())
                if shown.stages is not None:
                    console.print(*shown.stages.tables())
    keep(options.json, {"reps": options.reps, "tick_ms": options.tick_ms, "rates": found})
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[1_000, 10_000, 50_000], help="events a second"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="for each rate")
    parser.add_argument("--reps", type=int, default=50)
    parser.add_argument("--tick-ms", type=int, default=1000)
    parser.add_argument("--stages", action="store_true", help="tell where the time went")
    add_json(parser)
    asyncio.run(main(parser.parse_args()))
