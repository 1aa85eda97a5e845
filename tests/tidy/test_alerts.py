"""The shipped alert rules and routes: made from the default settings, about gauges that exist, with a
runbook, seen firing and seen silent, and accepted by promtool and amtool."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.alerts.plan import ALERTS, BUSINESS, REPLAY, STALE
from streams.alert_files import alertmanager_of, rules_of
from streams.settings import Settings, load_settings
from tests.tidy.catalogue import selectors, wrong_grouping, wrong_with
from tests.tidy.repository import ROOT
from tests.tidy.test_docs import _anchors
from tests.tidy.test_monitoring import run_tool

Yaml = dict[str, Any]

PROMETHEUS = ROOT / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
ROUTES: Yaml = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text(encoding="utf-8"))
# Nobody is told of it, so nothing is to be silent but what it keeps back.
WITHOUT_SILENCE = {REPLAY}
WINDOW = re.compile(r"\[\w+\]")


def _rules(path: Path) -> list[Yaml]:
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


RULES = [rule for path in RULE_FILES for rule in _rules(path)]
NAMES = sorted({rule["alert"] for rule in RULES})


def test_the_committed_files_are_what_the_default_settings_make() -> None:
    made = {**rules_of(Settings()), **alertmanager_of(Settings())}
    committed = [*RULE_FILES, PROMETHEUS / "alertmanager.yml"]
    assert {path.relative_to(PROMETHEUS).as_posix() for path in committed} == made.keys()
    stale = [name for name, text in made.items() if (PROMETHEUS / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run `salesfloor alerts rules --output prometheus`, and the same with alertmanager"


def test_every_alert_there_is_has_a_rule() -> None:
    assert sorted(ALERTS) == NAMES


def test_prometheus_accepts_the_rules() -> None:
    run_tool("promtool", "check", "rules", *RULE_FILES)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_rules_fire_when_they_should_and_only_then(path: Path) -> None:
    run_tool("promtool", "test", "rules", path)


def test_alertmanager_accepts_its_configuration() -> None:
    run_tool("amtool", "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rules_ask_for_gauges_that_exist(rule: Yaml) -> None:
    assert wrong_with(rule["expr"]) == []
    assert wrong_grouping(WINDOW.sub("", rule["expr"])) == []
    for said in rule["annotations"].values():
        assert wrong_with(said) == []


def test_a_label_that_no_gauge_has_is_noticed() -> None:
    assert wrong_grouping("max by (taem) (salesfloor_team_conversion_material)") == ["taem"]


def test_the_runbook_speaks_of_every_alert_and_of_no_other() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    runbook = operations.partition("## Runbook")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (.+)$", runbook, re.MULTILINE)
    assert sorted(headings) == NAMES
    said = re.split(r"^### .+$", runbook, flags=re.MULTILINE)[1:]
    assert all(len(each.split()) >= 15 for each in said), "an entry that says nothing to do helps nobody"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule: Yaml) -> None:
    assert list(rule["annotations"]) == ["summary", "description", "action", "runbook_url"]
    assert all(rule["annotations"].values())
    assert rule["labels"]["severity"] in ("page", "ticket", "info")
    document, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in _anchors(ROOT / document), f"{document} has no runbook for {rule['alert']}"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested_firing_and_staying_silent(name: str) -> None:
    checks = [
        check
        for path in TEST_FILES
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert any(check["exp_alerts"] for check in checks), f"{name} is never seen firing"
    assert name in WITHOUT_SILENCE or any(not check["exp_alerts"] for check in checks), (
        f"{name} is never seen silent"
    )


def test_business_alerts_are_silent_while_history_is_folded_and_while_data_is_stale() -> None:
    for rule in RULES:
        silenced = [
            part.strip() for part in rule["expr"].split("unless on () ") if part.startswith(("(max", "(min"))
        ]
        asks_for = {selector.name for part in silenced for selector in selectors(part)}
        wanted = {"salesfloor_replay_in_progress", "salesfloor_last_event_age_seconds"}
        assert asks_for == (wanted if rule["alert"] in BUSINESS else set()), rule["alert"]


def test_conversion_alerts_tell_the_counts_and_the_lost_wins() -> None:
    told = [rule for rule in RULES if rule["alert"].startswith("Conversion")]
    assert len(told) == 8
    for rule in told:
        for what in ("successes", "trials", "rate_ratio", "baseline_rate_ratio", "baseline_trials"):
            assert f"_conversion_{what}{{" in rule["annotations"]["description"], rule["alert"]
        assert "wins lost" in rule["annotations"]["description"]


# --- routes


def _alerts_in(matchers: list[str]) -> set[str]:
    found = set()
    for matcher in matchers:
        label, pattern = re.split(r"=~?", matcher, maxsplit=1)
        if label == "alertname":
            found |= set(pattern.strip('"').split("|"))
    return found


def test_alerts_named_by_alertmanager_exist() -> None:
    for rule in ROUTES["inhibit_rules"]:
        assert _alerts_in([*rule["source_matchers"], *rule["target_matchers"]]) <= ALERTS.keys()


def test_stale_data_keeps_business_alerts_back_and_fast_keeps_slow_back() -> None:
    pairs = {
        (source, target)
        for rule in ROUTES["inhibit_rules"]
        for source in _alerts_in(rule["source_matchers"])
        for target in (_alerts_in(rule["target_matchers"]) or set(rule["target_matchers"]))
    }
    business = 'scope="business"'
    assert {
        (STALE, business),
        (REPLAY, business),
        ("ConversionFallingFast", "ConversionFallingSlow"),
    } <= pairs
    assert ("ConversionFallingSlow", "ConversionFallingFast") not in pairs


def test_every_alert_reaches_the_door_and_no_secret_stands_in_the_file() -> None:
    info, door, *people = ROUTES["route"]["routes"]
    assert (info["receiver"], info["matchers"]) == ("nobody", ['severity="info"'])
    assert door["receiver"] == "salesfloor"
    assert door["continue"] is True
    assert "matchers" not in door
    assert "mute_time_intervals" not in door
    muted = {json.dumps(route["matchers"]): "mute_time_intervals" in route for route in people}
    assert muted == {'["scope=\\"business\\""]': True, '["severity=\\"ticket\\""]': True,
                     '["severity=\\"page\\""]': False}  # fmt: skip
    (receiver,) = (each for each in ROUTES["receivers"] if each["name"] == "salesfloor")
    (webhook,) = receiver["webhook_configs"]
    assert webhook["http_config"]["authorization"] == {
        "type": "Bearer", "credentials_file": "/run/secrets/gateway-token",
    }  # fmt: skip


def test_the_stack_gives_alertmanager_the_token_of_the_gateway() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    service = compose["services"]["alertmanager"]
    assert service["secrets"] == ["gateway-token"]
    assert compose["secrets"] == {"gateway-token": {"environment": "SALESFLOOR_GATEWAY__TOKEN"}}


def _people(tmp_path: Path) -> Path:
    """Write the routes of a floor that tells people by every means there is."""
    (tmp_path / "salesfloor.toml").write_text(
        """
[floor]
zone = "Asia/Kuala_Lumpur"
holidays = ["2026-12-25"]

[alerts]
mail_to = ["sales-lead@example.com"]
mail_from = "floor@example.com"
mail_smarthost = "smtp.example.com:587"
mail_username = "floor"
mail_password_file = "/run/secrets/mail-password"
slack_channel = "#sales-ops"
slack_url_file = "/run/secrets/slack-url"
webhook_url = "https://bot.example.com/alerts"
webhook_token_file = "/run/secrets/bot-token"
"""
    )
    (text,) = alertmanager_of(load_settings(tmp_path / "salesfloor.toml")).values()
    path = tmp_path / "alertmanager.yml"
    path.write_text(text)
    return path


def test_alertmanager_accepts_mail_slack_and_webhook(tmp_path: Path) -> None:
    run_tool("amtool", "check-config", _people(tmp_path))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["scope=business", "severity=page", "alertname=ConversionFallingFast"], "salesfloor,people"),
        (["scope=pipeline", "severity=page", "alertname=SalesfloorWorkerDown"], "salesfloor,people"),
        (["scope=pipeline", "severity=ticket", "alertname=SalesfloorLagGrowing"], "salesfloor,people"),
        (["scope=pipeline", "severity=info", "alertname=SalesfloorReplaying"], "nobody"),
    ],
)
def test_alertmanager_sends_an_alert_where_it_belongs(
    tmp_path: Path, labels: list[str], receivers: str
) -> None:
    config = f"--config.file={_people(tmp_path)}"
    run_tool("amtool", "config", "routes", "test", config, f"--verify.receivers={receivers}", *labels)
