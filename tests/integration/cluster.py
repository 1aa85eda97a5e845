"""A Kafka, a Redis and worker processes for one test: starts, kills, feeds and reads them; judges nothing.

`SALESFLOOR_TEST_KAFKA` (host:port, one for each process of pytest-xdist) and `SALESFLOOR_TEST_REDIS` (a URL)
name real ones; without them the embedded broker and a Redis of our own, with an append-only file, are started
for each test.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis
from redis.exceptions import RedisError

from metrics.calendar import Calendar
from metrics.measures import MEASURES, Unit
from metrics.panes import Cell
from streams import layout
from streams.admin import describe_topics, ensure_topics
from streams.embedded import embedded_kafka
from streams.fact_contributions import contribute_fact
from streams.layout import PaneValues
from streams.settings import Settings, load_settings
from streams.stores.redis import RedisStore
from streams.topics import DEAD_LETTERS, SOURCES, TOLD
from tests.folding import Checkpoint
from tests.histories import Event, delivery

ROOT = Path(__file__).parent.parent.parent
SLOTS = 4
DEADLINE_SECONDS = 60.0
REAL_KAFKA, REAL_REDIS = "SALESFLOOR_TEST_KAFKA", "SALESFLOOR_TEST_REDIS"
SESSION_SECONDS = "SALESFLOOR_TEST_SESSION_SECONDS"
MONEY = {measure.number for measure in MEASURES if measure.unit is Unit.MONEY}


class OwnRedis:
    """A redis-server of ours, with an append-only file, that can be killed and started again."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        options = [
            "--port",
            str(self.port),
            "--dir",
            str(self.directory),
            "--save",
            "",
            "--bind",
            "127.0.0.1",
        ]
        self._process = subprocess.Popen(
            [redis_server(), *options, "--appendonly", "yes", "--appendfsync", "always"],
            stdout=subprocess.DEVNULL,
        )
        await until(self._answers)

    async def _answers(self) -> bool:
        client = Redis.from_url(self.url)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def forget_everything(self) -> None:
        shutil.rmtree(self.directory)
        self.directory.mkdir()

    def signal(self, sign: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(sign)


def redis_server() -> str:
    # What the embedded start finds is what the tests restart; fakeredis keeps nothing over a restart.
    from streams import embedded

    engine, program = embedded._redis_program()
    if engine == "fakeredis":
        pytest.skip("no redis-server or valkey-server on this machine")
    return program[0]


@dataclass
class Worker:
    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def ready(self) -> None:
        async with ClientSession() as session:

            async def says_ready() -> bool:
                assert self.process.returncode is None, self.log.read_text()[-4000:]
                async with session.get(f"http://127.0.0.1:{self.port}/-/ready") as answer:
                    return answer.status == 200

            await until(says_ready)

    async def metric(self, name: str) -> float:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = await answer.text()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        self.process.terminate()
        return await self.process.wait()


@dataclass
class Cluster:
    kafka: str
    redis_url: str
    directory: Path
    own_redis: OwnRedis | None
    """The Redis, when it is ours to kill."""
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")
    workers: list[Worker] = field(default_factory=list)
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(topic, partition) -> end of the log after what was produced."""

    @property
    def redis(self) -> OwnRedis:
        assert self.own_redis is not None, "ask for the fixture cluster_with_own_redis"
        return self.own_redis

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SALESFLOOR_KAFKA": self.kafka,
            "SALESFLOOR_REDIS": self.redis_url,
            "SALESFLOOR_KAFKA__GROUP": self.name,
            # The embedded broker holds each join for half of it; Kafka takes no less than 6 s by default.
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": os.environ.get(SESSION_SECONDS, "2"),
            "SALESFLOOR_REDIS__NAMESPACE": self.name,
            "SALESFLOOR_WORKER__PORT": "0",
            # The oracle knows no activity horizon.
            "SALESFLOOR_WORKER__ACTIVITY_HORIZON_DAYS": "800",
        }

    @property
    def settings(self) -> Settings:
        return load_settings(
            overrides={
                "kafka": {"bootstrap": self.kafka, "group": self.name},
                "redis": {"url": self.redis_url, "namespace": self.name},
                "worker": {"activity_horizon_days": 800},
            }
        )

    def store(self) -> RedisStore:
        return RedisStore(self.redis_url, namespace=self.name, version=self.settings.definition_version)

    async def worker(self, *flags: str, ready: bool = True, **environment: str) -> Worker:
        log = self.directory / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.worker_process", *flags),
                env={**os.environ, **self.environment, **environment},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert process.stdout is not None
        said = (await process.stdout.readline()).split()
        assert said, log.read_text()
        worker = Worker(process, int(said[1]), log)
        self.workers.append(worker)
        if ready:
            await worker.ready()
        return worker

    async def produce(self, events: Sequence[Event], *, pause_seconds: float = 0.0) -> None:
        """Append the events to their topics, a few at a time."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=5)
        await producer.start()
        try:
            for start in range(0, len(events), 50):
                sent = []
                for event in events[start : start + 50]:
                    topic, slot, value = delivery(event, slots=SLOTS)
                    sent.append(await producer.send(topic, value, partition=slot))
                for metadata in await asyncio.gather(*sent):
                    place = metadata.topic, metadata.partition
                    self.ends[place] = max(self.ends[place], metadata.offset + 1)
                await asyncio.sleep(pause_seconds)
        finally:
            await producer.stop()

    async def produce_raw(self, topic: str, partition: int, value: bytes, **more: object) -> int:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        try:
            metadata = await producer.send_and_wait(topic, value, partition=partition, **more)
        finally:
            await producer.stop()
        self.ends[topic, partition] = max(self.ends[topic, partition], metadata.offset + 1)
        return int(metadata.offset)

    async def committed(self) -> None:
        """Wait until the store holds everything that was produced."""
        store = self.store()

        async def is_there() -> bool:
            found = await self._offsets(store)
            return all(found[place] >= end for place, end in self.ends.items())

        try:
            await until(is_there)
        except TimeoutError:
            logs = "\n".join(f"{each.log.name}:\n{each.log.read_text()[-3000:]}" for each in self.workers)
            pytest.fail(f"never committed: {dict(await self._offsets(store))} of {dict(self.ends)}\n{logs}")
        finally:
            await store.close()

    async def _offsets(self, store: RedisStore) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for slot in range(SLOTS):
            try:
                board = await store.read_board(slot)
            except Exception:  # noqa: BLE001  the Redis may be down on purpose
                continue
            for topic, offset in board.offsets.items():
                found[topic, slot] = offset
        return found

    async def totals(self) -> Counter[str]:
        """Return each measure summed over all that is contributed in all slots, and the counters of records.

        Money of other currencies than the floor's is left out, as the oracle does.
        """
        store = self.store()
        names = {measure.number: measure.name for measure in MEASURES}
        totals: Counter[str] = Counter()
        try:
            for slot in range(SLOTS):
                checkpoint = Checkpoint()
                checkpoint.board = (await store.read_board(slot)).fields
                for cell, values in contributed(checkpoint):
                    for key, amount in values.items():
                        if cell.currency in ("", "USD") or key not in MONEY:
                            totals[names.get(key, "histogram")] += amount
                if layout.FACTS_FIELD in checkpoint.board:
                    counters = layout.unpack_facts(checkpoint.board[layout.FACTS_FIELD]).counters
                    for group, counts in counters.items():
                        totals[f"records {group}"] += sum(counts.values())
        finally:
            await store.close()
        return totals

    async def table_rows(self, table: str) -> list[bytes]:
        """Return the values of a Faust table in all slots. Claims them: no worker may run any more."""
        store = self.store()
        rows = []
        try:
            for slot in range(SLOTS):
                for name, value in (await store.claim(slot)).entities.items():
                    if layout.entity_of_field(name) is None and layout.row_of_field(name)[0] == table:
                        rows.append(value)
        finally:
            await store.close()
        return rows

    async def dead_letters(self, count: int) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        consumer = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                letters = [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()
        return [(each.key, each.value, dict(each.headers)) for each in letters]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = DEADLINE_SECONDS) -> None:
    """Ask again and again until it holds; a deadline only keeps a broken test from waiting for ever."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.05)


async def clean_topics(settings: Settings) -> None:
    """Delete and create the topics anew: their names are fixed, their content must not be another test's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
    await admin.start()
    try:
        ours = {*SOURCES, *TOLD}
        if found := ours & set(await admin.list_topics()):
            await admin.delete_topics(list(found))

        async def are_gone() -> bool:
            return not ours & set(await admin.list_topics())

        await until(are_gone)
    finally:
        await admin.close()

    async def are_made() -> bool:
        # A broker may still be deleting behind its metadata, or not tell yet what it has just made.
        expected = dict.fromkeys((*SOURCES, *TOLD), SLOTS)
        return await ensure_topics(settings) == expected == await describe_topics(settings)

    await until(are_made)


def real_kafka() -> str:
    """Return the real Kafka of this test process, "" for none.

    Each test makes the topics anew, and their names are fixed: two processes may not share one.
    """
    brokers = os.environ.get(REAL_KAFKA, "").split()
    if not brokers:
        return ""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    assert process < len(brokers), f"{REAL_KAFKA} names too few Kafkas: pytest -n {len(brokers)} at most"
    return brokers[process]


@asynccontextmanager
async def running(directory: Path, redis_port: int, *, own_redis: bool = False) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as parts:
        kafka = real_kafka()
        if not kafka:
            kafka = (await parts.enter_async_context(embedded_kafka(0))).kafka
        redis_url, own = os.environ.get(REAL_REDIS), None
        if own_redis or not redis_url:
            (directory / "redis").mkdir()
            own = OwnRedis(directory / "redis", redis_port)
            await own.start()
            parts.callback(lambda: own.kill() if own._process is not None else None)
            redis_url = own.url
        cluster = Cluster(kafka, redis_url, directory, own)
        await clean_topics(cluster.settings)
        try:
            yield cluster
        finally:
            for worker in cluster.workers:
                if worker.process.returncode is None:
                    worker.process.kill()
                    await worker.process.wait()


def contributed(checkpoint: Checkpoint) -> Iterator[tuple[Cell, PaneValues]]:
    """Return by cell what panes hold, and what facts add to them."""
    for (cell, _, _), values in checkpoint.panes().items():
        yield cell, values
    for fact in checkpoint.facts().values():
        for cell, _, values in contribute_fact(fact, Calendar("UTC")):
            yield cell, values
