"""Every door listens on this machine only unless told otherwise, and then somebody decided who gets in."""

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel

from metrics.web.app import create_app
from streams.metrics_role import _hosts
from streams.settings import Settings
from streams.settings_services import in_the_clear
from tests.unit.metrics.test_web import FixedSource

ACCESS = [{"name": "office", "token": "0123456789abcdef", "may": "all"}]


def settings(**metrics: object) -> Settings:
    return Settings.model_validate({"metrics": metrics})


def test_every_section_that_listens_listens_on_this_machine_by_default() -> None:
    found = {
        name: section.host
        for name in Settings.model_fields
        if isinstance(section := getattr(Settings(), name), BaseModel) and hasattr(section, "host")
    }
    assert found == {"worker": "127.0.0.1", "metrics": "127.0.0.1", "gateway": "127.0.0.1"}


async def asked(host: str | None, of: Settings, path: str = "/api/kpis") -> int:
    app = create_app(FixedSource(), hosts=_hosts(of))
    async with TestClient(TestServer(app)) as client:
        headers = {} if host is None else {"Host": host}
        async with client.get(path, headers=headers) as response:
            if response.status == 421:
                assert "[metrics] hosts" in await response.text()
            return response.status


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8400", "localhost", "LocalHost:8400", "[::1]:8400", "[::1]", "localhost.:80", None]
)
async def test_numbers_open_to_this_machine_are_told_under_its_own_names(host: str | None) -> None:
    assert await asked(host, settings()) == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8400", "evil.example", "127.0.0.1.evil.example", "localhost:evil", "x@127.0.0.1"]
)
async def test_a_name_that_somebody_else_points_here_is_told_nothing(host: str) -> None:
    for path in ("/", "/wall", "/metrics", "/api/kpis", "/api/snapshot", "/nowhere"):
        assert await asked(host, settings(), path) == 421
    assert await asked(host, settings(), "/-/healthy") == 200


@pytest.mark.parametrize("of", [settings(open=True), settings(hosts=["Floor.example"])])
async def test_a_proxys_name_is_taken_where_somebody_said_so(of: Settings) -> None:
    assert await asked("floor.example", of) == 200


def test_with_tokens_any_name_will_do_since_nobody_can_guess_them() -> None:
    assert _hosts(Settings.model_validate({"access": ACCESS})) is None


async def test_no_answer_lets_another_origin_read_it() -> None:
    async with TestClient(TestServer(create_app(FixedSource()))) as client:
        for path in ("/", "/wall", "/metrics", "/api/kpis", "/api/snapshot", "/nowhere", "/-/ready"):
            for method in ("GET", "OPTIONS"):
                headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
                async with client.request(method, path, headers=headers) as response:
                    assert "access-control" not in repr(response.headers).lower()
                    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def clear(kafka: dict[str, str] | None = None, redis: str = "redis://127.0.0.1:6379/0") -> list[str]:
    login = {"sasl_username": "floor", "sasl_password": "secret"} if kafka else {}
    settings = Settings.model_validate({"kafka": {**(kafka or {}), **login}, "redis": {"url": redis}})
    return in_the_clear(settings.kafka, settings.redis)


def test_a_password_that_others_could_read_on_the_way_is_warned_of() -> None:
    open_, shut = "SASL_PLAINTEXT", "SASL_SSL"
    (kafka,) = clear({"security_protocol": open_, "bootstrap": "localhost:9092,kafka-1:9092"})
    (redis,) = clear(redis="redis://floor:secret@redis:6379/0")
    assert "SASL_SSL" in kafka
    assert "rediss://" in redis
    assert "secret" not in kafka + redis
    assert clear({"security_protocol": shut, "bootstrap": "kafka-1:9092"}) == []
    assert clear({"security_protocol": open_, "bootstrap": "127.0.0.1:9092,[::1]:9093"}) == []
    assert clear(redis="rediss://floor:secret@redis:6379/0") == clear(redis="redis://redis:6379/0") == []
