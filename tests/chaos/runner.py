"""Scenarios in, a row of results for each out. Keeps one floor from scenario to scenario where it can."""

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from streams.clock import SystemClock
from tests.chaos.floor import Floor
from tests.chaos.judge import Judge, Verdict
from tests.chaos.kafka import Kafka
from tests.chaos.kafka_cluster import KafkaCluster
from tests.chaos.load import MINUTE_MS, Load
from tests.chaos.redis import RedisServer
from tests.chaos.stage import RECOVERY_SECONDS, Fault, Scenario, Stage

STORY_LINES = 14
RESIDENT_MAX_MB = 400.0
KEYS_MAX = 64
"""I6: a bounded floor takes bounded memory, and a slot three keys, whatever it went through."""


@dataclass
class Result:
    scenario: str
    rows: tuple[int, ...]
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    resident_mb: float = 0.0
    """Of the largest worker at the end."""
    redis_keys: int = 0
    failure: str = ""
    """Why it failed; "" when everything held and every number was exact."""


@dataclass
class Plan:
    directory: Path
    seed: int
    rate: float
    long: bool
    minutes: float
    say: Callable[[str], None]


class Runner:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._parts = AsyncExitStack()
        self._kafka: Kafka | None = None
        self._floor: Floor | None = None
        self._load: Load | None = None
        self._judge: Judge | None = None
        self._spoilt = True
        self._number = 0

    async def run(self, scenarios: Sequence[Scenario]) -> list[Result]:
        results = []
        try:
            for scenario in scenarios:
                self.plan.say(f"{scenario.name}: {scenario.holds}")
                results.append(await self._one(scenario))
        finally:
            await self._end_floor()
            if self._kafka is not None:
                await self._kafka.stop()
        return results

    async def _one(self, scenario: Scenario) -> Result:
        result, started = Result(scenario.name, scenario.rows), time.monotonic()
        try:
            stage = await self._stage(scenario)
            result.faults, result.notes = stage.faults, stage.notes
            stage.load.start()
            try:
                await scenario.play(stage)
            finally:
                await stage.load.stop()
            await stage.floor.until_stored(stage.ends(), RECOVERY_SECONDS)
            result.verdict = await stage.judge.verdict()
            result.resident_mb = max((each.rss_mb for each in stage.floor.workers), default=0.0)
            result.redis_keys = await stage.floor.redis.keys()
            result.failure = _failure(result, stage.expect_lost)
        except Exception as error:  # noqa: BLE001  one scenario's failure is a row, the others go on
            result.failure = f"{type(error).__name__}: {error}"
            self.plan.say("".join(traceback.format_exception(error)[-STORY_LINES:]))
        self._spoilt = scenario.fresh or bool(result.failure)
        result.seconds = time.monotonic() - started
        return result

    async def _stage(self, scenario: Scenario) -> Stage:
        if self._spoilt or scenario.fresh or self._floor is None:
            await self._end_floor()
            await self._begin_floor(scenario)
        floor, load, judge = self._floor, self._load, self._judge
        assert floor is not None
        assert load is not None
        assert judge is not None
        load.rate = self.plan.rate * scenario.rate
        if floor.proxied != scenario.proxied:
            await floor.staff(0)
            floor.proxied = scenario.proxied
        await floor.staff(scenario.workers)
        for worker in floor.workers:
            worker.gave_up.clear()  # as it may, and should, in the scenario before
        dice = Random(f"{self.plan.seed} {scenario.name}")
        plan = self.plan
        return Stage(floor, load, judge, dice, plan.long, plan.minutes, say=plan.say)

    async def _begin_floor(self, scenario: Scenario) -> None:
        self._number += 1
        directory = self.plan.directory / f"{self._number:02}-{scenario.name}"
        directory.mkdir(parents=True)
        if not self._fits(scenario):
            if self._kafka is not None:
                await self._kafka.stop()
            self._kafka = (
                Kafka(directory, **scenario.kafka)
                if scenario.brokers == 1
                else KafkaCluster(directory, scenario.brokers, **scenario.kafka)
            )
            await self._kafka.start()
        kafka = self._kafka
        assert kafka is not None
        redis = RedisServer(directory)
        self._parts.push_async_callback(redis.stop)
        await redis.start()
        # Each floor has a group of its own: the coordinator may still know members of the last one's.
        floor = self._floor = Floor(directory, kafka, redis, namespace=f"chaos-{self._number}")
        floor.proxied = scenario.proxied
        self._parts.push_async_callback(floor.close)
        await floor.open()
        as_of_ms = SystemClock().now_ms() // MINUTE_MS * MINUTE_MS
        self._load = await self._parts.enter_async_context(
            Load(kafka.bootstrap, self.plan.seed, slots=4, until_ms=as_of_ms, rate=self.plan.rate)
        )
        self._judge = Judge(floor, as_of_ms=as_of_ms)
        await floor.start_metrics()
        self._spoilt = False

    def _fits(self, scenario: Scenario) -> bool:
        kafka = self._kafka
        if kafka is None or isinstance(kafka, KafkaCluster) or scenario.brokers > 1:
            return False
        return kafka.settings == scenario.kafka and kafka.part.alive

    async def _end_floor(self) -> None:
        self._floor = None
        async with asyncio.timeout(60):
            await self._parts.aclose()
        self._parts = AsyncExitStack()


def _failure(result: Result, expect_lost: int) -> str:
    verdict = result.verdict
    wrong = list(verdict.wrong)
    if verdict.counted_lost != expect_lost:
        wrong.append(f"{verdict.counted_lost} records counted as lost, {expect_lost} are")
    if result.resident_mb > RESIDENT_MAX_MB:
        wrong.append(f"a worker has {result.resident_mb:.0f} MB")
    if result.redis_keys > KEYS_MAX:
        wrong.append(f"{result.redis_keys} keys in Redis")
    return "\n".join(wrong)
