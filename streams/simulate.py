"""A seed and a span of time in, the events of a made-up sales floor out, in order of arrival.

`Floor` is pure: the same seed and span give the same bytes. `run_simulation` writes its history and then its
present to Kafka. Used by the demo, the benches and the tests; never touches anybody's real data.
"""

import asyncio
import heapq
import logging
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from metrics.panes import DAY_MS
from streams.clock import Clock, SystemClock
from streams.logs import fields
from streams.publish import Publisher, PublishError
from streams.rfc3339 import local_offset_ms, rfc3339
from streams.settings import Settings
from streams.simulate_books import Books, money_of
from streams.simulate_record import HOUR_MS, SOURCE, Simulated
from streams.simulate_story import Story, make_reps
from streams.topics import ACTIVITIES, DEALS

log = logging.getLogger(__name__)

LEADS_PER_DAY, REP_ACTIVITIES_PER_DAY = 240.0, 900.0
LIVE_LEADS_PER_HOUR, LIVE_REP_ACTIVITIES_PER_HOUR = 240.0, 500.0
"""The least a watched floor does, also at night: a win every few minutes, something every few seconds."""
# Share of a working day's leads by local hour: slow morning, busy from 10 to 16, a few in the evening.
_DAY_CURVE: Final = (1, 1, 1, 1, 1, 2, 5, 15, 45, 80, 100, 100, 85, 90, 100, 95, 80, 55, 30, 15, 10, 6, 3, 2)
_CURVE_SUM: Final = sum(_DAY_CURVE)
_WEEKEND_FACTOR: Final = 0.2

BACKFILL_DAYS = 90
LIVE_HEAD_MS = 2 * HOUR_MS
"""The floor becomes lively this long before now, so that at the start deals are already about to close."""
_TICK_SECONDS = 0.25
_RETRY_SECONDS = 2.0
_TURN = 200
"""Records sent before others in the loop get their turn: a few milliseconds."""


class Floor:
    """A made-up floor. `rate` multiplies how much happens; from `live_from_ms` on somebody watches it;
    reps' own activities before `activities_from_ms` are left out: a long history needs none."""

    def __init__(
        self,
        seed: int = 1,
        *,
        zone: ZoneInfo | None = None,
        currency: str = "USD",
        rate: float = 1.0,
        live_from_ms: int | None = None,
        activities_from_ms: int = 0,
        fiscal_year_start_month: int = 1,
    ) -> None:
        self._seed = seed
        self._zone = zone or ZoneInfo("UTC")
        self._money = money_of(currency)
        self._rate = rate
        self._live_from_ms = live_from_ms
        self._activities_from_ms = activities_from_ms
        self._reps = make_reps(Random(f"{seed}/reps"))
        self._books = Books(seed, self._zone, self._reps, self._money, rate, fiscal_year_start_month)

    def events(self, from_ms: int, to_ms: int) -> Iterator[Simulated]:
        """Yield what reaches Kafka in [from, to) of a floor that opened at `from`, in order of arrival."""
        return self.stream(from_ms).until(to_ms)

    def stream(self, from_ms: int) -> "FloorStream":
        return FloorStream(self, from_ms)

    def opening(self, from_ms: int) -> list[Simulated]:
        """Return what is known when the floor opens, and what follows from it."""
        return self._books.opening(from_ms)

    def hour(self, number: int, from_ms: int) -> list[Simulated]:
        """Return all that follows from what begins in one hour since the epoch, but not before `from_ms`."""
        random = Random(f"{self._seed}/{number}")
        start_ms = number * HOUR_MS
        share = self._share_of_day(start_ms)
        records: list[Simulated] = []
        usual, least = share * LEADS_PER_DAY, LIVE_LEADS_PER_HOUR
        for story, time_ms in self._stories(random, f"{number}", start_ms, from_ms, usual, least):
            records += story.lead(time_ms)
        usual, least = share * REP_ACTIVITIES_PER_DAY, LIVE_REP_ACTIVITIES_PER_HOUR
        since_ms = max(from_ms, self._activities_from_ms)
        for story, time_ms in self._stories(random, f"{number}r", start_ms, since_ms, usual, least):
            records += story.rep_activity(time_ms)
        return records + self._books.hour(start_ms)

    def _stories(
        self, random: Random, name: str, start_ms: int, since_ms: int, usual: float, least: float
    ) -> Iterator[tuple[Story, int]]:
        """Yield (story, when it begins): as many as usual, and in live time at least `least` an hour.

        Every draw is made even for what is left out, so that the rest is the same whoever watches.
        """
        if start_ms + HOUR_MS <= since_ms:
            return
        for extra, mean in (("", usual), ("x", max(0.0, least - usual))):
            for count in range(_poisson(random, mean * self._rate)):
                time_ms = start_ms + int(random.random() * HOUR_MS)
                seed = random.getrandbits(64)
                live = self._live_from_ms is not None and time_ms >= self._live_from_ms
                if time_ms >= since_ms and (live or not extra):
                    id = f"{name}{extra}-{count}"
                    story = Story(
                        random=Random(seed), name=id, zone=self._zone, live=live, reps=self._reps,
                        money=self._money,
                    )  # fmt: skip
                    yield story, time_ms

    def _share_of_day(self, time_ms: int) -> float:
        local_ms = time_ms + local_offset_ms(time_ms, self._zone)
        weight = _DAY_CURVE[local_ms // HOUR_MS % 24] / _CURVE_SUM
        return weight * (_WEEKEND_FACTOR if local_ms // DAY_MS % 7 in (2, 3) else 1.0)


class FloorStream:
    """Reads a floor on and on; the pieces together are what one long read would give."""

    def __init__(self, floor: Floor, from_ms: int) -> None:
        self._floor = floor
        self._from_ms = from_ms
        self._next_hour = from_ms // HOUR_MS
        self._waiting: list[Simulated] = floor.opening(from_ms)
        heapq.heapify(self._waiting)

    def until(self, to_ms: int) -> Iterator[Simulated]:
        """Yield everything that arrives before `to_ms` and was not yielded yet."""
        while self._next_hour * HOUR_MS < to_ms:
            for record in self._floor.hour(self._next_hour, self._from_ms):
                heapq.heappush(self._waiting, record)
            self._next_hour += 1
            yield from self._before(min(to_ms, self._next_hour * HOUR_MS))
        yield from self._before(to_ms)

    def _before(self, to_ms: int) -> Iterator[Simulated]:
        while self._waiting and self._waiting[0].arrival_ms < to_ms:
            yield heapq.heappop(self._waiting)


async def run_simulation(
    settings: Settings,
    *,
    stop: asyncio.Event,
    rate: float = 1.0,
    seed: int = 1,
    clock: Clock | None = None,
    backfill_days: int = BACKFILL_DAYS,
    on_backfilled: Callable[[int], None] | None = None,
) -> None:
    """Write a floor's last `backfill_days` days, then its present, until `stop` is set.

    `on_backfilled` is told how many events the history had. When Kafka is away it is tried again.
    """
    time = clock or SystemClock()
    began_ms = time.now_ms()
    # What workers no longer keep would only fill the dead letters.
    oldest_activity_ms = began_ms - (settings.worker.activity_horizon_days - 1) * DAY_MS
    floor = Floor(
        seed,
        zone=settings.floor.tzinfo,
        currency=settings.floor.currency,
        rate=rate,
        live_from_ms=began_ms - LIVE_HEAD_MS,
        activities_from_ms=oldest_activity_ms,
        fiscal_year_start_month=settings.floor.fiscal_year_start_month,
    )
    days = min(backfill_days, settings.worker.retention_days - 1)
    stream = floor.stream(began_ms - days * DAY_MS)
    backfilled = False
    while not stop.is_set():
        try:
            async with Publisher(settings) as publisher:
                while not stop.is_set():
                    records = stream.until(time.now_ms())
                    sent = await _send(records, publisher, oldest_activity_ms, stop)
                    if not backfilled:
                        backfilled = True
                        if on_backfilled is not None:
                            on_backfilled(sent)
                    await _wait(stop, _TICK_SECONDS)
        except PublishError as error:
            log.warning(fields("simulation waits for Kafka", reason=error))
            await _wait(stop, _RETRY_SECONDS)


async def _send(
    records: Iterator[Simulated], publisher: Publisher, oldest_activity_ms: int, stop: asyncio.Event
) -> int:
    sent = 0
    for record in records:
        if record.topic != ACTIVITIES or record.time_ms >= oldest_activity_ms:
            await publisher.send_record(record.topic, record.key, record.value)
            sent += 1
            if sent % _TURN == 0:
                # A worker may share this loop, and the user may press Ctrl-C during a long history.
                await asyncio.sleep(0)
                if stop.is_set():
                    break
    await publisher.flush()
    return sent


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        pass


def generate(
    count: int, *, now_ms: int, seed: int = 1, deals: int = 10_000, spread_ms: int = DAY_MS
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (topic, key, value) of deal events, fast: for benches. Every event changes its deal.

    Times lie in the `spread_ms` before `now_ms` and rise; each deal is created, updated and won in turn.
    """
    random = Random(seed)
    reps = make_reps(random)
    step = spread_ms / max(1, count)
    owners = [random.choice(reps) for _ in range(min(deals, 997))]
    types = (b"created", b"updated", b"won")
    for number in range(count):
        turn, deal = divmod(number, deals)
        owner = owners[deal % len(owners)]
        key = b"D-%d" % deal
        value = _BENCH_EVENT % (
            number, types[turn % 3], rfc3339(now_ms - spread_ms + int(number * step)).encode(), key,
            100 + number * 7919 % 100_000, number % 100, owner.rep_id.encode(), owner.team_id.encode(),
        )  # fmt: skip
        yield DEALS, key, value


_BENCH_EVENT = (
    b'{"specversion":"1.0","id":"e-%09d","source":"'
    + SOURCE.encode()
    + b'","type":"sales.deal.%s","time":"%s",'
    b'"data":{"deal_id":"%s","amount":"%d.%02d","currency":"USD","stage":"proposal","rep_id":"%s","team_id":"%s"}}'
)


def _poisson(random: Random, mean: float) -> int:
    """Draw how many of many rare things happen; by inversion, halved until e**-mean does not vanish."""
    if mean > 500:
        return _poisson(random, mean / 2) + _poisson(random, mean / 2)
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count += 1
        product *= random.random()
    return count
