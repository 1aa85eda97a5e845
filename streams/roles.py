"""Roles in, one process that runs them together until told to stop out. Composes, decides nothing.

One role that fails stops the others, in order, and its reason is what the process ends with. Kafka or
Redis that are not there yet are no failure: each role waits for them and says so.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

from metrics.panes import DAY_MS
from streams.clock import SystemClock
from streams.gateway import alertmanager
from streams.gateway.apis import open_apis
from streams.gateway.app import CLERK
from streams.gateway.app import create_app as create_gateway_app
from streams.gateway.avro_sources import open_schemas
from streams.gateway.fetching import fetching
from streams.gateway.incomplete_feed import following_incomplete
from streams.gateway.ledger import Ledger, Tell
from streams.gateway.sender import kafka_sender
from streams.gateway.sources import open_sources
from streams.gateway.topic_source import reading_topics
from streams.kafka_client import why_not
from streams.limits import Rate
from streams.logs import fields, said_by
from streams.metrics_role import Watch, run_metrics
from streams.serving import CannotListen, serving
from streams.settings import GatewaySettings, Settings, SettingsError
from streams.settings_access import TOKEN_LENGTH_MIN
from streams.settings_services import in_the_clear, is_loopback

log = logging.getLogger(__name__)

# Above the worker's own limits for stopping its app and for its last commit.
STOP_SECONDS = 15.0

Announce = Callable[[str, str], None]
"""Told a role and the address of its door, as soon as it is open."""


class Role(StrEnum):
    WORKER = "worker"
    METRICS = "metrics"
    GATEWAY = "gateway"


ALL_ROLES: tuple[Role, ...] = tuple(Role)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A made-up floor: `rate` multiplies how much happens on it."""

    rate: float = 1.0
    seed: int = 1


class RoleFailed(Exception):
    """A role gave up, so the process ends. The message names the role and its reason."""


async def run_roles(
    settings: Settings,
    roles: Collection[Role],
    *,
    stop: asyncio.Event,
    simulation: Simulation | None = None,
    announce: Announce = lambda _role, _address: None,
    watch: Watch | None = None,
    tell: Tell | None = None,
) -> None:
    """Run the roles until `stop` is set; raise `RoleFailed` if one ends before."""
    for warning in in_the_clear(settings.kafka, settings.redis):
        log.warning(warning)
    works: dict[str, Coroutine[Any, Any, None]] = {}
    if Role.WORKER in roles:
        works["worker"] = _run_worker(settings, stop, announce)
    if Role.METRICS in roles:
        works["metrics"] = _run_metrics(settings, stop, announce, watch)
    if Role.GATEWAY in roles:
        works["gateway"] = _run_gateway(settings, stop, announce, tell)
    if simulation is not None:
        works["simulator"] = _run_simulator(settings, simulation, stop)
    tasks = {asyncio.create_task(work, name=name) for name, work in works.items()}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failed = next((task for task in tasks if task.done()), None) if not stop.is_set() else None
    finally:
        stop.set()
        await _wind_down(tasks)
        await asyncio.gather(stopping, return_exceptions=True)
    failed = failed or next((task for task in tasks if not task.cancelled() and task.exception()), None)
    if failed is not None:
        cause = failed.exception()
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        raise _failure(failed.get_name(), cause) from cause


async def _wind_down(tasks: set[asyncio.Task[None]]) -> None:
    """Let every role end by itself, and cancel what does not."""
    _done, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in late:
        log.error(fields("role did not stop in time", role=task.get_name(), seconds=STOP_SECONDS))
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _failure(role: str, cause: BaseException | None) -> Exception:
    if cause is None:
        return RoleFailed(f"{role} ended by itself")
    if isinstance(cause, SettingsError | CannotListen):
        return cause
    # Our own errors are written for people; of another's the type says more than the words.
    if type(cause).__module__.startswith(("streams.", "metrics.")):
        return RoleFailed(f"{role}: {str(cause) or 'no reason given'}")
    return RoleFailed(f"{role}: {said_by(cause)}")


# --- the roles ----------------------------------------------------------------------------------


async def _run_worker(settings: Settings, stop: asyncio.Event, announce: Announce) -> None:
    from streams.app import run_worker  # Faust takes a second to import; the other roles do without

    host = settings.worker.host
    await run_worker(
        settings, stop=stop, on_listening=lambda port: announce("worker", f"http://{host}:{port}")
    )


async def _run_metrics(
    settings: Settings, stop: asyncio.Event, announce: Announce, watch: Watch | None
) -> None:
    check_metrics(settings)
    await run_metrics(
        settings, stop=stop, on_listening=lambda address: announce("metrics", address), watch=watch
    )


async def _run_gateway(
    settings: Settings, stop: asyncio.Event, announce: Announce, tell: Tell | None
) -> None:
    gateway = settings.gateway
    check_gateway(gateway)
    token = gateway.token.get_secret_value() if gateway.token else None
    sources = open_sources(settings, os.environ)
    apis = open_apis(settings, os.environ)
    avro = open_schemas(settings, os.environ)
    if isinstance(refusal := await why_not(settings.kafka), SettingsError):
        raise refusal  # a login that is wrong now does not become right by waiting
    async with AsyncExitStack() as parts:
        sender = await parts.enter_async_context(kafka_sender(settings.kafka))
        retention_ms = settings.worker.retention_days * DAY_MS if settings.clock == "wall" else None
        app = create_gateway_app(
            sender,
            SystemClock(),
            token=token,
            retention_ms=retention_ms,
            sources=sources.values(),
            ledger=Ledger(tell),
            more_doors=[alertmanager.add_doors],
            rate=Rate(gateway.requests_per_second, asyncio.get_running_loop().time),
        )
        await parts.enter_async_context(fetching(app[CLERK], sources.values(), apis))
        await parts.enter_async_context(following_incomplete(app[CLERK], sources.values(), settings))
        await parts.enter_async_context(reading_topics(sources.values(), app[CLERK], settings.kafka, avro))
        address = await parts.enter_async_context(_gateway_door(app, gateway))
        announce("gateway", address)
        await stop.wait()


def _gateway_door(app: web.Application, gateway: GatewaySettings) -> AbstractAsyncContextManager[str]:
    rate = gateway.requests_per_second
    return serving(app, gateway.host, gateway.port, role="gateway", requests_per_second=rate)


def check_gateway(gateway: GatewaySettings) -> None:
    """Refuse an open door: who can be reached from other machines must have a token that is hard to guess."""
    if is_loopback(gateway.host):
        return
    token = gateway.token.get_secret_value() if gateway.token else ""
    if len(token) < TOKEN_LENGTH_MIN:
        lacking = f"its token is shorter than {TOKEN_LENGTH_MIN} characters" if token else "there is no token"
        raise SettingsError(
            f"[gateway] host = {gateway.host!r} can be reached from other machines, but {lacking}; "
            "set SALESFLOOR_GATEWAY__TOKEN or [gateway] token_file (`openssl rand -hex 24` prints a good "
            "one), or listen on 127.0.0.1"
        )


def check_metrics(settings: Settings) -> None:
    """Refuse to show the floor's numbers to a network unless somebody decided who may see them."""
    metrics = settings.metrics
    if not (settings.access or metrics.open or is_loopback(metrics.host)):
        raise SettingsError(
            f"[metrics] host = {metrics.host!r} can be reached from other machines, but no [[access]] says "
            "who may see the numbers; add one with a token_file, or set [metrics] open = true "
            "(SALESFLOOR_METRICS__OPEN=true) where a proxy or a container guards the port, "
            "or listen on 127.0.0.1"
        )


async def _run_simulator(settings: Settings, simulation: Simulation, stop: asyncio.Event) -> None:
    from streams.simulate import run_simulation

    await run_simulation(settings, stop=stop, rate=simulation.rate, seed=simulation.seed)
