"""Events from files in, acknowledged Kafka records out. Bad lines are reported, not sent.

Publishing the same twice changes no number: ids come from the content, and the fold takes each once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from streams.clock import Clock, SystemClock
from streams.decode import FUTURE_MAX_MS
from streams.publish_input import Ready, Refused, json_lines, load_map, mapped_rows, open_events
from streams.publisher import (
    Accepted,
    Compression,
    Publisher,
    PublishError,
    Receipt,
    RefusedEvent,
    SalesEvent,
    Targets,
    Unconfirmed,
)
from streams.routing import Routed, route
from streams.settings import Settings
from streams.stores.base import Board, StoreUnavailable
from streams.stores.redis import RedisStore
from streams.time_shift import Shift, shift_to
from streams.topics import REFERENCE

__all__ = [
    "Accepted",
    "Boards",
    "Pace",
    "PublishError",
    "PublishReport",
    "Publisher",
    "Receipt",
    "RefusedEvent",
    "SalesEvent",
    "Unconfirmed",
    "publish_file",
    "wait_until_folded",
]

_DAY_MS = 86_400_000
_PROGRESS_EVERY = 500
_POLL_SECONDS = 0.1
_STALL_SECONDS = 60.0
"""Workers that fold nothing for a minute are not there; a rebalance takes a tenth of it."""


class Boards(Protocol):
    async def read_board(self, slot: int) -> Board: ...


@dataclass
class PublishReport:
    published: int = 0
    refused: list[Refused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    targets: Targets = field(default_factory=dict)


Progress = Callable[[PublishReport], None]


async def publish_file(
    path: str,
    *,
    settings: Settings,
    map: str | None = None,
    shift_to_now: bool = False,
    speed: float | None = None,
    wait: bool = False,
    progress: Progress | None = None,
    boards: Boards | None = None,
    clock: Clock | None = None,
    compression: Compression | None = None,
) -> PublishReport:
    """Publish CloudEvents JSON lines (a file, .gz, or "-"), or tables through the column map `map`.

    `speed` N replays at N times real time; `wait` returns when the workers have folded and committed
    what was published, which it learns from `boards`.
    """
    run = _Run(settings, clock or SystemClock(), progress, speed)
    # The input is looked at before Kafka is: a wrong file name should not wait for a broker.
    if map is not None:
        items = mapped_rows(path, load_map(map), settings.floor.tzinfo)
        shift = run.shift_for(items) if shift_to_now else None
        async with Publisher(settings, compression=compression) as publisher:
            await run.send_all(items, publisher, shift)
    else:
        with open_events(path) as opened:
            name = "standard input" if path == "-" else path
            shift = run.shift_for(json_lines(opened, name)) if shift_to_now else None
            opened.seek(0)
            async with Publisher(settings, compression=compression) as publisher:
                await run.send_all(json_lines(opened, name), publisher, shift)
    run.warn_if_old(shifted=shift_to_now)
    if wait:
        if boards is not None:
            await wait_until_folded(boards, run.report.targets)
        else:
            async with _redis_boards(settings) as store:
                await wait_until_folded(store, run.report.targets)
    return run.report


@asynccontextmanager
async def _redis_boards(settings: Settings) -> AsyncIterator[Boards]:
    url = settings.redis.url.get_secret_value()
    store = RedisStore(url, namespace=settings.redis.namespace, version=settings.definition_version)
    try:
        yield store
    finally:
        await store.close()


class _Run:
    """One publishing: sends, counts, paces."""

    def __init__(
        self, settings: Settings, clock: Clock, progress: Progress | None, speed: float | None
    ) -> None:
        self._settings = settings
        self._now_ms = clock.now_ms()
        self._progress = progress
        self._pace = Pace(speed) if speed is not None else None
        self._old = 0
        self.report = PublishReport()

    def shift_for(self, items: Iterable[Ready | Refused]) -> Shift | None:
        times = (item.time_ms for item in items if isinstance(item, Ready))
        newest_ms = max((time_ms for time_ms in times if not self._is_future(time_ms)), default=None)
        if newest_ms is None:
            return None
        return shift_to(self._now_ms, newest_ms=newest_ms, zone=self._settings.floor.tzinfo)

    async def send_all(
        self, items: Iterable[Ready | Refused], publisher: Publisher, shift: Shift | None
    ) -> None:
        for count, item in enumerate(items, 1):
            if isinstance(item, Refused):
                self.report.refused.append(item)
            elif self._is_future(item.time_ms):
                self._refuse(item, "future: $.time is more than 24 h ahead")
            else:
                await self._send(item, publisher, shift)
            if self._progress is not None and count % _PROGRESS_EVERY == 0:
                self._progress(self.report)
        await publisher.flush()
        self.report.targets = publisher.targets
        if self._progress is not None:
            self._progress(self.report)

    async def _send(self, item: Ready, publisher: Publisher, shift: Shift | None) -> None:
        key, value = item.key, item.value
        if shift is not None:
            try:
                value = shift.apply(value)
                key = _key_of(value) if item.topic == REFERENCE else key
            except (ValueError, OverflowError) as error:
                self._refuse(item, f"cannot be shifted to now: {error}")
                return
        if self._pace is not None:
            await self._sleep_until_due(item.time_ms, self._pace)
        if item.topic != REFERENCE:
            self._old += item.time_ms < self._now_ms - self._settings.worker.retention_days * _DAY_MS
        await publisher.send_record(item.topic, key, value)
        self.report.published += 1

    async def _sleep_until_due(self, time_ms: int, pace: "Pace") -> None:
        seconds = pace.seconds_until_due(time_ms, now_seconds=asyncio.get_running_loop().time())
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _refuse(self, item: Ready, reason: str) -> None:
        self.report.refused.append(Refused(item.file, item.line, reason))

    def _is_future(self, time_ms: int) -> bool:
        return time_ms > self._now_ms + FUTURE_MAX_MS

    def warn_if_old(self, *, shifted: bool) -> None:
        if shifted or self._settings.clock == "event" or 2 * self._old <= self.report.published:
            return
        days = self._settings.worker.retention_days
        self.report.warnings.append(
            f"{self._old} of {self.report.published} events are older than the {days} days that workers keep "
            "by the wall clock; those go to the dead letters. Publish with --shift-to-now, or run the "
            "workers and metrics with --clock event, where time is that of the events."
        )


def _key_of(value: bytes) -> bytes:
    """Return the key anew: a reference record's id holds dates, which a shift moves."""
    routed = route(value)
    if isinstance(routed, Routed):
        return routed.key
    raise ValueError(routed.detail)


class Pace:
    """Spreads events over time as their own times are, `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        assert speed > 0
        self._speed = speed
        self._began: tuple[float, int] | None = None

    def seconds_until_due(self, time_ms: int, *, now_seconds: float) -> float:
        """Return how long to wait; the first event is due at once, and so is one older than it."""
        if self._began is None:
            self._began = (now_seconds, time_ms)
        began_seconds, first_ms = self._began
        due_seconds = began_seconds + (time_ms - first_ms) / 1000 / self._speed
        return max(0.0, due_seconds - now_seconds)


async def wait_until_folded(boards: Boards, targets: Targets) -> None:
    """Return when every slot has committed what was published; raise when nothing moves for a minute."""
    loop = asyncio.get_running_loop()
    open_targets = dict(targets)
    seen: Targets = {}
    moved_at = loop.time()
    while open_targets:
        for slot in sorted({partition for _, partition in open_targets}):
            try:
                offsets = (await boards.read_board(slot)).offsets
            except StoreUnavailable:
                continue  # the workers wait for it too
            for topic, partition in [place for place in open_targets if place[1] == slot]:
                at = offsets.get(topic, 0)
                if at != seen.get((topic, partition)):
                    seen[topic, partition] = at
                    moved_at = loop.time()
                if at >= open_targets[topic, partition]:
                    del open_targets[topic, partition]
        if open_targets and loop.time() - moved_at > _STALL_SECONDS:
            missing = sum(target - seen.get(place, 0) for place, target in open_targets.items())
            raise PublishError(
                f"published, but no worker folds it: {missing} records wait in {len(open_targets)} "
                "partitions; is `salesfloor worker` running against the same Kafka and Redis?"
            )
        if open_targets:
            await asyncio.sleep(_POLL_SECONDS)
