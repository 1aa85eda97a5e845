"""Rules that compute what the metrics role does not export: the same numbers, by another way, in promtool."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.alerts.files import rule_files
from metrics.alerts.plan import FAST, SLOW, AlertPlan
from metrics.conversion import is_drought, is_material, newcombe_upper
from tests.tidy.test_monitoring import run_tool

NOW = "4w"
"""Prometheus looks once a week here: what it compares with are the looks before."""

Yaml = dict[str, Any]


def derived(directory: Path, plan: AlertPlan, test: Yaml) -> None:
    """Let promtool run the plan's conversion rules against made-up series."""
    (directory / "conversion.yml").write_text(rule_files(plan)["conversion.yml"])
    whole = {"rule_files": ["conversion.yml"], "evaluation_interval": "1w", "tests": [test]}
    (directory / "test.yml").write_text(yaml.safe_dump(whole))
    run_tool("promtool", "test", "rules", directory / "test.yml")


def series(window: str, what: str, values: str) -> dict[str, str]:
    labels = f'funnel="deal_win", window="{window}"'
    return {"series": f"salesfloor_floor_conversion_{what}{{{labels}}}", "values": values}


def sample(what: str, value: float, **more: str) -> Yaml:
    labels = {"funnel": "deal_win", "window": "1bd", **more}
    shown = ", ".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
    name = f"salesfloor:floor_conversion_{what}"
    matcher = f'{{window="1bd", z="{more["z"]}"}}' if "z" in more else '{window="1bd"}'
    return {
        "expr": f"round({name}{matcher}, 0.000001)", "eval_time": NOW,
        "exp_samples": [{"labels": f"{{{shown}}}", "value": round(value, 6)}],
    }  # fmt: skip


@pytest.mark.parametrize("z", [2.326, 3.09])
def test_prometheus_own_history_gives_the_numbers_of_the_service(tmp_path: Path, z: float) -> None:
    # 200 of 800 in the four weeks before, at the very same minute of the week; 30 of 200 now.
    plan = AlertPlan(baseline="prometheus", fast_z=z, slow_z=z)
    test = {
        "interval": "1w",
        "input_series": [
            series("1bd", "trials", "200x4"),
            series("1bd", "successes", "50x3 30"),
        ],
        "promql_expr_test": [
            sample("baseline_trials", 800),
            sample("baseline_successes", 200),
            sample("newcombe_upper_ratio", float(newcombe_upper(30, 200, 200, 800, z)), z=repr(z)),
            sample("material", float(is_material(30, 200, 200, 800))),
        ],
    }
    derived(tmp_path, plan, test)


def test_an_independent_calculation_agrees() -> None:
    assert round(float(newcombe_upper(30, 200, 200, 800, 2.326)), 6) == -0.024133
    assert round(float(newcombe_upper(30, 200, 200, 800, 3.09)), 6) == 0.003696


def test_weeks_that_prometheus_does_not_have_are_left_out(tmp_path: Path) -> None:
    test = {
        "interval": "1w",
        "input_series": [
            series("1bd", "trials", "_x3 200x1"),
            series("1bd", "successes", "_x3 50 30"),
        ],
        "promql_expr_test": [sample("baseline_trials", 200), sample("baseline_successes", 50)],
    }
    derived(tmp_path, AlertPlan(baseline="prometheus"), test)


@pytest.mark.parametrize(("n", "x"), [(40, 0), (20, 0), (40, 1)])
def test_other_thresholds_are_computed_from_the_exported_counts(tmp_path: Path, n: int, x: int) -> None:
    plan = AlertPlan(baseline_successes_min=9)  # one that is not exported, with the others as they are
    counts = {"trials": n, "successes": x, "baseline_trials": 800, "baseline_successes": 200}
    test = {
        "interval": "1w",
        "input_series": [series("1bd", what, f"{value}x4") for what, value in counts.items()],
        "promql_expr_test": [
            sample("drought", float(is_drought(x, n, 200, 800))),
            sample("material", float(is_material(x, n, 200, 800))),
        ],
    }
    derived(tmp_path, plan, test)


def test_alerts_read_the_derived_numbers(tmp_path: Path) -> None:
    plan = AlertPlan(
        fast_z=2.0,
        for_seconds={FAST: 0},
        keep_firing_seconds={FAST: 0},
        levels=("floor",),
    )
    counts = {"trials": 200, "successes": 20, "baseline_trials": 800, "baseline_successes": 200}
    firing = {"labels": f'ALERTS{{alertname="{FAST}", alertstate="firing", funnel="deal_win", level="floor", '
              'scope="business", severity="page"}', "value": 1}  # fmt: skip
    test = {
        "interval": "1w",
        "input_series": [series("1bd", what, f"{value}x4") for what, value in counts.items()],
        "promql_expr_test": [
            {"expr": f'ALERTS{{alertname="{FAST}"}}', "eval_time": NOW, "exp_samples": [firing]},
            {"expr": f'ALERTS{{alertname="{SLOW}"}}', "eval_time": NOW, "exp_samples": []},
        ],
    }
    derived(tmp_path, plan, test)


@pytest.mark.parametrize(
    "plan",
    [
        AlertPlan(baseline="prometheus", funnels=('a"b', "c.d")),
        AlertPlan(levels=("team",), off=("ConversionFallingFast",), fast_z=4.0),
        AlertPlan(evaluation_seconds=1, for_seconds={"SalesfloorDataStale": 0}, sla_window="1h"),
    ],
)
def test_promtool_accepts_what_other_settings_make(tmp_path: Path, plan: AlertPlan) -> None:
    for name, text in rule_files(plan).items():
        (tmp_path / name).write_text(text)
    run_tool("promtool", "check", "rules", *sorted(tmp_path.glob("*.yml")))
