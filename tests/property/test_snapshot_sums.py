"""Any panes and any instant: the snapshot equals a loop over the rows, window by window."""

from collections import defaultdict
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.measures import bucket_of, bucket_value
from metrics.panes import Cell
from metrics.snapshot import SnapshotConfig, take_snapshot
from metrics.windows import Window, windows_at
from tests.panes import FakeReader, Row
from tests.strength import amount

DAY_MS = 86_400_000
BASE_MS = 1_790_000_000_000
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Havana")
FLOWS = {"deals_won": "won", "deals_lost": "lost", "calls": "calls_done", "revenue": "won_amount"}

people = st.tuples(st.sampled_from(["", "Ann", "Bob", "Cid"]), st.sampled_from(["", "N", "S"]))
moments = st.one_of(
    st.integers(BASE_MS - 500 * DAY_MS, BASE_MS + DAY_MS),
    st.integers(-3, 3).map(lambda ms: BASE_MS + ms),
    st.builds(lambda days, ms: BASE_MS - days * DAY_MS + ms, st.integers(0, 200), st.integers(-2, 2)),
)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    rep, team = draw(people)
    measure = draw(st.sampled_from([*FLOWS.values(), "open", "won_cycle"]))
    cell = Cell(rep=rep, team=team, currency="USD" if measure == "won_amount" else "")
    value = 1 if measure == "won_cycle" else draw(st.integers(1, 1 << 40))
    return Row(draw(moments), cell, measure, value, draw(st.integers(0, 90 * DAY_MS)))


def groups(all_rows: list[Row], level: str, as_of_ms: int) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in all_rows:
        key = "all" if level == "floor" else (getattr(row.cell, level) or "unassigned")
        if row.start_ms < as_of_ms:
            found[key].append(row)
    return found


def expected_sum(members: list[Row], measure: str, start_ms: int, end_ms: int) -> int:
    return sum(row.value for row in members if row.measure == measure and start_ms <= row.start_ms < end_ms)


def check_window(snapshot: KpiSnapshot, level: str, key: str, members: list[Row], window: Window) -> None:
    start_ms, end_ms = window.start_ms, window.end_ms
    sums = {kpi: expected_sum(members, measure, start_ms, end_ms) for kpi, measure in FLOWS.items()}
    for kpi, total in sums.items():
        scaled = total / 100 if kpi == "revenue" else total
        assert snapshot.value(kpi, level, key, window.name) == scaled
    closed = sums["deals_won"] + sums["deals_lost"]
    rate = sums["deals_won"] / closed if closed else None
    assert snapshot.value("win_rate", level, key, window.name) == rate
    cycles = [
        bucket_value(bucket_of(row.of)) / 1000
        for row in members
        if row.measure == "won_cycle" and start_ms <= row.start_ms < end_ms
    ]
    for quantile in (0.5, 0.9):
        shown = snapshot.value("sales_cycle", level, key, window.name, quantile=quantile)
        if not cycles:
            assert shown is None
        else:
            assert shown is not None
            np.testing.assert_allclose(shown, np.quantile(cycles, quantile), rtol=1e-9)


@settings(max_examples=amount(50, long=500))
@given(
    st.lists(rows(), max_size=40),
    st.sampled_from([BASE_MS, BASE_MS - 40 * DAY_MS, BASE_MS + 1]),
    st.sampled_from(ZONES),
)
def test_every_window_of_every_group_equals_a_loop_over_the_rows(
    all_rows: list[Row], as_of_ms: int, zone: str
) -> None:
    config = SnapshotConfig(calendar=Calendar(zone))
    snapshot = take_snapshot(FakeReader(all_rows), as_of_ms, config)
    for level in ("floor", "team", "rep"):
        members_of = groups(all_rows, level, as_of_ms)
        scalar = {
            key for key, members in members_of.items() if any(row.measure != "won_cycle" for row in members)
        }
        assert set(snapshot.keys[level].labels) == (scalar if level != "floor" else {"all"})
        for key in snapshot.keys[level].labels:
            members = members_of[key]
            opened = sum(row.value for row in members if row.measure == "open")
            assert snapshot.value("open_deals", level, key) == opened
            for window in windows_at(as_of_ms, config.calendar):
                check_window(snapshot, level, key, members, window)


@settings(max_examples=amount(30, long=300))
@given(st.lists(rows(), max_size=30), st.lists(rows(), max_size=10), st.randoms(use_true_random=False))
def test_rows_that_take_each_other_back_change_nothing(
    stay: list[Row], go: list[Row], random: Random
) -> None:
    both = [*stay, *go, *(row._replace(value=-row.value) for row in go)]
    random.shuffle(both)
    config = SnapshotConfig()
    plain = take_snapshot(FakeReader(stay), BASE_MS, config)
    assert take_snapshot(FakeReader(both), BASE_MS, config).to_json_obj() == plain.to_json_obj()
