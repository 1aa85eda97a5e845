"""Contests and commissions of generated sales agree with counting one by one, whatever the windows."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from metrics.commission import Plan, PlanVersion, Tier
from metrics.contest import Contest
from metrics.panes import Cell
from metrics.rewards import RewardRules, RewardTaker
from metrics.snapshot import PaneImage, SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

HOUR_MS = 3_600_000
START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1000


class Sale(NamedTuple):
    rep: str
    team: str
    hour: int
    cents: int


sale = st.builds(
    Sale,
    rep=st.sampled_from(["ann", "bob", "cid"]),
    team=st.sampled_from(["red", "blue"]),
    hour=st.integers(0, 60 * 24),
    cents=st.integers(0, 200_000),
)
sales = st.lists(sale, max_size=40)
hours = st.integers(0, 61 * 24)


def image_of(sold: Iterable[Sale]) -> tuple[FakeReader, PaneImage]:
    rows = []
    for each in sold:
        cell, at_ms = Cell(rep=each.rep, team=each.team, currency="USD"), START_MS + each.hour * HOUR_MS
        rows += [Row(at_ms, cell, "won"), Row(at_ms, cell, "won_amount", each.cents)]
    reader = FakeReader(rows)
    return reader, PaneImage.of(reader)


@given(sales, hours, st.tuples(hours, hours), st.tuples(hours, hours))
def test_contests_side_by_side_each_count_their_own_window(
    sold: list[Sale], now: int, one: tuple[int, int], other: tuple[int, int]
) -> None:
    rules = [("deals_won", "rep", min(one), max(one)), ("revenue", "team", min(other), max(other))]
    contests = tuple(
        Contest(f"c{n}", kpi, START_MS + first * HOUR_MS, START_MS + (last + 1) * HOUR_MS, level)
        for n, (kpi, level, first, last) in enumerate(rules)
    )
    reader, image = image_of(sold)
    config, as_of_ms = SnapshotConfig(levels=("floor",), windows=("1h",)), START_MS + now * HOUR_MS
    taker = RewardTaker(config, RewardRules(contests=contests))
    report = taker.take(image, take_snapshot(reader, as_of_ms, config), {})
    for (kpi, level, first, last), standing in zip(rules, report.contests, strict=True):
        expected: Counter[str] = Counter()
        for each in sold:
            if first <= each.hour < min(last + 1, now):
                who = each.rep if level == "rep" else each.team
                expected[who] += 1 if kpi == "deals_won" else each.cents
        scale = 1 if kpi == "deals_won" else 100
        told = {entry.key: entry.value for entry in standing.entries}
        assert {key: value for key, value in told.items() if value} == {
            key: count / scale for key, count in expected.items() if count
        }
        for entry in standing.entries:
            assert entry.rank == 1 + sum(value > entry.value for value in told.values())


@given(st.lists(sale, min_size=20, max_size=40), st.integers(1, 61 * 24), st.integers(1, 59))
def test_commissions_agree_with_paying_sale_by_sale_in_the_order_of_time(
    sold: list[Sale], now: int, changed_on: int
) -> None:
    first_day = date(2026, 1, 1)
    old = PlanVersion("p", date(2025, 1, 1), "revenue", "month", (Tier(Decimal(0), None, Decimal("0.1")),))
    steps = (Tier(Decimal(0), Decimal(1000), Decimal("0.05")), Tier(Decimal(1000), None, Decimal("0.2")))
    new = PlanVersion("p", first_day + timedelta(days=changed_on), "revenue", "month", steps)
    _, image = image_of(sold)
    taker = RewardTaker(SnapshotConfig(), RewardRules(plans=(Plan("p", (old, new)),)))
    (estimate,) = taker.commissions(image, START_MS + now * HOUR_MS)

    month = (START + timedelta(hours=now)).month
    reached: Counter[str] = Counter()
    earned: dict[str, Decimal] = {}
    for each in sorted(sold, key=lambda sale: sale.hour):
        if each.hour >= now or (START + timedelta(hours=each.hour)).month != month:
            continue
        if each.hour < changed_on * 24:
            share = Decimal(each.cents) / 10
        else:
            cheap = max(0, min(100_000, reached[each.rep] + each.cents) - reached[each.rep])
            share = (Decimal(cheap) * 5 + Decimal(each.cents - cheap) * 20) / 100
        reached[each.rep] += each.cents
        earned[each.rep] = earned.get(each.rep, Decimal(0)) + share
    told = {rep: value for rep, value in estimate.by_rep.items() if value}
    expected = {
        rep: (cents / 100).quantize(Decimal("0.01"), ROUND_HALF_EVEN) for rep, cents in earned.items()
    }
    assert told == {rep: value for rep, value in expected.items() if value}
