"""Events per second of one process: the same fold by a plain Faust agent, by ours, and what aiokafka reads.

Run `python -m bench fold [--events N] [--runs N] [--only PART …] [--json FILE]`. All read the same log of
deal events on the embedded broker, each in a process of its own, one after the other:

(a) plain   a Faust agent on Faust's own transport, one record at a time, `SlotTable.fold` on each;
            at least once, nothing durable
(b) ours    the worker as it is: batches, claims, commits to Redis, until the last record is committed;
            a metrics process follows it, is counted for itself, and its events per second mean nothing
(c) raw     aiokafka `getmany` and `msgspec` decoding, no fold: what Python can read at all
(d) fold    aiokafka `getmany` and `SlotTable.fold` on each batch, and commits made every 20,000 events
            but stored nowhere; without Faust
(…) peers   other stream processors that happen to be installed, each in its own way (bench.peers)

Ratios are of CPU time, run by run: they hold on a busy machine, where events per second do not. Of several
runs the median is told, the least and the most. What could not run is named, with the reason.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import queue
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import faust
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from rich.console import Console

from bench.figures import Answer, figures_of, table_of
from bench.fold_reader import followed
from bench.peers import PEERS
from bench.report import add_json, keep
from bench.stopwatch import Seconds, Stopwatch
from streams.admin import ensure_topics
from streams.app import SalesfloorApp, run_worker
from streams.embedded import embedded
from streams.settings import Settings, load_settings
from streams.settings_rules import fold_rules
from streams.stores.base import Claim, Commit, Outcome
from streams.table import SlotTable
from streams.topics import DEALS, SOURCES

AS_OF_MS = 1_750_000_000_000
PACK_EVENTS: Final = 20_000
STAGES = ("new", "qualified", "proposal", "closing")


class Way:
    PLAIN, OURS, RAW, FOLD = "plain Faust agent", "salesfloor worker", "raw aiokafka", "aiokafka + fold"
    READER = "metrics process beside it"


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
        deal = number % 20_000
        await producer.send(DEALS, event(number), key=f"D-{deal}".encode(), partition=deal % partitions)
    await producer.stop()


def new_tables(settings: Settings) -> list[SlotTable]:
    rules = fold_rules(settings)
    return [SlotTable(slot, rules, Claim("", 0, {}, {}, {})) for slot in range(settings.kafka.partitions)]


async def raw(settings: Settings, events: int, *, fold: bool) -> Seconds:
    decode, tables, seen, packed = msgspec.json.Decoder().decode, new_tables(settings), 0, 0
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
        if fold and (seen - packed >= PACK_EVENTS or seen >= events):
            packed = seen
            for table in tables:
                if table.take_commit() is not None:
                    table.committed()
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

        def begin(_place: TopicPartition, _records: object) -> None:
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


def _peer(name: str) -> Callable[[Settings, int], Awaitable[Seconds]]:
    def run(settings: Settings, events: int) -> Awaitable[Seconds]:
        return PEERS[name](settings.kafka.bootstrap, settings.kafka.partitions, events)

    return run


WAYS |= {name: _peer(name) for name in PEERS}
WITHIN_SECONDS: Final = 900.0


def measure(
    way: str, overrides: dict[str, Any], events: int, answer: "multiprocessing.Queue[Answer]"
) -> None:
    logging.disable(logging.ERROR)

    async def run() -> Seconds:
        return await WAYS[way](load_settings(overrides=overrides), events)

    try:
        answer.put(asyncio.run(run()))
    except Exception as error:  # noqa: BLE001  a peer may fail of anything, and the others go on
        answer.put(f"{type(error).__name__}: {error}")


async def measured(way: str, overrides: dict[str, Any], events: int) -> Answer:
    spawn = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[Answer] = spawn.Queue()
    process = spawn.Process(target=measure, args=(way, overrides, events, answer))
    process.start()
    try:
        return await asyncio.to_thread(answer.get, timeout=WITHIN_SECONDS)
    except queue.Empty:
        return f"not through within {WITHIN_SECONDS:.0f} s"
    finally:
        process.join(5.0)
        if process.is_alive():
            process.kill()


async def main(events: int, *, runs: int, only: list[str], json_file: Path | None) -> None:
    ways = [way for way in WAYS if not only or any(part.lower() in way.lower() for part in only)]
    answers: dict[str, list[Answer]] = {way: [] for way in ways}
    if Way.OURS in ways:
        answers[Way.READER] = []
    for run in range(runs):
        # A broker and a Redis of its own for each run, so that every way finds its topics and state empty.
        async with embedded(0, 0) as parts:
            overrides = {
                "kafka": {"bootstrap": parts.kafka, "session_timeout_seconds": 2.0},
                "redis": {"url": parts.redis_url},
                "worker": {"port": 0},
            }
            await produce(load_settings(overrides=overrides), events)
            # Another goes first each time: none always meets the warm or the tired machine.
            for way in [*ways[run % len(ways) :], *ways[: run % len(ways)]]:
                work = measured(way, overrides, events)
                if way == Way.OURS:
                    answer, of_reader = await followed(parts, events, work)
                    answers[Way.READER].append(of_reader)
                else:
                    answer = await work
                told = answer if isinstance(answer, str) else f"{answer.cpu:.1f} CPU s"
                print(f"run {run + 1} of {runs}: {way}: {told}", file=sys.stderr)
                answers[way].append(answer)
    against, size = (Way.RAW, Way.OURS), len(event(1234))
    figures = figures_of(answers, events, against)
    by_way = {
        way: {"could_not_run": each} if isinstance(each, str) else each.as_json()
        for way, each in figures.items()
    }
    keep(json_file, {"events": events, "bytes": size, "runs": runs, "ways": by_way})
    what = f"{events:,} deal events of {size} bytes, one process, {len(SOURCES)} topics"
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(table_of(f"{what}; median (min–max) of {runs}", figures, against))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="only ways whose name holds one of these")
    add_json(parser)
    asked = parser.parse_args()
    asyncio.run(main(asked.events, runs=asked.runs, only=asked.only, json_file=asked.json))
