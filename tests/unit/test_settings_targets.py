"""Targets in the settings: used as records are, and refused by number, key, value and fix."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from metrics.pacing import Pacing
from metrics.reference import Target
from streams.settings import SettingsError, load_settings, snapshot_config_of

GOOD = '[[targets]]\nkpi = "revenue"\nperiod = "2026-11"\nvalue = 120000.50\ncurrency = "EUR"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "salesfloor.toml"


def test_targets_and_pacing_reach_the_snapshot(path: Path) -> None:
    path.write_text(
        '[floor]\nholidays = ["2026-12-25"]\n'
        "[pacing]\nramp_months = 3\nweekday_weights = { saturday = 0.5 }\n"
        f'{GOOD}[[targets]]\nkpi = "calls"\nlevel = "rep"\nkey = "R-9"\nperiod = "2026"\nvalue = 9\n'
    )
    config = snapshot_config_of(load_settings(path))
    assert config.targets == (
        Target("revenue", "floor", "", "2026-11", Decimal("120000.5"), "EUR"),
        Target("calls", "rep", "R-9", "2026", Decimal(9)),
    )
    assert config.pacing == Pacing(weekday_weights={"saturday": 0.5}, ramp_months=3)
    assert config.calendar.holidays == {date(2026, 12, 25)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kpi = "revenu"\nperiod = "2026"\nvalue = 1', "number 2, kpi = 'revenu': unknown KPI; did you mean"),
        (
            'kpi = "calls"\nperiod = "2026-13"\nvalue = 1',
            "number 2, period = '2026-13': '2026-13' has no month",
        ),
        ('kpi = "calls"\nperiod = "2026"\nvalue = 1\nlevel = "tem"', "level = 'tem': unknown level; did you"),
        ('kpi = "revenue"\nperiod = "2026"\nvalue = 1', "currency = None: revenue is money"),
        (
            'kpi = "revenue"\nperiod = "2026"\nvalue = 1\ncurrency = "eur"',
            "currency = 'eur': not an ISO 4217",
        ),
        ('kpi = "calls"\nperiod = "2026"\nvalue = -1', "value = -1: a target is above 0"),
        (
            'kpi = "calls"\nperiod = "2026"\nvalue = "many"',
            "number 2 value = 'many': input should be a valid",
        ),
        ('kpi = "calls"\nvalue = 1', "number 2 period: is missing; give it (2026, 2026-Q4"),
        (
            'kpi = "calls"\nperiod = "2026"\nvalue = 1\nlevl = "rep"',
            "number 2 levl: no such key; did you mean level?",
        ),
        (
            GOOD.partition("\n")[2],
            "number 2 is for the same KPI, level, key and period as number 1; keep one",
        ),
    ],
)
def test_a_target_that_cannot_be_used_stops_the_start(path: Path, text: str, said: str) -> None:
    path.write_text(f"{GOOD}[[targets]]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert f"{path}: [[targets]]" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weekday_weights = { saturday = -1 }", "the weight -1.0; use 0 to 100"),
        ("weekday_weights = { caturday = 1 }", "weekday_weights"),
        ("best_case_probability = 0.9", "best_case_probability is above commit_probability; lower it"),
        ("ramp_months = -1", "ramp_months = -1"),
    ],
)
def test_pacing_that_makes_no_sense_is_refused(path: Path, text: str, said: str) -> None:
    path.write_text(f"[pacing]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert said in str(caught.value)


def test_targets_of_a_floors_own_kpi_are_known(path: Path) -> None:
    path.write_text(
        '[[kpis]]\nname = "calls_per_win"\nsentence = "Calls per deal won."\nformula = "calls / deals_won"\n'
        'unit = "count"\n[[targets]]\nkpi = "calls_per_win"\nperiod = "2026"\nvalue = 9\n'
    )
    assert load_settings(path).targets[0].kpi == "calls_per_win"
