"""The metrics process that follows a worker, beside a measurement: how long it took it to show everything."""

import asyncio
import time
from collections.abc import Awaitable

import aiohttp
import psutil

from bench.figures import Answer
from bench.processes import role
from bench.stopwatch import Seconds
from streams.embedded import Embedded, free_port
from streams.topics import DEALS

SHOWN_WITHIN_SECONDS = 120.0


async def followed(parts: Embedded, events: int, work: Awaitable[Answer]) -> tuple[Answer, Answer]:
    """Return what the work answers, and the time of a metrics process until it shows all events of deals.

    The CPU it takes while nothing is folded yet, a few hundredths of a second, is counted.
    """
    port = free_port()
    environment = {
        "SALESFLOOR_KAFKA": parts.kafka,
        "SALESFLOOR_REDIS": parts.redis_url,
        "SALESFLOOR_METRICS__PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    async with role("metrics", f"{url}/-/healthy", **environment) as process:
        reader = psutil.Process(process.pid)
        began, before = time.perf_counter(), reader.cpu_times()
        answer = await work
        try:
            async with asyncio.timeout(SHOWN_WITHIN_SECONDS):
                await _until_shown(url, events)
        except TimeoutError:
            return answer, f"did not show all events within {SHOWN_WITHIN_SECONDS:.0f} s"
        now = reader.cpu_times()
        cpu = now.user + now.system - before.user - before.system
        return answer, Seconds(time.perf_counter() - began, cpu, now.user - before.user)


async def _until_shown(url: str, events: int) -> None:
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"{url}/api/snapshot?kpi=revenue&level=floor&window=1h") as answer:
                told = await answer.json() if answer.status == 200 else {}
            if sum(told.get("partitions", {}).get(DEALS, {}).values()) >= events:
                return
            await asyncio.sleep(0.2)
