"""A floor with a real Prometheus and a real Alertmanager around it, and a webhook that keeps what it is told.

Everything runs on free loopback ports and looks once a second; rules and routes are made by
`salesfloor alerts` from the settings given. Judges nothing.
"""

import json
import os
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.floor_process import SALESFLOOR, Process
from tests.integration.test_prometheus import prometheus_binary, until
from tests.ports import free_ports

TOKEN = "a-token-of-the-test"
ALERTMANAGER = "SALESFLOOR_TEST_ALERTMANAGER"
NAMES = ("prometheus-alertmanager", "alertmanager")
ROLES = ("metrics", "gateway", "worker")

Json = dict[str, Any]


def alertmanager_binary() -> str:
    found = os.environ.get(ALERTMANAGER) or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Alertmanager: install it, or set {ALERTMANAGER} to its binary")
    return found


@dataclass(frozen=True)
class Watched:
    """Addresses of what runs, the files that it reads, and what the webhook was told."""

    gateway: str
    metrics: str
    prometheus: str
    alertmanager: str
    kafka: str
    redis: str
    directory: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    webhook: str
    notices: list[Json]

    def send(self, events: Sequence[Json]) -> None:
        """Hand events to the gateway, which answers when Kafka has them."""
        for start in range(0, len(events), 1000):
            request = urllib.request.Request(
                f"{self.gateway}/events",
                json.dumps(events[start : start + 1000]).encode(),
                {
                    "Content-Type": "application/cloudevents-batch+json",
                    "Authorization": f"Bearer {TOKEN}",
                },
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.status == 202

    def asked(self, query: str) -> list[Json]:
        """Return Prometheus' answer: the series with their labels and values."""
        asked = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/query?{asked}", timeout=10) as answer:
            found: list[Json] = json.load(answer)["data"]["result"]
        return found

    def number(self, query: str) -> float | None:
        found = self.asked(query)
        return float(found[0]["value"][1]) if found else None

    def wait_for(self, query: str, value: float) -> None:
        until(lambda: True if self.number(query) == value else None)

    def look_again(self, times: int = 3) -> None:
        """Wait until Prometheus has evaluated the conversion rules so many times more."""

        def evaluated_at() -> str | None:
            with urllib.request.urlopen(f"{self.prometheus}/api/v1/rules", timeout=10) as answer:
                groups = json.load(answer)["data"]["groups"]
            found = [group for group in groups if group["name"] == "salesfloor-conversion"]
            return str(found[0]["lastEvaluation"]) if found else None

        seen: set[str] = set()

        def has_looked() -> bool | None:
            seen.update(filter(None, [evaluated_at()]))
            return True if len(seen) > times else None

        until(has_looked)

    def set_routes(self, settings: str) -> None:
        """Let Alertmanager go on with what other settings make; the service and its rules keep theirs."""
        config = _configuration(
            self.directory, "routes", settings, door=self.ports["gateway"], webhook=self.webhook
        )
        _make("alertmanager", self.directory, {**self.environment, "SALESFLOOR_CONFIG": str(config)})
        _reload(self.alertmanager)

    @contextmanager
    def out_of_reach(self, role: str) -> Iterator[None]:
        """Let Prometheus look for a role where nobody answers, as if it were gone."""
        (nobody,) = free_ports(1)
        try:
            self._scrape({**self.ports, role: nobody})
            yield
        finally:
            self._scrape(self.ports)

    def _scrape(self, ports: Mapping[str, int]) -> None:
        _prometheus_config(self.directory, ports, self.alertmanager)
        _reload(self.prometheus)

    def is_held_back(self, name: str) -> bool:
        """Say whether Alertmanager has firing alerts of that name, and holds all of them back for others."""
        asked = urllib.parse.urlencode({"filter": f'alertname="{name}"', "receiver": "people"})
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts?{asked}", timeout=10) as answer:
            found = [each["status"] for each in json.load(answer)]
        return bool(found) and all(status["inhibitedBy"] for status in found)

    def told_of(self, name: str, status: str = "firing") -> list[Json]:
        """Return the alerts of that name in the webhook's notices."""
        return [
            alert
            for notice in list(self.notices)
            for alert in notice["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]


@contextmanager
def watched_floor(directory: Path, settings: str) -> Iterator[Watched]:
    prometheus_binary(), alertmanager_binary()
    *role_ports, prometheus_port, alertmanager_port = free_ports(5)
    ports = dict(zip(ROLES, role_ports, strict=True))
    prometheus, alertmanager = (f"http://127.0.0.1:{port}" for port in (prometheus_port, alertmanager_port))
    with ExitStack() as parts:
        notices: list[Json] = []
        webhook = parts.enter_context(_webhook(notices))
        config = _configuration(directory, "salesfloor", settings, door=ports["gateway"], webhook=webhook)
        environment = {"SALESFLOOR_CONFIG": str(config), "SALESFLOOR_GATEWAY__TOKEN": TOKEN}
        floor = parts.enter_context(_floor(ports, environment))
        for what in ("rules", "alertmanager"):
            _make(what, directory, floor.environment)
        scraped = _prometheus_config(directory, ports, alertmanager)
        parts.enter_context(_alertmanager(directory, alertmanager_port))
        parts.enter_context(_prometheus(directory, scraped, prometheus_port))
        yield Watched(
            f"http://127.0.0.1:{ports['gateway']}",
            f"http://127.0.0.1:{ports['metrics']}",
            prometheus,
            alertmanager,
            floor.environment["SALESFLOOR_KAFKA"],
            floor.environment["SALESFLOOR_REDIS"],
            directory,
            ports,
            floor.environment,
            webhook,
            notices,
        )


@contextmanager
def _floor(ports: dict[str, int], environment: dict[str, str]) -> Iterator[Process]:
    options = [text for role, port in ports.items() for text in (f"--{role}-port", str(port))]
    floor = Process(
        *("run", "--embedded", "--no-live", "--kafka-port", "0", "--redis-port", "0", *options),
        environment=environment,
    )
    try:
        exports = floor.wait_for(r"export (SALESFLOOR_KAFKA=.*)")
        floor.drain()
        floor.environment |= dict(export.split("=", 1) for export in exports.split())
        yield floor
    finally:
        floor.stop()


def _configuration(directory: Path, name: str, settings: str, *, door: int, webhook: str) -> Path:
    """Add to the settings who is told: the gateway's door, and the webhook in the place of people."""
    token = directory / "token"
    token.write_text(TOKEN)
    path = directory / f"{name}.toml"
    told = (
        f'door_url = "http://127.0.0.1:{door}/alertmanager"\ndoor_token_file = "{token}"\n'
        f'webhook_url = "{webhook}"\n'
    )
    path.write_text(settings.replace("[alerts]\n", f"[alerts]\n{told}"))
    return path


def _make(what: str, directory: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(
        [*SALESFLOOR, "alerts", what, "--output", str(directory)],
        env=environment, capture_output=True, timeout=60, check=True,
    )  # fmt: skip


def _reload(address: str) -> None:
    """Let Prometheus or Alertmanager read its files anew; it answers when that is done."""
    with urllib.request.urlopen(urllib.request.Request(f"{address}/-/reload", b""), timeout=20):
        pass


def _prometheus_config(directory: Path, ports: Mapping[str, int], alertmanager: str) -> Path:
    jobs = [
        {"job_name": f"salesfloor-{role}", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for role, port in ports.items()
    ]
    tree = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(directory / "rules" / "*.yml")],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]
        },
        "scrape_configs": jobs,
    }
    path = directory / "prometheus.yml"
    path.write_text(json.dumps(tree))
    return path


@contextmanager
def _prometheus(directory: Path, config: Path, port: int) -> Iterator[None]:
    arguments = [
        prometheus_binary(), f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle",
        # What ends while files are read anew is told at the next turn; by default that is a minute later.
        "--rules.alert.resend-delay=5s",
    ]  # fmt: skip
    with _running(arguments, directory / "prometheus.log", f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def _alertmanager(directory: Path, port: int) -> Iterator[None]:
    arguments = [
        alertmanager_binary(), f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with _running(arguments, directory / "alertmanager.log", f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def _running(arguments: list[str], log: Path, address: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output)

        def is_ready() -> bool | None:
            assert process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"{address}/-/ready", timeout=10):
                    return True
            except OSError:  # it does not listen yet, or says that it is not ready
                return None

        try:
            until(is_ready)
            yield
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def _webhook(notices: list[Json]) -> Iterator[str]:
    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: the test looks at the notices."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
