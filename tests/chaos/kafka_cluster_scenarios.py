"""Faults of one broker among several: the leader of partitions and coordinator of the group dies."""

import asyncio

from streams.topics import SOURCES
from tests.chaos.floor import SLOTS
from tests.chaos.kafka_cluster import KafkaCluster
from tests.chaos.kafka_topics import run_command
from tests.chaos.stage import Stage, scenario

BROKERS = 3


@scenario(
    rows=(13,),
    holds="of three brokers the one that leads and coordinates is killed: the others go on in its place",
    brokers=BROKERS,
)
async def broker_of_three(stage: Stage) -> None:
    floor, kafka = stage.floor, stage.floor.kafka
    assert isinstance(kafka, KafkaCluster)
    await _has_replicas(stage, kafka)
    for number in range(stage.amount(1, long=4)):
        await asyncio.sleep(2.0)  # under load
        victim = await kafka.coordinator_of(floor.namespace)
        assert victim is not None
        place = kafka.brokers.index(victim) + 1
        led = await _led_by(kafka, place)
        async with stage.fault(f"broker {place} killed: it led {led} partitions and the group"):
            victim.part.kill()
            await stage.until("others lead and coordinate", _goes_on_without, stage, kafka, place)
        await stage.moment(0.0, 3.0)
        async with stage.fault(f"broker {place} back, {number + 1}"):
            await kafka.start_again(victim)
        await stage.until("all replicas are in sync again", kafka.is_whole)
    assert not any(worker.gave_up for worker in floor.workers), "a worker gave up"


async def _led_by(kafka: KafkaCluster, place: int) -> int:
    return sum(each["leader"] == place for each in await kafka.partitions() if each["topic"] in SOURCES)


async def _goes_on_without(stage: Stage, kafka: KafkaCluster, place: int) -> bool:
    coordinator = await kafka.coordinator_of(stage.floor.namespace)
    led = [each["leader"] for each in await kafka.partitions()]
    return coordinator not in (None, kafka.brokers[place - 1]) and bool(led) and not {place, -1} & {*led}


async def _has_replicas(stage: Stage, kafka: KafkaCluster) -> None:
    """The topics are those that `salesfloor topics` made, one replica on each broker."""
    code, said = await run_command(stage.floor, "topics", "check")
    assert code == 0, said
    ours = [each for each in await kafka.partitions() if each["topic"] in SOURCES]
    assert len(ours) == SLOTS * len(SOURCES)
    assert all(len(each["replicas"]) == BROKERS for each in ours), "a partition lacks replicas"
