"""Prometheus' configuration: every query asks for gauges that exist, every target is a
service of the stack, and the tools themselves accept what we ship. Alerts have a file of their own."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tidy.catalogue import BESIDE, wrong_with
from tests.tidy.repository import ROOT

PROMETHEUS = ROOT / "prometheus"


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def run_tool(tool: str, *arguments: object) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    run = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_accepts_its_configuration() -> None:
    run_tool("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_scrape_targets_are_services_of_the_stack_at_their_ports() -> None:
    services = _yaml(ROOT / "docker-compose.yml")["services"]
    targets: list[tuple[str, str]] = []
    for job in _yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        for group in job.get("static_configs", []):
            targets += [tuple(target.split(":")) for target in group["targets"]]
        for group in job.get("dns_sd_configs", []):
            targets += [(name, str(group["port"])) for name in group["names"]]
    assert len(targets) == 3
    for name, port in targets:
        service = services[name]
        assert service["environment"][f"SALESFLOOR_{name.upper()}__PORT"] == port
        assert service["environment"][f"SALESFLOOR_{name.upper()}__HOST"] == "0.0.0.0"


def test_a_query_for_a_gauge_that_does_not_exist_is_noticed() -> None:
    assert wrong_with('salesfloor_floor_revenu{window="1h"}') == ["no gauge salesfloor_floor_revenu"]
    assert wrong_with('salesfloor_floor_revenue{team="a", window="1h"}') != []
    assert wrong_with("salesfloor_team_revenue") == ["salesfloor_team_revenue of which window?"]
    assert wrong_with('salesfloor_team_revenue{window="1h"} / salesfloor_data_age_seconds') == []


def test_what_each_metric_beside_the_kpis_means_is_written_down() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [name for name in BESIDE if f"`{name}" not in text] == []
