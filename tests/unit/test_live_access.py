"""A token that is changed or taken back in its file holds no longer, without a restart."""

import logging
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from metrics.web.access import guard
from streams.live_access import LOOK_SECONDS, LiveGrants
from streams.settings import Settings, load_settings

FIRST, SECOND = "first-0123456789", "second-0123456789"


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Floor:
    """A metrics role's doors as far as tokens go, with two tokens in files."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.directory = Clock(), directory
        for name in ("office", "lobby"):
            self.write(name, f"{name}-{FIRST}")
        file = directory / "salesfloor.toml"
        file.write_text(
            '[[access]]\nname = "office"\ntoken_file = "office.token"\nmay = "all"\n'
            '[[access]]\nname = "lobby"\ntoken_file = "lobby.token"\nmay = "wall"\n'
        )
        self.grants = LiveGrants(load_settings(file).access, self.clock)

    def write(self, name: str, token: str) -> None:
        (self.directory / f"{name}.token").write_text(f"{token}\n")

    async def asked(self, token: str, path: str = "/wall") -> int:
        app = web.Application(middlewares=[guard(self.grants)])
        for each in ("/wall", "/metrics"):
            app.router.add_get(each, _fine)
        async with (
            TestClient(TestServer(app)) as client,
            client.get(path, headers={"Authorization": f"Bearer {token}"}) as response,
        ):
            return response.status


async def _fine(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return Floor(tmp_path)


async def test_a_token_changed_in_its_file_takes_the_place_of_the_old_one(floor: Floor) -> None:
    assert await floor.asked(f"lobby-{FIRST}") == 200
    floor.write("lobby", SECOND)
    assert await floor.asked(f"lobby-{FIRST}") == 200, "files are looked at once in a while"
    floor.clock.seconds += LOOK_SECONDS
    assert await floor.asked(f"lobby-{FIRST}") == 401
    assert await floor.asked(SECOND) == 200
    assert await floor.asked(SECOND, "/metrics") == 403
    assert await floor.asked(f"office-{FIRST}") == 200


@pytest.mark.parametrize("left", ["", "short", "with blanks in it, and long"])
async def test_a_file_without_a_token_opens_to_nobody(floor: Floor, left: str) -> None:
    floor.write("lobby", left)
    floor.clock.seconds += LOOK_SECONDS
    for token in (f"lobby-{FIRST}", left, ""):
        assert await floor.asked(token) == 401


async def test_when_every_token_is_taken_back_the_doors_are_shut_and_not_open(floor: Floor) -> None:
    for name in ("office", "lobby"):
        (floor.directory / f"{name}.token").unlink()
    floor.clock.seconds += LOOK_SECONDS
    assert await floor.asked(f"office-{FIRST}") == 401
    assert await floor.asked("") == 401


async def test_a_token_that_comes_back_opens_again(floor: Floor) -> None:
    (floor.directory / "lobby.token").unlink()
    floor.clock.seconds += LOOK_SECONDS
    assert await floor.asked(f"lobby-{FIRST}") == 401
    floor.write("lobby", f"lobby-{FIRST}")
    floor.clock.seconds += LOOK_SECONDS
    assert await floor.asked(f"lobby-{FIRST}") == 200


async def test_a_change_is_told_without_the_token(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    floor.write("lobby", SECOND)
    floor.clock.seconds += LOOK_SECONDS
    with caplog.at_level(logging.DEBUG):
        await floor.asked(SECOND)
    assert "token changed access=lobby" in caplog.text
    assert SECOND not in caplog.text
    assert FIRST not in caplog.text


async def test_tokens_of_the_variable_stay_as_they_are() -> None:
    access = [{"name": "office", "token": FIRST, "may": "all"}]
    grants = LiveGrants(Settings.model_validate({"access": access}).access, clock := Clock())
    clock.seconds += LOOK_SECONDS
    assert [grant.name for grant in grants()] == ["office"]
