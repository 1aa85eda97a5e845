"""The back-test looks at floors as the product does, judges them by its rules, and tells good from bad."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.backtest import DETECTION, FALSE_ALARMS, detection_rows, false_alarm_rows, markdown
from bench.backtest_counts import Counts, Exported, exported, looks_at, looks_of
from bench.backtest_floors import CALENDAR, FIRST_DAY, FloorSize, History, business_days, history_of
from bench.backtest_lives import DROPS, SIZES, Verdict, live
from bench.backtest_rules import EITHER, NAIVE, ONE_DAY_Z, RULES, SHIPPED, alarms, conditions, fires
from metrics.alerts.conversion import conversion_group
from metrics.alerts.plan import CUSUM, DROUGHT, FAST, SLOW, AlertPlan
from metrics.alerts.rules import AlertRule
from metrics.calendar import Calendar
from metrics.catalogue import BUILT_IN
from metrics.conversion_counts import ConversionReport, built_in_funnels, count_conversions
from metrics.panes import Cell
from metrics.places import Places
from metrics.roster import Roster
from tests.panes import FakeReader, Row
from tests.strength import amount

HOUR_MS = 3_600_000
QUARTER_MS = HOUR_MS // 4
Four = tuple[int, int, int, int]
AROUND_MS = 1_774_800_000_000  # 2026-03-29, the day Europe's clocks go forward

calendars = st.builds(
    Calendar,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    holidays=st.sets(st.sampled_from([date(2026, 3, day) for day in (2, 6, 9, 17, 27)]), max_size=3),
)
closings = st.dictionaries(
    st.integers(-45 * 96, 8 * 96).map(lambda quarter: AROUND_MS + quarter * QUARTER_MS),
    st.booleans(),
    max_size=150,
)
instants = st.integers(-8 * 24, 8 * 24).map(lambda hours: AROUND_MS + hours * HOUR_MS)


def history(found: dict[int, bool]) -> History:
    times = np.array(sorted(found), dtype=np.int64)
    won = np.array([found[each] for each in times.tolist()], dtype=np.bool_)
    return History(times, np.where(won, 0.0, 1.0), won)


def product_report(past: History, at_ms: int, calendar: Calendar) -> ConversionReport:
    pairs = zip(past.time_ms.tolist(), past.won.tolist(), strict=True)
    reader = FakeReader([Row(each, Cell(team="red"), "won" if won else "lost") for each, won in pairs])
    return count_conversions(
        Places(reader.cells(), Roster((), calendar)), reader.log(), reader.resolutions(), at_ms, calendar,
        [funnel for funnel in built_in_funnels(BUILT_IN) if funnel.name == "deal_win"], teams_max=9,
    )  # fmt: skip


def assert_same(told: Exported, look: int, report: ConversionReport) -> None:
    for counts in report.counts:
        four = counts.successes, counts.trials, counts.base_successes, counts.base_trials
        assert [int(each[look]) for each in told.windows[counts.window].four] == [each[0] for each in four]
    assert told.base_rate[look] == pytest.approx(report.base_rate["deal_win"][0], nan_ok=True)
    assert told.cusum[look] == pytest.approx(report.cusum["deal_win"][0], abs=1e-9, nan_ok=True)


@settings(max_examples=amount(60, long=600))
@given(closings, instants, calendars)
def test_counts_and_cusum_are_those_of_the_metrics_role(
    found: dict[int, bool], at_ms: int, calendar: Calendar
) -> None:
    past = history(found)
    told = exported(past, looks_at([(0, at_ms - HOUR_MS), (0, at_ms)], calendar))
    assert_same(told, 1, product_report(past, at_ms, calendar))


def test_so_they_are_on_a_simulated_floor_with_more_outcomes_than_the_cusum_holds() -> None:
    looks = looks_of(business_days(FIRST_DAY, 9)[-3:], 3 * 3600)
    quiet = history_of(FloorSize(800, 0.25), 9, np.random.default_rng(3))
    past = quiet.fallen(int(looks.at_ms[0]) - 7 * 24 * HOUR_MS, 0.1)  # the evidence grows with every outcome
    told = exported(past, looks)
    for look, at_ms in enumerate(looks.at_ms.tolist()):
        assert told.windows["5bd"].base_trials[look] > 1000
        assert_same(told, look, product_report(past, at_ms, CALENDAR))


def test_the_rules_it_judges_are_the_generated_ones() -> None:
    """Who changes a rule's expression changes `bench.backtest_rules.conditions` too, and this."""
    generated = conversion_group(AlertPlan(levels=("floor",))).rules
    rules = [rule for rule in generated if isinstance(rule, AlertRule)]
    told = {
        rule.alert: rule.expr.split("\nunless")[0].replace("salesfloor_floor_conversion_", "")
        for rule in rules
    }
    assert told == {
        FAST: 'max by (funnel) (newcombe_upper_ratio{window="1bd", z="3.09"}) < 0\n'
        'and max by (funnel) (material{window="1bd"}) == 1',
        SLOW: 'max by (funnel) (newcombe_upper_ratio{window="5bd", z="2.326"}) < 0\n'
        'and max by (funnel) (material{window="5bd"}) == 1\n'
        'and max by (funnel) (rate_ratio{window="1bd"})'
        ' <= 0.9 * max by (funnel) (baseline_rate_ratio{window="5bd"})',
        DROUGHT: 'max by (funnel) (drought{window="1bd"}) == 1',
        CUSUM: 'max by (funnel) (salesfloor_conversion_cusum{team=""})'
        ' > max by (funnel) (salesfloor_conversion_cusum_limit{team=""})',
    }
    assert all("\nunless on () (min(salesfloor_last_event_age_seconds) > 900)" in rule.expr for rule in rules)


def told_of(one_day: Four, five_days: Four, cusum: float = 0.0, rate: float = 0.25) -> Exported:
    windows = {"1bd": one_day, "5bd": five_days, "hour": (*one_day[:2], *five_days[:2])}
    counts = {name: Counts(*(np.array([each]) for each in four)) for name, four in windows.items()}
    return Exported(counts, np.array([cusum]), np.array([rate]))


USUAL: Four = (50, 200, 200, 800)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (told_of(USUAL, USUAL), set()),
        # Newcombe's limits, worked out elsewhere: -0.024 at z 2.326, +0.0037 at z 3.09.
        (told_of((30, 200, 200, 800), USUAL), {ONE_DAY_Z, NAIVE}),
        (told_of((20, 200, 200, 800), USUAL), {FAST, ONE_DAY_Z, NAIVE}),
        (told_of((10, 40, 40, 160), (30, 200, 200, 800)), set()),  # the last day does not agree
        (told_of((8, 40, 40, 160), (30, 200, 200, 800)), {SLOW}),
        (told_of((1500, 8000, 2000, 8000), (1500, 8000, 2000, 8000)), {FAST, SLOW, ONE_DAY_Z}),
        (told_of((1650, 8000, 2000, 8000), (1650, 8000, 2000, 8000)), {ONE_DAY_Z}),  # sure, but not a fifth
        (told_of((0, 25, 200, 800), USUAL), {DROUGHT, ONE_DAY_Z, NAIVE}),
        (told_of((0, 20, 200, 800), USUAL), {ONE_DAY_Z, NAIVE}),
        (told_of(USUAL, USUAL, cusum=4.38), {CUSUM}),
        (told_of(USUAL, USUAL, cusum=4.36), set()),
        (told_of((0, 0, 0, 0), (0, 0, 0, 0), np.nan, np.nan), set()),
    ],
)
def test_each_rule_holds_where_its_sentence_says(told: Exported, expected: set[str]) -> None:
    assert {rule for rule, holds in conditions(told, AlertPlan()).items() if holds[0]} == expected


def test_a_plan_of_other_numbers_is_judged_by_them() -> None:
    past = history_of(FloorSize(200, 0.25), 12, np.random.default_rng(1))
    looks = looks_of(business_days(FIRST_DAY, 12)[-20:], 3600)
    told = exported(past.fallen(int(looks.at_ms[0]), 0.1), looks)
    usual, strict = (conditions(told, replace(AlertPlan(), fast_z=z)) for z in (3.09, 6.0))
    assert usual[FAST].sum() > strict[FAST].sum()


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        ("..xx....|........", "........|........"),  # not long enough
        ("..xxx...|........", "....xxx.|........"),  # and two steps longer
        ("..xxx.x.|........", "....xxxx|........"),  # back in time: it never stopped
        ("..xxx...|xxx.....", "....xxx.|..xxx..."),  # the morning begins anew
        (".....xxx|x.......", ".......x|........"),  # nothing lives through the night
        ("xxxxxxxx|xxxxxxxx", "..xxxxxx|..xxxxxx"),
    ],
)
def test_an_alert_fires_once_it_held_and_a_little_longer(holds: str, expected: str) -> None:
    days = np.repeat([0, 1], 8)
    held = np.array([each == "x" for each in holds.replace("|", "")])
    fired = fires(held, days, for_steps=2, keep_steps=2)
    told = "".join("x" if each else "." for each in fired)
    assert f"{told[:8]}|{told[8:]}" == expected


def test_what_goes_on_after_a_short_break_is_told_again_and_is_the_same_alarm() -> None:
    fired = np.array([each == "x" for each in "..xx..x......x"])
    found = alarms(fired, looks_per_hour=3)
    assert (found.notices, found.alarms, found.looks_firing) == (3, 2, 4)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """Return what six lives of one floor make of each rule, looked at every half hour."""
    size = FloorSize(800, 0.25)
    found = {rule: Verdict(size.trials_per_week, size.rate, rule) for rule in (*SHIPPED, EITHER, NAIVE)}
    for seed in range(6):
        for rule, life in live(size, (seed,), step_seconds=1800).items():
            if rule in found:
                found[rule].add(life)
    return found


def test_shipped_rules_cry_wolf_seldom_and_the_naive_one_all_the_time(verdicts: dict[str, Verdict]) -> None:
    told = {rule: verdict.told()["false_alarms_per_4_weeks"] for rule, verdict in verdicts.items()}
    shipped, naive = told[EITHER], told[NAIVE]
    assert isinstance(shipped, float)
    assert isinstance(naive, float)
    assert shipped < 0.5
    assert naive > 20 * max(shipped, 0.1)


def test_a_large_fall_of_a_large_floor_is_found_within_days(verdicts: dict[str, Verdict]) -> None:
    drops = verdicts[EITHER].told()["drops"]
    assert isinstance(drops, dict)
    assert drops["0.4"]["found_within_5_days"] == 1.0
    assert 0.3 < drops["0.4"]["days_median"] < 3
    assert drops["0.4"]["days_median"] <= drops["0.25"]["days_median"]


def test_one_seed_gives_one_life_and_figures_that_are_json() -> None:
    size = FloorSize(200, 0.25)
    first, again = (live(size, (7, 1), step_seconds=3600) for _ in range(2))
    assert first == again
    assert first != live(size, (7, 2), step_seconds=3600)
    verdict = Verdict(size.trials_per_week, size.rate, SLOW)
    verdict.add(first[SLOW])
    assert json.loads(json.dumps(verdict.told()))["lives"] == 1
    assert first[SLOW].delays.keys() == set(DROPS)


def test_the_published_tables_are_of_the_floors_and_rules_it_judges() -> None:
    text = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    published = text[text.index("## Back-test") :].splitlines()
    nothing = [Verdict(size.trials_per_week, size.rate, rule, lives=1) for size in SIZES for rule in RULES]
    for heads, rows, names in ((FALSE_ALARMS, false_alarm_rows, 2), (DETECTION, detection_rows, 3)):
        head, _, *lines = markdown(heads, rows(nothing)).splitlines()
        start = published.index(head) + 2
        table = published[start : start + len(lines)]
        for told, line in zip(table, lines, strict=True):
            assert told.split(" | ")[:names] == line.split(" | ")[:names]
            assert told.count(" | ") == line.count(" | ") == head.count(" | ")
