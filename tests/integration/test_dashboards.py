"""Every query of every panel and variable, asked of a real Prometheus that scraped a made-up floor at work.

One floor and one Prometheus for all. The floor's clock stands on a Thursday afternoon, so that no window is
empty by the day the test runs on. `SALESFLOOR_TEST_PROMETHEUS` names the binary.
"""

import re
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.panes import DAY_MS
from streams.simulate import LIVE_HEAD_MS, Floor
from tests.dashboards import BOARDS, Asked, asked, filled, variables, windows
from tests.floor_process import ROOT, RunningFloor, running_floor
from tests.integration.test_prometheus import (
    fetch,
    prometheus_binary,
    prometheus_of,
    settled_snapshot,
    until,
)

AS_OF_MS = int(datetime(2026, 5, 21, 15, 30, tzinfo=UTC).timestamp()) * 1000
HISTORY_DAYS, ACTIVITY_DAYS = 62, 34
RATE = 0.2
RANGE_SECONDS = 240
SCRAPE_SECONDS = 4
"""A scrape may take so long; where many tests run at once, a second is not enough for a whole floor."""

TOO_SHORT = {"today"}
"""By the afternoon somebody on a quiet floor has sold nothing: no average deal, and no data is right."""

DOORS = 3
"""Of the metrics role, the worker and the gateway."""

Choices = dict[str, str]


def history(file: Path) -> None:
    """Write the last two months of a floor that somebody has been watching for two hours."""
    floor = Floor(
        rate=RATE,
        live_from_ms=AS_OF_MS - LIVE_HEAD_MS,
        activities_from_ms=AS_OF_MS - ACTIVITY_DAYS * DAY_MS,
    )
    with file.open("wb") as lines:
        for record in floor.events(AS_OF_MS - HISTORY_DAYS * DAY_MS, AS_OF_MS):
            lines.write(record.value + b"\n")


def doors(floor: RunningFloor) -> dict[str, str]:
    """Return what to scrape, under the names that the stack's Prometheus gives it."""
    told = "".join(floor.told)
    found = {
        "salesfloor-metrics": floor.metrics.removeprefix("http://"),
        "salesfloor-worker": re.findall(r"worker\s+http://(\S+)/metrics", told)[0],
        "salesfloor-gateway": re.findall(r"http://(\S+)/events", told)[0],
    }
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    assert found.keys() <= {job["job_name"] for job in config["scrape_configs"]}
    return found


def ask(prometheus: str, path: str, **parameters: object) -> list[Any]:
    told = fetch(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    data = told["data"]
    found = data["result"] if isinstance(data, dict) else data
    assert isinstance(found, list)
    return found


@dataclass(frozen=True)
class Moment:
    """An instant at which a Prometheus had scraped everything; what it knows of it stays as it is."""

    prometheus: str
    seconds: float

    def now(self, expr: str) -> list[Any]:
        return ask(self.prometheus, "query", query=expr, time=self.seconds)

    def lately(self, expr: str) -> list[Any]:
        start, step = self.seconds - RANGE_SECONDS, RANGE_SECONDS / 24
        return ask(self.prometheus, "query_range", query=expr, start=start, end=self.seconds, step=step)

    @property
    def whole(self) -> bool:
        return [each["value"][1] for each in self.now("up")] == ["1"] * DOORS

    def tells(self, as_of: datetime) -> bool:
        """Say whether every door had just been scraped, and the numbers were those of `as_of`."""
        told = [float(each["value"][1]) for each in self.now("salesfloor_as_of_timestamp_seconds")]
        return self.whole and told == [as_of.timestamp()]


def moment_of(prometheus: str, as_of: datetime) -> Moment | None:
    """Return a moment with the numbers of `as_of` that no scrape under way can change, if there is one.

    They had been scraped before that too: a rate takes two.
    """
    moment = Moment(prometheus, time.time() - SCRAPE_SECONDS)
    before = Moment(prometheus, moment.seconds - 2 * SCRAPE_SECONDS)
    return moment if before.tells(as_of) and moment.tells(as_of) else None


def has_number(moment: Moment, query: Asked, choices: Mapping[str, str]) -> bool:
    """Say whether the query, asked the way its panel asks it, returns a number."""
    expr = filled(query.expr, choices)
    if query.instant:
        return any(isfinite(float(each["value"][1])) for each in moment.now(expr))
    series = moment.lately(expr)
    return any(isfinite(float(value)) for each in series for _, value in each["values"])


def choices_of(moment: Moment, variable: Mapping[str, Any], before: Choices) -> list[str]:
    """Return what Grafana would offer for a variable, given what is chosen before it."""
    text = filled(variable["query"]["query"], before)
    if found := re.fullmatch(r"label_values\((.+), (\w+)\)", text):
        values = ask(moment.prometheus, f"label/{found[2]}/values", **{"match[]": found[1]})
    else:
        (inner,) = re.fullmatch(r"query_result\((.+)\)", text).groups()  # type: ignore[union-attr]
        pattern = variable["regex"].strip("/")
        lines = [
            ", ".join(f'{name}="{value}"' for name, value in sorted(each["metric"].items()))
            for each in moment.now(inner)
        ]
        values = [found[1] for line in lines if (found := re.search(pattern, line))]
    return sorted({str(value) for value in values} - {"unassigned"})


def chosen(moment: Moment, board: str) -> Choices:
    """Return each variable's first choice; fail where there is none to choose."""
    choices: Choices = {"__rate_interval": "1m", "datasource": "prometheus"}
    for name, variable in sorted(variables(board).items(), key=lambda item: item[0] == "rep"):
        if variable["type"] == "query":
            offered = choices_of(moment, variable, choices)
            assert offered, f"{board} offers no {name}"
            choices[name] = offered[0]
        elif name == "window":
            choices[name] = windows(board)[0]
    return choices


@pytest.mark.timeout(240)
def test_every_query_of_every_panel_and_variable_returns_numbers(tmp_path: Path, free_port: int) -> None:
    prometheus_binary()
    history(tmp_path / "history.jsonl")
    with (
        running_floor() as floor,
        prometheus_of(doors(floor), tmp_path, free_port, every_seconds=SCRAPE_SECONDS) as prometheus,
    ):
        # What the counters were before, so that their growth can be told.
        until(lambda: Moment(prometheus, time.time()).whole or None)
        floor.command("publish", str(tmp_path / "history.jsonl"), "--wait")
        snapshot = settled_snapshot(floor.metrics.removeprefix("http://"), floor)
        as_of = datetime.fromisoformat(str(snapshot["as_of"]))
        moment = until(lambda: moment_of(prometheus, as_of))
        choices = {board: chosen(moment, board) for board in BOARDS}
        empty = [
            f"{query.board}: {query.panel}: {query.expr}"
            for query in asked()
            if not has_number(moment, query, choices[query.board])
        ]
        assert not empty, "\n".join(empty)
        assert len(list(asked())) > 200
        elsewhere = [
            f"{query.board}: {query.panel} over {window}: {query.expr}"
            for query in asked()
            for window in windows(query.board)[1:]
            if window not in TOO_SHORT and "$window" in query.expr and "_previous" not in query.expr
            if not has_number(moment, query, {**choices[query.board], "window": window})
        ]
        assert not elsewhere, "\n".join(elsewhere)
