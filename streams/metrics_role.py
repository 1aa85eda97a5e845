"""Redis in, a running `SnapshotService` with its web faces out. Waits for what is not there; writes nothing.

Until the number of slots is known and every board was read once there is no snapshot, so no gauge ever
shows a zero that only means "not read yet".
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from metrics.panes import Cell, FeedState, PaneLog, PaneReader, Resolution
from metrics.reference import Reference
from metrics.service import SnapshotService
from metrics.web.app import create_app
from streams.board import BoardFollower
from streams.clock import SystemClock
from streams.joins.standard import standard_joins
from streams.logs import fields
from streams.pane_log import GrowingLog
from streams.serving import serving
from streams.settings import Settings, snapshot_config_of
from streams.settings_rules import fold_rules
from streams.stores.base import StoreUnavailable
from streams.stores.redis import RedisStore

log = logging.getLogger(__name__)

_WAIT_FIRST_SECONDS = 0.25
_WAIT_LAST_SECONDS = 5.0

Watch = Callable[[SnapshotService, asyncio.Event], Coroutine[Any, Any, None]]
"""Looks at the numbers until the event is set: the terminal summary."""


class LateReader:
    """A `PaneReader` that is empty until it has a follower to read from."""

    def __init__(self) -> None:
        self.follower: BoardFollower | None = None
        self._nothing = GrowingLog()
        self._followed = 0

    def follow(self, follower: BoardFollower) -> None:
        self._followed += self.follower is not follower
        self.follower = follower

    def version(self) -> int:
        return 0 if self.follower is None else (self._followed << 40) + self.follower.version()

    def cells(self) -> Sequence[Cell]:
        return () if self.follower is None else self.follower.cells()

    def log(self) -> PaneLog:
        return self._nothing.view() if self.follower is None else self.follower.log()

    def resolutions(self) -> Sequence[Resolution]:
        return () if self.follower is None else self.follower.resolutions()

    def references(self) -> Sequence[Reference]:
        return () if self.follower is None else self.follower.references()

    def state(self) -> FeedState:
        return FeedState() if self.follower is None else self.follower.state()


class FollowedService(SnapshotService):
    """A service that also says when its boards are no longer followed."""

    def __init__(self, reader: LateReader, settings: Settings) -> None:
        super().__init__(
            reader,
            now_ms=SystemClock().now_ms,
            clock=settings.clock,
            config=snapshot_config_of(settings),
            tick_ms=settings.metrics.tick_ms,
        )
        self._late = reader

    def not_ready(self) -> str:
        follower = self._late.follower
        if follower is not None and follower.state().ready and not follower.connected:
            return "Redis is away: the numbers know nothing newer than its last answer"
        return super().not_ready()


def open_store(settings: Settings) -> RedisStore:
    return RedisStore(
        settings.redis.url.get_secret_value(),
        namespace=settings.redis.namespace,
        version=settings.definition_version,
    )


async def run_metrics(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_listening: Callable[[str], None] = lambda _address: None,
    watch: Watch | None = None,
) -> None:
    """Serve the numbers until `stop`."""
    reader = LateReader()
    service = FollowedService(reader, settings)
    app = create_app(service, floor_name=settings.floor.name, zone=settings.floor.zone)
    async with AsyncExitStack() as parts:
        metrics = settings.metrics
        on_listening(
            await parts.enter_async_context(serving(app, metrics.host, metrics.port, role="metrics"))
        )
        store = open_store(settings)
        parts.push_async_callback(store.close)
        async with asyncio.TaskGroup() as group:
            works = [
                group.create_task(_follow(store, settings, reader), name="follow"),
                group.create_task(_tick(service, reader, stop), name="tick"),
            ]
            if watch is not None:
                group.create_task(watch(service, stop), name="watch")
            await stop.wait()
            for work in works:
                work.cancel()


async def _follow(store: RedisStore, settings: Settings, reader: LateReader) -> None:
    """Follow the boards; once a worker announces another number of slots, those, when all are read."""
    async with asyncio.TaskGroup() as group:
        while True:
            slots = await _slots(store)
            follower = BoardFollower(
                store,
                slots=slots,
                definition_version=settings.definition_version,
                joins=standard_joins(fold_rules(settings)),
            )
            running = group.create_task(follower.run(), name="boards")
            if reader.follower is None:
                reader.follow(follower)  # so that readiness can tell how many are read
            await _until_read(follower)
            reader.follow(follower)
            await _until_other_than(slots, store)
            running.cancel()


async def _tick(service: SnapshotService, reader: LateReader, stop: asyncio.Event) -> None:
    await _until_read(reader)
    await service.run(stop)


async def _slots(store: RedisStore) -> int:
    """Wait for Redis, and for a worker to have told it how many slots there are."""
    pause, said = _WAIT_FIRST_SECONDS, ""
    while True:
        try:
            if slots := await store.slots():
                return slots
            reason = "no worker has started yet"
        except StoreUnavailable as error:
            reason = str(error)
        if reason != said:
            log.warning(fields("metrics wait", cause=reason))
            said = reason
        await asyncio.sleep(pause)
        pause = min(2 * pause, _WAIT_LAST_SECONDS)


async def _until_other_than(slots: int, store: RedisStore) -> None:
    found = slots
    while found in (slots, 0):
        await asyncio.sleep(_WAIT_LAST_SECONDS)
        with suppress(StoreUnavailable):
            found = await store.slots()


async def _until_read(reader: PaneReader) -> None:
    while not reader.state().ready:  # noqa: ASYNC110 - a board that was read tells nobody
        await asyncio.sleep(_WAIT_FIRST_SECONDS)
