"""The worker's own metrics and its readiness tell what the keeper and the checkpointer know."""

from aiohttp.test_utils import TestClient, TestServer
from aiokafka.structs import TopicPartition

from streams.topics import DEALS
from streams.worker_metrics import WorkerStatus, doors, worker_metric_labels
from tests.unit.slots_at_hand import Desk, deals


def status_of(desk: Desk) -> WorkerStatus:
    return WorkerStatus(lambda: 0.25, desk.keeper, desk.checkpointer)


async def test_offsets_and_lag_are_shown_per_partition() -> None:
    desk = Desk()
    await desk.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.fold(deals(5, 3))
    desk.reader.watermarks = {TopicPartition(DEALS, 0): 10}
    registry = status_of(desk).registry
    where = {"topic": DEALS, "partition": "0"}
    shown = {
        name: registry.get_sample_value(f"salesfloor_worker_{name}", where)
        for name in ("applied_offset", "flushed_offset", "lag_records")
    }
    assert shown == {"applied_offset": 8.0, "flushed_offset": 5.0, "lag_records": 2.0}


async def test_counters_and_commit_times_are_shown() -> None:
    desk = Desk()
    status = status_of(desk)
    desk.checkpointer.observe_seconds = status.commit_seconds.observe
    await desk.take(0)
    heir = Desk(store=desk.store)
    await heir.take(0)
    desk.fold(deals(0, 5))
    await desk.checkpointer.commit_all()
    desk.keeper.drop_all()
    assert status.registry.get_sample_value("salesfloor_worker_fenced_total") == 1.0
    assert status.registry.get_sample_value("salesfloor_worker_claims_total", {"slot": "0"}) == 1.0
    assert status.registry.get_sample_value("salesfloor_worker_commit_seconds_count") == 1.0
    assert status.registry.get_sample_value("salesfloor_worker_loop_tick_age_seconds") == 0.25


async def test_readiness_names_what_is_missing() -> None:
    status = WorkerStatus(lambda: 0.0)
    reasons = [status.unready_because()]
    desk = Desk()
    status.keeper, status.checkpointer = desk.keeper, desk.checkpointer
    reasons.append(status.unready_because())
    await desk.take(0)
    reasons.append(status.unready_because())
    desk.reader.connected = False
    reasons.append(status.unready_because())
    desk.checkpointer.unavailable_since = 0.0
    reasons.append(status.unready_because())
    assert reasons == [
        "waiting for Kafka and Redis",
        "joining the consumer group",
        None,
        "Kafka is away",
        "Redis is away",
    ]


async def test_stopped_slot_makes_unready_and_says_what_to_decide() -> None:
    desk = Desk()
    await desk.take(0, 1)
    desk.fold(deals(0, 5))
    desk.reader.watermarks = {TopicPartition(DEALS, 0): 3}
    await desk.look(3)
    status = status_of(desk)
    reason = status.unready_because()
    assert reason is not None
    assert reason.startswith("stopped: sales.deals[0] ends at 3, before 5")
    phase = {"slot": "0", "phase": "stopped"}
    assert status.registry.get_sample_value("salesfloor_worker_slot_phase", phase) == 1.0


async def test_doors_answer_health_readiness_and_metrics() -> None:
    desk = Desk()
    async with TestClient(TestServer(doors(status_of(desk)))) as client:
        assert (await client.get("/-/healthy")).status == 200
        assert (await client.get("/-/ready")).status == 503
        await desk.take(0)
        assert (await client.get("/-/ready")).status == 200
        metrics = await client.get("/metrics")
        assert "salesfloor_worker_ready 1.0" in await metrics.text()
        assert metrics.headers["Content-Type"].startswith("text/plain")


async def test_it_is_told_which_of_redis_and_kafka_is_away() -> None:
    status = WorkerStatus(lambda: 0.0)

    def told() -> dict[str, float | None]:
        return {
            name: status.registry.get_sample_value(f"salesfloor_worker_{name}_reachable")
            for name in ("redis", "kafka")
        }

    waiting_for_redis = told()
    status.waiting_for = "kafka"
    waiting_for_kafka = told()
    desk = Desk()
    status.keeper, status.checkpointer = desk.keeper, desk.checkpointer
    await desk.take(0)
    both_there = told()
    desk.reader.connected = False
    kafka_lost = told()
    desk.checkpointer.unavailable_since = 0.0
    assert [waiting_for_redis, waiting_for_kafka, both_there, kafka_lost, told()] == [
        {"redis": 0.0, "kafka": 1.0},
        {"redis": 1.0, "kafka": 0.0},
        {"redis": 1.0, "kafka": 1.0},
        {"redis": 1.0, "kafka": 0.0},
        {"redis": 0.0, "kafka": 0.0},
    ]


async def test_the_list_of_metrics_is_what_is_shown() -> None:
    desk = Desk()
    await desk.take(0)
    desk.reader.watermarks = {TopicPartition(DEALS, 0): 10}
    shown: dict[str, set[str]] = {}
    for family in status_of(desk).registry.collect():
        for sample in family.samples:
            if sample.name.startswith("salesfloor_") and not sample.name.endswith("_created"):
                shown[sample.name] = set(sample.labels)
    assert shown == worker_metric_labels()
