"""What a worker with much state costs: memory, and the time from its start until it reads on.

Run `python -m bench restart [--deals 100000]`. One worker folds that many deals (created, then won or
changed), is stopped, and started again on the same checkpoint.
"""

import argparse
import asyncio
import time

import psutil
from aiokafka import AIOKafkaProducer

from bench.fold import event
from bench.processes import role
from streams.admin import ensure_topics
from streams.embedded import embedded, free_port
from streams.settings import Settings, load_settings
from streams.stores.redis import RedisStore
from streams.topics import DEALS

MIB = 1 << 20


async def produce(settings: Settings, deals: int) -> int:
    """Send two events for each deal; return how many events there are."""
    partitions = (await ensure_topics(settings))[DEALS]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap, linger_ms=20, max_batch_size=1 << 18
    )
    await producer.start()
    for number in range(2 * deals):
        await producer.send(DEALS, event(number, deals=deals), partition=number % deals % partitions)
    await producer.stop()
    return 2 * deals


async def until_committed(settings: Settings, events: int) -> None:
    store = RedisStore(
        settings.redis.url.get_secret_value(),
        namespace=settings.redis.namespace,
        version=settings.definition_version,
    )
    try:
        while True:
            boards = [await store.read_board(slot) for slot in range(settings.kafka.partitions)]
            if sum(board.offsets.get(DEALS, 0) for board in boards) >= events:
                return
            await asyncio.sleep(0.2)
    finally:
        await store.close()


async def main(deals: int) -> None:
    async with embedded(0, 0) as parts:
        port = free_port()
        settings = load_settings(
            overrides={"kafka": {"bootstrap": parts.kafka}, "redis": {"url": parts.redis_url}}
        )
        environment = {
            "SALESFLOOR_KAFKA": parts.kafka,
            "SALESFLOOR_REDIS": parts.redis_url,
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "2",
            "SALESFLOOR_WORKER__PORT": str(port),
        }
        ready = f"http://127.0.0.1:{port}/-/ready"
        events = await produce(settings, deals)
        began = time.perf_counter()
        async with role("worker", ready, **environment) as worker:
            await until_committed(settings, events)
            folded = time.perf_counter() - began
            memory = psutil.Process(worker.pid).memory_info().rss / MIB
        began = time.perf_counter()
        async with role("worker", ready, **environment) as worker:
            restarted = time.perf_counter() - began
            loaded = psutil.Process(worker.pid).memory_info().rss / MIB
    print(
        f"{deals:,} deals, {events:,} events: folded and committed {folded:.1f} s after the start "
        f"({events / folded:,.0f} events/s), worker {memory:,.0f} MiB\n"
        f"restart on that checkpoint: ready after {restarted:.1f} s "
        f"({folded / restarted:.1f} times as fast as folding), worker {loaded:,.0f} MiB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deals", type=int, default=100_000)
    asyncio.run(main(parser.parse_args().deals))
