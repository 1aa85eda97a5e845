"""A floor on real parts: Kafka, Redis, `salesfloor worker`s and one `salesfloor metrics`, and a supervisor.

Starts, stops, restarts and asks; injects and judges nothing.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from redis.exceptions import RedisError

from streams.settings import Settings, load_settings
from streams.stores.redis import RedisStore
from tests.chaos.kafka import Kafka
from tests.chaos.load import Place
from tests.chaos.process import SALESFLOOR, Part
from tests.chaos.redis import RedisServer
from tests.integration.cluster import clean_topics
from tests.ports import free_port

SLOTS = 4
SESSION_SECONDS = 4.0
TRY_SECONDS = 0.05
SUPERVISOR_SECONDS = 0.2
ASK = ClientTimeout(total=5.0)


class Worker(Part):
    """One `salesfloor worker`. `wanted`: a supervisor starts it again when it ends."""

    def __init__(
        self, name: str, directory: Path, environment: dict[str, str], program: Sequence[str] = SALESFLOOR
    ) -> None:
        self.port = free_port()
        command = (*program, "worker", "--port", str(self.port))
        super().__init__(name, command, directory / f"{name}.log", environment)
        self.wanted = True
        self.gave_up: list[int] = []
        """Exit codes of lives that ended by themselves."""


class Floor:
    def __init__(
        self, directory: Path, kafka: Kafka, redis: RedisServer, *, namespace: str = "chaos"
    ) -> None:
        self.directory, self.kafka, self.redis, self.namespace = directory, kafka, redis, namespace
        self.workers: list[Worker] = []
        self.metrics_port = free_port()
        self.metrics: Part | None = None
        self.proxied = False
        """New processes reach Kafka and Redis through the proxies."""
        self.beside: list[RedisServer] = []
        """Further ones that a scenario started."""
        self.more_environment: dict[str, str] = {}
        self.session: ClientSession | None = None
        self._names = 0
        self._supervisor: asyncio.Task[None] | None = None

    # Settings

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SALESFLOOR_KAFKA": self.kafka.proxied if self.proxied else self.kafka.bootstrap,
            "SALESFLOOR_REDIS": self.redis.proxied if self.proxied else self.redis.url,
            "SALESFLOOR_KAFKA__GROUP": self.namespace,
            "SALESFLOOR_KAFKA__REPLICATION": str(self.kafka.replication),
            "SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "SALESFLOOR_REDIS__NAMESPACE": self.namespace,
            # The oracle knows no activity horizon.
            "SALESFLOOR_WORKER__ACTIVITY_HORIZON_DAYS": "800",
            # All scrapers are one address here.
            "SALESFLOOR_METRICS__REQUESTS_PER_SECOND": "0",
            **self.more_environment,
        }

    @property
    def settings(self) -> Settings:
        return load_settings(
            overrides={
                "kafka": {
                    "bootstrap": self.kafka.bootstrap,
                    "group": self.namespace,
                    "replication": self.kafka.replication,
                },
                "redis": {"url": self.redis.url, "namespace": self.namespace},
                "worker": {"activity_horizon_days": 800},
            }
        )

    def store(self) -> RedisStore:
        return RedisStore(self.redis.url, namespace=self.namespace, version=self.settings.definition_version)

    # Life

    async def open(self) -> None:
        self.session = ClientSession(timeout=ASK)
        if self.kafka.replication == 1:
            await clean_topics(self.settings)
        else:
            await self._create_topics()
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor")

    async def _create_topics(self) -> None:
        """On an empty cluster, as an operator does."""
        command = (*SALESFLOOR, "topics", "create")
        made = Part("topics", command, self.directory / "topics.log", self.environment)
        made.spawn()
        assert await made.ended(60.0) == 0, made.said()

    async def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
        for worker in self.workers:
            worker.kill()
        if self.metrics is not None:
            self.metrics.kill()
        for redis in self.beside:
            await redis.stop()
        if self.session is not None:
            await self.session.close()

    async def start_metrics(self) -> None:
        command = (*SALESFLOOR, "metrics", "--port", str(self.metrics_port))
        self.metrics = Part("metrics", command, self.directory / "metrics.log", self.environment)
        self.metrics.spawn()
        await self.metrics.until_answers(self.metrics_port)

    async def add_worker(
        self, *, ready: bool = True, program: Sequence[str] = SALESFLOOR, **environment: str
    ) -> Worker:
        self._names += 1
        variables = {**self.environment, **environment}
        worker = Worker(f"worker-{self._names}", self.directory, variables, program)
        self.workers.append(worker)
        worker.spawn()
        if ready:
            await self.until_ready(worker)
        return worker

    async def until_ready(self, worker: Worker, seconds: float = 90.0) -> None:
        await until(f"{worker.name} is ready", lambda: self._is_ready(worker), seconds)

    async def remove_worker(self, worker: Worker) -> int:
        """Stop it with SIGTERM; return its exit code."""
        worker.wanted = False
        code = await worker.stop()
        self.workers.remove(worker)
        return code

    async def staff(self, count: int) -> list[Worker]:
        """Have so many workers, all ready."""
        while len(self.workers) > count:
            await self.remove_worker(self.workers[-1])
        while len(self.workers) < count:
            await self.add_worker(ready=False)
        for worker in self.workers:
            await self.until_ready(worker)
        return list(self.workers)

    async def _supervise(self) -> None:
        """Start again what ended, as any deployment does: a worker that gave up, or was killed."""
        while True:
            await asyncio.sleep(SUPERVISOR_SECONDS)
            for worker in self.workers:
                if worker.wanted and not worker.alive:
                    code = worker.exit_code
                    if code is not None and code >= 0:
                        worker.gave_up.append(code)
                    worker.spawn()

    # Asking

    async def get(self, port: int, path: str) -> tuple[int, str]:
        """Return status and body; (0, "") when nobody answers."""
        assert self.session is not None
        try:
            async with self.session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()
        except (ClientError, TimeoutError, OSError):
            return 0, ""

    async def _is_ready(self, worker: Worker) -> bool:
        status, _ = await self.get(worker.port, "/-/ready")
        return status == 200

    async def metric(self, worker: Worker, name: str) -> float:
        """Return the sum of a worker's metric over its labels; 0 when it does not answer."""
        _, text = await self.get(worker.port, "/metrics")
        return total(text, f"salesfloor_worker_{name}")

    async def metric_sum(self, name: str) -> float:
        return sum([await self.metric(worker, name) for worker in self.workers])

    async def snapshot(self, query: str = "") -> dict[str, Any]:
        """Return /api/snapshot of the metrics role; {} when it has none."""
        status, text = await self.get(self.metrics_port, f"/api/snapshot{query}")
        return msgspec.json.decode(text) if status == 200 else {}

    async def stored(self) -> Counter[Place]:
        """Return the offsets in Redis: (topic, slot) -> next offset. Empty while Redis is away."""
        found: Counter[Place] = Counter()
        with suppress(RedisError, OSError, TimeoutError):
            for slot in range(SLOTS):
                tag = f"{{{self.namespace}:{slot}}}"
                generation = int(await self.redis.ask("GET", f"{tag}:active") or 0)
                packed = await self.redis.ask("HGET", f"{tag}:g{generation}:board", "@offsets")
                if packed:
                    for topic, offset in msgspec.msgpack.decode(packed).items():
                        found[topic, slot] = offset
        return found

    async def until_stored(self, ends: Counter[Place], seconds: float) -> float:
        """Wait until Redis holds everything up to these ends; return the seconds, or raise `TimeoutError`."""
        started, wanted = time.monotonic(), Counter(ends)

        async def is_stored() -> bool:
            found = await self.stored()
            return all(found[place] >= end for place, end in wanted.items())

        await until("all is committed", is_stored, seconds)
        return time.monotonic() - started


async def until(what: str, holds: Callable[[], Any], seconds: float) -> None:
    """Ask again and again until it holds."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(TRY_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"not within {seconds:.0f} s: {what}") from None


def total(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))
