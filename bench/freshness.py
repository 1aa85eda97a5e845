"""How old a number is when it shows: from the produce call to the value in `/metrics`.

Run `python -m bench freshness [--rate 1000] [--seconds 20] [--tick-ms 1000]`. A worker and a metrics process
run as they do in production, each won deal is one more in `salesfloor_floor_deals_won`, and `/metrics` is
read about fifty times a second. What the gauge shows at a reading tells which events were visible by then.
"""

import argparse
import asyncio
import re
import time
from datetime import UTC, datetime
from decimal import Decimal

import aiohttp
import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer

from bench.processes import role
from streams.admin import ensure_topics
from streams.embedded import embedded, free_port
from streams.settings import load_settings
from streams.topics import DEALS

GAUGE = re.compile(r'^salesfloor_floor_deals_won\{window="24h"\} (\S+)$', re.MULTILINE)
READ_EVERY_SECONDS = 0.02
SETTLE_SECONDS = 30.0


def won(number: int) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "/bench/freshness",
            "type": "sales.deal.won",
            "time": datetime.now(UTC).isoformat(),
            "data": {"deal_id": f"D-{number}", "amount": Decimal(100), "rep_id": f"R-{number % 50}"},
        }
    )


async def produce(bootstrap: str, rate: int, count: int, sent: list[float]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await producer.start()
    began = time.perf_counter()
    for number in range(count):
        early = began + number / rate - time.perf_counter()
        if early > 0:
            await asyncio.sleep(early)
        sent.append(time.perf_counter())
        await producer.send(DEALS, won(number), key=f"D-{number}".encode())
    await producer.stop()


async def watch(url: str, count: int, seen: list[float]) -> None:
    """Append, for each event in order, when it was first visible."""
    async with aiohttp.ClientSession() as client, asyncio.timeout(None) as limit:
        while len(seen) < count:
            async with client.get(url) as answer:
                shown = GAUGE.search(await answer.text())
            visible = int(float(shown.group(1))) if shown else 0
            if visible > len(seen):
                seen.extend([time.perf_counter()] * (visible - len(seen)))
                limit.reschedule(asyncio.get_running_loop().time() + SETTLE_SECONDS)
            await asyncio.sleep(READ_EVERY_SECONDS)


async def main(rate: int, seconds: int, tick_ms: int) -> None:
    async with embedded(0, 0) as parts:
        worker_port, metrics_port = free_port(), free_port()
        environment = {
            "SALESFLOOR_KAFKA": parts.kafka,
            "SALESFLOOR_REDIS": parts.redis_url,
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "2",
            "SALESFLOOR_WORKER__PORT": str(worker_port),
            "SALESFLOOR_METRICS__PORT": str(metrics_port),
            "SALESFLOOR_METRICS__TICK_MS": str(tick_ms),
            "SALESFLOOR_METRICS__LEVELS": '["floor", "rep"]',
        }
        await ensure_topics(load_settings(overrides={"kafka": {"bootstrap": parts.kafka}}))
        url = f"http://127.0.0.1:{metrics_port}"
        async with (
            role("worker", f"http://127.0.0.1:{worker_port}/-/ready", **environment),
            role("metrics", f"{url}/-/ready", **environment),
        ):
            sent: list[float] = []
            seen: list[float] = []
            count = rate * seconds
            await asyncio.gather(
                produce(parts.kafka, rate, count, sent), watch(f"{url}/metrics", count, seen)
            )
    waited_ms = np.sort(np.array(seen[:count]) - np.array(sent)) * 1000
    p50, p99 = (float(np.quantile(waited_ms, q)) for q in (0.5, 0.99))
    print(
        f"{rate:,} events/s for {seconds} s, tick {tick_ms} ms: "
        f"produce to /metrics p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, worst {waited_ms[-1]:,.0f} ms "
        f"(p50 is {p50 / tick_ms:.2f} ticks)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--tick-ms", type=int, default=1000)
    options = parser.parse_args()
    asyncio.run(main(options.rate, options.seconds, options.tick_ms))
