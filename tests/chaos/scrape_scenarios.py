"""Scrapes during faults: a hundred at once, some that never read on, and what numbers they show meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.chaos.floor import Floor
from tests.chaos.judge import LEVELS
from tests.chaos.stage import Stage, scenario
from tests.histories import rfc3339

PARALLEL, STUCK = 100, 50
SCRAPE = ClientTimeout(total=30.0)


@asynccontextmanager
async def _stuck_scrapers(floor: Floor, count: int) -> AsyncIterator[None]:
    """Ask every door for /metrics and never read the answer."""
    assert floor.metrics is not None
    ports = [floor.metrics_port, *(worker.port for worker in floor.workers)]
    open_ = []
    for port in ports:
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            open_.append(writer)
    try:
        yield
    finally:
        for writer in open_:
            writer.transport.abort()


@asynccontextmanager
async def _parallel_scrapers(floor: Floor, count: int, seconds: list[float]) -> AsyncIterator[None]:
    """Scrape metrics and workers, `count` at a time; `seconds` gets how long each scrape of metrics took."""

    async def scrape(session: ClientSession, number: int) -> None:
        while True:
            ports = [floor.metrics_port, *(worker.port for worker in floor.workers)]
            port = ports[number % len(ports)]
            started = time.monotonic()
            with suppress(ClientError, OSError, TimeoutError):
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    await answer.read()
                    if port == floor.metrics_port and answer.status == 200:
                        seconds.append(time.monotonic() - started)
            await asyncio.sleep(0.5)

    async with ClientSession(timeout=SCRAPE, connector=TCPConnector(limit=0)) as session:
        scraping = [asyncio.create_task(scrape(session, number)) for number in range(count)]
        try:
            yield
        finally:
            for task in scraping:
                task.cancel()
            await asyncio.gather(*scraping, return_exceptions=True)


@scenario(rows=(24,), holds="a hundred scrapers at once, and stuck ones, hold no worker up", short=True)
async def many_scrapers(stage: Stage) -> None:
    took: list[float] = []
    stuck = stage.amount(10, long=STUCK)
    async with _stuck_scrapers(stage.floor, stuck), _parallel_scrapers(stage.floor, PARALLEL, took):
        for number in range(stage.amount(1, long=5)):
            await stage.moment(1.0, 2.0)
            await stage.recovered(f"look {number + 1} under {PARALLEL} scrapers")
            async with stage.fault("Redis frozen for 3 s under them"):
                stage.floor.redis.part.freeze()
                await asyncio.sleep(3.0)
                stage.floor.redis.part.thaw()
    took.sort()
    assert took, "no scrape was answered"
    stage.note(
        f"{len(took)} scrapes of metrics, median {took[len(took) // 2]:.2f} s, slowest {took[-1]:.2f} s; "
        f"{stuck} stuck ones at each door"
    )
    gave_up = [code for worker in stage.floor.workers for code in worker.gave_up]
    assert not gave_up, f"workers gave up by themselves with {gave_up}"


@scenario(rows=(23,), holds="while state is lost, moved or read again, no half of it is shown unflagged")
async def scrapes_see_no_half(stage: Stage) -> None:
    """The history stands still, so whatever is shown without a flag must be the same all the time."""
    await stage.load.write(stage.amount(3_000, long=20_000))
    await stage.load.stop()
    await stage.recovered("a still history")
    at = rfc3339(stage.judge.as_of_ms)
    query = f"?at={at}" + "".join(f"&level={level}" for level in LEVELS)
    await asyncio.sleep(3.0)
    right = (await stage.floor.snapshot(query))["values"]
    seen: Counter[str] = Counter()
    watching = asyncio.create_task(_watch(stage, query, right, seen))
    try:
        wanted = stage.amount(1, long=4)
        for number in range(wanted + 4):
            # On a machine with too much to do an answer takes seconds, and few are seen in a round.
            if number < wanted or not (seen["right"] and seen["flagged"]):
                await _lose_and_move(stage)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    stage.note(f"answers of /api/snapshot: {dict(seen)}")
    assert min(seen["right"], seen["flagged"]) > 0, f"too little was seen: {seen}"


async def _lose_and_move(stage: Stage) -> None:
    floor = stage.floor
    async with stage.fault("a worker killed"):
        floor.workers[0].kill()
        await asyncio.sleep(1.0)
    async with stage.fault("Redis restarted"):
        floor.redis.kill()
        await floor.redis.start()
        await asyncio.sleep(1.0)
    async with stage.fault("Redis back empty"):
        floor.redis.kill()
        floor.redis.forget_everything()
        await floor.redis.start()
    async with stage.fault("metrics restarted"):
        assert floor.metrics is not None
        floor.metrics.kill()
        floor.metrics.spawn()
        await floor.metrics.until_answers(floor.metrics_port)


async def _watch(stage: Stage, query: str, right: list[object], seen: Counter[str]) -> None:
    floor = stage.floor
    while True:
        status, text = await floor.get(floor.metrics_port, f"/api/snapshot{query}")
        told = msgspec.json.decode(text) if status == 200 else {}
        if not told:
            seen[f"status {status}"] += 1
        elif told["rebuilding"] or told.get("not_ready"):
            seen["flagged"] += 1
        else:
            partitions = told.get("partitions")
            assert told["values"] == right, f"half a state was shown without a flag, at {partitions}"
            seen["right"] += 1
        await asyncio.sleep(0.05)
