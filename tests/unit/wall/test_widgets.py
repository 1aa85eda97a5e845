"""What each kind of widget says of a small floor whose numbers are known."""

from dataclasses import replace
from typing import Any

import pytest

from metrics.leaderboard import Leaderboard
from metrics.panes import Cell
from metrics.snapshot import SnapshotConfig
from metrics.wall.boards import (
    ContestWidget,
    ConversionWidget,
    FunnelWidget,
    KpiWidget,
    PipelineWidget,
    RankingWidget,
)
from tests.panes import Row
from tests.unit.wall.floors import (
    CAT,
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    REFERENCES,
    ROWS,
    SPRINT,
    built,
    image,
    won,
)

REVENUE = KpiWidget("revenue", "mtd")
BY_REVENUE = Leaderboard("month", "revenue", "mtd")


def rows_of(widget: dict[str, Any], *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in fields) for row in widget["rows"]]


def test_a_number_comes_with_its_twin_its_target_and_its_pace() -> None:
    [tile] = built(REVENUE)
    assert tile["id"] == "b-0"
    expected = {
        "kind": "kpi", "title_key": "kpi.revenue", "label": "revenue", "window": "mtd", "unit": "money",
        "currency": "USD", "exponent": 2, "better": "up", "value": 1200_00, "previous": 1000_00,
        "target": 2400_00, "attainment": 0.5, "pace": "behind",
    }  # fmt: skip
    assert {name: tile[name] for name in expected} == expected
    assert tile["expected"] == round(2400_00 * 14.5 / 21)  # business days of November gone, of 21
    assert "why_null" not in tile


@pytest.mark.parametrize(
    ("amount", "pace"), [(0, "behind"), (457_00, "on"), (470_00, "on"), (600_00, "ahead")]
)
def test_near_what_is_expected_is_on_pace(amount: int, pace: str) -> None:
    [tile] = built(REVENUE, panes=image((*ROWS, *won(CAT, NOW_MS - HOUR_MS, amount))))
    assert tile["pace"] == pace


def test_a_window_that_is_no_period_has_no_target() -> None:
    [tile] = built(KpiWidget("revenue", "today"))
    assert (tile["value"], tile["target"], tile["pace"]) == (1200_00, None, None)


def test_a_rep_and_a_team_have_targets_of_their_own() -> None:
    rep, team = built(KpiWidget("revenue", "mtd", "rep", "ann"), KpiWidget("revenue", "mtd", "team", "north"))
    assert (rep["value"], rep["attainment"]) == (300_00, 0.5)
    assert (team["value"], team["attainment"]) == (800_00, 0.8)


def test_a_number_that_is_not_known_says_so() -> None:
    ratio, nobody = built(
        KpiWidget("demo_completion", "mtd"), KpiWidget("revenue", "mtd", "rep", "nobody of that name")
    )
    assert (ratio["value"], ratio["why_null"]) == (None, "no_data")
    assert (nobody["value"], nobody["why_null"]) == (None, "no_data")


def test_what_is_open_now_has_no_window_and_no_twin() -> None:
    [tile] = built(KpiWidget("pipeline_value", None))
    assert (tile["value"], tile["window"], tile["previous"]) == (750_00, None, None)


def test_ratios_stay_shares_and_quantiles_are_told() -> None:
    rate, cycle = built(KpiWidget("win_rate", "mtd"), KpiWidget("sales_cycle", "mtd", quantile=0.9))
    assert (rate["unit"], rate["value"]) == ("ratio", 0.75)
    assert (cycle["unit"], cycle["quantile"], cycle["value"]) == ("seconds", 0.9, None)


def test_money_without_decimals_crosses_in_its_own_minor_units() -> None:
    yen = [row._replace(cell=row.cell._replace(currency="JPY")) for row in ROWS if row.cell.currency]
    [tile] = built(REVENUE, config=SnapshotConfig(currency="JPY"), panes=image(yen, ()))
    assert (tile["value"], tile["currency"], tile["exponent"]) == (120_000, "JPY", 0)


def test_windows_and_levels_that_are_no_gauges_are_shown_too() -> None:
    shown = (REVENUE, KpiWidget("revenue", "wtd", "rep", "ann"), PipelineWidget(), RankingWidget(BY_REVENUE))
    narrow = replace(SnapshotConfig(), levels=("floor",), windows=("1h",))
    wide, few = built(*shown), built(*shown, config=narrow)
    assert few == wide


# --- rankings


def test_a_ranking_tells_name_team_share_of_the_target_and_how_many_ranks_were_climbed() -> None:
    [board] = built(RankingWidget(BY_REVENUE))
    assert (board["kind"], board["title_key"], board["unit"]) == ("leaderboard", "kpi.revenue", "money")
    assert rows_of(board, "rank", "key", "name", "team", "value") == [
        (1, "bob", "Bob Becker", "north", 500_00),
        (2, "cat", "cat", "south", 400_00),
        (3, "ann", "Ann Archer", "north", 300_00),
    ]
    # A month ago ann was first, bob second, and cat had sold nothing.
    assert rows_of(board, "key", "rank_change", "improved", "target_share") == [
        ("bob", 1, 400_00, None),
        ("cat", 1, 400_00, None),
        ("ann", -2, -600_00, 0.5),
    ]


def test_who_ties_says_so() -> None:
    [board] = built(RankingWidget(Leaderboard("won", "deals_won", "today")))
    assert rows_of(board, "rank", "tied") == [(1, True)] * 3


def test_most_improved_ranks_the_gain() -> None:
    [board] = built(RankingWidget(replace(BY_REVENUE, by="gain")))
    assert (board["kind"], board["title_key"]) == ("most_improved", "widget.most_improved")
    assert rows_of(board, "rank", "key", "improved") == [
        (1, "bob", 400_00), (1, "cat", 400_00), (3, "ann", -600_00),
    ]  # fmt: skip


def test_a_ranking_by_target_shows_who_has_one() -> None:
    [board] = built(RankingWidget(replace(BY_REVENUE, by="target")))
    assert rows_of(board, "rank", "key", "value", "target_share") == [(1, "ann", 300_00, 0.5)]


def test_a_wall_shows_no_more_places_than_can_be_read() -> None:
    many = [Cell(rep=f"r{n:02}", team="north", currency="USD") for n in range(40)]
    rows = [row for n, cell in enumerate(many) for row in won(cell, NOW_MS - HOUR_MS, 100 + n)]
    [board] = built(RankingWidget(replace(BY_REVENUE, top=30)), panes=image(rows, ()))
    assert len(board["rows"]) == 15


def test_a_teams_board_ranks_its_own_people_anew() -> None:
    value, gain, target, teams = built(
        RankingWidget(BY_REVENUE),
        RankingWidget(replace(BY_REVENUE, by="gain")),
        RankingWidget(replace(BY_REVENUE, by="target")),
        RankingWidget(replace(BY_REVENUE, level="team")),
        team="north",
    )
    assert rows_of(value, "rank", "key", "rank_change") == [(1, "bob", 1), (2, "ann", -1)]
    assert rows_of(gain, "rank", "key") == [(1, "bob"), (2, "ann")]
    assert rows_of(target, "rank", "key") == [(1, "ann")]
    assert rows_of(teams, "rank", "key") == [(1, "north"), (2, "south")]


# --- the other kinds


def test_the_pipeline_stands_in_the_order_of_its_stages() -> None:
    [pipeline] = built(PipelineWidget())
    assert (pipeline["currency"], pipeline["exponent"]) == ("USD", 2)
    assert pipeline["stages"] == [
        {"stage": "demo", "name": "demo", "count": 1, "amount_minor": 50_00, "probability": 0.3},
        {"stage": "proposal", "name": "proposal", "count": 2, "amount_minor": 700_00, "probability": 0.6},
        {"stage": "unheard of", "name": "unheard of", "count": 1, "amount_minor": 0, "probability": None},
    ]


def test_a_funnel_puts_each_step_in_relation_to_the_one_before() -> None:
    [funnel] = built(FunnelWidget(("leads_created", "leads_qualified", "demos_due", "deals_won"), "today"))
    assert [(step["label"], step["value"], step["share_of_previous"]) for step in funnel["steps"]] == [
        ("leads_created", 10, None),
        ("leads_qualified", 4, 0.4),
        ("demos_due", 0, 0.0),
        ("deals_won", 3, None),
    ]


def test_a_running_contest_tells_prize_end_and_places() -> None:
    [contest] = built(ContestWidget("sprint"))
    assert (contest["prize"], contest["state"]) == ("A day off", "running")
    assert (contest["starts_ms"], contest["ends_ms"]) == (SPRINT.start_ms, SPRINT.end_ms)
    assert rows_of(contest, "rank", "tied", "name", "value") == [
        (1, True, "Ann Archer", 1), (1, True, "Bob Becker", 1), (1, True, "cat", 1),
    ]  # fmt: skip


def test_a_contest_that_is_over_but_not_written_down_still_settles() -> None:
    over = replace(SPRINT, end_ms=NOW_MS - 2 * HOUR_MS, settling_ms=0)
    [contest] = built(ContestWidget("sprint"), contest=over)
    assert contest["state"] == "settling"


def test_a_contest_shows_its_result_as_it_was_written_down_whatever_was_corrected_since() -> None:
    over = replace(SPRINT, end_ms=NOW_MS - HOUR_MS, settling_ms=0)
    result: dict[str, Any] = {"standings": [{"rank": 1, "key": "ann", "value": 7}]}
    [contest] = built(ContestWidget("sprint"), contest=over, kept={over.id: result})
    assert contest["state"] == "final"
    assert rows_of(contest, "rank", "name", "team", "value") == [(1, "Ann Archer", "north", 7)]


def test_a_contest_nobody_knows_any_more_is_empty_and_breaks_nothing() -> None:
    [contest] = built(ContestWidget("renamed"))
    assert contest["rows"] == []


def test_a_conversion_tells_its_rate_between_its_bounds() -> None:
    weeks = [row for week in range(1, 5) for row in _closed(NOW_MS - (7 * week + 1) * DAY_MS, 30, 70)]
    panes = image((*ROWS, *weeks, *_closed(NOW_MS - HOUR_MS, 7, 12)), REFERENCES)
    floor, team, unknown = built(
        ConversionWidget("deal_win"),
        ConversionWidget("deal_win", "south"),
        ConversionWidget("deal_win", "x"),
        panes=panes,
    )
    assert (floor["trials"], floor["successes"]) == (23, 10)
    assert floor["lower"] < floor["rate"] == 10 / 23 < floor["upper"]
    assert floor["baseline"] == pytest.approx(0.3, abs=0.02)
    assert (team["team"], team["trials"]) == ("south", 21)
    assert (unknown["rate"], unknown["trials"]) == (None, None)


def _closed(at_ms: int, wins: int, losses: int) -> list[Row]:
    return [Row(at_ms, CAT, "won", wins), Row(at_ms, CAT, "lost", losses)]
