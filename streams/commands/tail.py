"""`salesfloor gateway --tail`: what becomes of deliveries, from the gateway that runs or from one of its own.

Shows ids, types and reasons; a body, a name or an amount is never in what it is told.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import click
import msgspec

from streams.commands.frame import Failed
from streams.commands.running import Plan, run
from streams.gateway.ledger import Fate, Line
from streams.rfc3339 import rfc3339
from streams.roles import Role
from streams.settings import Settings

_COLOURS = {Fate.ACCEPTED: "green", Fate.SKIPPED: "bright_black", Fate.INCOMPLETE: "yellow"}


def tail(settings: Settings, *, as_json: bool) -> None:
    """Follow the gateway at the settings' address; where none listens, run one and follow it."""
    show = _print_json if as_json else _print_line
    if not asyncio.run(_follow(settings, show)):
        run(settings, Plan(title="salesfloor gateway", roles=(Role.GATEWAY,), tell=show))


async def _follow(settings: Settings, show: Callable[[Line], None]) -> bool:
    """Show lines until the gateway ends; return False when nobody listens at its address."""
    gateway = settings.gateway
    token = gateway.token.get_secret_value() if gateway.token else ""
    address = f"http://{_reachable(gateway.host)}:{gateway.port}"
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{address}/tail", headers=headers) as response,
        ):
            _check(response.status, address, has_token=bool(token))
            click.echo(f"following {address} (Ctrl-C ends it)", err=True)
            async for line in response.content:
                if line.strip():
                    show(msgspec.json.decode(line, type=Line))
    except aiohttp.ClientConnectorError:
        return False
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        raise Failed(f"{address} broke off ({type(error).__name__}); start again when it is back") from None
    click.echo("the gateway has ended", err=True)
    return True


def _check(status: int, address: str, *, has_token: bool) -> None:
    if status == 401:
        fix = "is another than its own" if has_token else "is missing"
        raise Failed(
            f"the gateway at {address} tells of its deliveries to who has its token, and "
            f"SALESFLOOR_GATEWAY__TOKEN {fix}; set it to the one that the gateway was started with"
        )
    if status != 200:
        raise Failed(f"what listens at {address} is no gateway of this version (status {status})")


def _reachable(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared with, not bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _print_json(line: Line) -> None:
    told: dict[str, Any] = msgspec.to_builtins(line)
    click.echo(json.dumps({**told, "at": rfc3339(line.at_ms)}))
    sys.stdout.flush()


def _print_line(line: Line) -> None:
    fate = click.style(f"{line.fate:<11}", fg=_COLOURS.get(line.fate, "red"))
    what = " ".join(part for part in (line.type, line.id, line.reason, line.detail) if part)
    click.echo(f"{rfc3339(line.at_ms)[11:23]}  {line.source:<14}  {fate}  {what}")
    sys.stdout.flush()
