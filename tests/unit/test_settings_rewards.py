"""Leaderboards, contests, commission plans and funnels of the settings: what is refused, and how."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from metrics.commission import commission
from metrics.conversion_counts import funnel_of
from streams.settings import SettingsError, beside_rules_of, catalogue_of, load_settings

BOARD = '[[leaderboards]]\nname = "month"\nkpi = "revenue"\n'
CONTEST = '[[contests]]\nname = "sprint"\nkpi = "deals_won"\nstart = 2026-11-01\nend = 2026-12-01\n'
PLAN = '[[commission_plans]]\nname = "std"\nvalid_from = 2026-01-01\ntiers = [{ from = 0, rate = 0.05 }]\n'
FUNNEL = '[[funnels]]\nname = "period"\nkpi = "lead_conversion_period"\n'


def error_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "salesfloor.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOARD.replace("revenue", "revenu"), "[[leaderboards]]: 'month': unknown KPI 'revenu'; `salesf"),
        (BOARD + 'window = "2w"\n', "[[leaderboards]] 'month' window = '2w': "),
        (BOARD + BOARD, "'month' is there twice; rename one"),
        (BOARD + 'by = "target"\nwindow = "7d"\n', "belongs to no target's period; use one of wtd, mtd"),
        (BOARD.replace("revenue", "open_deals") + 'by = "gain"\n', "gains nothing"),
        (BOARD.replace("revenue", "sales_cycle"), "say quantile = 0.5 or 0.9"),
        (BOARD + "quantile = 0.5\n", "revenue has no quantiles; leave quantile out"),
        (BOARD + 'topp = 3\n', "did you mean top?"),
        (CONTEST.replace("12-01", "11-01"), "end = 2026-11-01 is not after start = 2026-11-01; correct one"),
        (CONTEST.replace("deals_won", "open_deals"), "choose a KPI that counts over time"),
        (CONTEST + "settling_hours = -1\n", "settling_hours = -1: "),
        (PLAN.replace("0.05 }", "0.05 }, { from = 9, rate = 0.1 }"), "tiers from 0 without end and from 9"),
        (PLAN.replace("0.05", "5"), "the tier from 0 has the rate 5; use a share such as 0.05"),
        (PLAN + PLAN, "two versions are valid from 2026-01-01"),
        (PLAN + 'kpi = "deals_won"\n', "deals_won is no sum of money"),
        (PLAN + 'kpi = "average_deal_size"\n', "average_deal_size is no sum of money"),
        (FUNNEL.replace("lead_conversion_period", "win_rate_value"), "is not one sum of counts"),
        (FUNNEL.replace("lead_conversion_period", "revenue"), "is not one sum of counts divided by another"),
        (FUNNEL.replace("lead_conversion_period", "nothing"), "there is no KPI 'nothing'"),
        (FUNNEL.replace('"period"', '"deal_win"'), "every floor has this funnel; use another name"),
        (FUNNEL.replace('"period"', '"Deal win"'), "name = 'Deal win'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_table_and_the_fix(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in error_of(tmp_path, text)


def test_what_can_be_used_becomes_rules_in_the_floors_own_time(tmp_path: Path) -> None:
    path = tmp_path / "salesfloor.toml"
    newer = PLAN.replace("2026-01-01", "2025-01-01")
    path.write_text('[floor]\nzone = "Asia/Singapore"\n' + BOARD + CONTEST + PLAN + newer + FUNNEL)
    settings = load_settings(path, {})
    rules = beside_rules_of(settings)
    assert [(board.name, board.title, board.window) for board in rules.rewards.leaderboards] == [
        ("month", "month", "mtd")
    ]
    (contest,) = rules.rewards.contests
    assert (contest.start_ms, contest.end_ms) == (1_793_462_400_000, 1_796_054_400_000)  # 16:00 UTC before
    (plan,) = rules.rewards.plans
    assert [version.valid_from.year for version in plan.versions] == [2025, 2026]
    assert rules.funnels == (funnel_of("period", "lead_conversion_period", catalogue_of(settings)),)


def test_a_contest_may_name_instants_with_and_without_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "salesfloor.toml"
    text = CONTEST.replace("2026-11-01", "2026-11-01T09:00:00").replace("2026-12-01", "2026-12-01T09:00:00Z")
    path.write_text('[floor]\nzone = "Asia/Singapore"\n' + text)
    (contest,) = beside_rules_of(load_settings(path, {})).rewards.contests
    assert (contest.start_ms, contest.end_ms) == (1_793_494_800_000, 1_796_115_600_000)


def test_the_documents_examples_are_sound_and_earn_what_they_say(tmp_path: Path) -> None:
    path, docs = tmp_path / "salesfloor.toml", Path(__file__).parents[2] / "docs"
    examples = [
        re.findall(r"^```toml\n(.*?)^```$", (docs / name).read_text(encoding="utf-8"), re.M | re.S)
        for name in ("leaderboards.md", "conversion-alert.md")
    ]
    path.write_text("".join(example for found in examples for example in found), encoding="utf-8")
    rules = beside_rules_of(load_settings(path, {}))
    assert [board.name for board in rules.rewards.leaderboards] == ["month", "quota", "most-improved"]
    assert [contest.prize for contest in rules.rewards.contests] == ["A day off"]
    assert [funnel.name for funnel in rules.funnels] == ["qualified"]
    (plan,) = rules.rewards.plans
    assert commission([(plan.versions[0], Decimal(15_000))], 2) == 900
