"""How soon the wall shows an event, and what its page costs: `python -m bench wall`.

A worker and a metrics process run as they do in production on a floor of 2,000 reps. Each event is a won
deal, one more in "deals won today" of the board `floor`. When the number changed is noted where it counts:
in the page, by a headless Chromium; and beside it by a bare client of the stream, with and without a page
open. Then the page by itself: its weight, its memory after a simulated week of ticks, its frames at ten
updates a second. No win is celebrated.

Run `python -m bench wall [--rates 100 5000] [--seconds 20] [--tick-ms 1000] [--json FILE]`.
"""

import argparse
import asyncio
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from rich.console import Console
from rich.table import Table

from bench import report, wall_page
from bench.processes import role
from bench.wall_floor import HISTORY, REPS, Plan, produced
from streams.admin import ensure_topics
from streams.embedded import embedded, free_port
from streams.settings import load_settings

BOARD, KPI, CARD = "floor", "deals_won", 2
"""The third card of the board shows the deals won today."""
SETTLE_SECONDS = 60.0
QUANTILES = (50, 99, 99.9)


Seen = list[tuple[float, int]]
"""When (ms since 1970) a greater number was shown first."""


async def listen(url: str, seen: Seen) -> None:
    """Note what the stream says of the number, until cancelled."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=2**22) as client,
        client.get(f"{url}/wall/stream", params={"board": BOARD}) as answer,
    ):
        async for line in answer.content:
            if not line.startswith(b"data: "):
                continue
            now_ms = time.time() * 1000
            for widget in json.loads(line[6:]).get("widgets", ()):
                if widget.get("kpi") == KPI and int(widget["value"] or 0) > (seen[-1][1] if seen else -1):
                    seen.append((now_ms, int(widget["value"])))


async def until_shown(seen: Seen, wanted: int) -> None:
    """Wait for a number; SystemExit when it stood still for a minute."""
    last, since = -1, time.monotonic()
    while (shown := seen[-1][1] if seen else 0) < wanted:
        if shown != last:
            last, since = shown, time.monotonic()
        if time.monotonic() - since > SETTLE_SECONDS:
            raise SystemExit(f"the wall shows {shown} of {wanted} and no more")
        await asyncio.sleep(0.1)


def waits_ms(sent: list[float], seen: Seen, first: int) -> dict[str, float]:
    """Return quantiles of the time from each event to the first sight of a number that includes it."""
    numbers = np.array([number for _, number in seen])
    at_ms = np.array([when for when, _ in seen])
    places = np.searchsorted(numbers, np.arange(first + 1, first + len(sent) + 1))
    waited = at_ms[places] - np.array(sent) * 1000
    return {f"p{q}_ms": round(float(np.percentile(waited, q))) for q in QUANTILES}


class Floor:
    """A running floor, and how many deals were won on it today."""

    def __init__(self, kafka: str, url: str, pool: ProcessPoolExecutor) -> None:
        self.kafka, self.url, self._pool = kafka, url, pool
        self.today = 0

    async def produce(self, count: int, rate: float, *, history: bool = False) -> list[float]:
        plan = Plan(self.kafka, HISTORY * (not history) + self.today, count, rate, history)
        return await asyncio.get_running_loop().run_in_executor(self._pool, produced, plan)

    async def measure(self, rate: int, seconds: float, page: Any) -> dict[str, Any]:
        """Return how long events took at one rate; with a page, to it and to a bare client beside it."""
        seen: Seen = []
        listening = asyncio.create_task(listen(self.url, seen))
        try:
            if page is not None:
                await page.evaluate(wall_page.WATCH, CARD)
            sent = await self.produce(int(rate * seconds), rate)
            await until_shown(seen, self.today + len(sent))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        found = {
            "rate": rate,
            "reached": round((len(sent) - 1) / (sent[-1] - sent[0])),
            "load": round(os.getloadavg()[0], 1),
            "stream": waits_ms(sent, seen, self.today),
            "page": None,
        }
        if page is not None:
            await page.wait_for_function("wanted => window.seen.at(-1)[1] >= wanted", arg=seen[-1][1])
            found["page"] = waits_ms(sent, await page.evaluate("() => window.seen"), self.today)
        self.today += len(sent)
        return found


async def live(rates: list[int], seconds: float, tick_ms: int, browser: Any) -> dict[str, Any]:
    async with AsyncExitStack() as parts:
        services = await parts.enter_async_context(embedded(0, 0))
        pool = parts.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        worker_port, metrics_port = free_port(), free_port()
        environment = {
            "SALESFLOOR_KAFKA": services.kafka,
            "SALESFLOOR_REDIS": services.redis_url,
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "2",
            "SALESFLOOR_WORKER__PORT": str(worker_port),
            "SALESFLOOR_METRICS__PORT": str(metrics_port),
            "SALESFLOOR_METRICS__TICK_MS": str(tick_ms),
            "SALESFLOOR_WALL__CELEBRATION_SECONDS": "0",
        }
        await ensure_topics(load_settings(overrides={"kafka": {"bootstrap": services.kafka}}))
        url = f"http://127.0.0.1:{metrics_port}"
        for name, port in (("worker", worker_port), ("metrics", metrics_port)):
            ready = f"http://127.0.0.1:{port}/-/ready"
            await parts.enter_async_context(role(name, ready, **environment))
        floor = Floor(services.kafka, url, pool)
        await floor.produce(HISTORY, 4000, history=True)
        runs = [await floor.measure(rates[0], 3.0, None)]  # warms up, and waits for the history to be folded
        runs = [await floor.measure(rate, seconds, None) for rate in rates]
        async with wall_page.opened(browser, f"{url}/wall/{BOARD}") as page:
            runs += [await floor.measure(rate, seconds, page) for rate in rates]
            return {"freshness": runs, "page": await wall_page.weight(page)}


def machine(browser: Any) -> dict[str, Any]:
    load = [round(each, 1) for each in os.getloadavg()]
    return {**report.machine(), "chromium": browser.version, "load": load}


def show(found: dict[str, Any]) -> None:
    console = Console(width=120)
    table = Table(title=f"Produce call to the number changed, {REPS:,} reps, tick {found['tick_ms']} ms")
    for name in (
        "events/s",
        "reached",
        "load",
        "page open",
        "in the stream p50, p99, p99.9",
        "in the page p50, p99, p99.9",
    ):
        table.add_column(name, justify="right")
    for run in found["freshness"]:
        cells = [f"{run['rate']:,}", f"{run['reached']:,}", str(run["load"]), "yes" if run["page"] else "no"]
        table.add_row(*cells, told(run["stream"]), told(run["page"]))
    console.print(table)
    page, week, busy = found["page"], found["week"], found["busy"]
    rest = Table(title="The page", show_header=False)
    rest.add_row("weight", f"{page['compressed_bytes'] / 1000:.1f} kB compressed in {page['files']} files")
    for when, name in (("before", "memory early in the week"), ("after", f"after {week['ticks']:,} ticks")):
        own = week[when]
        rest.add_row(name, f"heap {own['heap_bytes'] / 1e6:.2f} MB, {own['dom_nodes']:,} nodes")
    frames = f"{busy['frames_per_second']} frames/s, p99 {busy['frame_p99_ms']} ms"
    longest = (
        f"{busy['long_tasks']} tasks over {wall_page.LONG_TASK_MS} ms, longest {busy['longest_task_ms']} ms"
    )
    rest.add_row(f"{busy['updates_per_second']} updates/s", f"{frames}; {longest}")
    console.print(rest)


def told(waits: dict[str, float] | None) -> str:
    return "–" if waits is None else ", ".join(f"{waited:,}" for waited in waits.values()) + " ms"


async def main(options: argparse.Namespace) -> None:
    if wall_page.chromium() is None:
        raise SystemExit("no Chromium on the PATH: apt-get install chromium on Debian")
    async with wall_page.browser() as browser:
        found: dict[str, Any] = {"tick_ms": options.tick_ms, "machine": machine(browser)}
        found |= await live(options.rates, options.seconds, options.tick_ms, browser)
        found["week"] = await wall_page.week(browser, options.ticks)
        found["busy"] = await wall_page.busy(browser, options.seconds)
    show(found)
    text = json.dumps(found, indent=1)
    print(text)
    if options.json:
        options.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 5000], help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each rate")
    parser.add_argument("--tick-ms", type=int, default=1000)
    parser.add_argument("--ticks", type=int, default=wall_page.WEEK_TICKS, help="of the simulated week")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    asyncio.run(main(parser.parse_args()))
