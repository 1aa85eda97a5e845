"""Prometheus', Alertmanager's and Grafana's files: every query asks for gauges that exist, every target is a
service of the stack, and the tools themselves accept what we ship."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tidy.catalogue import BESIDE, selectors, wrong_with
from tests.tidy.repository import ROOT, name_of

PROMETHEUS = ROOT / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))

UNITS = {"_seconds": "s", "_ratio": "percentunit"}


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _run(tool: str, *arguments: object) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    run = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_accepts_its_configuration() -> None:
    _run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_accepts_the_rules() -> None:
    _run("promtool", "check", "rules", *RULE_FILES)


def test_rules_fire_when_they_should_and_only_then() -> None:
    _run("promtool", "test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))


def test_alertmanager_accepts_its_configuration() -> None:
    _run("amtool", "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.parametrize("path", RULE_FILES, ids=name_of)
def test_rules_ask_for_gauges_that_exist_and_say_what_to_do(path: Path) -> None:
    tests = (PROMETHEUS / "tests" / path.name).read_text(encoding="utf-8")
    for group in _yaml(path)["groups"]:
        for rule in group["rules"]:
            assert wrong_with(rule["expr"]) == []
            assert {"summary", "action"} <= rule["annotations"].keys()
            assert rule["labels"]["severity"] in ("page", "warning")
            assert f"alertname: {rule['alert']}" in tests, f"{rule['alert']} has no test"


def test_alerts_named_by_alertmanager_exist() -> None:
    alerts = {
        rule["alert"] for path in RULE_FILES for group in _yaml(path)["groups"] for rule in group["rules"]
    }
    for rule in _yaml(PROMETHEUS / "alertmanager.yml")["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, value = matcher.partition("=")
            assert name != "alertname" or value.strip('"') in alerts


def test_scrape_targets_are_services_of_the_stack_at_their_ports() -> None:
    services = _yaml(ROOT / "docker-compose.yml")["services"]
    targets: list[tuple[str, str]] = []
    for job in _yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        for group in job.get("static_configs", []):
            targets += [tuple(target.split(":")) for target in group["targets"]]
        for group in job.get("dns_sd_configs", []):
            targets += [(name, str(group["port"])) for name in group["names"]]
    assert len(targets) == 2
    for name, port in targets:
        service = services[name]
        assert service["environment"][f"SALESFLOOR_{name.upper()}__PORT"] == port
        assert service["environment"][f"SALESFLOOR_{name.upper()}__HOST"] == "0.0.0.0"


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_panels_ask_for_gauges_that_exist_in_their_unit(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    source = _yaml(ROOT / "grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert panel["description"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == {"type": source["type"], "uid": source["uid"]}
            assert wrong_with(target["expr"]) == [], panel["title"]
            names = [selector.name for selector in selectors(target["expr"])]
            assert names, f"{panel['title']} shows none of our gauges"
            for name in names:
                unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), None)
                shown = panel["fieldConfig"]["defaults"]["unit"]
                assert shown == unit if unit else shown in ("none", "short"), panel["title"]


def test_grafana_finds_the_dashboards_where_compose_mounts_them() -> None:
    services = _yaml(ROOT / "docker-compose.yml")["services"]
    mounts = dict(mount.split(":")[:2] for mount in services["grafana"]["volumes"])
    (provider,) = _yaml(ROOT / "grafana/provisioning/dashboards/salesfloor.yml")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert DASHBOARDS


def test_a_query_for_a_gauge_that_does_not_exist_is_noticed() -> None:
    assert wrong_with('salesfloor_floor_revenu{window="1h"}') == ["no gauge salesfloor_floor_revenu"]
    assert wrong_with('salesfloor_floor_revenue{team="a", window="1h"}') != []
    assert wrong_with("salesfloor_team_revenue") == ["salesfloor_team_revenue of which window?"]
    assert wrong_with('salesfloor_team_revenue{window="1h"} / salesfloor_data_age_seconds') == []


def test_what_each_metric_beside_the_kpis_means_is_written_down() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [name for name in BESIDE if f"`{name}" not in text] == []
