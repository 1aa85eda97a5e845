"""Ranks: ties share one, order of arrival changes nothing, and everything agrees with the slow way."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.calendar import Calendar
from metrics.commission import Plan, PlanVersion, Tier, commission, tier_problem
from metrics.contest import Contest, Stage, contest_standing
from metrics.kpi_snapshot import KpiSnapshot
from metrics.leaderboard import Leaderboard, Standing, entries_of, ranks_of, standing_of
from metrics.panes import Cell
from metrics.reference import Target
from metrics.snapshot import SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MONDAY_MS = 1_767_571_200_000  # 2026-01-05T00:00Z
NOON_MS = MONDAY_MS + 3 * DAY_MS + 12 * HOUR_MS

scores = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 5).map(float), max_size=12)


def test_ties_share_a_rank_and_the_next_rank_counts_them() -> None:
    assert ranks_of({"a": 9.0, "b": 5.0, "c": 5.0, "d": 1.0}) == {"a": 1, "b": 2, "c": 2, "d": 4}
    assert ranks_of({"a": 9.0, "b": 5.0, "c": 5.0, "d": 1.0}, "lower") == {"d": 1, "b": 2, "c": 2, "a": 4}


@given(scores, st.sampled_from(["higher", "lower"]))
def test_a_rank_is_one_more_than_the_number_of_better_ones(values: dict[str, float], better: str) -> None:
    def beats(a: float, b: float) -> bool:
        return a > b if better == "higher" else a < b

    found = ranks_of(values, "higher" if better == "higher" else "lower")
    assert found == {
        key: 1 + sum(beats(other, own) for other in values.values()) for key, own in values.items()
    }


@given(scores, scores, st.randoms(use_true_random=False))
def test_a_standing_does_not_depend_on_the_order_it_is_told_in(
    values: dict[str, float], previous: dict[str, float], random: object
) -> None:
    def mixed(given: dict[str, float]) -> dict[str, float]:
        pairs = list(given.items())
        random.shuffle(pairs)  # type: ignore[attr-defined]
        return dict(pairs)

    assert entries_of(mixed(values), mixed(previous)) == entries_of(values, previous)


@given(scores, scores)
def test_most_improved_is_the_largest_gain_over_who_was_there_before(
    values: dict[str, float], previous: dict[str, float]
) -> None:
    entries = entries_of(values, previous, by="gain")
    assert {entry.key for entry in entries} == values.keys() & previous.keys()
    gains = [values[entry.key] - previous[entry.key] for entry in entries]
    assert gains == sorted(gains, reverse=True) == [entry.score for entry in entries]
    assert [entry.rank for entry in entries] == [1 + sum(other > gain for other in gains) for gain in gains]


def test_a_rank_change_says_how_many_ranks_were_climbed() -> None:
    entries = entries_of({"a": 3.0, "b": 2.0, "new": 1.0}, {"a": 1.0, "b": 5.0})
    assert [(entry.key, entry.rank_change) for entry in entries] == [("a", 1), ("b", -1), ("new", None)]


def test_of_those_who_tie_with_the_last_shown_place_all_are_shown_unless_they_have_nothing() -> None:
    board = Leaderboard("b", "deals_won", "today", top=2)
    tied = Standing(board, entries_of({"a": 9.0, "b": 5.0, "c": 5.0, "d": 1.0}, {}))
    assert [entry.key for entry in tied.shown] == ["a", "b", "c"]
    idle = Standing(board, entries_of({"a": 9.0, "b": 0.0, "c": 0.0}, {}))
    assert [entry.key for entry in idle.shown] == ["a", "b"]


def snapshot_of(rows: list[Row], as_of_ms: int = NOON_MS, targets: list[Target] | None = None) -> KpiSnapshot:
    return take_snapshot(FakeReader(rows, references=targets or []), as_of_ms, SnapshotConfig())


def won(rep: str, at_ms: int, amount: int = 0, team: str = "red") -> list[Row]:
    cell = Cell(rep=rep, team=team, currency="USD")
    return [Row(at_ms, cell, "won"), Row(at_ms, cell, "won_amount", amount)]


def test_a_board_ranks_what_the_snapshot_says_and_nobody_is_nobody() -> None:
    yesterday_ms = NOON_MS - DAY_MS - HOUR_MS
    rows = [
        *won("ann", NOON_MS - 1, 500), *won("bob", NOON_MS - 2, 700), *won("", NOON_MS - 3, 900),
        *won("ann", yesterday_ms, 200), *won("bob", yesterday_ms, 100),
    ]  # fmt: skip
    standing = standing_of(Leaderboard("today", "revenue", "today"), snapshot_of(rows))
    assert [(e.rank, e.key, e.value, e.previous, e.rank_change) for e in standing.entries] == [
        (1, "bob", 7.0, 1.0, 1),
        (2, "ann", 5.0, 2.0, -1),
    ]


def test_a_board_by_target_ranks_shares_and_leaves_out_who_has_no_target() -> None:
    rows = [*won("ann", NOON_MS - 1, 500), *won("bob", NOON_MS - 2, 700), *won("cid", NOON_MS - 3, 900)]
    targets = [
        Target("revenue", "rep", "ann", "2026-01", Decimal(10), "USD"),
        Target("revenue", "rep", "bob", "2026-01", Decimal(70), "USD"),
        Target("revenue", "rep", "bob", "2026", Decimal(1), "USD"),
    ]
    standing = standing_of(
        Leaderboard("quota", "revenue", "mtd", by="target"), snapshot_of(rows, targets=targets)
    )
    assert [(e.rank, e.key, e.score, e.value) for e in standing.entries] == [
        (1, "ann", 0.5, 5.0),
        (2, "bob", 0.1, 7.0),
    ]


# --- contests

CONTEST = Contest("sprint", "deals_won", MONDAY_MS, MONDAY_MS + DAY_MS, settling_ms=HOUR_MS)


@pytest.mark.parametrize(
    ("at_ms", "stage"),
    [
        (MONDAY_MS - 1, Stage.UPCOMING),
        (MONDAY_MS, Stage.RUNNING),
        (MONDAY_MS + DAY_MS - 1, Stage.RUNNING),
        (MONDAY_MS + DAY_MS, Stage.SETTLING),
        (MONDAY_MS + DAY_MS + HOUR_MS - 1, Stage.SETTLING),
        (MONDAY_MS + DAY_MS + HOUR_MS, Stage.FINAL),
    ],
)
def test_a_contest_is_where_the_clock_says(at_ms: int, stage: Stage) -> None:
    assert CONTEST.stage_at(at_ms) is stage


def test_a_contest_has_no_window_before_it_begins_and_none_beyond_its_end() -> None:
    assert CONTEST.window_at(MONDAY_MS) is None
    running, over = CONTEST.window_at(MONDAY_MS + 5), CONTEST.window_at(MONDAY_MS + 9 * DAY_MS)
    assert running is not None
    assert over is not None
    assert (running.start_ms, running.end_ms) == (MONDAY_MS, MONDAY_MS + 5)
    assert (over.start_ms, over.end_ms) == (MONDAY_MS, MONDAY_MS + DAY_MS)


def test_another_rule_is_another_contest_but_another_prize_is_not() -> None:
    changed = Contest("sprint", "deals_won", MONDAY_MS, MONDAY_MS + DAY_MS + 1, settling_ms=HOUR_MS)
    cake = Contest("sprint", "deals_won", MONDAY_MS, MONDAY_MS + DAY_MS, settling_ms=HOUR_MS, prize="cake")
    assert changed.id != CONTEST.id == cake.id


def test_a_contest_before_its_start_has_no_standing() -> None:
    standing = contest_standing(CONTEST, snapshot_of(won("ann", NOON_MS - 1), as_of_ms=MONDAY_MS - 1))
    assert (standing.stage, standing.entries) == (Stage.UPCOMING, ())


# --- commissions

TIERS = (
    Tier(Decimal(0), Decimal(100), Decimal("0.05")),
    Tier(Decimal(100), Decimal(300), Decimal("0.1")),
    Tier(Decimal(300), None, Decimal("0.2")),
)
V1 = PlanVersion("std", date(2025, 1, 1), "revenue", "month", TIERS)
V2 = PlanVersion("std", date(2026, 1, 3), "revenue", "month", (Tier(Decimal(0), None, Decimal("0.5")),))

amounts = st.decimals(0, 1000, places=2)


@pytest.mark.parametrize(
    ("amount", "earned"),
    [("0", "0.00"), ("100", "5.00"), ("100.01", "5.00"), ("300", "25.00"), ("400", "45.00")],
)
def test_each_part_of_the_amount_earns_its_tiers_rate(amount: str, earned: str) -> None:
    assert commission([(V1, Decimal(amount))], 2) == Decimal(earned)


@given(amounts)
def test_tiers_agree_with_paying_cent_by_cent(amount: Decimal) -> None:
    cents = int(amount * 100)
    rates = [(10_000, 5), (30_000, 10), (10**9, 20)]
    hundredths = sum(
        max(0, min(cents, top) - low) * rate
        for (top, rate), low in zip(rates, (0, 10_000, 30_000), strict=True)
    )
    assert abs(commission([(V1, amount)], 2) - Decimal(hundredths) / 10_000) <= Decimal("0.005")


@given(st.lists(amounts, max_size=6))
def test_cutting_a_period_where_nothing_changes_changes_no_commission(parts: list[Decimal]) -> None:
    assert commission([(V1, part) for part in parts], 2) == commission([(V1, sum(parts, Decimal(0)))], 2)


def test_a_newer_version_pays_what_is_sold_after_it_from_the_tier_reached() -> None:
    plan = Plan("std", (V1, V2))
    parts = plan.parts_at(NOON_MS, Calendar())
    assert [part.version for part in parts] == [V1, V2]
    assert parts[0].end_ms == parts[1].start_ms == MONDAY_MS - 2 * DAY_MS
    assert parts[1].end_ms == NOON_MS
    assert commission([(V1, Decimal(100)), (V2, Decimal(100))], 2) == Decimal("55.00")
    # 150 were reached before the version changed: all of the 100 lies in its tier of 10 %.
    assert commission([(V2, Decimal(150)), (V1, Decimal(100))], 2) == Decimal("85.00")


def test_a_plan_that_is_not_valid_yet_pays_nobody() -> None:
    assert Plan("std", (V1,)).parts_at(0, Calendar()) == ()


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ((), "there is no tier"),
        ((Tier(Decimal(5), Decimal(5), Decimal(1)),), "let it end above its start"),
        ((Tier(Decimal(0), Decimal(10), Decimal(1)), Tier(Decimal(9), None, Decimal(1))), "overlap"),
        ((Tier(Decimal(0), None, Decimal(1)), Tier(Decimal(9), None, Decimal(1))), "overlap"),
    ],
)
def test_tiers_that_cannot_be_used_are_named(tiers: tuple[Tier, ...], said: str) -> None:
    problem = tier_problem(tiers)
    assert problem is not None
    assert said in problem


def test_tiers_that_touch_are_sound_in_any_order() -> None:
    assert tier_problem(TIERS) is None
    assert tier_problem(tuple(reversed(TIERS))) is None
