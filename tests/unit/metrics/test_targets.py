"""Targets: what they say while they run, at their edges, on odd calendars; what is wrong with others."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.pacing import Pacing
from metrics.panes import Cell, Resolution
from metrics.reference import Rate, Reference, RosterSpell, Target
from metrics.snapshot import Filters, SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

BERLIN = ZoneInfo("Europe/Berlin")
CONFIG = SnapshotConfig(calendar=Calendar("Europe/Berlin"), currency="EUR")
ANN = Cell(rep="Ann", team="Nord", currency="EUR")


def ms(*parts: int, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime(*parts, tzinfo=zone).timestamp() * 1000)  # type: ignore[misc, arg-type]


# November 2026 has 21 business days; on the 18th, a Wednesday, at noon 12.5 of them are over.
NOON = ms(2026, 11, 18, 12)
REVENUE = Target("revenue", "floor", "", "2026-11", Decimal(2100), "EUR")


def taken(
    *targets: Reference,
    rows: Sequence[Row] = (),
    as_of_ms: int = NOON,
    config: SnapshotConfig = CONFIG,
    strict: bool = True,
) -> KpiSnapshot:
    reader = FakeReader(rows, references=targets)
    return take_snapshot(reader, as_of_ms, config, strict=strict, filters=Filters(windows=()))


def figures(*targets: Reference, **how: object) -> dict[str, float]:
    snapshot = taken(*targets, **how)  # type: ignore[arg-type]
    assert snapshot.reference_problems == ()
    (standing,) = snapshot.targets
    return standing.figures


def won(time_ms: int, euros: int, cell: Cell = ANN) -> Row:
    return Row(time_ms, cell, "won_amount", euros * 100)


def test_a_running_month_is_paced_over_its_business_days() -> None:
    rows = [won(ms(2026, 11, 2, 9), 1500), won(NOON - 1, 100), won(NOON, 32), won(ms(2026, 10, 31, 23), 64)]
    rows.append(Row(ms(2026, 11, 1), ANN, "open_amount", 75_000))
    assert figures(REVENUE, rows=rows) == {
        "quota": 2100.0,
        "quota_actual": 1600.0,
        "quota_attainment": 1600 / 2100,
        "pace_expected": 1250.0,
        "pace_delta": 350.0,
        "required_per_day": 500 / 8.5,
        "forecast_pace": 1600 * 21 / 12.5,
        "forecast_weighted": 1600.0,
        "forecast_commit": 1600.0,
        "forecast_best_case": 1600.0,
        "pipeline_coverage": 1.5,
    }


def test_once_met_nothing_is_required_and_nothing_needs_covering() -> None:
    found = figures(REVENUE, rows=[won(ms(2026, 11, 2, 9), 2100)])
    assert found["quota_attainment"] == 1
    assert not {"required_per_day", "pipeline_coverage"} & set(found)


@pytest.mark.parametrize(
    ("as_of_ms", "shown"),
    [
        (ms(2026, 11, 1) - 1, False),
        (ms(2026, 11, 1), True),
        (ms(2026, 12, 1) - 1, True),
        (ms(2026, 12, 1), False),
    ],
)
def test_a_target_is_shown_while_its_period_runs(as_of_ms: int, shown: bool) -> None:
    assert bool(taken(REVENUE, as_of_ms=as_of_ms).targets) is shown


def test_at_the_start_nothing_is_expected_and_no_pace_is_known() -> None:
    found = figures(REVENUE, as_of_ms=ms(2026, 11, 1))
    assert found == {
        "quota": 2100, "quota_actual": 0, "quota_attainment": 0, "pace_expected": 0, "pace_delta": 0,
        "required_per_day": 100, "pipeline_coverage": 0,
        "forecast_weighted": 0, "forecast_commit": 0, "forecast_best_case": 0,
    }  # fmt: skip


def test_when_no_business_day_is_left_nothing_is_required_per_day() -> None:
    saturday = ms(2026, 10, 31, 8)
    october = Target("revenue", "floor", "", "2026-10", Decimal(2200), "EUR")
    found = figures(october, as_of_ms=saturday)
    assert "required_per_day" not in found
    assert found["pace_expected"] == 2200


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("2026", (234.5, 261)),  # 1 January was a Thursday; no holidays
        ("2026-Q4", (34.5, 66)),
        ("2026-11", (12.5, 21)),
        ("2026-W47", (2.5, 5)),
        ("2026-11-16/2026-11-19", (2.5, 3)),
    ],
)
def test_every_kind_of_period_has_its_own_weight(period: str, expected: tuple[float, int]) -> None:
    elapsed, total = expected
    found = figures(Target("revenue", "floor", "", period, Decimal(total), "EUR"))
    business_days = sum(
        date.fromordinal(day).weekday() < 5
        for day in range(date(2026, 1, 1).toordinal(), date(2026, 11, 18).toordinal())
    )
    if period == "2026":
        elapsed = business_days + 0.5
    if period == "2026-Q4":
        elapsed = 22 + 12.5
    assert found["pace_expected"] == elapsed


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [("2026", (2025, 4), (2026, 4)), ("2026-Q1", (2025, 4), (2025, 7)), ("2026-Q4", (2026, 1), (2026, 4))],
)
def test_years_and_quarters_are_fiscal_and_named_by_their_end(
    period: str, start: tuple[int, int], end: tuple[int, int]
) -> None:
    config = SnapshotConfig(calendar=Calendar("Europe/Berlin", fiscal_year_start_month=4), currency="EUR")
    target = Target("revenue", "floor", "", period, Decimal(1), "EUR")
    first_ms = ms(*start, 1)
    (standing,) = taken(target, config=config, as_of_ms=first_ms).targets
    assert (standing.target.start_ms, standing.target.end_ms) == (first_ms, ms(*end, 1))


def test_a_fiscal_year_may_be_named_by_its_start() -> None:
    config = SnapshotConfig(
        calendar=Calendar("Europe/Berlin", fiscal_year_start_month=4),
        currency="EUR",
        pacing=Pacing(year_named_by="start"),
    )
    target = Target("revenue", "floor", "", "2026", Decimal(1), "EUR")
    assert taken(target, config=config, as_of_ms=ms(2026, 4, 1)).targets


def test_holidays_weigh_nothing_and_weekdays_what_the_settings_say() -> None:
    calendar = Calendar("Europe/Berlin", holidays=(date(2026, 11, 17), date(2026, 11, 21)))
    config = SnapshotConfig(
        calendar=calendar, currency="EUR", pacing=Pacing(weekday_weights={"friday": 0.5, "saturday": 0.25})
    )
    # Monday 1, Tuesday off, Wednesday half over, Thursday 1, Friday a half, Saturday off.
    week = Target("revenue", "floor", "", "2026-W47", Decimal(350), "EUR")
    found = figures(week, config=config)
    assert found["pace_expected"] == 350 * 1.5 / 3.5
    assert found["required_per_day"] == 350 / 2


@pytest.mark.parametrize(("day", "noon_share"), [(date(2026, 3, 29), 11 / 23), (date(2026, 10, 25), 13 / 25)])
def test_on_a_day_of_23_or_25_hours_the_share_over_is_of_its_real_length(
    day: date, noon_share: float
) -> None:
    config = SnapshotConfig(calendar=Calendar("Europe/Berlin", business_days=("sunday",)), currency="EUR")
    period = f"{day}/{date.fromordinal(day.toordinal() + 1)}"
    target = Target("revenue", "floor", "", period, Decimal(1), "EUR")
    found = figures(target, config=config, as_of_ms=ms(day.year, day.month, day.day, 12))
    assert found["pace_expected"] == noon_share


def test_in_a_half_hour_zone_days_begin_at_its_own_midnight() -> None:
    config = SnapshotConfig(calendar=Calendar("Asia/Kolkata"), currency="EUR")
    kolkata = ZoneInfo("Asia/Kolkata")
    start_ms = ms(2026, 11, 16, zone=kolkata)
    rows = [won(start_ms - 1, 1), won(start_ms, 2)]
    found = figures(
        Target("revenue", "floor", "", "2026-W47", Decimal(5), "EUR"),
        config=config, rows=rows, as_of_ms=ms(2026, 11, 16, 12, zone=kolkata),
    )  # fmt: skip
    assert (found["quota_actual"], found["pace_expected"]) == (2, 0.5)


def test_a_new_reps_days_weigh_more_every_month() -> None:
    config = SnapshotConfig(calendar=CONFIG.calendar, currency="EUR", pacing=Pacing(ramp_months=1))
    target = Target("revenue", "rep", "Ann", "2026-11", Decimal(2100), "EUR")
    spell = RosterSpell("Ann", team_id="Nord", active_from=date(2026, 10, 16))
    # Until 15 November a day weighs a half: 10 business days, then 11 whole ones.
    found = figures(target, spell, config=config)
    assert found["pace_expected"] == pytest.approx(2100 * (5 + 2.5) / 16)
    assert found["required_per_day"] == 2100 / 8.5
    assert figures(target, RosterSpell("Ann"), config=config)["pace_expected"] == 1250


def due(day: date, cents: int, cell: Cell = ANN, *, what: str = "weighted", since_ms: int = NOON - 1) -> Row:
    return Row(since_ms, cell, f"due_{what}", cents, of=day.toordinal())


def test_forecasts_add_what_is_open_and_due_on_the_periods_own_days() -> None:
    bob = Cell(rep="Bob", team="Sued", currency="EUR")
    days = (date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 30), date(2026, 12, 1))
    rows = [due(day, 100 * 2**number) for number, day in enumerate(days)]
    rows += [
        due(days[1], 1_600, since_ms=NOON),  # opens later
        due(days[1], 3_200, bob),
        Row(NOON - 1, bob, "open"),
        due(days[2], 6_400),
        due(days[2], -6_400),  # was closed
        due(days[2], 250_000, what="weighted_millionths"),
        due(days[2], 12_800, what="commit"),
        due(days[1], 25_600, what="best_case"),
        won(ms(2026, 11, 2), 1000),
    ]
    found = figures(REVENUE, rows=rows)
    assert found["forecast_weighted"] == 1000 + 2 + 4 + 32 + 0.0025
    assert found["forecast_commit"] == 1128
    assert found["forecast_best_case"] == 1256
    of_bob = Target("revenue", "rep", "Bob", "2026-11", Decimal(2100), "EUR")
    assert figures(of_bob, rows=rows)["forecast_weighted"] == 32


def test_levels_and_ratios_are_compared_with_their_target_and_not_paced() -> None:
    rows = [Row(ms(2026, 11, 3), ANN, "won", 1), Row(ms(2026, 11, 3), ANN, "lost", 2)]
    rows.append(Row(ms(2025, 3, 3), ANN, "open", 8))
    rate = Target("win_rate", "team", "Nord", "2026-11", Decimal("0.4"))
    assert set(figures(rate, rows=rows)) == {"quota", "quota_actual", "quota_attainment"}
    assert figures(rate, rows=rows)["quota_attainment"] == pytest.approx(1 / 3 / 0.4)
    held = figures(Target("open_deals", "floor", "", "2026-11", Decimal(10)), rows=rows)
    assert held == {"quota": 10, "quota_actual": 8, "quota_attainment": 0.8}


def test_a_ratio_without_a_denominator_has_no_attainment() -> None:
    rate = Target("win_rate", "rep", "Ann", "2026-11", Decimal("0.4"))
    assert figures(rate, rows=[Row(ms(2026, 11, 3), ANN, "won_amount", 1)]) == {"quota": 0.4}


def test_a_team_is_measured_by_its_own_sum_and_a_rep_on_the_roster_by_zero() -> None:
    bob = Cell(rep="Bob", team="Nord", currency="EUR")
    rows = [won(ms(2026, 11, 3), 100), won(ms(2026, 11, 4), 200, bob)]
    targets = [
        Target("revenue", "team", "Nord", "2026-11", Decimal(1000), "EUR"),
        Target("revenue", "rep", "New", "2026-11", Decimal(10), "EUR"),
        Target("calls", "rep", "Bob", "2026-11", Decimal(10)),
    ]
    snapshot = taken(*targets, RosterSpell("New", team_id="Nord"), rows=rows)
    actual = {(s.target.kpi.name, s.target.label): s.figures["quota_actual"] for s in snapshot.targets}
    assert actual == {("revenue", "Nord"): 300, ("calls", "Bob"): 0, ("revenue", "New"): 0}
    assert snapshot.reference_problems == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            Target("revenu", "floor", "", "2026", Decimal(1), "EUR"),
            "kpi = 'revenu': unknown KPI; did you mean",
        ),
        (Target("calls", "planet", "x", "2026", Decimal(1)), "level = 'planet': unknown level"),
        (Target("calls", "stage", "x", "2026", Decimal(1)), "calls is not known by stage"),
        (Target("calls", "rep", "", "2026", Decimal(1)), "say which rep is meant"),
        (Target("calls", "floor", "x", "2026", Decimal(1)), "a target of the floor has no key"),
        (
            Target("calls", "floor", "", "November", Decimal(1)),
            "period = 'November': 'November' is no period",
        ),
        (Target("calls", "floor", "", "2026-13", Decimal(1)), "has no month 13"),
        (Target("calls", "floor", "", "2026-W00", Decimal(1)), "has no week 00"),
        (Target("calls", "floor", "", "2026-11-02/2026-11-01", Decimal(1)), "ends before it begins"),
        (Target("calls", "floor", "", "2026", Decimal(0)), "value = 0: a target is above 0"),
        (Target("calls", "floor", "", "2026", Decimal(5), "EUR"), "calls is no money"),
        (Target("revenue", "floor", "", "2026", Decimal(5)), "revenue is money; say in which currency"),
        (Target("revenue", "floor", "", "2026", Decimal(5), "GBP"), "there is no rate into EUR"),
        (Target("calls", "rep", "Nobody", "2026", Decimal(5)), "speaks of this rep"),
    ],
)
def test_a_target_that_cannot_be_used_is_told_and_the_others_stand(target: Target, said: str) -> None:
    snapshot = taken(REVENUE, target)
    (problem,) = snapshot.reference_problems
    assert said in problem.problem
    assert problem.record == target.id
    assert [standing.target.record for standing in snapshot.targets] == [REVENUE]


def test_a_target_in_another_currency_is_valued_on_its_periods_first_day() -> None:
    target = Target("revenue", "floor", "", "2026-11", Decimal(2000), "USD")
    rates = [
        Rate("USD", Decimal("0.9"), date(2026, 10, 1)),
        Rate("USD", Decimal("0.8"), date(2026, 11, 1)),
        Rate("USD", Decimal("0.7"), date(2026, 11, 2)),
    ]
    assert figures(target, *rates)["quota"] == 1600
    problems = taken(target, rates[2]).reference_problems
    assert "there is no rate into EUR on the first day of 2026-11" in problems[0].problem


def test_open_deals_due_count_where_their_rep_is_now_and_at_the_rate_of_now() -> None:
    usd = Cell(rep="Ann", currency="USD")
    spells = [
        RosterSpell("Ann", team_id="Nord", active_from=date(2026, 1, 1), active_to=date(2026, 11, 10)),
        RosterSpell("Ann", team_id="Sued", active_from=date(2026, 11, 10)),
    ]
    rates = [Rate("USD", Decimal("0.9"), date(2026, 1, 1)), Rate("USD", Decimal("0.5"), date(2026, 11, 18))]
    targets = [Target("revenue", "team", team, "2026-11", Decimal(1), "EUR") for team in ("Nord", "Sued")]
    rows = [due(date(2026, 11, 30), 20_000, usd, since_ms=ms(2026, 3, 1)), Row(ms(2026, 3, 1), usd, "open")]
    snapshot = taken(*targets, *spells, *rates, rows=rows)
    assert {each.target.label: each.figures["forecast_weighted"] for each in snapshot.targets} == {
        "Nord": 0, "Sued": 100,
    }  # fmt: skip


def test_a_withdrawn_target_is_gone_without_a_word() -> None:
    snapshot = taken(Target("revenue", "floor", "", "2026-11", None, "EUR"))
    assert (snapshot.targets, snapshot.reference_problems) == ((), ())


def test_a_record_replaces_the_settings_target_of_the_same_id() -> None:
    other = Target("deals_won", "floor", "", "2026-11", Decimal(5))
    config = SnapshotConfig(calendar=CONFIG.calendar, currency="EUR", targets=(REVENUE, other))
    corrected = Target("revenue", "floor", "", "2026-11", Decimal(4200), "EUR")
    quotas = {s.target.kpi.name: s.figures["quota"] for s in _everything(config, corrected).targets}
    assert quotas == {"revenue": 4200, "deals_won": 5}


def _everything(config: SnapshotConfig, *references: Reference) -> KpiSnapshot:
    return take_snapshot(FakeReader(references=references), NOON, config)


def test_the_json_of_a_target_says_whose_it_is_and_when() -> None:
    told = taken(REVENUE, rows=[won(NOON - 1, 2100)]).to_json_obj()["targets"]
    assert json.loads(json.dumps(told)) == [
        {
            "kpi": "revenue", "level": "floor", "key": {}, "period": "2026-11", "currency": "EUR",
            "start": "2026-10-31T23:00:00.000Z", "end": "2026-11-30T23:00:00.000Z",
            "quota": 2100, "quota_actual": 2100, "quota_attainment": 1,
            "pace_expected": 1250, "pace_delta": 850, "forecast_pace": 3528,
            "forecast_weighted": 2100, "forecast_commit": 2100, "forecast_best_case": 2100,
        }
    ]  # fmt: skip


def test_where_panes_are_too_coarse_the_actual_is_left_out_and_said_to_be() -> None:
    since_ms = ms(2026, 11, 10)
    resolution = Resolution((since_ms,) * 5)
    reader = FakeReader([won(NOON - 1, 5)], references=(REVENUE,), resolutions=(resolution,))
    snapshot = take_snapshot(reader, NOON, CONFIG, strict=True, filters=Filters(windows=("1h",)))
    assert [standing.figures for standing in snapshot.targets] == [{"quota": 2100}]
    assert [left_out.window for left_out in snapshot.left_out if not left_out.previous_only] == ["2026-11"]


def test_a_rep_beyond_the_budget_of_labels_still_has_an_actual() -> None:
    reps = [Cell(rep=f"R{number}", currency="EUR") for number in range(5)]
    config = SnapshotConfig(calendar=CONFIG.calendar, currency="EUR", keys_per_level_max=2)
    targets = [Target("revenue", "rep", rep.rep, "2026-11", Decimal(10), "EUR") for rep in reps]
    rows = [won(ms(2026, 11, 3), number, rep) for number, rep in enumerate(reps, 1)]
    snapshot = take_snapshot(FakeReader(rows, references=targets), NOON, config)
    assert [standing.figures["quota_actual"] for standing in snapshot.targets] == [1, 2, 3, 4, 5]
