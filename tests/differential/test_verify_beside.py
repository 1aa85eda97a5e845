"""Targets, leaderboards, contests and the alert's counts are the same as recomputed; a wrong one is named."""

import asyncio
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from metrics.snapshot import EVERYTHING, Filters, PaneImage, Snapshotter
from oracle.log import Log
from oracle.windows import Floor
from streams.commands.verify import judged, rules_of
from streams.settings import Settings, beside_rules_of, snapshot_config_of
from streams.simulate import Floor as MadeUp
from streams.verify import Comparison
from streams.verify_beside import Told, told_beside
from tests.differential.test_verify import SLOTS, WEEK_START_MS
from tests.histories import DAY_MS, Delivery
from tests.product_path import ProductPath

HOLIDAY = date(2024, 7, 2)
FLOOR = Floor(zone="Asia/Kuala_Lumpur", currency="MYR", holidays=(HOLIDAY,))
AT_MS = WEEK_START_MS + 31 * DAY_MS + 8 * 3_600_000  # 4 July, a Thursday, 16:00 there
TABLES: dict[str, Any] = {
    "pacing": {"ramp_months": 3, "weekday_weights": {"friday": 0.5}},
    "targets": [
        {"kpi": "revenue", "period": "2024-Q3", "value": 900_000, "currency": "MYR"},
        {"kpi": "revenue", "period": "2024-07", "value": 1, "currency": "MYR"},
        {"kpi": "win_rate", "period": "2024", "value": 0.3},
        {"kpi": "new_customers", "period": "2024-W27", "value": 20},
        {"kpi": "calls", "period": "2024-W27", "level": "rep", "key": "nobody", "value": 20},
    ],
    "leaderboards": [
        {"name": "month", "kpi": "revenue", "window": "mtd"},
        {"name": "calls", "kpi": "calls", "window": "wtd", "by": "gain"},
        {"name": "slow", "kpi": "win_rate", "window": "30d", "better": "lower", "level": "team"},
        {"name": "open", "kpi": "pipeline_value", "level": "team"},
        {"name": "quota", "kpi": "revenue", "window": "qtd", "by": "target"},
        {"name": "cycle", "kpi": "sales_cycle", "window": "30d", "quantile": 0.5},
    ],
    "contests": [
        {"name": "sprint", "kpi": "deals_won", "start": "2024-07-01", "end": "2024-08-01"},
        {"name": "june", "kpi": "calls", "level": "team", "start": "2024-06-05", "end": "2024-07-04",
         "better": "lower", "settling_hours": 99},
        {"name": "over", "kpi": "calls", "start": "2024-06-05", "end": "2024-06-06", "settling_hours": 0},
        {"name": "later", "kpi": "calls", "start": "2024-08-05", "end": "2024-08-06"},
    ],
    "funnels": [{"name": "qualified", "kpi": "lead_conversion_period"}],
}  # fmt: skip


def settings_of(tables: dict[str, Any]) -> Settings:
    floor: dict[str, Any] = {
        "zone": FLOOR.zone,
        "currency": FLOOR.currency,
        "stage_probability": {"proposal": 0.9},
    }
    floor["holidays"] = [HOLIDAY]
    return Settings.model_validate(
        {"floor": floor, "worker": {"retention_days": 10_000, "activity_horizon_days": 10_000}, **tables}
    )


class Case:
    """A month of a made-up floor, folded; and what its log says."""

    def __init__(self) -> None:
        self.settings = settings_of(TABLES)
        made = MadeUp(7, zone=ZoneInfo(FLOOR.zone), currency=FLOOR.currency, rate=0.002)
        records = [
            Delivery(each.topic, len(each.key or b"") % SLOTS, each.value)
            for each in made.events(WEEK_START_MS - 8 * DAY_MS, AT_MS)
        ]
        floor = replace(FLOOR, stage_probability={"proposal": 0.9})
        self.path = ProductPath(floor, now_ms=AT_MS, slots=SLOTS)
        asyncio.run(self.path.arrive_raw(records, dead_letters=True))
        self.log = Log(rules_of(self.settings, AT_MS))
        for topic, slot, value in records:
            self.log.take(topic, slot, AT_MS, value)
        self.config = snapshot_config_of(self.settings)

    def told(self, wanted: Filters = EVERYTHING) -> Told:
        image = PaneImage.of(self.path.follower)
        return told_beside(image, AT_MS, self.config, beside_rules_of(self.settings), wanted)

    def judged(self, told: Told, whole_since_ms: int | None = None) -> Comparison:
        """Compare this alone: the KPIs have tests of their own."""
        nothing = Snapshotter(replace(self.config, levels=(), windows=())).take_kpis(
            PaneImage.of(self.path.follower), AT_MS, strict=True
        )
        return judged(nothing, self.log, self.settings, whole_since_ms, told)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def names(found: Comparison) -> set[str]:
    return {each.place.kpi for each in found.differences}


def test_everything_beside_the_kpis_is_the_same(case: Case) -> None:
    found = case.judged(case.told())
    assert not found.differences, "\n".join(map(str, found.differences[:20]))
    for name in (
        *("quota_attainment of revenue", "pace_delta of revenue", "required_per_day of revenue"),
        *("forecast_weighted of revenue", "forecast_pace of revenue", "pipeline_coverage of revenue"),
        *("quota_actual of win_rate", "pace_expected of new_customers"),
        *("rank in leaderboard month", "rank change in leaderboard month", "rank in leaderboard calls"),
        *("rank in leaderboard slow", "rank in leaderboard open", "score in leaderboard quota"),
        *("rank in contest sprint", "score in contest june"),
        *("conversion_trials of deal_win", "conversion_baseline_successes of lead_conversion"),
        *("conversion_cusum of deal_win", "conversion_successes of conversation_to_demo"),
    ):
        assert found.by_kpi[name], name
    assert set(found.not_told) == {
        "no second opinion on the funnel qualified",
        "no second opinion on who leads by sales_cycle",
        "the result of a contest that is over stays as it was written down",
    }


def spoilt_target(told: Told) -> Told:
    first, *others = told.snapshot.targets
    wrong = replace(first, figures={**first.figures, "quota_actual": first.figures["quota_actual"] + 1})
    return replace(told, snapshot=replace(told.snapshot, targets=(wrong, *others)))


def lost_target(told: Told) -> Told:
    kept = tuple(each for each in told.snapshot.targets if each.target.kpi.name != "win_rate")
    return replace(told, snapshot=replace(told.snapshot, targets=kept))


def wrong_rank(told: Told) -> Told:
    board = told.boards[0]
    first, second, *others = board.entries
    entries = (replace(first, rank=2), replace(second, rank=1), *others)
    return replace(told, boards=(replace(board, entries=entries), *told.boards[1:]))


def lost_entry(told: Told) -> Told:
    sprint = told.contests[0]
    return replace(told, contests=(replace(sprint, entries=sprint.entries[1:]), *told.contests[1:]))


def one_more_trial(told: Told) -> Told:
    assert told.conversion is not None
    first, *others = told.conversion.counts
    trials = first.trials + np.eye(len(first.trials), dtype=np.int64)[0]
    conversion = replace(told.conversion, counts=(replace(first, trials=trials), *others))
    return replace(told, conversion=conversion)


def other_cusum(told: Told) -> Told:
    assert told.conversion is not None
    cusum = {name: values + 0.001 for name, values in told.conversion.cusum.items()}
    return replace(told, conversion=replace(told.conversion, cusum=cusum))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoilt_target, {"quota_actual of deals_won"}),
        (lost_target, {"quota of win_rate", "quota_actual of win_rate", "quota_attainment of win_rate"}),
        (wrong_rank, {"rank in leaderboard month", "rank change in leaderboard month"}),
        (lost_entry, {"score in contest sprint"}),
        (one_more_trial, {"conversion_trials of deal_win"}),
        (other_cusum, {"conversion_cusum of conversation_to_demo"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_else(case: Case, spoil: Any, named: set[str]) -> None:
    assert names(case.judged(spoil(case.told()))) == named


def test_what_is_asked_for_is_compared_and_nothing_else(case: Case) -> None:
    by_window = case.judged(case.told(Filters(windows=("mtd",))))
    assert {name.split(" in ")[1] for name in by_window.by_kpi} == {
        "leaderboard month",
        "leaderboard open",
    }
    by_kpi = case.judged(case.told(Filters(kpis=("win_rate",), levels=("floor",))))
    assert set(by_kpi.by_kpi) == {
        f"{name} of win_rate" for name in ("quota", "quota_actual", "quota_attainment")
    }


def test_what_reaches_before_the_oldest_record_is_left_out(case: Case) -> None:
    found = case.judged(case.told(), AT_MS - DAY_MS)
    assert not found.differences
    assert not found.by_kpi.keys() & {
        "quota of revenue",
        "rank in leaderboard month",
        "rank in contest sprint",
    }
    assert found.not_told["the window reaches before the oldest record that is left"] > 5
    assert found.not_told["the weeks of the alert reach before the oldest record that is left"]
