"""Made-up events in, records of the source topics out: a seed and a rate, and what the broker confirmed.

The history is the tests' hard one (tests.histories), of a bounded floor: the state stops growing, the log
does not. Among the records are copies and broken ones. Never reads anything back.
"""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from random import Random

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.histories import TOPICS, Event, Generator, delivery

ENTITIES = 100
STAGES_MAX = 90
STEP_SECONDS = 0.05
COPIES, BROKEN = 0.05, 0.005
MINUTE_MS, HOUR_MS = 60_000, 3_600_000

Place = tuple[str, int]


class Load:
    """Writes `rate` records a second while it runs; `ends` is what the broker has confirmed."""

    def __init__(self, kafka: str, seed: int, *, slots: int, until_ms: int, rate: float) -> None:
        """`until_ms`: no event's time is later."""
        self.kafka, self.slots, self.rate = kafka, slots, rate
        times = [until_ms - 1 - step for step in range(0, HOUR_MS, 7_919)]
        self._generator = Generator(seed, times=times, entities=ENTITIES)
        self._dice = Random(seed)
        self._recent: deque[Event] = deque(maxlen=500)
        self._stages: Counter[object] = Counter()
        self.ends: Counter[Place] = Counter()
        self.confirmed = self.failed = 0
        self._waiting: set[asyncio.Future[object]] = set()
        self._task: asyncio.Task[None] | None = None
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "Load":
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka, acks="all", linger_ms=5, request_timeout_ms=60_000
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._producer is not None
        await self.stop()
        await self._producer.stop()

    def start(self) -> None:
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name="load")

    async def stop(self) -> None:
        """Write no more, and wait for what is on its way."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self.settle()

    async def settle(self) -> None:
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def write(self, count: int) -> None:
        """Write so many records now, beside what runs."""
        for _ in range(count):
            await self._send(*self._next())

    async def write_raw(
        self, topic: str, partition: int, value: bytes | None, key: bytes | None = None
    ) -> None:
        await self._send(topic, partition, value, key)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        due, before = 0.0, clock()
        while True:
            await asyncio.sleep(STEP_SECONDS)
            # What could not be sent while the broker was away is not made up for: the rate is a rate.
            due += min(clock() - before, 1.0) * self.rate
            before = clock()
            await self.write(int(due))
            due -= int(due)

    def _next(self) -> tuple[str, int, bytes, None]:
        dice = self._dice
        if dice.random() < BROKEN:
            return dice.choice(tuple(TOPICS.values())), dice.randrange(self.slots), b"{broken", None
        if self._recent and dice.random() < COPIES:
            event = dice.choice(self._recent)
        else:
            event = self._bounded(self._generator.event())
            self._recent.append(event)
        return (*delivery(event, slots=self.slots), None)

    def _bounded(self, event: Event) -> Event:
        """Keep a deal's stages below what the product remembers of them: the oracle remembers all."""
        data = event["data"]
        assert isinstance(data, dict)
        if "stage" in data:
            deal = data["deal_id"]
            self._stages[deal] += 1
            if self._stages[deal] >= STAGES_MAX:
                del data["stage"]
        return event

    async def _send(self, topic: str, partition: int, value: bytes | None, key: bytes | None) -> None:
        assert self._producer is not None
        try:
            future = await self._producer.send(topic, value, key=key, partition=partition)
        except KafkaError:
            self.failed += 1
            return
        self._waiting.add(future)
        future.add_done_callback(self._told)

    def _told(self, future: "asyncio.Future[object]") -> None:
        self._waiting.discard(future)
        if future.cancelled() or future.exception() is not None:
            self.failed += 1
            return
        told = future.result()
        place = told.topic, told.partition  # type: ignore[attr-defined]
        self.ends[place] = max(self.ends[place], told.offset + 1)  # type: ignore[attr-defined]
        self.confirmed += 1
