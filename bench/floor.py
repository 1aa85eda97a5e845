"""A plan in, a floor of that size at work out: broker, Redis, workers, and what a further event costs them.

Each round writes its events while the workers are frozen, lets them go and reads their CPU clocks when all is
committed: what is told is the work, not the waiting. Prints nothing, and never looks at a KPI's number.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import msgspec
import psutil
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from bench.processes import role
from streams.admin import ensure_topics
from streams.embedded import embedded_kafka, embedded_redis, free_port
from streams.rfc3339 import rfc3339
from streams.settings import Settings, load_settings
from streams.topics import ACTIVITIES, DEALS

MIB: Final = 1 << 20
FIVE_MINUTES_MS: Final = 300_000
YEAR_MS: Final = 365 * 86_400_000
CALLS: Final = 100_000
"""Made before the first round, spread over the history: what fills its panes."""
_LOOK_SECONDS: Final = 0.05
_STAGES: Final = ("new", "qualified", "proposal", "closing")
_unpack_offsets: Final = msgspec.msgpack.Decoder(dict[str, int]).decode


class Plan(NamedTuple):
    reps: int = 200
    deals: int = 10_000
    """All of them open."""
    history_ms: int = FIVE_MINUTES_MS
    workers: int = 1
    calls: int = CALLS
    touched: int = 10_000
    """So many deals take turns in a round, however many there are: what is measured is their number."""
    session_seconds: int = 120
    """Longer than a worker is frozen."""


class Cost(NamedTuple):
    """Of one round, in seconds; CPU of all workers together."""

    wall: float
    cpu: float
    redis_cpu: float


class Memory(NamedTuple):
    """MiB resident, of all workers together, and what Redis uses."""

    workers: float
    redis: float


Written = tuple[str, int, bytes]
"""Topic, number that tells the partition, value."""


def _event(type_: str, id_: str, time_ms: int, data: Mapping[str, object]) -> bytes:
    head = {"specversion": "1.0", "id": id_, "source": "/crm/bench", "type": f"sales.{type_}"}
    return msgspec.json.encode({**head, "time": rfc3339(time_ms), "data": data})


def history(plan: Plan, now_ms: int) -> Iterator[Written]:
    """Yield the deals' creations and the calls, in order of time."""
    total = plan.deals + plan.calls
    calls = deals = 0
    for number in range(total):
        time_ms = now_ms - plan.history_ms + plan.history_ms * number // total
        if deals * total <= number * plan.deals and deals < plan.deals:
            data = {"deal_id": f"D-{deals}", "rep_id": f"R-{deals % plan.reps}", "team_id": f"T-{deals % 5}"}
            more = {"amount": f"{deals % 9_000}.50", "currency": "USD", "stage": _STAGES[0]}
            yield DEALS, deals, _event("deal.created", f"c{deals}", time_ms, {**data, **more})
            deals += 1
        else:
            yield _call(calls, plan.reps, time_ms)
            calls += 1


def _call(number: int, reps: int, time_ms: int) -> Written:
    data = {"activity_id": f"A-{number}", "kind": "call", "rep_id": f"R-{number % reps}", "outcome": "held"}
    return ACTIVITIES, number, _event("activity.completed", f"a{number}", time_ms, data)


def further(plan: Plan, first: int, events: int, now_ms: int) -> Iterator[Written]:
    """Yield changes of open deals and calls in turn, all of now."""
    touched = min(plan.touched, plan.deals)
    step = plan.deals // touched
    for number in range(first, first + events):
        if number % 2:
            yield _call(plan.calls + number, plan.reps, now_ms)
            continue
        turn = number // 2 % touched
        deal = turn * step + turn % step
        change: dict[str, object] = {"amount": f"{number % 9_000}.25", "currency": "USD"}
        if number // 2 // touched % 2:
            change = {"stage": _STAGES[number // 2 // touched // 2 % 4]}
        yield DEALS, deal, _event("deal.updated", f"u{number}", now_ms, {"deal_id": f"D-{deal}", **change})


class Floor:
    def __init__(self, plan: Plan, settings: Settings, redis_pid: int, slots: int) -> None:
        self.plan = plan
        kafka, redis_url = settings.kafka.bootstrap, settings.redis.url.get_secret_value()
        self.environment = {
            "SALESFLOOR_KAFKA": kafka,
            "SALESFLOOR_REDIS": redis_url,
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": str(plan.session_seconds),
            # A machine that is busy with much else shall make a worker slow, not end it.
            "SALESFLOOR_WORKER__MAIN_LOOP_TIMEOUT_SECONDS": "300",
        }
        self.written = 0
        self._kafka, self._slots = kafka, slots
        self._namespace = settings.redis.namespace
        self._redis = Redis.from_url(redis_url)
        self._redis_process = psutil.Process(redis_pid)
        self._rounds = 0
        self.workers: list[psutil.Process] = []

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run the workers; they are ready when the context begins, and frozen in it but for the rounds."""
        async with AsyncExitStack() as parts:
            for _ in range(self.plan.workers):
                port = free_port()
                worker = await parts.enter_async_context(
                    role(
                        "worker",
                        f"http://127.0.0.1:{port}/-/ready",
                        **self.environment,
                        SALESFLOOR_WORKER__PORT=str(port),
                    )
                )
                self.workers.append(psutil.Process(worker.pid))
            try:
                yield
            finally:
                self._signal(signal.SIGCONT)
                self.workers.clear()

    def _signal(self, number: signal.Signals) -> None:
        for worker in self.workers:
            if worker.is_running():
                os.kill(worker.pid, number)

    async def write(self, events: Iterable[Written]) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self._kafka, linger_ms=20, max_batch_size=1 << 18
        ) as producer:
            for topic, number, value in events:
                await producer.send(topic, value, partition=number % self._slots)
                self.written += 1

    async def folded(self) -> None:
        """Return once everything that was written is committed; RuntimeError if a worker ends before."""
        while await self._committed() < self.written:
            if not all(each.is_running() for each in self.workers):
                raise RuntimeError("a worker ended before all was committed")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _committed(self) -> int:
        # Only the offsets: a board of a year is read in a time that the workers would feel.
        found = 0
        for slot in range(self._slots):
            offsets = await self._redis.hget(f"{{{self._namespace}:{slot}}}:g0:board", "@offsets")
            if isinstance(offsets, bytes):
                found += sum(_unpack_offsets(offsets).values())
        return found

    async def round(self, events: int) -> Cost:
        first, self._rounds = self._rounds * events, self._rounds + 1
        self._signal(signal.SIGSTOP)
        await self.write(further(self.plan, first, events, time.time_ns() // 1_000_000))
        began, cpu, redis = time.perf_counter(), self._cpu(), cpu_of(self._redis_process)
        self._signal(signal.SIGCONT)
        await self.folded()
        cost = Cost(time.perf_counter() - began, self._cpu() - cpu, cpu_of(self._redis_process) - redis)
        self._signal(signal.SIGSTOP)
        return cost

    async def close(self) -> None:
        await self._redis.aclose()

    def _cpu(self) -> float:
        return sum(map(cpu_of, self.workers))

    async def memory(self) -> Memory:
        used = (await self._redis.info("memory"))["used_memory"]
        return Memory(sum(each.memory_info().rss for each in self.workers) / MIB, used / MIB)


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def opened(plan: Plan) -> AsyncIterator[Floor]:
    """Start a broker and a Redis of the floor's own, its history in the topics; no worker yet."""
    async with embedded_kafka() as broker, embedded_redis() as store:
        addresses = {"kafka": {"bootstrap": broker.kafka}, "redis": {"url": store.redis_url}}
        settings = load_settings(overrides=addresses)
        slots = (await ensure_topics(settings))[DEALS]
        family = [psutil.Process(store.pid), *psutil.Process(store.pid).children(recursive=True)]
        server = next((each.pid for each in family if "redis-server" in each.name()), store.pid)
        floor = Floor(plan, settings, server, slots)
        try:
            await floor.write(history(plan, time.time_ns() // 1_000_000 - 60_000))
            yield floor
        finally:
            await floor.close()
