"""A real Prometheus scrapes a running `salesfloor metrics`; what its query API answers is what the API says.

`SALESFLOOR_TEST_PROMETHEUS` names the binary; without it, a `prometheus` on the PATH is used.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from metrics.beside import beside_gauge_labels
from metrics.catalogue import BUILT_IN
from metrics.formula import KpiUnit
from metrics.gauge_windows import BY_DEFAULT
from oracle.windows import Floor
from tests.floor_process import Process, RunningFloor, running_floor
from tests.histories import Generator, edge_times

BINARY = "SALESFLOOR_TEST_PROMETHEUS"
DEADLINE_SECONDS = 60.0
AS_OF_MS = int(datetime(2018, 5, 16, 15, 30, tzinfo=UTC).timestamp()) * 1000
SUFFIX = {KpiUnit.SECONDS: "_seconds", KpiUnit.RATIO: "_ratio", KpiUnit.MONEY_PER_DAY: "_per_day"}

Labels = frozenset[tuple[str, str]]
Answer = TypeVar("Answer")


def prometheus_binary() -> str:
    named = os.environ.get(BINARY) or shutil.which("prometheus")
    if named is None:
        pytest.skip(f"no Prometheus: install it, or set {BINARY} to its binary")
    return named


def fetch(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=10) as response:
        told = json.load(response)
    assert isinstance(told, dict)
    return told


def until(ask: Callable[[], Answer | None]) -> Answer:
    """Ask again and again until there is an answer; connections refused while something starts are none."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except (urllib.error.URLError, ConnectionError):
            answer = None
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError("no answer in time")


@contextmanager
def prometheus_of(
    targets: str | Mapping[str, str], directory: Path, port: int, *, every_seconds: int = 1
) -> Iterator[str]:
    """Run a Prometheus that scrapes one target, or several by their job; yield its address."""
    binary, config, log = prometheus_binary(), directory / "prometheus.yml", directory / "prometheus.log"
    jobs = {"salesfloor": targets} if isinstance(targets, str) else targets
    scrapes = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in jobs.items()]
    config.write_text(
        json.dumps({"global": {"scrape_interval": f"{every_seconds}s"}, "scrape_configs": scrapes})
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=output,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def metrics_role(floor: RunningFloor) -> Iterator[str]:
    """Run `salesfloor metrics` in a process of its own against the floor's store; yield host:port."""
    process = Process("metrics", "--port", "0", environment=floor.environment)
    try:
        address = process.wait_for(r"http://([^/\s]+)/metrics")
        process.drain()
        yield address
    finally:
        process.stop()


def gauges_of(snapshot: Mapping[str, object]) -> dict[tuple[str, Labels], float]:
    """Say which samples the snapshot's numbers make, from the rules for gauge names and their windows."""
    gauges: dict[tuple[str, Labels], float] = {}
    values = snapshot["values"]
    assert isinstance(values, list)
    for value in values:
        kpi, level, window = value["kpi"], value["level"], value.get("window")
        if window not in BY_DEFAULT.of(BUILT_IN[kpi], level, (window,)):
            continue  # answered, but no gauge
        unit = SUFFIX.get(BUILT_IN[kpi].unit, "")
        labels = {**value["key"]}
        labels |= {name: str(value[name]) for name in ("window", "currency", "quantile") if name in value}
        gauges[f"salesfloor_{level}_{kpi}{unit}", frozenset(labels.items())] = float(value["value"])
    return gauges


def scraped(prometheus: str, names: str) -> dict[tuple[str, Labels], float]:
    query = urllib.parse.urlencode({"query": f'{{__name__=~"{names}"}}'})
    data = fetch(f"{prometheus}/api/v1/query?{query}")["data"]
    assert isinstance(data, dict)
    samples: dict[tuple[str, Labels], float] = {}
    for result in data["result"]:
        metric = dict(result["metric"])
        name = metric.pop("__name__")
        del metric["job"], metric["instance"]
        if name.startswith("salesfloor_rep_"):
            metric.pop("team", None)  # only told beside the rep, and not part of the number's key
        samples[name, frozenset(metric.items())] = float(result["value"][1])
    return samples


def settled_snapshot(address: str, floor: RunningFloor) -> dict[str, object]:
    """Return the API's snapshot once it holds all that was published; the event clock then stands still."""
    stored = json.loads(floor.command("snapshot", "--json"))["partitions"]
    return until(
        lambda: told if (told := fetch(f"http://{address}/api/snapshot"))["partitions"] == stored else None
    )


@pytest.mark.timeout(240)
def test_every_gauge_prometheus_scraped_equals_the_snapshot(tmp_path: Path, free_port: int) -> None:
    prometheus_binary()
    events = Generator(5, times=edge_times(AS_OF_MS, Floor()), entities=12).history(200)
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    with running_floor() as floor:
        floor.command("publish", str(file), "--wait")
        with metrics_role(floor) as address, prometheus_of(address, tmp_path, free_port) as prometheus:
            snapshot = settled_snapshot(address, floor)
            expected = gauges_of(snapshot)
            levels = "salesfloor_(floor|team|rep|stage)_.*"
            first = until(lambda: scraped(prometheus, levels) or None)
            assert {name for name, _ in expected} <= {name for name, _ in first}
            told = until(lambda: found if _has(found := scraped(prometheus, levels), expected) else None)
            assert {sample: told[sample] for sample in expected} == expected
            extra = {name for name, labels in told.keys() - expected.keys() if "_previous" not in name}
            assert extra <= beside_gauge_labels().keys(), "gauges that nothing tells"
            assert "salesfloor_team_conversion_trials" in extra
            as_of = scraped(prometheus, "salesfloor_as_of_timestamp_seconds")
            assert [datetime.fromtimestamp(value, UTC) for value in as_of.values()] == [
                datetime.fromisoformat(str(snapshot["as_of"]))
            ]


def _has(samples: Mapping[tuple[str, Labels], float], expected: Mapping[tuple[str, Labels], float]) -> bool:
    return expected.keys() <= samples.keys()
