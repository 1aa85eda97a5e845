"""TLS, logins and narrow rights on a real Kafka and Redis: everything works with them, and nothing without.

Needs Apache Kafka, OpenSSL and redis-server; starts servers of its own.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from streams.cli import cli
from streams.commands import frame
from streams.roles import Role, RoleFailed, run_roles
from streams.settings import SettingsError, load_settings
from tests.floor_process import Process
from tests.integration.secured import PASSWORD, REDIS_USERS, RIGHTS, ROOT, Secured, secured

TOKEN = "0123456789abcdef01234567"
Environment = dict[str, str]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as services:
        with pytest.MonkeyPatch.context() as patch:
            assert command(patch, services.kafka_as("admin", "SCRAM-SHA-512"), "topics", "create") == 0
        yield services


def command(patch: pytest.MonkeyPatch, environment: Environment, *arguments: str) -> int:
    for name, value in environment.items():
        patch.setenv(name, value)
    return frame.run(cli, arguments)


def a_win(deal: str, amount: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    data = {"deal_id": deal, "amount": amount, "currency": "USD", "rep_id": "R-1"}
    head = {"specversion": "1.0", "id": deal, "source": "/test", "type": "sales.deal.won", "time": now}
    return json.dumps({**head, "data": data}).encode()


def until_ready(role: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with urlopen(f"{role}/-/ready", timeout=20):
                return
        except HTTPError as error:
            if time.monotonic() > end:
                raise
            error.close()
            time.sleep(0.05)


@pytest.fixture
def roles(services: Secured) -> Iterator[dict[str, Process]]:
    """Return the three roles, each a process and a user of its own; every way to log in is used by one."""
    environments = {
        "worker": services.kafka_as("worker", "SCRAM-SHA-256") | services.redis_as("worker"),
        "metrics": services.kafka_as("metrics", "SCRAM-SHA-512") | services.redis_as("metrics"),
        "gateway": services.kafka_as("gateway", "PLAIN") | {"SALESFLOOR_GATEWAY__TOKEN": TOKEN},
    }
    more = {"SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "6"}
    running = {
        role: Process(role, f"--{role}-port", "0", environment=environment | more)
        for role, environment in environments.items()
    }
    try:
        yield running
    finally:
        ends = {role: process.stop() for role, process in running.items()}
    assert set(ends.values()) == {0}, {role: process.told for role, process in running.items()}


def test_every_role_does_its_work_over_tls_with_its_own_login_and_no_more_rights_than_documented(
    services: Secured,
    roles: dict[str, Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateway = roles["gateway"].wait_for(r"POST (http://\S+)/events")
    for process in roles.values():
        process.drain()
    kind = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/cloudevents+json"}
    until_ready(gateway)
    with urlopen(Request(f"{gateway}/events", a_win("D-1", "7.00"), kind), timeout=20) as answer:
        assert answer.status == 202
    file = tmp_path / "events.jsonl"
    file.write_bytes(a_win("D-2", "5.00"))
    with monkeypatch.context() as patch:
        environment = services.kafka_by_certificate("publisher") | services.redis_as("metrics")
        assert command(patch, environment, "publish", "--wait", str(file)) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        asked = ("snapshot", "--kpi", "revenue", "--level", "floor", "--window", "today", "--json")
        assert command(patch, services.redis_as("metrics"), *asked) == 0
    assert [each["value"] for each in json.loads(capsys.readouterr().out)["values"]] == [12.0]
    everything = "".join(line for process in roles.values() for line in process.told)
    assert PASSWORD not in everything
    assert TOKEN not in everything
    assert "Traceback" not in everything, everything


def wrong_password(services: Secured, user: str, mechanism: str = "SCRAM-SHA-256") -> Environment:
    return services.kafka_as(user, mechanism) | {"SALESFLOOR_KAFKA__SASL_PASSWORD": f"not-{PASSWORD}"}


def without_certificate(services: Secured) -> Environment:
    environment = services.kafka_by_certificate("publisher")
    return {name: value for name, value in environment.items() if not re.search("CERT|KEY", name)}


REFUSED_COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Secured], Environment], int, str]] = {
    "wrong password": (("topics",), lambda s: wrong_password(s, "admin"), 2, "kafka.sasl_password_file"),
    "wrong plain password": (
        ("topics",), lambda s: wrong_password(s, "admin", "PLAIN"), 2, "kafka.sasl_password_file"
    ),
    "unknown authority": (
        ("topics",), lambda s: s.kafka_as("admin", ca="other-ca.pem"), 2, "kafka.ssl_ca_file"
    ),
    "no certificate": (("topics",), without_certificate, 1, "kafka.ssl_cert_file"),
    "no TLS": (("topics",), lambda s: {"SALESFLOOR_KAFKA": s.sasl}, 1, "kafka.security_protocol"),
    "no right to write": (
        ("publish", "FILE"), lambda s: s.kafka_as("onlooker"), 1, "does not let this user at a topic"
    ),
    "no right to see topics": (("publish", "FILE"), lambda s: s.kafka_as("nobody"), 1, "allow this user"),
    "wrong Redis password": (("snapshot",), lambda s: s.redis_as("metrics", "no"), 1, "redis.url_file"),
    "unknown authority of Redis": (
        ("snapshot",), lambda s: s.redis_as("metrics", ca="other-ca.pem"), 1, "ssl_ca_certs"
    ),
    "no right in Redis": (("snapshot",), lambda s: s.redis_as("nobody"), 1, "does not let this user do that"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_COMMANDS)
def test_what_refuses_is_said_in_one_line_that_names_the_setting(
    case: str,
    services: Secured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments, environment, code, said = REFUSED_COMMANDS[case]
    file = tmp_path / "events.jsonl"
    file.write_bytes(a_win("D-3", "1.00"))
    arguments = tuple(str(file) if each == "FILE" else each for each in arguments)
    assert command(monkeypatch, environment(services), *arguments) == code
    out, err = capfd.readouterr()
    assert (out, err[:7], err.count("\n")) == ("", "Error: ", 1), err
    assert said in err
    assert PASSWORD not in err


REFUSED_ROLES: dict[str, tuple[Role, Callable[[Secured], Environment], type[Exception], str]] = {
    "worker, Kafka's password": (
        Role.WORKER,
        lambda s: wrong_password(s, "worker") | s.redis_as("worker"),
        SettingsError,
        "kafka.sasl_password_file",
    ),
    "worker, rights in Redis": (
        Role.WORKER,
        lambda s: s.kafka_as("worker") | s.redis_as("metrics"),
        RoleFailed,
        "does not let this user do that",
    ),
    "metrics, Redis' authority": (
        Role.METRICS, lambda s: s.redis_as("metrics", ca="other-ca.pem"), RoleFailed, "ssl_ca_certs"
    ),
    "gateway, Kafka's authority": (
        Role.GATEWAY, lambda s: s.kafka_as("gateway", ca="other-ca.pem"), SettingsError, "kafka.ssl_ca_file"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_ROLES)
async def test_role_that_is_refused_at_its_start_ends_and_names_the_setting(
    case: str, services: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, environment, kind, said = REFUSED_ROLES[case]
    for name, value in environment(services).items():
        monkeypatch.setenv(name, value)
    ports = {each: {"port": 0} for each in ("worker", "metrics", "gateway")}
    with pytest.raises(kind, match=re.escape(said)) as refused:
        async with asyncio.timeout(30):
            await run_roles(load_settings(overrides=ports), (role,), stop=asyncio.Event())
    assert PASSWORD not in str(refused.value)


def test_rights_that_are_tried_here_are_those_that_are_documented() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for user, may in REDIS_USERS.items():
        assert may in text, user
    names = {3: "Read", 4: "Write", 5: "Create", 8: "Describe", 10: "DescribeConfigs"}
    for user in ("admin", "worker", "metrics", "gateway", "publisher"):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{user}` |"))
        for _kind, resource, pattern, operation in RIGHTS[user]:
            assert names[operation] in row, row
            assert f"`{resource}{'*' * (pattern == 4)}`" in row, row
