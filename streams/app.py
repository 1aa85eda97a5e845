"""Composition root of the worker: settings in, a running Faust app out. Decides nothing about records.

Boot order of `run_worker`:
1. the worker's own doors and the main-loop watchdog;
2. wait for Redis, refuse one that would drop state; wait for Kafka, create missing topics, check them;
3. wait while another deployment folds into this state, or while it is of other settings; announce the
   number of slots to readers;
4. the dead-letter producer, the Faust app, the checkpointer;
5. until `stop`: serve. Then the app stops reading, the last commit is made, the group is left.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import faust
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.admin import ensure_topics
from streams.agents import add_fold_agent
from streams.checkpointer import Checkpointer
from streams.clock import SystemClock
from streams.dead_letter import DeadLetterProducer
from streams.deployment import Deployment, HeldByAnother
from streams.faust_table import NoChangelogTableManager, RedisTable
from streams.heap import look_seldom
from streams.kafka_client import bootstrap_servers, meaning_of, ssl_context
from streams.keeper import BatchHook, Keeper
from streams.logs import FAUST_LOGGER, fields, said_by
from streams.serving import serving
from streams.settings import KafkaSettings, Settings
from streams.settings_rules import fold_rules
from streams.stores.base import ForeignState, SlotStore, StoreRefuses, StoreUnavailable
from streams.stores.known_topics import KnownTopics
from streams.stores.redis import RedisStore
from streams.switching import Switched, named, until_ours, while_ours
from streams.topics import SOURCES
from streams.watchdog import MainLoopWatchdog
from streams.worker_metrics import WorkerStatus, doors

log = logging.getLogger(__name__)

T = TypeVar("T")

REQUEST_TIMEOUT_SECONDS = 90.0
"""Faust gives up a seek after this time without a word; loading keeps its own, much shorter deadline."""
METADATA_AGE_MS = 30_000
"""Added partitions are seen so soon; until then what is written to them waits."""
STOP_SECONDS = 8.0
LAST_COMMIT_SECONDS = 3.0
WAIT_SECONDS = 0.5
WAIT_MAX_SECONDS = 10.0


class WorkerFailed(Exception):
    """The worker gave up. Start it again; the cause is in the message and in the log lines before it."""


class SalesfloorApp(faust.App):
    """A Faust app whose tables live in the slots' checkpoints."""

    logger = FAUST_LOGGER
    keeper: Keeper
    checkpointer: Checkpointer
    letters: DeadLetterProducer
    fetch_wait_ms: int
    failure: Exception | None = None

    def on_batch(self, hook: BatchHook) -> BatchHook:
        """Register a function that sees each partition's records right after they were folded, exactly once.

        It may read and write `app.Table`s: their rows are committed together with the records' offsets.
        """
        self.keeper.hooks.append(hook)
        return hook

    def _create_directories(self) -> None:
        """Nothing is kept on this machine."""


def create_app(settings: Settings, store: SlotStore) -> SalesfloorApp:
    """Build the Faust app with its agent, keeper and checkpointer. Starts nothing."""
    session = settings.kafka.session_timeout_seconds
    heartbeat = min(3.0, max(0.3, session / 6))
    app = SalesfloorApp(
        settings.kafka.group,
        broker=";".join(f"salesfloor://{server}" for server in bootstrap_servers(settings.kafka)),
        broker_credentials=credentials(settings.kafka),
        broker_session_timeout=session,
        broker_rebalance_timeout=session,
        broker_heartbeat_interval=heartbeat,
        broker_max_poll_interval=60.0,
        broker_request_timeout=max(REQUEST_TIMEOUT_SECONDS, session + 30.0),
        broker_max_poll_records=5000,
        consumer_auto_offset_reset="none",
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        stream_wait_empty=False,
        stream_buffer_maxsize=16,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        processing_guarantee="at_least_once",
        store="salesfloor://",
        Table=RedisTable,
        TableManager=NoChangelogTableManager,
    )
    app.fetch_wait_ms = settings.kafka.fetch_wait_ms
    app.keeper = Keeper(
        store, fold_rules(settings), SystemClock(), on_fatal=_crash(app), heartbeat_seconds=heartbeat
    )
    app.letters = DeadLetterProducer(settings.kafka)
    app.checkpointer = Checkpointer(app.keeper, app.letters, settings.worker.commit_interval_ms / 1000)
    add_fold_agent(app, app.keeper)
    _flush_when_partitions_leave(app, within_seconds=min(LAST_COMMIT_SECONDS, 0.4 * session))
    return app


def credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Return Faust's form of the TLS and SASL settings."""
    context = ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL_"):
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password is not None else None
        return SASLCredentials(
            username=kafka.sasl_username,
            password=password,
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return SSLCredentials(context) if context is not None else None


def _crash(app: SalesfloorApp) -> Callable[[Exception], None]:
    crashes: set[asyncio.Task[None]] = set()

    def crash(error: Exception) -> None:
        if app.failure is None:
            app.failure = error
            log.critical(fields("worker gives up", cause=said_by(error)))
            crashes.add(asyncio.create_task(app.crash(error)))

    return crash


def _flush_when_partitions_leave(app: SalesfloorApp, *, within_seconds: float) -> None:
    async def on_revoked(_app: Any, _revoked: Any, **_kwargs: Any) -> None:
        # Still a member of the group here, so the fence lets the last commit through.
        await app.checkpointer.flush_and_drop(within_seconds)

    async def on_before_shutdown(_app: Any, **_kwargs: Any) -> None:
        await app.checkpointer.flush_and_drop(within_seconds)

    app.on_partitions_revoked.connect(on_revoked)
    app.on_before_shutdown.connect(on_before_shutdown)


async def run_worker(
    settings: Settings,
    *,
    stop: asyncio.Event,
    extend: Callable[[SalesfloorApp], None] | None = None,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Run a worker in the current event loop until `stop`; raise `WorkerFailed` when it gives up.

    `extend` may add tables and batch hooks to the app before it starts. `on_listening` is told the port
    of the worker's doors.
    """
    look_seldom()
    async with AsyncExitStack() as parts:
        watchdog = MainLoopWatchdog(settings.worker.main_loop_timeout_seconds)
        await parts.enter_async_context(_background(watchdog.tick()))
        parts.callback(watchdog.stop)
        watchdog.start()
        status = WorkerStatus(lambda: watchdog.tick_age_seconds)
        worker = settings.worker
        address = await parts.enter_async_context(
            serving(doors(status), worker.host, worker.port, role="worker")
        )
        if on_listening is not None:
            on_listening(int(address.rpartition(":")[2]))
        store = RedisStore(
            settings.redis.url.get_secret_value(),
            namespace=settings.redis.namespace,
            version=settings.definition_version,
        )
        parts.push_async_callback(store.close)
        deployment = Deployment(settings)
        parts.push_async_callback(deployment.close)
        slots = await _wait_for_both(settings, store, deployment, stop, status)
        if slots is None:
            return
        app = create_app(settings, store)
        app.keeper.slots_expected = slots
        known = KnownTopics(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
        parts.push_async_callback(known.close)
        app.keeper.known_topics = known
        if extend is not None:
            extend(app)
        status.keeper, status.checkpointer = app.keeper, app.checkpointer
        app.checkpointer.observe_seconds = status.commit_seconds.observe
        await app.letters.start()
        parts.push_async_callback(app.letters.stop)
        try:
            await _serve(app, stop, while_ours(store, settings, slots), deployment.while_held())
        except WorkerFailed as error:
            # A slot's claim can find out sooner than who looks at what is shown.
            if type(app.failure) is not ForeignState:
                raise
            raise WorkerFailed(await named(app.failure, store, settings)) from error


async def _serve(app: SalesfloorApp, stop: asyncio.Event, *watches: Coroutine[Any, Any, None]) -> None:
    """Run the app and the checkpointer until `stop` or until one of them, or a watch, fails."""
    starting = asyncio.create_task(app.start(), name="faust app")
    committing = asyncio.create_task(app.checkpointer.run(), name="checkpointer")
    looking = asyncio.create_task(app.checkpointer.look_after(), name="look after")
    watching = [asyncio.create_task(watch, name="watch") for watch in watches]
    ended = asyncio.create_task(app.wait_until_stopped(), name="faust app ended")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    watched: set[asyncio.Task[Any]] = {starting, committing, looking, *watching, ended, stopping}
    everything = list(watched)
    try:
        while not stop.is_set() and not ended.done():
            done, _pending = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping, ended}:
                task.result()  # raises what it failed of; the app's start may simply be through
                watched.discard(task)
        if not stop.is_set():
            cause = app.failure or app.crash_reason
            why = _reason(cause) if cause else "no reason given"
            raise WorkerFailed(f"the worker ended by itself: {why}")
    except (Switched, HeldByAnother) as error:
        raise WorkerFailed(str(error)) from error
    except (KafkaError, StoreUnavailable) as error:
        raise WorkerFailed(f"the worker ended by itself: {meaning_of(error)}") from error
    finally:
        await _stop(app)
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)


def _reason(cause: BaseException) -> str:
    return meaning_of(cause) if isinstance(cause, KafkaError) else said_by(cause)


async def _stop(app: SalesfloorApp) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    except TimeoutError:
        log.critical(fields("worker did not stop in time", seconds=STOP_SECONDS))


async def _wait_for_both(
    settings: Settings, store: RedisStore, deployment: Deployment, stop: asyncio.Event, status: WorkerStatus
) -> int | None:
    """Wait until Redis and Kafka can be used, by us; return the number of slots, None when stopped before."""
    redis, kafka = settings.redis, settings.kafka
    warnings = await _until_there(
        "Redis", lambda: store.check(require_noeviction=redis.require_noeviction), StoreUnavailable, stop
    )
    if warnings is None:
        return None
    for warning in warnings:
        log.warning(warning)
    status.waiting_for = "kafka"

    async def topics() -> int:
        counts = await ensure_topics(settings)
        await deployment.learn_name()
        return counts[SOURCES[0]]

    slots = await _until_there(f"Kafka at {kafka.bootstrap}", topics, KafkaError, stop)
    if slots is None:
        return None
    status.waiting_for = "redis"

    async def ours() -> bool:
        return await deployment.until_held(stop) and await until_ours(
            store, settings, slots, stop, tell=status.wait_for
        )

    return slots if await _until_there("Redis", ours, StoreUnavailable, stop) else None


async def _until_there(
    what: str, attempt: Callable[[], Awaitable[T]], away: type[Exception], stop: asyncio.Event
) -> T | None:
    """Repeat the attempt with backoff; None when stopped before it succeeded. Says once that it waits."""
    pause, waited = WAIT_SECONDS, False
    while not stop.is_set():
        try:
            result = await attempt()
        except StoreRefuses as error:
            raise WorkerFailed(str(error)) from error
        except (away, OSError, TimeoutError) as error:
            if not waited:
                log.warning(fields(f"waiting for {what}", cause=meaning_of(error)))
            waited = True
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                pause = min(2 * pause, WAIT_MAX_SECONDS)
            continue
        if waited:
            log.warning(fields(f"{what} is there"))
        return result
    return None


@asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
