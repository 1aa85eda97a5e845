"""What a scrape costs: 50,000 series rendered by us and by prometheus-client, and what the fold loses by it.

Run `python -m bench scrape [--runs 5] [--series 50000] [--rounds 12] [--events 200000] [--json FILE]`. Two
measurements, each in turns, told as ratios of each run:

rendering   a new snapshot's gauges to text, once with everything new and once with the label sets of the last
            one, beside `generate_latest` of a registry of `Gauge`s that hold the same series and values
fold        rounds of a worker beside a metrics process that nobody scrapes, and scraped once a second

Told is CPU time; of the fold the wall time too, since on a small machine the two processes share its cores.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Gauge as ClientGauge
from rich.console import Console
from rich.table import Table

from bench.figures import Spread, spread
from bench.floor import Floor, Plan, opened
from bench.processes import role
from bench.report import add_json, keep
from bench.snapshot import NOW_MS, floor_of
from metrics.exposition import LabelText, kpi_lines
from metrics.gauges import Gauge, GaugeBlock, GaugeLabels, kpi_gauges
from metrics.kpi_snapshot import KpiSnapshot
from metrics.snapshot import SnapshotConfig, Snapshotter
from streams.embedded import free_port

SCRAPED_REPS: Final = 120
"""A floor of so many has some 50,000 series."""


class Rendering(NamedTuple):
    """CPU seconds of one run."""

    first: float
    again: float
    client: float


def cut_off(gauges: Sequence[Gauge], series: int) -> list[Gauge]:
    """Return the first gauges with so many series that have a value."""
    kept: list[Gauge] = []
    for gauge in gauges:
        blocks: list[GaugeBlock] = []
        for block in gauge.blocks:
            there = int((block.values == block.values).sum())
            if there > series:
                continue
            series -= there
            blocks.append(block)
        kept.append(Gauge(gauge.name, gauge.documentation, gauge.unit, tuple(blocks)))
    return [gauge for gauge in kept if gauge.blocks]


def client_registry(gauges: Sequence[Gauge]) -> CollectorRegistry:
    """Return prometheus-client's own gauges with the same series and values."""
    registry = CollectorRegistry()
    for gauge in gauges:
        families: dict[tuple[str, ...], ClientGauge] = {}
        for block in gauge.blocks:
            for labels, value in zip(block.labels, block.values.tolist(), strict=True):
                if value == value:
                    names = tuple(name for name, _ in labels)
                    family = families.get(names)
                    if family is None:
                        # The quantiles of a KPI are a gauge of their own here: its labels are all or none.
                        name = gauge.name if not families else f"{gauge.name}_{len(families)}"
                        family = ClientGauge(name, gauge.documentation, names, registry=registry)
                        families[names] = family
                    (family.labels(*(text for _, text in labels)) if names else family).set(value)
    return registry


def rendering(series: int, runs: int) -> tuple[int, list[Rendering]]:
    """Return how many series there are, and each run's seconds."""
    snapshot = Snapshotter(SnapshotConfig()).take(floor_of(SCRAPED_REPS), NOW_MS)
    client = client_registry(cut_off(tuple(kpi_gauges(snapshot)), series))
    samples = sum(len(family.samples) for family in client.collect())
    found: list[Rendering] = []
    for _ in range(runs):
        # The bench renders one snapshot over and over: lines that stay would cost nothing.
        labels, texts = GaugeLabels(), LabelText(lines_max=0)
        first = ours(snapshot, labels, texts, series)
        again = ours(snapshot, labels, texts, series)
        began = time.process_time()
        generate_latest(client)
        found.append(Rendering(first, again, time.process_time() - began))
    return samples, found


def ours(snapshot: KpiSnapshot, labels: GaugeLabels, texts: LabelText, series: int) -> float:
    """Return the CPU seconds from a snapshot to text."""
    began = time.process_time()
    gauges = tuple(kpi_gauges(snapshot, labels))
    making = time.process_time() - began
    gauges = tuple(cut_off(gauges, series))  # of the bench, not of a scrape
    began = time.process_time()
    kpi_lines(gauges, texts, openmetrics=False)
    return making + time.process_time() - began


class Beside(NamedTuple):
    """Events per second of one round."""

    cpu_rate: float
    wall_rate: float


@asynccontextmanager
async def scraped_each_second(url: str, done: list[int]) -> AsyncIterator[None]:
    """Ask for `/metrics` once a second, as a Prometheus does; `done` is told the bytes of each answer."""

    async def ask() -> None:
        headers = {"Accept-Encoding": "gzip"}
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            while True:
                next_at = time.monotonic() + 1.0
                async with client.get(f"{url}/metrics", headers=headers) as answer:
                    done.append(len(await answer.read()))
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def beside_the_fold(events: int, runs: int) -> tuple[int, int, list[tuple[Beside, Beside]]]:
    """Return the series of a scrape, the number of scrapes, and each run's rounds: not scraped, scraped."""
    found: list[tuple[Beside, Beside]] = []
    scrapes: list[int] = []
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # All deals take turns: one that is changed hundreds of times costs more from round to round.
    plan = Plan(reps=SCRAPED_REPS, deals=100_000, touched=100_000)
    async with opened(plan) as floor, floor.working():
        await floor.folded()
        settings = {"SALESFLOOR_METRICS__PORT": str(port)}
        async with role("metrics", f"{url}/-/ready", **floor.environment, **settings):
            series = await series_of(url)
            await one_round(floor, events)  # warms up
            for number in range(runs):
                rounds: dict[bool, Beside] = {}
                for scraped in (False, True) if number % 2 else (True, False):
                    if scraped:
                        async with scraped_each_second(url, scrapes):
                            rounds[scraped] = await one_round(floor, events)
                    else:
                        rounds[scraped] = await one_round(floor, events)
                found.append((rounds[False], rounds[True]))
    return series, len(scrapes), found


async def one_round(floor: Floor, events: int) -> Beside:
    cost = await floor.round(events)
    return Beside(events / cost.cpu, events / cost.wall)


async def series_of(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as answer:
        return sum(not line.startswith("#") for line in (await answer.text()).splitlines())


async def main(options: argparse.Namespace) -> None:
    samples, renderings = rendering(options.series, options.runs)
    series, scrapes, rounds = await beside_the_fold(options.events, options.rounds)
    of_rendering = {
        "ours, everything new": (
            spread([1000 * each.first for each in renderings]),
            spread([each.client / each.first for each in renderings]),
        ),
        "ours, label sets kept": (
            spread([1000 * each.again for each in renderings]),
            spread([each.client / each.again for each in renderings]),
        ),
        "prometheus-client": (spread([1000 * each.client for each in renderings]), spread([1.0])),
    }
    lost = {
        "CPU of the worker": spread([1 - scraped.cpu_rate / quiet.cpu_rate for quiet, scraped in rounds]),
        "wall time": spread([1 - scraped.wall_rate / quiet.wall_rate for quiet, scraped in rounds]),
    }
    ways = {
        name: {"cpu_ms": ms._asdict(), "times_as_fast": ratio._asdict()}
        for name, (ms, ratio) in of_rendering.items()
    }
    beside = {
        "series": series,
        "scrapes": scrapes,
        "lost": {name: each._asdict() for name, each in lost.items()},
    }
    found = {"rendering": {"series": samples, "ways": ways}, "fold_beside_scrapes": beside}
    keep(options.json, {"runs": options.runs, "rounds": options.rounds, **found})
    show(samples, of_rendering, options.runs)
    for name, each in lost.items():
        print(
            f"the fold's loss while {series:,} series are scraped each second ({scrapes} scrapes), by "
            f"{name}: {each.told('.1%')}"
        )


def show(samples: int, ways: dict[str, tuple[Spread, Spread]], runs: int) -> None:
    table = Table(title=f"{samples:,} series to text; median (min–max) of {runs}")
    for heading in ("way", "CPU ms", "times as fast as prometheus-client"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, (ms, ratio) in ways.items():
        table.add_row(name, ms.told(".0f"), ratio.told(".1f"))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--series", type=int, default=50_000, help="that are rendered")
    parser.add_argument("--rounds", type=int, default=12, help="of the fold, with scrapes and without")
    parser.add_argument("--events", type=int, default=200_000, help="in a round of the fold")
    add_json(parser)
    asyncio.run(main(parser.parse_args()))
