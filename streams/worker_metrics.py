"""Facts about this worker process as Prometheus metrics, and its health and readiness over HTTP.

Reads the keeper and the checkpointer at each scrape; changes neither. The floor's KPIs are not here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from aiohttp import web
from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streams.checkpointer import Checkpointer
from streams.keeper import Keeper

COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_COUNTERS = {
    "fenced": "Commits refused because another worker owns the slot",
    "rolled_back": "Commits refused because the store had lost what was committed before",
    "faulted": "Slots loaded again because of an unexpected error",
    "reseeks": "Batches fetched again because records before them were missing",
    "gap_records": "Offsets that hold no record (compaction, transaction markers)",
    "lost_records": "Records that the topic's retention removed before they were folded",
    "store_errors": "Calls that the store did not answer or refused",
    "coordinator_errors": "Errors of the consumer group's coordinator",
    "report_errors": "Commits of offsets to Kafka, for lag monitoring only, that failed",
    "dead_letters": "Records sent to the dead-letter topic",
    "commits": "Commits that the store holds",
    "batches": "Fetched batches, of one partition each",
    "batch_records": "Records in them",
    "rebalances": "Assignments of partitions that this worker was given",
}

_GAUGES: Final = {
    "ready": (), "redis_reachable": (), "kafka_reachable": (), "loop_tick_age_seconds": (), "paused": (),
    "slot_phase": ("slot", "phase"), "dirty_keys": ("slot",), "rebuilding": ("slot",),
    "state_entities": ("slot",), "state_panes": ("slot",),
    "applied_offset": ("topic", "partition"), "flushed_offset": ("topic", "partition"),
    "lag_records": ("topic", "partition"),
}  # fmt: skip


def worker_metric_labels() -> dict[str, set[str]]:
    """Return every metric's name with its labels: what dashboards and rules may ask for."""
    counters = {f"{name}_total": set[str]() for name in _COUNTERS} | {"claims_total": {"slot"}}
    gauges = {name: set(labels) for name, labels in _GAUGES.items()}
    histogram = {f"commit_seconds_{part}": set[str]() for part in ("sum", "count")}
    found = {**counters, **gauges, **histogram, "commit_seconds_bucket": {"le"}}
    return {f"salesfloor_worker_{name}": labels for name, labels in found.items()}


@dataclass
class WorkerStatus:
    """What the worker's doors can see. `keeper` is None until Kafka and Redis have answered."""

    tick_age_seconds: Callable[[], float]
    keeper: Keeper | None = None
    checkpointer: Checkpointer | None = None
    waiting_for: Literal["redis", "kafka"] = "redis"
    """What a starting worker waits for, as long as there is no keeper."""
    held_up_by: str = ""
    """What a starting worker waits for that only an operator can bring about."""
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.commit_seconds = Histogram(
            "salesfloor_worker_commit_seconds",
            "Time from taking a slot's commit to the store's answer",
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_WorkerCollector(self))
        ProcessCollector(registry=self.registry)  # memory, processor time, open files

    def wait_for(self, cause: str) -> None:
        self.held_up_by = cause

    @property
    def redis_reachable(self) -> bool:
        if self.checkpointer is None:
            return self.waiting_for != "redis" or bool(self.held_up_by)
        return self.checkpointer.unavailable_since is None

    @property
    def kafka_reachable(self) -> bool:
        """Say whether Kafka answers, as far as is known: a worker without partitions yet has not asked."""
        if self.keeper is None:
            return self.waiting_for != "kafka"
        return self.keeper.reader is None or self.keeper.reader.connected

    def unready_because(self) -> str | None:
        """Return why this worker is not ready, None when it is."""
        keeper, checkpointer = self.keeper, self.checkpointer
        if keeper is None or checkpointer is None:
            return f"waiting: {self.held_up_by}" if self.held_up_by else "waiting for Kafka and Redis"
        if checkpointer.unavailable_since is not None:
            return "Redis is away"
        if not keeper.joined or keeper.reader is None:
            return "joining the consumer group"
        if not keeper.reader.connected:
            return "Kafka is away"
        if keeper.stopped_because:
            return "stopped: " + "; ".join(keeper.stopped_because)
        if not keeper.settled:
            return "loading slots"
        return None


class _WorkerCollector(Collector):
    def __init__(self, status: WorkerStatus) -> None:
        self._status = status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("ready", "1 when this worker reads and commits", status.unready_because() is None)
        yield _gauge("redis_reachable", "1 while Redis answers this worker", status.redis_reachable)
        yield _gauge("kafka_reachable", "1 while Kafka answers this worker", status.kafka_reachable)
        yield _gauge("loop_tick_age_seconds", "Age of the main loop's last tick", status.tick_age_seconds())
        if status.keeper is not None:
            yield from _counters(status.keeper)
            yield from _slots(status.keeper)
            yield from _partitions(status.keeper)
        if status.checkpointer is not None:
            yield _gauge("paused", "1 while reading waits for the store", status.checkpointer.paused)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"salesfloor_worker_{name}", text, value=float(value))


def _counters(keeper: Keeper) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        yield CounterMetricFamily(
            f"salesfloor_worker_{name}", text, value=float(getattr(keeper.counts, name))
        )


def _family(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"salesfloor_worker_{name}", text, labels=labels)


def _slots(keeper: Keeper) -> Iterator[Metric]:
    phase = _family("slot_phase", "1 for the phase a slot is in", ["slot", "phase"])
    claims = CounterMetricFamily("salesfloor_worker_claims", "Times the slot was claimed", labels=["slot"])
    dirty = _family("dirty_keys", "Fields the next commit writes", ["slot"])
    rebuilding = _family("rebuilding", "1 while the slot is folded anew from the topics", ["slot"])
    entities = _family("state_entities", "Deals, leads, activities and so on that the slot holds", ["slot"])
    panes = _family("state_panes", "Slices of time with sums that the slot holds", ["slot"])
    for slot in keeper.slots.values():
        label = str(slot.number)
        phase.add_metric([label, slot.ownership.phase.name.lower()], 1.0)
        claims.add_metric([label], float(slot.ownership.claims))
        if slot.owned_table is not None:
            dirty.add_metric([label], float(slot.owned_table.dirty_keys))
            rebuilding.add_metric([label], float(slot.owned_table.rebuilding))
            for family, held in zip((entities, panes), slot.owned_table.state_size, strict=True):
                family.add_metric([label], float(held))
    yield from (phase, claims, dirty, rebuilding, entities, panes)


def _partitions(keeper: Keeper) -> Iterator[Metric]:
    labels = ["topic", "partition"]
    applied = _family("applied_offset", "Next offset to fold", labels)
    flushed = _family("flushed_offset", "Next offset as the store holds it", labels)
    lag = _family("lag_records", "Records in the log not folded yet", labels)
    for slot in keeper.owned:
        for (topic, partition), offset in slot.positions().items():
            where = [topic, str(partition)]
            applied.add_metric(where, float(offset))
            flushed.add_metric(where, float(slot.flushed.get(topic, 0)))
            end = keeper.reader.high_watermark(TopicPartition(topic, partition)) if keeper.reader else None
            if end is not None:
                lag.add_metric(where, float(max(0, end - offset)))
    yield from (applied, flushed, lag)


def doors(status: WorkerStatus) -> web.Application:
    """Return the HTTP application: /metrics, /-/healthy, /-/ready."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(status.registry), headers={"Content-Type": content_type})

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        reason = status.unready_because()
        return web.Response(text=f"{reason or 'ready'}\n", status=200 if reason is None else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/-/healthy", healthy), web.get("/-/ready", ready)])
    return app
