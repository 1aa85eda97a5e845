"""`salesfloor gateway --tail` against a gateway that runs, one that wants another token, and none."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.clock import ManualClock
from streams.commands import tail
from streams.commands.frame import Failed
from streams.gateway.app import CLERK, create_app
from streams.gateway.ledger import Fate, Line
from streams.settings import Settings
from tests.senders import RecordingSender

LINE = Line(1_763_134_927_311, "hubspot", Fate.ACCEPTED, type="sales.deal.won", id="9")


@pytest.fixture
def app() -> web.Application:
    return create_app(RecordingSender(), ManualClock(0), token="hunter2", retention_ms=None)


@pytest.fixture
async def server(app: web.Application) -> AsyncIterator[TestServer]:
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


def at(port: int | None, token: str | None) -> Settings:
    return Settings.model_validate({"gateway": {"port": port, "token": token}})


async def test_lines_come_as_they_are_noted_until_the_gateway_ends(
    app: web.Application, server: TestServer
) -> None:
    shown: list[Line] = []
    came = asyncio.Event()

    def show(line: Line) -> None:
        shown.append(line)
        came.set()

    following = asyncio.create_task(tail._follow(at(server.port, "hunter2"), show))
    ledger = app[CLERK].ledger
    while not ledger.followers:
        await asyncio.sleep(0)
    ledger.note(LINE)
    await came.wait()
    ledger.close()
    assert await following is True
    assert shown == [LINE]


@pytest.mark.parametrize(("token", "fix"), [(None, "is missing"), ("hunter3", "is another than its own")])
async def test_token_that_does_not_fit_is_named(server: TestServer, token: str | None, fix: str) -> None:
    with pytest.raises(Failed, match=f"SALESFLOOR_GATEWAY__TOKEN {fix}"):
        await tail._follow(at(server.port, token), print)


async def test_nobody_there_is_no_error(unused_tcp_port: int) -> None:
    assert await tail._follow(at(unused_tcp_port, None), print) is False


def test_line_is_short_for_people_and_whole_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    tail._print_line(LINE)
    tail._print_json(LINE)
    people, programs = capsys.readouterr().out.splitlines()
    assert people == "15:42:07.311  hubspot         accepted     sales.deal.won 9"
    assert '"at": "2025-11-14T15:42:07.311Z"' in programs
