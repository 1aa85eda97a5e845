"""The same log through other stream processors, each summing amounts in its own idiomatic way: `bench fold`.

Comes in: the address of the broker and the number of events in the topic. Goes out: the time from the first
event to the last, of Quix Streams, Bytewax and one line of Kafka Streams also their start. A library that is
not there raises ImportError, which `bench fold` prints. `pip install bytewax quixstreams confluent-kafka`.

    raw confluent-kafka    consume in batches, decode: what librdkafka lets Python read
    Faust tumbling table   `table[rep] += amount` in windows of an hour, its changelog in Kafka
    Faust hopping table    the same in windows of an hour every twelve minutes: five writes an event
    Quix Streams           tumbling window of an hour per key, sum, its state in RocksDB and a changelog
    Bytewax                tumbling window of an hour per rep, sum, in memory only, nothing recovered
    Kafka Streams          the same in RocksDB and a changelog, from the first event on: bench.streams_peer;
                           by the record's key as Quix Streams does, or by rep through a repartition topic
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import faust
import msgspec

from bench.stopwatch import Seconds, Stopwatch
from bench.streams_peer import kafka_streams
from streams.topics import DEALS

_HOUR_SECONDS = 3600.0
_HOPS = 5


class _Data(msgspec.Struct, gc=False):
    rep_id: str
    amount: str


class Sale(msgspec.Struct, gc=False):
    """The little of an event that a sum by rep needs."""

    time: datetime
    data: _Data


decode = msgspec.json.Decoder(Sale).decode


async def raw_confluent(kafka: str, partitions: int, events: int) -> Seconds:
    confluent = import_module("confluent_kafka")
    consumer = confluent.Consumer(
        {"bootstrap.servers": kafka, "group.id": "bench-raw", "enable.auto.commit": False}
    )
    consumer.assign([confluent.TopicPartition(DEALS, number, 0) for number in range(partitions)])
    read, seen = msgspec.json.Decoder().decode, 0
    watch = Stopwatch()
    while seen < events:
        for message in consumer.consume(5000, timeout=1.0):
            if message.error() is None:
                read(message.value())
                seen += 1
    seconds = watch.stop()
    consumer.close()
    return seconds


def _faust_table(hops: int) -> Callable[[str, int, int], Awaitable[Seconds]]:
    async def run(kafka: str, partitions: int, events: int) -> Seconds:
        app = faust.App(
            f"bench-faust-{hops}",
            broker=f"kafka://{kafka}",
            broker_session_timeout=4,
            broker_rebalance_timeout=4,
            broker_heartbeat_interval=0.5,
            broker_request_timeout=90,
            broker_max_poll_records=5000,
            consumer_auto_offset_reset="earliest",
            topic_disable_leader=True,
            topic_partitions=partitions,
            topic_replication_factor=1,
            web_enabled=False,
            store="memory://",
            datadir=tempfile.mkdtemp(prefix="salesfloor-bench-"),
        )
        table = app.Table("sums", default=float, partitions=partitions)
        sums = (
            table.tumbling(_HOUR_SECONDS)
            if hops == 1
            else table.hopping(_HOUR_SECONDS, step=_HOUR_SECONDS / hops)
        )
        done, watches, times = asyncio.Event(), list[Stopwatch](), list[Seconds]()

        async def add_up(stream: Any) -> None:
            seen = 0
            async for value in stream:
                if not watches:
                    watches.append(Stopwatch())
                sale = decode(value)
                sums[sale.data.rep_id] += float(sale.data.amount)
                seen += 1
                if seen == events:
                    times.append(watches[0].stop())
                    done.set()

        app.agent(app.topic(DEALS, key_serializer="raw", value_serializer="raw"))(add_up)
        await app.start()
        await done.wait()
        await app.stop()
        return times[0]

    return run


async def quix(kafka: str, partitions: int, events: int) -> Seconds:
    streams = import_module("quixstreams")
    app = streams.Application(
        broker_address=kafka,
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(prefix="salesfloor-bench-"),
        loglevel=None,
        topic_create_timeout=30,
    )
    topic = app.topic(DEALS, value_deserializer="bytes", key_deserializer="bytes")
    amounts = app.dataframe(topic).apply(lambda value: float(decode(value).data.amount))
    amounts.tumbling_window(timedelta(seconds=_HOUR_SECONDS)).sum().current()
    watch = Stopwatch()
    app.run(count=events)
    return watch.stop()


async def bytewax(kafka: str, partitions: int, events: int) -> Seconds:
    operators, windowing = import_module("bytewax.operators"), import_module("bytewax.operators.windowing")
    source = import_module("bytewax.connectors.kafka").KafkaSource(
        [kafka], [DEALS], tail=False, batch_size=5000
    )
    testing = import_module("bytewax.testing")
    flow = import_module("bytewax.dataflow").Dataflow("bench")
    messages = operators.input("in", flow, source)
    sales = operators.map("decode", messages, lambda message: decode(message.value))
    keyed = operators.key_on("by rep", sales, lambda sale: sale.data.rep_id)
    summed = windowing.fold_window(
        "sum",
        keyed,
        windowing.EventClock(lambda sale: sale.time, wait_for_system_duration=timedelta(days=30)),
        windowing.TumblingWindower(
            length=timedelta(seconds=_HOUR_SECONDS), align_to=datetime(2025, 1, 1, tzinfo=UTC)
        ),
        lambda: 0.0,
        lambda total, sale: total + float(sale.data.amount),
        lambda one, other: one + other,
    )
    operators.output("out", summed.down, testing.TestingSink([]))
    watch = Stopwatch()
    testing.run_main(flow)
    return watch.stop()


PEERS: dict[str, Callable[[str, int, int], Awaitable[Seconds]]] = {
    "raw confluent-kafka": raw_confluent,
    "Faust tumbling table": _faust_table(1),
    "Faust hopping table": _faust_table(_HOPS),
    "Quix Streams": quix,
    "Bytewax": bytewax,
    "Kafka Streams by key": kafka_streams("key"),
    "Kafka Streams by rep": kafka_streams("rep"),
    "Kafka Streams by rep, JVM's start counted": kafka_streams("rep", timed="whole"),
}
"""Name -> what runs it: broker, number of partitions, number of events."""
