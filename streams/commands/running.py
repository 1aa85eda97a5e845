"""`demo`, `run`, `worker`, `metrics` and `gateway`: start roles, say where to look, end cleanly on Ctrl-C."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import click
from rich.console import Console

from metrics.service import SnapshotService
from streams.commands.frame import debugging
from streams.embedded import HOST, Embedded, embedded
from streams.gateway.ledger import Tell
from streams.logs import configure_logging, fields
from streams.metrics_role import Watch
from streams.roles import STOP_SECONDS, Role, Simulation, check_gateway, check_metrics, run_roles
from streams.settings import Settings
from streams.terminal import watch_lines, watch_live
from streams.watchdog import StopDeadline

log = logging.getLogger(__name__)

# The embedded broker holds a join for half the session timeout: 3 s makes a start quick, and is still
# thirty heartbeats of patience on a machine that is busy.
_EMBEDDED_KAFKA = {"session_timeout_seconds": 3.0, "fetch_wait_ms": 150}
KAFKA_PORT, REDIS_PORT = 9092, 6379
_SAME_SIGNAL_SECONDS = 1.0
# Above what the roles take at most, and the embedded parts after them.
_END_SECONDS = STOP_SECONDS + 15.0


@dataclass(frozen=True, slots=True)
class EmbeddedPorts:
    kafka: int = KAFKA_PORT
    redis: int = REDIS_PORT


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run in this process."""

    title: str
    roles: Collection[Role]
    embedded: EmbeddedPorts | None = None
    simulation: Simulation | None = None
    live: bool = True
    tell: Tell | None = None
    """Told what becomes of each delivery to the gateway."""


def run(settings: Settings, plan: Plan) -> None:
    """Run until Ctrl-C or SIGTERM; raises when something fails."""
    if Role.GATEWAY in plan.roles:
        check_gateway(settings.gateway)
    if Role.METRICS in plan.roles:
        check_metrics(settings)
    configure_logging("DEBUG" if debugging() else "INFO", settings.log_format)
    with StopDeadline(_END_SECONDS) as deadline:
        asyncio.run(_run(settings, plan, deadline))


class _Listener(Protocol):
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


def free_or_any(listener: _Listener, name: str) -> int:
    """Return the port, or 0 for any free one after saying so when another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
        except OSError:
            click.echo(
                f"port {listener.port} is taken: {name} gets a free one (--{name}-port chooses)", err=True
            )
            return 0
    return listener.port


class _Default(NamedTuple):
    host: str
    port: int


def embedded_ports(kafka: int | None, redis: int | None, *, any_port: bool) -> EmbeddedPorts:
    chosen = []
    for name, port, default in (("kafka", kafka, KAFKA_PORT), ("redis", redis, REDIS_PORT)):
        if port is None:
            port = free_or_any(_Default(HOST, default), name) if any_port else default
        chosen.append(port)
    return EmbeddedPorts(*chosen)


async def _run(settings: Settings, plan: Plan, deadline: StopDeadline) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    overseeing = asyncio.create_task(deadline.begin_with(stop), name="stop deadline")
    console = Console()
    async with AsyncExitStack() as parts:
        running: Embedded | None = None
        if plan.embedded is not None:
            console.print("starting the embedded Kafka broker and Redis …", highlight=False)
            running = await parts.enter_async_context(embedded(plan.embedded.kafka, plan.embedded.redis))
            settings = _on_embedded(settings, running)
        doors = _Doors(console, settings, plan, running)
        await run_roles(
            settings,
            plan.roles,
            stop=stop,
            simulation=plan.simulation,
            announce=doors.opened,
            watch=_watch(console, plan, doors),
            tell=plan.tell,
        )
    overseeing.cancel()
    with suppress(OSError):
        console.print("ended; nothing of the embedded parts is left" if running else "ended", highlight=False)


def _on_embedded(settings: Settings, running: Embedded) -> Settings:
    """Return the settings with the embedded parts' addresses, whatever the file says about real ones."""
    kafka = {"bootstrap": running.kafka, "partitions": settings.kafka.partitions, **_EMBEDDED_KAFKA}
    redis = {"url": running.redis_url, "namespace": settings.redis.namespace}
    whole = {name: getattr(settings, name) for name in type(settings).model_fields}
    return Settings.model_validate({**whole, "kafka": kafka, "redis": redis})


def stop_on_signals(stop: asyncio.Event) -> None:
    """Ctrl-C and SIGTERM end gently; another one, a second or more later, at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    asked_at: list[float] = []

    def on_signal() -> None:
        # A wrapper (make, timeout) often passes on what the terminal has already sent to us.
        if asked_at and main is not None and loop.time() - asked_at[0] > _SAME_SIGNAL_SECONDS:
            main.cancel()
        asked_at.append(loop.time())
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


def _watch(console: Console, plan: Plan, doors: "_Doors") -> Watch | None:
    if Role.METRICS not in plan.roles or len(plan.roles) == 1:
        return None
    if not (plan.live and console.is_terminal and os.environ.get("TERM") != "dumb"):

        async def lines(service: SnapshotService, stop: asyncio.Event) -> None:
            await doors.all_open(stop)
            await watch_lines(console, service, stop)

        return lines

    async def live(service: SnapshotService, stop: asyncio.Event) -> None:
        await doors.all_open(stop)
        _log_above(console)
        await watch_live(console, service, stop, title=f"{plan.title}  ·  Ctrl-C ends it")

    return live


def _log_above(console: Console) -> None:
    """Let log lines scroll above the live summary instead of tearing it."""

    class Above(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)

    root = logging.getLogger()
    above = Above()
    above.setFormatter(root.handlers[0].formatter if root.handlers else None)
    root.handlers[:] = [above]


class _Doors:
    """Collects the addresses of the roles and says them once all are open."""

    def __init__(self, console: Console, settings: Settings, plan: Plan, running: Embedded | None) -> None:
        self._console = console
        self._settings = settings
        self._plan = plan
        self._running = running
        self._addresses: dict[str, str] = {}
        self._all_open = asyncio.Event()

    def opened(self, role: str, address: str) -> None:
        self._addresses[role] = address
        if len(self._addresses) == len(self._plan.roles):
            try:
                for text in self._lines():
                    self._console.print(text, markup=False, highlight=False, soft_wrap=True)
                sys.stdout.flush()
            except OSError as error:  # a full disk, say; the roles are worth more than what is said of them
                log.warning(fields("standard output takes nothing", reason=error.strerror))
            self._all_open.set()

    async def all_open(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._all_open, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _lines(self) -> list[str]:
        lines = [self._plan.title]
        if metrics := self._addresses.get("metrics"):
            lines += [
                f"  wall          {metrics}/wall",
                f"  status page   {metrics}/",
                f"  gauges        {metrics}/metrics",
                f"  numbers       {metrics}/api/snapshot",
            ]
        if gateway := self._addresses.get("gateway"):
            lines.append(f"  events door   POST {gateway}/events")
            lines += [f"  webhooks      POST {gateway}/hooks/{one.name}" for one in self._settings.sources]
            if self._settings.gateway.token is None:
                lines.append(
                    "                (lets nobody in: set SALESFLOOR_GATEWAY__TOKEN and start again)"
                )
        if worker := self._addresses.get("worker"):
            lines.append(f"  worker        {worker}/metrics")
        if self._running is not None:
            lines += [
                "  for other commands against this floor:",
                f"    export {' '.join(self._exports(self._running))}",
            ]
        return lines

    def _exports(self, running: Embedded) -> list[str]:
        clock = [] if self._settings.clock == "wall" else [f"SALESFLOOR_CLOCK={self._settings.clock}"]
        return [f"SALESFLOOR_KAFKA={running.kafka}", f"SALESFLOOR_REDIS={running.redis_url}", *clock]
