"""Roles in one process: one that fails stops the others, and its reason is what remains."""

import asyncio
import re

import pytest

from streams import roles
from streams.roles import Role, RoleFailed, check_gateway, check_metrics, run_roles
from streams.serving import CannotListen
from streams.settings import GatewaySettings, Settings, SettingsError
from streams.stores.base import StoreUnavailable

BOTH = (Role.METRICS, Role.GATEWAY)


class Steady:
    """A role that runs until it is stopped."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.stopped = False

    async def run(self, _settings: Settings, stop: asyncio.Event, *_rest: object) -> None:
        self.running.set()
        await stop.wait()
        self.stopped = True


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    steady = Steady()
    monkeypatch.setattr(roles, "_run_metrics", steady.run)
    return steady


def gateway_ends_with(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    async def end(*_arguments: object) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    monkeypatch.setattr(roles, "_run_gateway", end)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (StoreUnavailable("Redis is gone"), RoleFailed, "gateway: Redis is gone"),
        (ZeroDivisionError("by zero"), RoleFailed, "gateway: ZeroDivisionError (its words may"),
        (ExceptionGroup("many", [StoreUnavailable("one")]), RoleFailed, "gateway: one"),
        (CannotListen("port taken"), CannotListen, "port taken"),
        (SettingsError("no token"), SettingsError, "no token"),
        (None, RoleFailed, "gateway ended by itself"),
    ],
)
async def test_role_that_ends_stops_the_others_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    steady: Steady,
    error: Exception | None,
    kind: type[Exception],
    said: str,
) -> None:
    gateway_ends_with(monkeypatch, error)
    with pytest.raises(kind, match=f"^{re.escape(said)}"):
        await run_roles(Settings(), BOTH, stop=asyncio.Event())
    assert steady.stopped


async def test_being_told_to_stop_is_no_failure(steady: Steady) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_roles(Settings(), (Role.METRICS,), stop=stop))
    await steady.running.wait()
    stop.set()
    await running
    assert steady.stopped


async def test_role_that_fails_while_it_stops_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail_at_the_end(_settings: Settings, stop: asyncio.Event, *_rest: object) -> None:
        await stop.wait()
        raise StoreUnavailable("the last commit was lost")

    monkeypatch.setattr(roles, "_run_metrics", fail_at_the_end)
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(RoleFailed, match="the last commit was lost"):
        await run_roles(Settings(), (Role.METRICS,), stop=stop)


async def test_role_that_does_not_stop_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(*_arguments: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(roles, "_run_metrics", deaf)
    monkeypatch.setattr(roles, "STOP_SECONDS", 0.01)
    stop = asyncio.Event()
    stop.set()
    await run_roles(Settings(), (Role.METRICS,), stop=stop)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_gateway_on_this_machine_only_may_stand_without_a_token(host: str) -> None:
    check_gateway(GatewaySettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.2", "floor.example.com"])
def test_gateway_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="SALESFLOOR_GATEWAY__TOKEN"):
        check_gateway(GatewaySettings(host=host))
    with pytest.raises(SettingsError, match="shorter than 16 characters") as refused:
        check_gateway(GatewaySettings.model_validate({"host": host, "token": "hunter2"}))
    assert "hunter2" not in str(refused.value)
    check_gateway(GatewaySettings.model_validate({"host": host, "token": "0123456789abcdef"}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_numbers_are_open_to_this_machine_without_a_token(host: str) -> None:
    check_metrics(Settings.model_validate({"metrics": {"host": host}}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.2", "floor.example.com"])
def test_numbers_that_others_reach_need_a_token_or_a_decision(host: str) -> None:
    others_reach_it = {"metrics": {"host": host}}
    with pytest.raises(SettingsError, match=r"add one with a token_file, or set \[metrics\] open = true"):
        check_metrics(Settings.model_validate(others_reach_it))
    entry = {"name": "office", "token": "0123456789abcdef", "may": "all"}
    check_metrics(Settings.model_validate({**others_reach_it, "access": [entry]}))
    check_metrics(Settings.model_validate({"metrics": {"host": host, "open": True}}))
