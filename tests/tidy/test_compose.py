"""docker-compose.yml as far as it can be checked without an engine: its form, pinned images, mounted files,
commands that the CLI accepts and settings that it understands."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from streams.roles import check_metrics
from streams.settings import SettingsError, load_settings
from tests.tidy.repository import ROOT

IMAGE = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?")
MAIN = "from streams.cli import main; main()"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Healthcheck(_Strict):
    test: list[str]
    interval: str
    timeout: str
    retries: int
    start_period: str = "0s"


class Service(_Strict):
    image: str
    build: str | None = None
    profiles: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    ports: list[str] = []
    expose: list[str] = []
    volumes: list[str] = []
    secrets: list[str] = []
    depends_on: dict[str, dict[str, str]] | list[str] = []
    healthcheck: Healthcheck | None = None
    restart: str
    init: bool = False
    read_only: bool = False
    tmpfs: list[str] = []
    security_opt: list[str] = []
    cap_drop: list[str] = []
    stop_grace_period: str = "10s"


class Compose(_Strict):
    name: str
    x_salesfloor: dict[str, Any] = Field(alias="x-salesfloor")
    x_settings: dict[str, str] = Field(alias="x-settings")
    services: dict[str, Service]
    volumes: dict[str, None]
    secrets: dict[str, dict[str, str]] = {}


COMPOSE = Compose.model_validate(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
OURS = sorted(name for name, service in COMPOSE.services.items() if service.build)
ROLES = sorted(name for name in OURS if not COMPOSE.services[name].profiles)


def test_the_stack_is_whole() -> None:
    expected = {"kafka", "redis", "worker", "metrics", "gateway", "prometheus", "alertmanager", "grafana"}
    assert {name for name, service in COMPOSE.services.items() if not service.profiles} == expected
    assert ROLES == ["gateway", "metrics", "worker"]


def test_made_up_events_come_only_where_they_are_asked_for() -> None:
    assert [name for name in OURS if "simulate" in COMPOSE.services[name].command] == ["simulator"]
    assert COMPOSE.services["simulator"].profiles == ["demo"]


@pytest.mark.parametrize("name", COMPOSE.services)
def test_images_are_pinned(name: str) -> None:
    assert IMAGE.fullmatch(COMPOSE.services[name].image), COMPOSE.services[name].image


def test_base_images_of_our_own_image_are_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert bases
    assert all(IMAGE.fullmatch(base) for base in bases)


def test_the_image_is_built_from_files_that_are_there() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in allowed, f"{name} is kept out by .dockerignore"


@pytest.mark.parametrize("name", COMPOSE.services)
def test_mounted_files_and_volumes_exist(name: str) -> None:
    for mount in COMPOSE.services[name].volumes:
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), mount
            assert mount.endswith(":ro"), f"{mount}: our files are not the container's to change"
        else:
            assert source in COMPOSE.volumes, mount


@pytest.mark.parametrize("name", COMPOSE.services)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE.services[name].ports)


def test_no_port_is_published_twice() -> None:
    ports = [port.split(":")[1] for service in COMPOSE.services.values() for port in service.ports]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", COMPOSE.services)
def test_a_service_waits_only_for_services_that_can_become_what_it_waits_for(name: str) -> None:
    depends_on = COMPOSE.services[name].depends_on
    for other in depends_on:
        assert other in COMPOSE.services
        if isinstance(depends_on, dict) and depends_on[other]["condition"] == "service_healthy":
            assert COMPOSE.services[other].healthcheck is not None


@pytest.mark.parametrize("name", OURS)
def test_the_cli_accepts_the_command(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MAIN, *COMPOSE.services[name].command, "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert "Usage:" in run.stdout


@pytest.mark.parametrize("name", ROLES)
def test_the_settings_understand_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in COMPOSE.services[name].environment.items():
        assert key.startswith("SALESFLOOR_")
        default = re.fullmatch(r"\$\{\w+:([-?])(.*)\}", value)
        monkeypatch.setenv(key, default[2] if default else value)
    settings = load_settings()
    assert settings.kafka.bootstrap == "kafka:19092"
    section = getattr(settings, name)
    assert section.host == "0.0.0.0"
    published = [port.rpartition(":")[2] for port in COMPOSE.services[name].ports]
    assert (published or COMPOSE.services[name].expose) == [str(section.port)]


def test_the_numbers_are_shown_as_the_stack_comes_and_to_tokens_once_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = COMPOSE.services["metrics"].environment
    monkeypatch.setenv("SALESFLOOR_METRICS__HOST", said["SALESFLOOR_METRICS__HOST"])
    with pytest.raises(SettingsError, match="no \\[\\[access\\]\\] says who"):
        check_metrics(load_settings())
    assert said["SALESFLOOR_ACCESS"] == "${SALESFLOOR_ACCESS:-}"
    monkeypatch.setenv("SALESFLOOR_ACCESS", "")
    monkeypatch.setenv("SALESFLOOR_METRICS__OPEN", said["SALESFLOOR_METRICS__OPEN"])
    check_metrics(load_settings())


@pytest.mark.parametrize("name", ROLES)
def test_the_health_check_asks_at_the_port_the_role_listens_on(name: str) -> None:
    service = COMPOSE.services[name]
    assert service.healthcheck is not None
    port = service.environment[f"SALESFLOOR_{name.upper()}__PORT"]
    assert f"http://127.0.0.1:{port}/-/healthy" in service.healthcheck.test[-1]


def test_redis_keeps_what_the_checkpoints_need() -> None:
    command = " ".join(COMPOSE.services["redis"].command)
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_ci_tests_on_the_kafka_that_the_stack_runs() -> None:
    pom = (ROOT / ".ci" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    tested = re.findall(r"<kafka\.version>(.*)</kafka\.version>", pom)
    assert [COMPOSE.services["kafka"].image] == [f"apache/kafka:{version}" for version in tested]


def test_kafka_streams_is_measured_in_the_release_of_the_kafka_that_the_stack_runs() -> None:
    pom = (ROOT / "bench" / "jvm" / "pom.xml").read_text(encoding="utf-8")
    measured = re.findall(r"<artifactId>kafka-streams</artifactId>\s*<version>(.*)</version>", pom)
    assert [COMPOSE.services["kafka"].image] == [f"apache/kafka:{version}" for version in measured]
