"""Targets, leaderboards, contests and the alert's counts are the same as recomputed; a wrong one is named."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from metrics import conversion_counts
from metrics.calendar import Calendar
from metrics.commission import Plan, PlanPart, PlanVersion
from metrics.snapshot import EVERYTHING, Filters, PaneImage, Snapshotter
from metrics.targets import TargetStanding
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
TIERS = [{"from": 0, "to": 2_000, "rate": "0.05"}, {"from": 2_500, "rate": "0.0833"}]
SENTENCE = {"sentence": "One.", "levels": ["floor", "team", "rep"]}
TABLES: dict[str, Any] = {
    "kpis": [
        {"name": "reached", "formula": "calls_with_conversation + 2 * meetings", "unit": "count", **SENTENCE},
        {"name": "per_win", "formula": "reached / won", "unit": "count", **SENTENCE},
        {"name": "earning", "formula": "revenue / 2", "unit": "money", **SENTENCE},
        {"name": "lately", "formula": "deals_won / deals_won@90d", "unit": "ratio", **SENTENCE},
        {"name": "reach", "formula": "(reached - calls_connected) / activities", "unit": "ratio", **SENTENCE},
    ],
    "commission_plans": [
        {"name": "standard", "valid_from": "2024-01-01", "period": "quarter", "tiers": TIERS},
        {"name": "changing", "valid_from": "2024-06-20", "period": "month", "tiers": TIERS},
        {"name": "changing", "valid_from": "2024-07-02", "period": "month", "kpi": "earning",
         "tiers": [{"rate": "0.1"}], "reps": ["Aisyah Rahman", "Siti Nordin", "Ruth Bianchi", "nobody"]},
        {"name": "later", "valid_from": "2024-08-01", "tiers": TIERS},
    ],
    "pacing": {"ramp_months": 3, "weekday_weights": {"friday": 0.5}},
    "targets": [
        {"kpi": "revenue", "period": "2024-Q3", "value": 900_000, "currency": "MYR"},
        {"kpi": "revenue", "period": "2024-07", "value": 1, "currency": "MYR"},
        {"kpi": "win_rate", "period": "2024", "value": 0.3},
        {"kpi": "new_customers", "period": "2024-W27", "value": 20},
        {"kpi": "calls", "period": "2024-W27", "level": "rep", "key": "nobody", "value": 20},
        {"kpi": "reached", "period": "2024-07", "value": 7},
        {"kpi": "per_win", "period": "2024-07", "value": 7},
        {"kpi": "sales_cycle_mean", "period": "2024-07", "value": 700_000},
        {"kpi": "clv", "period": "2024-07", "value": 700_000, "currency": "MYR"},
    ],
    "leaderboards": [
        {"name": "month", "kpi": "revenue", "window": "mtd"},
        {"name": "calls", "kpi": "calls", "window": "wtd", "by": "gain"},
        {"name": "slow", "kpi": "win_rate", "window": "30d", "better": "lower", "level": "team"},
        {"name": "open", "kpi": "pipeline_value", "level": "team"},
        {"name": "quota", "kpi": "revenue", "window": "qtd", "by": "target"},
        {"name": "cycle", "kpi": "sales_cycle", "window": "30d", "quantile": 0.5},
        {"name": "own", "kpi": "per_win", "window": "wtd", "better": "lower"},
        {"name": "lately", "kpi": "lately", "window": "mtd"},
        {"name": "mean", "kpi": "sales_cycle_mean", "window": "30d", "by": "gain"},
        {"name": "speed", "kpi": "pipeline_velocity"},
        {"name": "worth", "kpi": "clv", "window": "30d", "level": "team"},
    ],
    "contests": [
        {"name": "sprint", "kpi": "deals_won", "start": "2024-07-01", "end": "2024-08-01"},
        {"name": "june", "kpi": "calls", "level": "team", "start": "2024-06-05", "end": "2024-07-04",
         "better": "lower", "settling_hours": 99},
        {"name": "over", "kpi": "calls", "start": "2024-06-05", "end": "2024-06-06", "settling_hours": 0},
        {"name": "later", "kpi": "calls", "start": "2024-08-05", "end": "2024-08-06"},
    ],
    "funnels": [
        {"name": "qualified", "kpi": "lead_conversion_period"},
        {"name": "reaching", "kpi": "reach"},
        {"name": "cohort", "kpi": "win_rate_cohort"},
    ],
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
        self.whole = self.told()

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
    found = case.judged(case.whole)
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
        *("conversion_baseline_trials of qualified", "conversion_cusum of reaching"),
        *("commission of standard", "commission of changing", "forecast_pace of reached"),
        *("quota_actual of per_win", "quota_actual of sales_cycle_mean", "rank in leaderboard cycle"),
        *("rank change in leaderboard own", "rank in leaderboard lately", "rank in leaderboard mean"),
        *("rank in leaderboard speed", "score in leaderboard worth"),
    ):
        assert found.by_kpi[name], name
    assert set(found.not_told) == {
        "no second opinion on the funnel cohort",
        "the result of a contest that is over stays as it was written down",
    }


def spoilt_target(told: Told) -> Told:
    def spoilt(target: TargetStanding) -> TargetStanding:
        figures = target.figures
        if target.target.kpi.name != "per_win":
            return target
        return replace(target, figures={**figures, "quota_actual": figures["quota_actual"] + 1})

    targets = tuple(map(spoilt, told.snapshot.targets))
    return replace(told, snapshot=replace(told.snapshot, targets=targets))


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
        (spoilt_target, {"quota_actual of per_win"}),
        (lost_target, {"quota of win_rate", "quota_actual of win_rate", "quota_attainment of win_rate"}),
        (wrong_rank, {"rank in leaderboard month", "rank change in leaderboard month"}),
        (lost_entry, {"score in contest sprint"}),
        (one_more_trial, {"conversion_trials of deal_win"}),
        (other_cusum, {"conversion_cusum of conversation_to_demo", "conversion_cusum of reaching"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_else(case: Case, spoil: Any, named: set[str]) -> None:
    assert names(case.judged(spoil(case.whole))) == named


def paid_at_the_first_rate(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PlanVersion, "earned", lambda self, amount: self.tiers[0].rate * amount)


def paid_by_the_newest_version(patch: pytest.MonkeyPatch) -> None:
    parts_at = Plan.parts_at

    def last_alone(self: Plan, time_ms: int, calendar: Calendar) -> tuple[PlanPart, ...]:
        parts = parts_at(self, time_ms, calendar)
        return tuple(replace(each, version=parts[-1].version) for each in parts)

    patch.setattr(Plan, "parts_at", last_alone)


def counted_once_each(patch: pytest.MonkeyPatch) -> None:
    weight_of = conversion_counts._weight_of
    patch.setattr(conversion_counts, "_weight_of", lambda weights: weight_of(dict.fromkeys(weights, 1)))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (paid_at_the_first_rate, {"commission of standard", "commission of changing"}),
        (paid_by_the_newest_version, {"commission of changing"}),
        (
            counted_once_each,
            {f"conversion_{name} of reaching" for name in ("successes", "baseline_successes", "cusum")},
        ),
    ],
)  # fmt: skip
def test_a_fault_of_the_product_is_named(
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    broken: Callable[[pytest.MonkeyPatch], None],
    named: set[str],
) -> None:
    broken(monkeypatch)
    assert names(case.judged(case.told())) == named


def test_what_is_asked_for_is_compared_and_nothing_else(case: Case) -> None:
    by_window = case.judged(case.told(Filters(windows=("mtd",))))
    assert {name.split(" in ")[1] for name in by_window.by_kpi} == {
        "leaderboard month",
        "leaderboard open",
        "leaderboard lately",
        "leaderboard speed",
    }
    by_kpi = case.judged(case.told(Filters(kpis=("win_rate",), levels=("floor",))))
    assert set(by_kpi.by_kpi) == {
        f"{name} of win_rate" for name in ("quota", "quota_actual", "quota_attainment")
    }


def test_what_reaches_before_the_oldest_record_is_left_out(case: Case) -> None:
    found = case.judged(case.whole, AT_MS - DAY_MS)
    assert not found.differences
    assert not found.by_kpi.keys() & {
        "quota of revenue",
        "rank in leaderboard month",
        "rank in contest sprint",
    }
    assert found.not_told["the window reaches before the oldest record that is left"] > 5
    assert found.not_told["the weeks of the alert reach before the oldest record that is left"]
