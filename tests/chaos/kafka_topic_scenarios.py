"""Faults of the topics themselves: made anew, truncated, compacted, with more partitions; and a full disk."""

import asyncio
import json
import resource
import signal
from typing import Any

from aiohttp import ClientTimeout
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.topics import DEALS, REFERENCE, SOURCES
from tests.chaos.floor import SLOTS
from tests.chaos.judge import Judge, Verdict
from tests.chaos.kafka_scenarios import deal, until_unready
from tests.chaos.kafka_topics import (
    add_partitions,
    configure,
    make_anew,
    producer,
    run_command,
)
from tests.chaos.process import SALESFLOOR, Part
from tests.chaos.stage import Stage, scenario
from tests.ports import free_port

ANSWER = ClientTimeout(total=30.0)
"""The gateway waits for Kafka nearly ten seconds before it gives up."""
REVENUE = "?kpi=revenue&kpi=deals_won&level=floor&window=ytd"


async def quiet(stage: Stage) -> None:
    """Stop the load; wait until all is committed and the judge has read it."""
    await asyncio.sleep(2.0)
    await stage.load.stop()
    await stage.floor.until_stored(stage.ends(), 60.0)
    await stage.judge.read()


async def adopt(stage: Stage, *topics: str) -> None:
    """Give the command that the stopped workers ask for; then the load goes on."""
    for worker in stage.floor.workers:
        _, text = await stage.floor.get(worker.port, "/-/ready")
        assert f"salesfloor topics adopt {topics[0]}" in text, text
    code, said = await run_command(stage.floor, "topics", "adopt", *topics)
    assert code == 0, said
    for topic in topics:
        stage.judge.read_anew(topic)
        for place in [place for place in stage.load.ends if place[0] == topic]:
            del stage.load.ends[place]
    stage.load.start()
    await stage.recovered("topic adopted", within_seconds=90.0)
    for worker in stage.floor.workers:
        await stage.floor.until_ready(worker)


@scenario(
    rows=(14,),
    holds="a topic made anew stops its slots, which say so; adopted, all numbers stay and reading goes on",
    fresh=True,
)
async def topic_made_anew(stage: Stage) -> None:
    await quiet(stage)
    before = (await stage.floor.snapshot(REVENUE))["values"]
    await make_anew(stage.floor, DEALS)
    await until_unready(stage, "stopped: sales.deals")  # by its end, or by its id after a rebalance
    after = (await stage.floor.snapshot(REVENUE))["values"]
    assert before == after != [], f"the screens showed {before}, and show {after} now"
    await adopt(stage, DEALS)


@scenario(
    rows=(14,),
    holds="a topic made anew and longer by now than what was folded is known by its id, and not read on",
    fresh=True,
)
async def topic_refilled(stage: Stage) -> None:
    await quiet(stage)
    floor = stage.floor
    await floor.staff(0)
    await make_anew(floor, DEALS)
    longest = max(stage.load.ends[DEALS, slot] for slot in range(SLOTS))
    async with producer(floor.kafka.bootstrap) as writer:
        for slot in range(SLOTS):
            sent = [await writer.send(DEALS, deal(n, slot), partition=slot) for n in range(longest + 50)]
            await asyncio.gather(*sent)
    for _ in range(2):
        await floor.add_worker(ready=False)
    await until_unready(stage, "sales.deals made anew")
    await adopt(stage, DEALS)


@scenario(
    rows=(14,),
    holds="a log that lost its end in a crash stops its slot, which says so; adopted, all numbers stay",
    fresh=True,
)
async def log_truncated(stage: Stage) -> None:
    await quiet(stage)
    kafka = stage.floor.kafka
    kafka.part.kill()
    (log,) = (kafka.data / f"{DEALS}-1").glob("*.log")
    with log.open("rb+") as file:
        file.truncate(log.stat().st_size // 2)
    await kafka.start()
    await stage.until("one worker has stopped a slot", lambda: _one_stopped(stage))
    stage.note((await _reasons(stage))[0])
    code, said = await run_command(stage.floor, "topics", "adopt", DEALS)
    assert code == 0, said
    stage.judge.read_anew(DEALS)
    for slot in range(SLOTS):
        stage.load.ends.pop((DEALS, slot), None)
    stage.load.start()
    await stage.recovered("topic adopted", within_seconds=90.0)


async def _reasons(stage: Stage) -> list[str]:
    """Return what stopped slots say, the first of them of each worker."""
    told = [await stage.floor.get(worker.port, "/-/ready") for worker in stage.floor.workers]
    return [text.split(". ")[0] for _, text in told if text.startswith("stopped: ")]


async def _one_stopped(stage: Stage) -> bool:
    return bool(await _reasons(stage))


@scenario(
    rows=(14,),
    holds="a broker that comes back empty stops every slot; adopted, all numbers stay",
    fresh=True,
    kafka={"log_retention_check_interval_ms": "300000"},
)
async def broker_comes_back_empty(stage: Stage) -> None:
    await quiet(stage)
    kafka = stage.floor.kafka
    kafka.part.kill()
    kafka.forget_everything()
    await kafka.start()
    await until_unready(stage, "stopped: ")
    stage.note((await _reasons(stage))[0])
    code, said = await run_command(stage.floor, "topics", "adopt", *SOURCES)
    assert code == 0, said
    for topic in SOURCES:
        stage.judge.read_anew(topic)
    stage.load.ends.clear()
    stage.load.start()
    await stage.recovered("topics adopted", within_seconds=90.0)


class _Sum(Judge):
    """Judges a floor with other partitions than the load writes to: so many deals, so much money."""

    deals = amount = 0

    async def verdict(self) -> Verdict:
        verdict = Verdict(records=2 * self.deals)
        found: dict[str, Any] = {}

        async def shows_all() -> bool:
            told = await self.floor.snapshot(REVENUE)
            found.update({each["kpi"]: each["value"] for each in told.get("values", [])})
            return (found.get("deals_won"), found.get("revenue")) == (self.deals, self.amount)

        try:
            async with asyncio.timeout(30.0):
                while not await shows_all():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            verdict.wrong.append(f"{self.deals} deals of {self.amount} in all were won, told is {found}")
        return verdict


@scenario(
    rows=(16,),
    holds="added partitions stop the workers, which say so; `salesfloor topics spread` makes all exact",
    fresh=True,
)
async def added_partitions(stage: Stage) -> None:
    floor, kafka = stage.floor, stage.floor.kafka
    await stage.load.stop()
    deals = stage.amount(300, long=3_000)
    await _write_deals(stage, deals, amount=100)
    await add_partitions(kafka, SOURCES[:3], SLOTS + 2)
    # Some topics have more partitions than others: a worker that starts now says which command is missing.
    await floor.staff(0)
    late = await floor.add_worker(ready=False)
    await stage.until("it says what does not fit", lambda: _says(late.said, "kafka-topics.sh --alter"))
    await add_partitions(kafka, SOURCES[3:], SLOTS + 2)
    await _write_deals(stage, deals, amount=150)
    await stage.until("it waits and says why", lambda: _says(late.said, "salesfloor topics spread"))
    code, said = await run_command(floor, "rebuild")
    assert code == 1, said
    assert "salesfloor topics spread" in said
    code, said = await run_command(floor, "topics", "spread", "--yes")
    assert code == 0, said
    stage.note(said.strip())
    for worker in floor.workers:
        await floor.until_ready(worker)
    await _write_deals(stage, deals // 2, amount=175)
    stage.load.ends.clear()
    judge = _Sum(floor, as_of_ms=stage.judge.as_of_ms)
    judge.deals, judge.amount = deals, (deals // 2) * 175 + (deals - deals // 2) * 150
    stage.judge = judge


async def _says(said: Any, text: str) -> bool:
    return text in said()


async def _write_deals(stage: Stage, count: int, *, amount: int) -> None:
    """Write deals with their keys, as the gateway does: Kafka's partitioner says where each lies."""
    async with producer(stage.floor.kafka.bootstrap) as writer:
        sent = []
        for number in range(count):
            value = deal(number, 0, amount=amount)
            event = json.loads(value)
            event["id"] = f"{event['id']}-{amount}"
            event["time"] = f"2026-01-05T{amount // 60:02}:{amount % 60:02}:00Z"  # the later, the more
            sent.append(await writer.send(DEALS, json.dumps(event).encode(), key=f"C-0-{number}".encode()))
        await asyncio.gather(*sent)


@scenario(
    rows=(20,),
    holds="holes that compaction left in sales.reference are passed and counted",
    fresh=True,
    kafka={"log_cleaner_backoff_ms": "200"},
)
async def compacted_reference(stage: Stage) -> None:
    floor, kafka = stage.floor, stage.floor.kafka
    await floor.staff(0)
    await configure(
        kafka,
        REFERENCE,
        cleanup_policy="compact",
        segment_ms="200",
        min_cleanable_dirty_ratio="0.01",
        max_compaction_lag_ms="400",
    )
    written = 0
    async with producer(kafka.bootstrap) as writer:
        for round_ in range(6):
            for number in range(30):
                slot = number % SLOTS
                value = _market(number, round_)
                await writer.send_and_wait(REFERENCE, value, key=f"M-{number}".encode(), partition=slot)
                written += 1
            await asyncio.sleep(0.4)

    async def is_compacted() -> bool:
        return await _count(kafka.bootstrap) <= written // 2

    await stage.until("the log is compacted", is_compacted, seconds=90.0)
    async with stage.fault("read past the holes", within_seconds=90.0):
        await floor.staff(2)
    stage.note(f"{await floor.metric_sum('gap_records_total'):.0f} offsets without a record passed")


def _market(number: int, round_: int) -> bytes:
    """The market of a month long ago: no window looks at it, and each round replaces what was said before."""
    event = {
        "specversion": "1.0",
        "id": f"market-{number}-{round_}",
        "source": "/chaos",
        "type": "sales.market.set",
        "time": f"2026-01-05T10:{round_:02}:00Z",
        "data": {"period": f"20{10 + number // 12}-{number % 12 + 1:02}", "value": 1_000 + round_},
    }
    return json.dumps(event).encode()


async def _count(bootstrap: str) -> int:
    """Return how many records sales.reference holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(REFERENCE, slot) for slot in range(SLOTS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        count = 0
        while [place for place in places if await consumer.position(place) < ends[place]]:
            count += sum(map(len, (await consumer.getmany(timeout_ms=200)).values()))
        return count
    finally:
        await consumer.stop()


@scenario(
    rows=(25,),
    holds="a broker whose disk is full: the gateway answers 503, workers wait; with room again all is exact",
    fresh=True,
    kafka={"log_retention_check_interval_ms": "300001"},
)
async def broker_disk_full(stage: Stage) -> None:
    floor, kafka = stage.floor, stage.floor.kafka
    port = free_port()
    environment = {**floor.environment, "SALESFLOOR_GATEWAY__TOKEN": "chaos-chaos-chaos-chaos-chaos"}
    command = (*SALESFLOOR, "gateway", "--port", str(port))
    gateway = Part("gateway", command, floor.directory / "gateway.log", environment)
    gateway.spawn()
    try:
        await gateway.until_answers(port)
        await stage.until("the gateway takes an event", lambda: _answers(stage, port, 1, 200))
        # No file may grow: what a full disk answers to every write.
        resource.prlimit(kafka.part.process.pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
        await stage.until("the gateway answers 503", lambda: _answers(stage, port, 2, 503), seconds=90.0)
        await until_unready(stage, "Kafka is away")
        if kafka.part.alive:
            kafka.part.process.send_signal(signal.SIGKILL)
        await kafka.part.ended(30.0)
        async with stage.fault("room again", within_seconds=90.0):
            await kafka.start()
        await stage.until("the gateway takes an event", lambda: _answers(stage, port, 2, 200))
    finally:
        gateway.kill()


async def _answers(stage: Stage, port: int, number: int, status: int) -> bool:
    """Send the gateway a deal; say whether it answers so, 200 standing for any good answer."""
    session = stage.floor.session
    assert session is not None
    headers = {
        "Authorization": "Bearer chaos-chaos-chaos-chaos-chaos",
        "Content-Type": "application/cloudevents+json",
    }
    url = f"http://127.0.0.1:{port}/events"
    try:
        value = deal(8_000 + number, 0)
        async with session.post(url, data=value, headers=headers, timeout=ANSWER) as answer:
            return answer.status == status or status == 200 <= answer.status < 300
    except (OSError, TimeoutError):
        return False
