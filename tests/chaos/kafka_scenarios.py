"""Faults of the broker and of the way to it: killed, frozen, cut off, full, and what its topics lose."""

import asyncio
import json
import signal

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import TopicPartition

from streams.topics import DEALS, LEADS
from tests.chaos.floor import SLOTS
from tests.chaos.kafka_topics import bounds, delete_records, producer
from tests.chaos.stage import Stage, scenario

CUT_SECONDS = 6.0
"""Longer than the session: the group has given the worker up when the way is open again."""


def deal(number: int, slot: int, **data: object) -> bytes:
    """A deal won, of this number; its time is well within what the judge looks at."""
    event = {
        "specversion": "1.0",
        "id": f"chaos-{slot}-{number}",
        "source": "/chaos",
        "type": "sales.deal.won",
        "time": "2026-01-05T10:00:00Z",
        "data": {"deal_id": f"C-{slot}-{number}", "amount": 100, "currency": "USD", **data},
    }
    return json.dumps(event).encode()


async def until_unready(stage: Stage, because: str) -> None:
    """Wait until every worker says that it is not ready, and why."""

    async def all_say_so() -> bool:
        told = [await stage.floor.get(worker.port, "/-/ready") for worker in stage.floor.workers]
        return all(status == 503 and because in text for status, text in told)

    await stage.until(f"every worker says {because!r}", all_say_so)


@scenario(
    rows=(13,),
    holds="a broker that is killed or stopped and comes back delays, and changes nothing",
    short=True,
)
async def broker_restarts(stage: Stage) -> None:
    kafka = stage.floor.kafka
    for number in range(stage.amount(1, long=6)):
        await asyncio.sleep(2.0)  # under load
        if number % 3 == 2:
            async with stage.fault("broker frozen 8 s"):
                kafka.part.freeze()
                await asyncio.sleep(8.0)
                kafka.part.thaw()
            continue
        kind = signal.SIGTERM if number % 3 else signal.SIGKILL
        kafka.part.process.send_signal(kind)
        await kafka.part.ended(60.0)
        await until_unready(stage, "Kafka is away")
        async with stage.fault(f"broker back after {kind.name}", within_seconds=90.0):
            await kafka.start()
    assert not any(worker.gave_up for worker in stage.floor.workers), "a worker gave up"


@scenario(rows=(6,), holds="workers cut off from Kafka come back by themselves", proxied=True)
async def kafka_cut_off(stage: Stage) -> None:
    proxy = stage.floor.kafka.proxy
    for number in range(stage.amount(2, long=4)):
        (proxy.hang if number % 2 else proxy.cut)()
        await until_unready(stage, "")  # mostly "Kafka is away", or what it could not finish without it
        await asyncio.sleep(CUT_SECONDS)
        async with stage.fault("Kafka silent" if number % 2 else "Kafka cut off"):
            proxy.heal()
    proxy.latency_seconds = 0.2
    async with stage.fault("200 ms more to Kafka"):
        await asyncio.sleep(5.0)
    proxy.heal()


@scenario(
    rows=(15,),
    holds="records that retention removed unread are counted, to the record, and nothing else is wrong",
    short=True,
    fresh=True,
)
async def records_gone(stage: Stage) -> None:
    floor, place = stage.floor, TopicPartition(DEALS, 1)
    await asyncio.sleep(1.0)
    await stage.load.stop()
    await floor.until_stored(stage.ends(), 60.0)
    await stage.judge.read()
    workers = len(floor.workers)
    await floor.staff(0)
    await stage.load.write(800)
    await stage.load.settle()
    stored = (await floor.stored())[place]
    gone_to = stored + (stage.load.ends[place] - stored) // 2
    await delete_records(floor.kafka, {place: gone_to})
    stage.expect_lost = gone_to - stored
    async with stage.fault(f"{stage.expect_lost} records removed unread"):
        await floor.staff(workers)
    lost = await floor.metric_sum("lost_records_total")
    assert lost == stage.expect_lost > 0, f"{lost} told by workers, {stage.expect_lost} removed"

    async def is_shown() -> bool:
        told = await floor.snapshot("?kpi=revenue&level=floor")
        return bool(told.get("records_lost") == {DEALS: stage.expect_lost})

    await stage.until("the API tells of the lost records", is_shown)
    stage.note(f"{stage.expect_lost} records removed, {lost:.0f} told")


@scenario(
    rows=(17, 20),
    holds="transactions: what was committed counts once, what was aborted never, marks hold nobody up",
    fresh=True,
)
async def transactions(stage: Stage) -> None:
    floor = stage.floor
    bootstrap = floor.kafka.bootstrap
    async with producer(bootstrap, transactional_id="chaos") as writer:
        for number in range(stage.amount(6, long=60)):
            await writer.begin_transaction()
            for slot in range(SLOTS):
                await writer.send_and_wait(DEALS, deal(number, slot), partition=slot)
            await (writer.abort_transaction if number % 3 == 2 else writer.commit_transaction)()
        await stage.load.stop()
        await floor.until_stored(stage.ends(), 60.0)
        await writer.begin_transaction()
        for slot in range(SLOTS):
            await writer.send_and_wait(DEALS, deal(9_000, slot), partition=slot)
            await stage.load.write_raw(LEADS, slot, b"{broken")
        await stage.load.settle()
        await asyncio.sleep(8.0)  # left open longer than a partition may stand still
        reseeks = await floor.metric_sum("reseeks_total")
        await writer.abort_transaction()
    await _all_offsets_passed(stage)
    gaps = await floor.metric_sum("gap_records_total")
    stage.note(f"{gaps:.0f} offsets without a record passed, {reseeks:.0f} read again")
    assert gaps > 0


async def _all_offsets_passed(stage: Stage) -> None:
    """Wait until the state stands at the ends of the logs, marks without a record included."""
    _, ends = await bounds(stage.floor.kafka)

    async def stands_there() -> bool:
        found = await stage.floor.stored()
        return all(found[place.topic, place.partition] >= end for place, end in ends.items())

    await stage.until("all ends are reached", stands_there)


@scenario(
    rows=(20,), holds="huge, empty and broken records are dead letters; what lies between counts", short=True
)
async def odd_records(stage: Stage) -> None:
    huge = deal(1, 0, stage="x" * 3_000_000)
    async with producer(stage.floor.kafka.bootstrap, max_request_size=8 << 20) as writer:
        for slot in range(SLOTS):
            for value in (huge, b"", None, deal(70, slot), b"\0" * 1_000, huge, deal(71, slot)):
                await writer.send_and_wait(DEALS, value, key=b"C", partition=slot)
    async with stage.fault("3 MB, empty, null and NUL records"):
        pass


@scenario(rows=(17,), holds="a producer that repeats itself over a broken line changes no number")
async def repeating_producer(stage: Stage) -> None:
    proxy = stage.floor.kafka.proxy
    address = stage.floor.kafka.proxied
    async with producer(address, acks=1, retry_backoff_ms=20, request_timeout_ms=2_000) as writer:
        for _ in range(stage.amount(5, long=40)):
            sent = [
                await writer.send(DEALS, deal(1_000 + n, n % SLOTS), partition=n % SLOTS) for n in range(50)
            ]
            await asyncio.sleep(stage.dice.uniform(0.0, 0.05))
            proxy.cut()
            await asyncio.sleep(0.1)
            proxy.heal()
            await asyncio.gather(*sent, return_exceptions=True)
    async with stage.fault("a producer's retries"):
        pass


@scenario(
    rows=(30, 6),
    holds="a foreign program in the consumer group is named; when it leaves, work goes on",
    fresh=True,
)
async def foreign_consumer(stage: Stage) -> None:
    floor = stage.floor
    foreign = AIOKafkaConsumer(
        DEALS,
        bootstrap_servers=floor.kafka.bootstrap,
        group_id=floor.namespace,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=4_000,
        heartbeat_interval_ms=500,
    )
    await foreign.start()

    async def is_named() -> bool:
        return any("another program" in worker.said() for worker in floor.workers)

    try:
        await stage.until("a worker names the other program", is_named)
    finally:
        await foreign.stop()
    async with stage.fault("the other program has left", within_seconds=90.0):
        pass
    stage.note(f"{sum(len(worker.gave_up) for worker in floor.workers)} times a worker ended and said why")
