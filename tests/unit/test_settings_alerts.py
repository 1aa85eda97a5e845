"""The `[alerts]` settings: what is wrong is named with its fix, and what a rule cannot see is refused."""

from pathlib import Path

import pytest
import yaml

from metrics.alerts.plan import FROZEN, AlertPlan
from metrics.alerts.routes import Delivery
from streams.alert_files import alertmanager_of, rules_of
from streams.settings import Settings, SettingsError, load_settings


def settings(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "salesfloor.toml"
    path.write_text(text)
    return load_settings(path)


def rules(settings: Settings) -> dict[str, dict[str, object]]:
    """Return the rules by alert; of an alert with several, the first."""
    found: dict[str, dict[str, object]] = {}
    for text in rules_of(settings).values():
        for group in yaml.safe_load(text)["groups"]:
            for rule in group["rules"]:
                found.setdefault(rule.get("alert", rule.get("record")), rule)
    return found


def test_the_defaults_are_those_of_the_plan_and_of_the_delivery() -> None:
    alerts = Settings().alerts
    assert alerts.as_plan("wall") == AlertPlan()
    assert alerts.as_delivery() == Delivery(alerts.door_url, alerts.door_token_file)


def test_thresholds_times_and_severities_reach_the_rules(tmp_path: Path) -> None:
    made = rules(settings(
        """
[[funnels]]
name = "qualified"
kpi = "lead_conversion_period"

[alerts]
funnels = ["deal_win", "qualified"]
stale_after_seconds = 1800
coverage_min = 4
for_seconds = { ConversionFallingFast = 90 }
keep_firing_seconds = { ConversionFallingFast = 0 }
severity = { ConversionCusum = "info" }
off = ["TeamWithoutActivity"]
runbook_url = "https://wiki.example.com/salesfloor"
""",
        tmp_path,
    ))  # fmt: skip
    fast = made["ConversionFallingFast"]
    assert fast["for"] == "90s"
    assert "keep_firing_for" not in fast
    assert 'funnel=~"deal_win|qualified"' in str(fast["expr"])
    assert "min(salesfloor_last_event_age_seconds) > 1800" in str(fast["expr"])
    assert "< 4" in str(made["PipelineCoverageLow"]["expr"])
    labels, annotations = made["ConversionCusum"]["labels"], made["ConversionCusum"]["annotations"]
    assert isinstance(labels, dict)
    assert isinstance(annotations, dict)
    assert labels["severity"] == "info"
    assert annotations["runbook_url"] == "https://wiki.example.com/salesfloor#conversioncusum"
    assert "TeamWithoutActivity" not in made


def test_with_the_event_clock_numbers_are_as_old_as_the_newest_event_and_not_frozen(tmp_path: Path) -> None:
    assert FROZEN in rules(Settings())
    assert FROZEN not in rules(settings('clock = "event"', tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('off = ["ConversionFalling"]', "names the unknown alert 'ConversionFalling'"),
        ("for_seconds = { Nothing = 3 }", "names the unknown alert 'Nothing'"),
        ("for_seconds = { ConversionCusum = -1 }", "gives ConversionCusum -1 s; use 0 to 604800"),
        ('severity = { ConversionCusum = "loud" }', "severity"),
        ('fast_window = "1h"', "fast_window"),
        ('mail_to = ["a@example.com"]', "mail_to needs mail_from and mail_smarthost"),
        ('slack_channel = "#x"', "slack_channel needs slack_url_file"),
    ],
)
def test_a_wrong_value_is_told_with_its_fix(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(f"[alerts]\n{text}", tmp_path)
    assert told in str(refused.value)
    assert "alerts" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[alerts]\nfunnels = ["deal_winn"]', "names 'deal_winn'; there are deal_win, conversation_to_demo"),
        ('[metrics]\nlevels = ["floor"]', "[alerts] levels names 'team', which [metrics] levels leaves out"),
        (
            '[alerts]\nsla_window = "1bd"',
            "LeadResponseSlaMissed needs lead_response_sla per team over '1bd', which is no gauge",
        ),
        (
            '[metrics.windows_of]\nteam = ["today", "1h"]',
            "TeamWithoutActivity needs activities per team over '7d', which is no gauge",
        ),
    ],
)
def test_a_rule_that_would_never_see_its_numbers_is_refused(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        rules_of(settings(text, tmp_path))
    assert told in str(refused.value)


def test_the_floors_hours_and_holidays_are_the_time_to_be_quiet(tmp_path: Path) -> None:
    told = settings(
        '[floor]\nzone = "Europe/Berlin"\nbusiness_days = ["monday"]\nholidays = ["2026-12-25"]\n', tmp_path
    )
    (text,) = alertmanager_of(told).values()
    (closed,) = yaml.safe_load(text)["time_intervals"]
    off, monday, christmas = closed["time_intervals"]
    assert len(off["weekdays"]) == 6
    assert (monday["weekdays"], monday["location"]) == (["monday"], "Europe/Berlin")
    assert (christmas["years"], christmas["months"], christmas["days_of_month"]) == (["2026"], ["12"], ["25"])
