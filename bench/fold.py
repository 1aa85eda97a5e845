"""Events per second of one process: the same fold by a plain Faust agent, by ours, and what aiokafka reads.

Run `python -m bench fold [--events N]`. All read the same log of deal events on the embedded broker, each in
a process of its own, one after the other:

(a) plain   a Faust agent on Faust's own transport, one record at a time, `SlotTable.fold` on each;
            at least once, nothing durable
(b) ours    the worker as it is: batches, claims, commits to Redis, counted until the last record is committed
(c) raw     aiokafka `getmany` and `msgspec` decoding, no fold: what Python can read at all
(d) fold    aiokafka `getmany` and `SlotTable.fold` on each batch, without Faust and without a store

Ratios are of CPU time: they hold on a busy machine, where events per second do not.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import faust
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rich.console import Console
from rich.table import Table

from streams.admin import ensure_topics
from streams.app import SalesfloorApp, run_worker
from streams.embedded import embedded
from streams.settings import Settings, load_settings
from streams.settings_rules import fold_rules
from streams.stores.base import Claim, Commit, Outcome
from streams.table import SlotTable
from streams.topics import DEALS, SOURCES

AS_OF_MS = 1_750_000_000_000
STAGES = ("new", "qualified", "proposal", "closing")


class Stopwatch:
    """Wall time and this process's CPU time; on a busy machine only the second says what the code costs."""

    def __init__(self) -> None:
        self._began = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def stop(self) -> "Seconds":
        wall, cpu = self._now()
        return Seconds(wall - self._began[0], cpu - self._began[1])


class Seconds(NamedTuple):
    wall: float
    cpu: float


class Way:
    PLAIN, OURS, RAW, FOLD = "plain Faust agent", "salesfloor worker", "raw aiokafka", "aiokafka + fold"


def event(number: int, *, deals: int = 20_000) -> bytes:
    deal = number % deals
    won = number % 7 == 0
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{number:x}",
            "source": "/crm/bench",
            "type": "sales.deal.won" if won else "sales.deal.updated",
            "time": f"2025-06-{1 + number % 15:02}T{number % 24:02}:{number % 60:02}:{number // 7 % 60:02}Z",
            "data": {
                "deal_id": f"D-{deal}",
                "amount": f"{number % 9_000}.50",
                "currency": "USD",
                "stage": STAGES[number % 4],
                "rep_id": f"R-{deal % 40}",
                "team_id": f"T-{deal % 5}",
            },
        },
        separators=(",", ":"),
    ).encode()


async def produce(settings: Settings, events: int) -> None:
    partitions = (await ensure_topics(settings))[DEALS]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap, linger_ms=20, max_batch_size=1 << 18
    )
    await producer.start()
    for number in range(events):
        await producer.send(DEALS, event(number), partition=number % 20_000 % partitions)
    await producer.stop()


def new_tables(settings: Settings) -> list[SlotTable]:
    rules = fold_rules(settings)
    return [SlotTable(slot, rules, Claim("", 0, {}, {}, {})) for slot in range(settings.kafka.partitions)]


async def raw(settings: Settings, events: int, *, fold: bool) -> Seconds:
    decode, tables, seen = msgspec.json.Decoder().decode, new_tables(settings), 0
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, fetch_max_wait_ms=100)
    await consumer.start()
    consumer.assign([TopicPartition(DEALS, partition) for partition in range(settings.kafka.partitions)])
    await consumer.seek_to_beginning()
    watch = Stopwatch()
    while seen < events:
        for partition, records in (await consumer.getmany(timeout_ms=1000, max_records=5000)).items():
            if fold:
                tables[partition.partition].fold(DEALS, records, now_ms=AS_OF_MS)
            else:
                for record in records:
                    decode(record.value)
            seen += len(records)
    seconds = watch.stop()
    await consumer.stop()
    return seconds


async def plain(settings: Settings, events: int) -> Seconds:
    app = faust.App(
        "bench-plain",
        broker=f"kafka://{settings.kafka.bootstrap}",
        broker_session_timeout=4,
        broker_rebalance_timeout=4,
        broker_heartbeat_interval=0.5,
        broker_request_timeout=90,
        broker_max_poll_records=5000,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
        datadir="/tmp/salesfloor-bench",
    )
    tables, done = new_tables(settings), asyncio.Event()
    watches: list[Stopwatch] = []
    times: list[Seconds] = []
    source = app.topic(DEALS, key_serializer="raw", value_serializer="raw")

    async def one_by_one(stream: Any) -> None:
        seen = 0
        async for each in stream.events():
            if not watches:
                watches.append(Stopwatch())
            message = each.message
            tables[message.partition].fold(DEALS, [_Record(message)], now_ms=AS_OF_MS)
            seen += 1
            if seen == events:
                times.append(watches[0].stop())
                done.set()

    app.agent(source)(one_by_one)
    await app.start()
    await done.wait()
    await app.stop()
    return times[0]


class _Record:
    __slots__ = ("headers", "key", "offset", "partition", "topic", "value")

    def __init__(self, message: Any) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.key, self.value, self.headers = message.key, message.value, message.headers or ()


async def ours(settings: Settings, events: int) -> Seconds:
    """Time from the first batch folded to the last record committed in Redis."""
    stop, begun, ended = asyncio.Event(), list[Stopwatch](), list[Seconds]()

    def extend(app: SalesfloorApp) -> None:
        keeper = app.keeper

        def begin(_topic: str, _records: object) -> None:
            begun.append(Stopwatch())
            keeper.hooks.clear()

        async def commit(slot: int, commit: Commit) -> Outcome:
            outcome = await store_commit(slot, commit)
            committed[slot] = sum(commit.offsets.values())
            if sum(committed.values()) >= events and not stop.is_set():
                ended.append(begun[0].stop())
                stop.set()
            return outcome

        committed: dict[int, int] = {}
        store_commit = keeper.store.commit
        keeper.store.commit = commit  # type: ignore[method-assign]
        app.on_batch(begin)

    await run_worker(settings, stop=stop, extend=extend)
    return ended[0]


WAYS: dict[str, Callable[[Settings, int], Awaitable[Seconds]]] = {
    Way.PLAIN: plain,
    Way.OURS: ours,
    Way.FOLD: lambda settings, events: raw(settings, events, fold=True),
    Way.RAW: lambda settings, events: raw(settings, events, fold=False),
}


def measure(
    way: str, overrides: dict[str, Any], events: int, answer: "multiprocessing.Queue[Seconds]"
) -> None:
    logging.disable(logging.ERROR)

    async def run() -> Seconds:
        return await WAYS[way](load_settings(overrides=overrides), events)

    answer.put(asyncio.run(run()))


async def main(events: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    times: dict[str, Seconds] = {}
    async with embedded(0, 0) as parts:
        overrides = {
            "kafka": {"bootstrap": parts.kafka, "session_timeout_seconds": 2.0},
            "redis": {"url": parts.redis_url},
            "worker": {"port": 0},
        }
        await produce(load_settings(overrides=overrides), events)
        for way in WAYS:
            answer: multiprocessing.Queue[Seconds] = spawn.Queue()
            process = spawn.Process(target=measure, args=(way, overrides, events, answer))
            process.start()
            times[way] = await asyncio.to_thread(answer.get)
            process.join()
    show(events, times)


def show(events: int, times: dict[str, Seconds]) -> None:
    table = Table(
        title=f"{events:,} deal events of {len(event(1234))} bytes, one process, {len(SOURCES)} topics"
    )
    for heading in ("way", "events/s", "events per CPU s", "x plain Faust", "of raw"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    plain_cpu, raw_cpu = times[Way.PLAIN].cpu, times[Way.RAW].cpu
    for way, seconds in times.items():
        table.add_row(
            way,
            f"{events / seconds.wall:,.0f}",
            f"{events / seconds.cpu:,.0f}",
            f"{plain_cpu / seconds.cpu:.1f}",
            f"{raw_cpu / seconds.cpu:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=200_000)
    asyncio.run(main(parser.parse_args().events))
