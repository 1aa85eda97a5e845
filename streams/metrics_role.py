"""Redis in, a running `SnapshotService` with its web faces out. Waits for what is not there.

The state in Redis is shown under the settings it was folded under, whatever this process was started with;
only what it means to be shown (levels, windows, formulas) is this process's own.

It writes nothing but results of contests that are over, each once.

Until the number of slots is known and every board was read once there is no snapshot, so no gauge ever
shows a zero that only means "not read yet".
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from metrics.beside import BesideRules
from metrics.panes import Cell, FeedState, PaneLog, PaneReader, Resolution
from metrics.reference import Reference
from metrics.service import SnapshotService
from metrics.web.app import create_app
from metrics.web.wall import Assets, Wall
from metrics.web.wall_stream import WallStream
from streams.alert_feed import AlertFeed
from streams.board import BoardFollower
from streams.clock import SystemClock
from streams.contest_results import keep_contest_results
from streams.deal_turns import DealTurns
from streams.definition import differences, settings_under
from streams.explain_source import StoredExplainer
from streams.following import following
from streams.heap import look_seldom
from streams.live_access import LiveGrants
from streams.logs import fields
from streams.pane_log import GrowingLog
from streams.reconcile_feed import ReconcileFeed
from streams.serving import serving
from streams.settings import Settings, beside_rules_of, snapshot_config_of
from streams.settings_rules import fold_rules
from streams.stores.base import Shown, StoreRefuses, StoreUnavailable
from streams.stores.reconciled import ReconciledStore
from streams.stores.redis import RedisStore
from streams.stores.results import ResultStore
from streams.switching import generation_of
from streams.wall_rules import wall_rules_of

log = logging.getLogger(__name__)

_WAIT_FIRST_SECONDS = 0.25
_WAIT_LAST_SECONDS = 5.0
_LOOK_SECONDS = 1.0

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
            beside=_beside(settings),
            tick_ms=settings.metrics.tick_ms,
        )
        self._late = reader
        self.refusal = ""
        """Why the state that is to be shown cannot be; "" when it can."""

    def show(self, follower: BoardFollower, under: Settings, version: str) -> None:
        """Take over panes together with the settings they were folded under."""
        self._late.follow(follower)
        self.use(snapshot_config_of(under), under.clock, version=version, beside=_beside(under))

    def not_ready(self) -> str:
        if self.refusal:
            return self.refusal
        follower = self._late.follower
        if follower is not None and follower.state().ready and not follower.connected:
            return "Redis is away: the numbers know nothing newer than its last answer"
        return super().not_ready()


def _beside(settings: Settings) -> BesideRules:
    return replace(beside_rules_of(settings), hours=fold_rules(settings).joins.hours)


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
    look_seldom()
    reader = LateReader()
    service = FollowedService(reader, settings)
    explaining = open_store(settings)
    turns = DealTurns()
    alerts = AlertFeed(settings, SystemClock())
    reconciled = ReconciledStore(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
    drift = ReconcileFeed(reconciled)
    wall = _wall(settings, service, turns, alerts, drift)
    grants = LiveGrants(settings.access) if settings.access else ()
    app = create_app(
        service,
        floor_name=settings.floor.name,
        zone=settings.floor.zone,
        explain=StoredExplainer(settings, explaining, SystemClock().now_ms),
        grants=grants,
        hosts=_hosts(settings),
        wall=wall,
    )
    async with AsyncExitStack() as parts:
        parts.push_async_callback(explaining.close)
        parts.push_async_callback(reconciled.close)
        metrics = settings.metrics
        door = serving(
            app, metrics.host, metrics.port, role="metrics", requests_per_second=metrics.requests_per_second
        )
        on_listening(await parts.enter_async_context(door))
        store = open_store(settings)
        parts.push_async_callback(store.close)
        results = ResultStore(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
        parts.push_async_callback(results.close)
        async with asyncio.TaskGroup() as group:
            works = [
                group.create_task(_follow(store, settings, reader, service, turns), name="follow"),
                group.create_task(_tick(service, reader, stop), name="tick"),
                group.create_task(keep_contest_results(results, service), name="results"),
                group.create_task(wall.stream.run(), name="wall"),
                group.create_task(drift.run(), name="drift"),
            ]
            if settings.alerts.banner:
                works.append(group.create_task(alerts.run(), name="alerts"))
            if watch is not None:
                group.create_task(watch(service, stop), name="watch")
            await stop.wait()
            for work in works:
                work.cancel()


def _hosts(settings: Settings) -> frozenset[str] | None:
    """Return the names that may be asked by; None where tokens, or somebody's decision, guard the doors."""
    metrics = settings.metrics
    if settings.access or metrics.open:
        return None
    own = {metrics.host.lower(), f"[{metrics.host}]", "localhost", "127.0.0.1", "[::1]"}
    return frozenset(own | {name.lower() for name in metrics.hosts})


def _wall(
    settings: Settings, service: FollowedService, turns: DealTurns, alerts: AlertFeed, drift: ReconcileFeed
) -> Wall:
    assets = Assets.read()
    stream = WallStream(
        service,
        wall_rules_of(settings),
        floor=settings.floor.name,
        release=assets.release,
        now_ms=SystemClock().now_ms,
        turns=turns,
        alerts=alerts,
    )
    service.also_show(lambda: (*stream.gauges(), *drift.gauges()))
    return Wall(stream, assets)


class _Following:
    """One generation's boards, followed on a connection of their own."""

    def __init__(
        self,
        store: RedisStore,
        shown: Shown,
        generation: int | None,
        under: Settings,
        turns: DealTurns,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store.of_generation(generation, version=shown.version)
        self.under = under
        self.version = shown.version
        self.follower = following(
            self._store,
            fold_rules(under),
            slots=shown.slots,
            definition_version=shown.version,
            roster_only=under.metrics.roster_only,
            news=turns.see,
            on_change=on_change,
        )
        self.running = asyncio.create_task(self.follower.run(), name="boards")

    async def hold(self) -> None:
        """Stop following, but stand for the numbers: nobody writes these boards any more."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.follower.connected = True

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self._store.close()


async def _follow(
    store: RedisStore, settings: Settings, reader: LateReader, service: FollowedService, turns: DealTurns
) -> None:
    """Follow the state that is to be shown, under the settings it was folded under.

    When other state is to be shown, it is read whole beside what is shown; then it and its settings take
    the place of the old ones in one step.
    """
    held: _Following | None = None
    following: _Following | None = None
    try:
        while True:
            shown = await _shown(store, starting=held is None and following is None)
            under = settings_under(shown, settings)
            service.refusal = "" if under else _refusal(shown, settings)
            if under is None:
                log.error(fields("metrics wait", cause=service.refusal))
                await _until_other_than(shown, store)
                continue
            if under is not settings:
                differing = differences(shown, settings)
                log.warning(fields("state of other settings is shown", differing=differing))
            try:
                generation = await generation_of(shown, store)
            except StoreUnavailable:
                continue  # `_shown` waits for it
            following = _Following(store, shown, generation, under, turns, service.note_changes)
            if reader.follower is None:
                service.show(following.follower, under, shown.version)  # tells how many boards are read
            await _first_of(
                following.running,
                _until_read(following.follower),
                _until_other_than(shown, store, reading=[generation]),
            )
            if following.follower.state().ready:
                service.show(following.follower, under, shown.version)
                if held is not None:
                    await held.end()
                held, following = following, None
                await _first_of(held.running, _until_other_than(shown, store, reading=[generation]))
                await held.hold()
            else:
                await following.end()
    finally:
        for each in (held, following):
            if each is not None:
                await each.end()


def _refusal(shown: Shown, settings: Settings) -> str:
    return (
        f"the state in use cannot be read here: {differences(shown, settings)}; start this role with the "
        "release and settings of the workers, or run `salesfloor rebuild` with those of this role"
    )


async def _first_of(*works: "Coroutine[Any, Any, None] | asyncio.Task[None]") -> None:
    """Wait until one of them ends; cancel the coroutines among the others. Raises what it failed of."""
    tasks = {work if isinstance(work, asyncio.Task) else asyncio.create_task(work): work for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        ours = [task for task, work in tasks.items() if task is not work]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)


async def _tick(service: SnapshotService, reader: LateReader, stop: asyncio.Event) -> None:
    await _until_read(reader)
    await service.run(stop)


async def _shown(store: RedisStore, *, starting: bool) -> Shown:
    """Wait for Redis, and for a worker to have told it how many slots there are.

    Raises `StoreRefuses` while the role is `starting`: a wrong login does not become right by waiting.
    """
    pause, said = _WAIT_FIRST_SECONDS, ""
    while True:
        try:
            if shown := await store.shown():
                return shown
            reason = "no worker has started yet"
        except StoreUnavailable as error:
            if starting and isinstance(error, StoreRefuses):
                raise
            reason = str(error)
        if reason != said:
            log.warning(fields("metrics wait", cause=reason))
            said = reason
        await asyncio.sleep(pause)
        pause = min(2 * pause, _WAIT_LAST_SECONDS)


async def _until_other_than(shown: Shown, store: RedisStore, *, reading: Sequence[int | None] = ()) -> None:
    """Wait until other state than this is to be shown, or to be read from other than these generations."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        with suppress(StoreUnavailable):
            found = await store.shown()
            if found is None:
                continue
            if _state_of(found) != _state_of(shown):
                return
            if reading and await generation_of(found, store) not in reading:
                return


def _state_of(shown: Shown) -> tuple[int, str, int | None]:
    return shown.slots, shown.version, shown.generation


async def _until_read(reader: PaneReader) -> None:
    while not reader.state().ready:  # noqa: ASYNC110 - a board that was read tells nobody
        await asyncio.sleep(_WAIT_FIRST_SECONDS)
