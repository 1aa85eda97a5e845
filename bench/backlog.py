"""A day of events that waited, worked off: rate, memory, what the screens say and what must stay silent.

Run `.ci/with-real-services python -m bench backlog [--events 1000000]`: on the Kafka and Redis that
SALESFLOOR_TEST_KAFKA and SALESFLOOR_TEST_REDIS name, which must be empty; without them on the embedded ones.
A worker, a metrics process and, where it is installed, a Prometheus with the shipped rules start when
everything waits. The wall's stream is listened to all the while: it must say that it catches up, and
celebrate none of the wins of the day. SystemExit where a promise is broken.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from bench.processes import role
from streams.admin import ensure_topics
from streams.embedded import embedded, free_port
from streams.settings import Settings, load_settings
from streams.stores.base import StoreUnavailable
from streams.stores.redis import RedisStore
from streams.topics import ACTIVITIES, DEALS

DAY_SECONDS = 86_400
MIB = 1 << 20
RULES = Path(__file__).parents[1] / "prometheus" / "rules"
SAMPLE_SECONDS = 0.5
GIVES_UP_SECONDS = 1_800


class Plan(NamedTuple):
    bootstrap: str
    partitions: int
    events: int
    now_ms: int


class Sample(NamedTuple):
    seconds: float
    folded: int
    worker_mib: float
    metrics_mib: float
    redis_mib: float
    """What Redis says that it holds."""
    age_seconds: float
    lag: float


class Heard:
    """What the wall's stream said."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.catching_up = Counter[bool]()
        self.last_catching_up: bool | None = None


def day(plan: Plan) -> Iterator[tuple[str, str, bytes]]:
    """Yield topic, id and value of a day's events, oldest first: half about deals, half activities."""
    for number in range(plan.events):
        moment_ms = plan.now_ms - DAY_SECONDS * 1000 + number * DAY_SECONDS * 1000 // plan.events
        head = {
            "specversion": "1.0",
            "id": f"{number:x}",
            "source": "/bench/backlog",
            "time": datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        }
        rep = f"R-{number % 200}"
        if number % 2:
            name = f"A-{number // 6}"  # three events each: planned, done, corrected
            verb = ("scheduled", "completed", "updated")[number % 6 // 2]
            data = {"activity_id": name, "kind": "call", "rep_id": rep, "outcome": "connected"}
            yield (
                ACTIVITIES,
                name,
                msgspec.json.encode({**head, "type": f"sales.activity.{verb}", "data": data}),
            )
        else:
            name = f"D-{number // 2 % max(1, plan.events // 20)}"
            verb = "won" if number // 2 % 7 == 0 else "updated"
            data = {"deal_id": name, "amount": f"{number % 9_000}.50", "currency": "USD", "rep_id": rep}
            yield DEALS, name, msgspec.json.encode({**head, "type": f"sales.deal.{verb}", "data": data})


def produced(plan: Plan) -> float:
    """Write the day in a process of its own; return the seconds it took."""
    began = time.perf_counter()
    asyncio.run(_produce(plan))
    return time.perf_counter() - began


async def _produce(plan: Plan) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=plan.bootstrap, linger_ms=50, max_batch_size=1 << 19, compression_type="gzip"
    ) as producer:
        for topic, name, value in day(plan):
            partition = int(name[2:]) % plan.partitions
            await producer.send(topic, value, key=name.encode(), partition=partition)


async def listen(url: str, heard: Heard) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=2**22) as client,
        client.get(f"{url}/wall/stream") as answer,
    ):
        kind = ""
        async for line in answer.content:
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                heard.kinds[kind] += 1
                told = json.loads(line[6:])
                state = told.get("condition", told)
                if isinstance(state, dict) and "catching_up" in state:
                    heard.last_catching_up = bool(state["catching_up"])
                    heard.catching_up[heard.last_catching_up] += 1


async def number(client: aiohttp.ClientSession, url: str, name: str) -> float:
    """Return the sum of a gauge's samples; NaN where there is none."""
    try:
        async with client.get(f"{url}/metrics") as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError):  # busy, as everything here may be
        return float("nan")
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found)) if found else float("nan")


def resident(name: str) -> float:
    """Return the memory of our child that runs a role."""
    for child in psutil.Process().children(recursive=True):
        try:
            if child.cmdline()[-1:] == [name]:
                return float(child.memory_info().rss / MIB)
        except psutil.Error:
            continue
    return 0.0


async def watch(
    store: RedisStore, redis: Redis, plan: Plan, urls: dict[str, str], samples: list[Sample]
) -> None:
    """Take samples until everything is folded and committed."""
    began = time.perf_counter()
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                used_bytes = int((await redis.info("memory"))["used_memory"])
                boards = [await store.read_board(slot) for slot in range(plan.partitions)]
            except (StoreUnavailable, RedisError):  # busy, as everything here may be
                continue
            folded = sum(sum(board.offsets.values()) for board in boards)
            samples.append(
                Sample(
                    time.perf_counter() - began,
                    folded,
                    resident("worker"),
                    resident("metrics"),
                    used_bytes / MIB,
                    await number(client, urls["metrics"], "salesfloor_data_age_seconds"),
                    await number(client, urls["worker"], "salesfloor_worker_lag_records"),
                )
            )
            if folded >= plan.events:
                return
            if samples[-1].seconds > GIVES_UP_SECONDS:
                raise SystemExit(f"after {GIVES_UP_SECONDS} s only {folded:,} of {plan.events:,} are folded")
            await asyncio.sleep(SAMPLE_SECONDS)


async def alerts_of(prometheus: str) -> dict[str, int]:
    query = urllib.parse.quote("count by (alertname, alertstate) (last_over_time(ALERTS[1h]))")
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{prometheus}/api/v1/query?query={query}") as answer,
    ):
        found = (await answer.json())["data"]["result"]
    return {
        f"{each['metric']['alertname']} {each['metric']['alertstate']}": int(each["value"][1])
        for each in found
    }


async def prometheus_of(parts: AsyncExitStack, urls: dict[str, str]) -> str | None:
    """Start a Prometheus with the shipped rules that looks every second; None where none is installed."""
    binary = os.environ.get("SALESFLOOR_TEST_PROMETHEUS") or shutil.which("prometheus")
    if binary is None:
        return None
    directory, port = Path(parts.enter_context(tempfile.TemporaryDirectory())), free_port()
    hosts = [url.removeprefix("http://") for url in urls.values()]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{RULES}/*.yml"],
        "scrape_configs": [{"job_name": "salesfloor", "static_configs": [{"targets": hosts}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def ended() -> None:
        process.terminate()
        await process.wait()

    parts.push_async_callback(ended)
    return f"http://127.0.0.1:{port}"


def shown(plan: Plan, samples: list[Sample], heard: Heard, alerts: dict[str, int] | None) -> None:
    console, table = Console(width=110), Table(title=f"{plan.events:,} events of a day waiting")
    for name in (
        "s",
        "folded",
        "events/s",
        "worker MiB",
        "metrics MiB",
        "Redis MiB",
        "data age s",
        "lag records",
    ):
        table.add_column(name, justify="right")
    step = max(1, len(samples) // 12)
    for before, after in zip(samples[::step], [*samples[step::step], samples[-1]], strict=False):
        seconds = after.seconds - before.seconds
        rate = (after.folded - before.folded) / seconds if seconds else 0
        table.add_row(
            f"{after.seconds:.0f}", f"{after.folded:,}", f"{rate:,.0f}", f"{after.worker_mib:,.0f}",
            f"{after.metrics_mib:,.0f}", f"{after.redis_mib:,.0f}", f"{after.age_seconds:,.0f}",
            f"{after.lag:,.0f}",
        )  # fmt: skip
    console.print(table)
    first = next(each for each in samples if each.folded)
    last = samples[-1]
    rate = (last.folded - first.folded) / max(last.seconds - first.seconds, 1e-9)
    console.print(
        f"{rate:,.0f} events/s after the first; most memory: worker "
        f"{max(each.worker_mib for each in samples):,.0f} MiB, metrics "
        f"{max(each.metrics_mib for each in samples):,.0f} MiB, Redis "
        f"{max(each.redis_mib for each in samples):,.0f} MiB; load {os.getloadavg()[0]:.1f}"
    )
    told = heard.catching_up
    console.print(f"wall: catching up said {told[True]} times, not so {told[False]}; {dict(heard.kinds)}")
    console.print("no Prometheus is installed" if alerts is None else f"alerts seen: {alerts or 'none'}")


def judge(heard: Heard, alerts: dict[str, int] | None) -> None:
    if heard.kinds["win"]:
        raise SystemExit(f"{heard.kinds['win']} wins of the past were celebrated")
    if not heard.catching_up[True]:
        raise SystemExit("the wall never said that it catches up")
    if heard.last_catching_up is not False:
        raise SystemExit("the wall still says that it catches up")
    rules = Path("prometheus/rules")
    business = "".join(
        (rules / name).read_text(encoding="utf-8") for name in ("business.yml", "conversion.yml")
    )
    fired = [
        each for each in alerts or () if each.endswith(" firing") and f"alert: {each.split()[0]}" in business
    ]
    if fired:
        raise SystemExit(f"alerts fired for the past: {', '.join(fired)}")


async def services(parts: AsyncExitStack) -> tuple[str, str]:
    kafka, redis = (os.environ.get(f"SALESFLOOR_TEST_{name}", "") for name in ("KAFKA", "REDIS"))
    if kafka and redis:
        return kafka.split()[0], redis
    own = await parts.enter_async_context(embedded(0, 0))
    return own.kafka, own.redis_url


async def main(events: int) -> None:
    async with AsyncExitStack() as parts:
        kafka, redis = await services(parts)
        names = {"group": f"backlog-{os.getpid()}", "namespace": f"backlog-{os.getpid()}"}
        settings = load_settings(
            overrides={
                "kafka": {"bootstrap": kafka, "group": names["group"]},
                "redis": {"url": redis, "namespace": names["namespace"]},
            }
        )
        counts = await ensure_topics(settings)
        plan = Plan(kafka, counts[DEALS], events, time.time_ns() // 1_000_000)
        pool = parts.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        took = await asyncio.get_running_loop().run_in_executor(pool, produced, plan)
        print(f"{events:,} events written in {took:.0f} s")
        await caught_up(parts, settings, plan, names)


async def caught_up(parts: AsyncExitStack, settings: Settings, plan: Plan, names: dict[str, str]) -> None:
    urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("metrics", "worker")}
    environment = {
        "SALESFLOOR_KAFKA": plan.bootstrap,
        "SALESFLOOR_KAFKA__GROUP": names["group"],
        "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "10",
        "SALESFLOOR_REDIS": settings.redis.url.get_secret_value(),
        "SALESFLOOR_REDIS__NAMESPACE": names["namespace"],
        "SALESFLOOR_WORKER__PORT": urls["worker"].rpartition(":")[2],
        "SALESFLOOR_METRICS__PORT": urls["metrics"].rpartition(":")[2],
    }
    store = RedisStore(
        settings.redis.url.get_secret_value(),
        namespace=names["namespace"],
        version=settings.definition_version,
    )
    parts.push_async_callback(store.close)
    await parts.enter_async_context(role("metrics", f"{urls['metrics']}/-/healthy", **environment))
    prometheus = await prometheus_of(parts, urls)
    heard, samples = Heard(), list[Sample]()
    listening = asyncio.create_task(listen(urls["metrics"], heard))
    redis = Redis.from_url(settings.redis.url.get_secret_value())
    parts.push_async_callback(redis.aclose)
    watching = asyncio.create_task(watch(store, redis, plan, urls, samples))
    worker = await parts.enter_async_context(role("worker", f"{urls['worker']}/-/healthy", **environment))
    ended = asyncio.create_task(worker.wait())
    await asyncio.wait((watching, ended), return_when=asyncio.FIRST_COMPLETED)
    if not watching.done():
        watching.cancel()
        raise SystemExit(f"the worker ended; {samples[-1].folded:,} of {plan.events:,} events are folded")
    ended.cancel()
    watching.result()
    await asyncio.sleep(10)  # what would be celebrated or raised after the end has its time
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    alerts = None if prometheus is None else await alerts_of(prometheus)
    shown(plan, samples, heard, alerts)
    judge(heard, alerts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    asyncio.run(main(parser.parse_args().events))
