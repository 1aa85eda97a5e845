"""How many webhooks a second one gateway takes with acks=all, beside a bare handler that only produces.

Run `python -m bench gateway [--seconds 10] [--clients 16] [--notifications 1]`. Both are processes of their
own in front of the same embedded broker and are asked in turn; each request is signed as HubSpot signs it.
With `--outage` the broker is frozen half-way for some seconds, and every notification that was answered 2xx
is looked for in Kafka afterwards.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.processes import role, until_ready
from streams.admin import ensure_topics
from streams.embedded import embedded_kafka, free_port
from streams.settings import load_settings
from streams.topics import DEALS

SECRET, URL = "s3cret", "https://hooks.example.com/hooks/bench"
SETTINGS = f"""
[[sources]]
name = "bench"
kind = "hubspot"
public_url = "{URL}"
secret_env = ["BENCH_SECRET"]
"""
OUTAGE_SECONDS = 6.0


def request_of(number: int, notifications: int) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a delivery; its deals are named by its number."""
    now_ms = time.time_ns() // 1_000_000
    notes = [
        {
            "eventId": number,
            "subscriptionId": 1,
            "portalId": 1,
            "occurredAt": now_ms,
            "subscriptionType": "deal.propertyChange",
            "objectId": number * notifications + index,
            "propertyName": "amount",
            "propertyValue": "48000.00",
        }
        for index in range(notifications)
    ]
    body = msgspec.json.encode(notes)
    source = b"POST" + URL.encode() + body + str(now_ms).encode()
    digest = hmac.digest(SECRET.encode(), source, hashlib.sha256)
    return body, {
        "Content-Type": "application/json",
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": str(now_ms),
    }


class Load:
    """Clients that post one delivery after the other until told to stop."""

    def __init__(self, url: str, notifications: int, first: int) -> None:
        self._url, self._notifications, self._next = url, notifications, first
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.accepted: set[int] = set()

    async def run(self, clients: int, seconds: float) -> None:
        connector = aiohttp.TCPConnector(limit=clients)
        async with aiohttp.ClientSession(connector=connector) as session:
            until = time.perf_counter() + seconds
            await asyncio.gather(*(self._client(session, until) for _ in range(clients)))

    async def _client(self, session: aiohttp.ClientSession, until: float) -> None:
        while (began := time.perf_counter()) < until:
            number, self._next = self._next, self._next + 1
            body, headers = request_of(number, self._notifications)
            async with session.post(self._url, data=body, headers=headers) as answer:
                await answer.read()
            self.seconds.append(time.perf_counter() - began)
            self.statuses[answer.status] += 1
            if answer.status == 200:
                ids = range(number * self._notifications, (number + 1) * self._notifications)
                self.accepted.update(ids)

    def report(self, name: str, seconds: float) -> None:
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1000
        rate = len(self.seconds) / seconds
        print(
            f"{name:<14} {rate:>8,.0f} requests/s {rate * self._notifications:>9,.0f} events/s"
            f"   p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   {dict(self.statuses)}"
        )


def written(folder: str) -> str:
    config = Path(folder, "salesfloor.toml")
    config.write_text(SETTINGS, encoding="utf-8")
    return str(config)


async def bare(port: int, bootstrap: str) -> None:
    """Serve a handler that produces each body with acks=all and looks at nothing."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()

    async def take(request: web.Request) -> web.Response:
        await producer.send_and_wait("bench-bare", await request.read())
        return web.Response()

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/hooks/bench", take), web.get("/-/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def freeze(pid: int, after_seconds: float) -> None:
    await asyncio.sleep(after_seconds)
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(OUTAGE_SECONDS)
    os.kill(pid, signal.SIGCONT)


async def found_in_kafka(bootstrap: str) -> set[int]:
    consumer = AIOKafkaConsumer(DEALS, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    found: set[int] = set()
    async with consumer:
        while batches := await consumer.getmany(timeout_ms=2000):
            found |= {int(record.key) for batch in batches.values() for record in batch}
    return found


async def main(seconds: float, clients: int, notifications: int, outage: bool) -> None:
    async with embedded_kafka() as broker:
        os.environ["SALESFLOOR_KAFKA"] = broker.kafka
        await ensure_topics(load_settings())
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            environment = {
                "SALESFLOOR_CONFIG": written(folder),
                "SALESFLOOR_GATEWAY__PORT": str(port),
                "SALESFLOOR_GATEWAY__REQUESTS_PER_SECOND": "0",
                "BENCH_SECRET": SECRET,
            }
            async with role("gateway", f"http://127.0.0.1:{port}/-/ready", **environment):
                url = f"http://127.0.0.1:{port}/hooks/bench"
                await Load(url, notifications, 10**9).run(clients, 1.0)
                load = Load(url, notifications, 2 * 10**9)
                freezing = asyncio.create_task(freeze(broker.pid, seconds / 2)) if outage else None
                await load.run(clients, seconds)
                load.report("gateway", seconds)
                if freezing is not None:
                    await freezing
                    lost = load.accepted - await found_in_kafka(broker.kafka)
                    taken = f"{len(load.accepted)} notifications accepted, {len(lost)} lost"
                    print(f"broker frozen for {OUTAGE_SECONDS:.0f} s: {taken}")
        if not outage:
            await beside(broker.kafka, seconds, clients, notifications)


async def beside(bootstrap: str, seconds: float, clients: int, notifications: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bench.gateway", "--bare", str(port), bootstrap]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await until_ready(f"http://127.0.0.1:{port}/-/ready", process)
        url = f"http://127.0.0.1:{port}/hooks/bench"
        await Load(url, notifications, 10**9).run(clients, 1.0)
        load = Load(url, notifications, 2 * 10**9)
        await load.run(clients, seconds)
        load.report("bare handler", seconds)
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        asyncio.run(bare(int(sys.argv[2]), sys.argv[3]))
        sys.exit()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--notifications", type=int, default=1, help="in one request, at most 100")
    parser.add_argument("--outage", action="store_true")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.seconds, arguments.clients, arguments.notifications, arguments.outage))
