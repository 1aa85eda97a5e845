"""pane_store: sums stay exact while panes grow wider with age."""

import random

import pytest

from metrics.measures import BY_NAME, hindsight_key, split_hindsight_key
from metrics.panes import TIERS, Cell, edge_is_exact
from streams.fact_contributions import Contribution
from streams.pane_store import PaneStore

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 12 * 3_600_000
WON, OPEN = BY_NAME["won"].number, BY_NAME["open"].number
CREATED_WON = BY_NAME["created_won"].number


def day_start(time_ms: int) -> int:
    return time_ms - time_ms % DAY_MS


def store_with(contributions: list[Contribution], *, panes_max: int) -> PaneStore:
    store = PaneStore(day_start=day_start, panes_max=panes_max)
    store.add(contributions)
    return store


def past_contributions(count: int, seed: int = 1) -> list[Contribution]:
    rng = random.Random(seed)
    return [
        (Cell(rep=f"R{rng.randrange(3)}"), NOW_MS - rng.randrange(700 * DAY_MS), {WON: 1, OPEN: 1})
        for _ in range(count)
    ]


def total(store: PaneStore, measure: int, *, before_ms: int | None = None) -> int:
    return sum(
        pane.get(measure, 0)
        for key, pane in store.panes.items()
        if before_ms is None or key.start_ms < before_ms
    )


def test_retract_undoes_add_and_leaves_no_pane() -> None:
    contributions = past_contributions(200)
    store = store_with(contributions, panes_max=10_000)
    store.retract(contributions)
    assert store.panes == {}


def test_coarsening_makes_room_and_loses_nothing() -> None:
    store = store_with(past_contributions(3000), panes_max=2_500)
    store.coarsen(now_ms=NOW_MS)
    assert len(store.panes) <= 2_500
    assert total(store, WON) == 3000


def test_coarsening_keeps_what_live_windows_need() -> None:
    store = store_with(past_contributions(5000), panes_max=10)
    store.coarsen(now_ms=NOW_MS)
    assert len(store.panes) > 10
    for tier, start_ms in {(key.tier, key.start_ms) for key in store.panes}:
        finer = TIERS[tier - 1] if tier else TIERS[0]
        assert start_ms <= NOW_MS - finer.keep_ms


def test_where_nothing_more_can_be_merged_it_is_tried_again_once_a_tenth_has_come() -> None:
    store = store_with(past_contributions(5000), panes_max=10)
    assert store.is_crowded
    store.coarsen(now_ms=NOW_MS)
    left = len(store.panes)
    crowded_at = []
    for new in range(left):
        store.add([(Cell("new"), NOW_MS - new, {WON: 1})])
        if store.is_crowded:
            crowded_at.append(len(store.panes))
            store.coarsen(now_ms=NOW_MS)
    assert crowded_at
    assert crowded_at[0] == pytest.approx(1.1 * left, abs=1)
    assert len(crowded_at) < 10


def test_what_has_grown_old_is_merged_once_an_hour_and_not_at_every_look() -> None:
    store = store_with(past_contributions(5000), panes_max=10)
    store.coarsen(now_ms=NOW_MS)
    minutes = range(1, 181)
    merged_at = []
    for minute in minutes:
        now_ms = NOW_MS + minute * 60_000
        if store.is_aged(now_ms):
            merged_at.append(minute)
            store.coarsen(now_ms=now_ms)
    assert merged_at == [60, 120, 180]


def test_where_there_is_room_nothing_is_merged_for_its_age() -> None:
    store = store_with(past_contributions(100), panes_max=10_000)
    assert not store.is_aged(NOW_MS + 9_000 * DAY_MS)


def test_sum_up_to_an_exact_edge_survives_coarsening() -> None:
    contributions = past_contributions(4000)
    store = store_with(contributions, panes_max=1_000)
    store.coarsen(now_ms=NOW_MS)
    edges = [day_start(NOW_MS) - n * DAY_MS for n in range(0, 700, 7)] + [NOW_MS - 600_000]
    exact = [edge for edge in edges if edge_is_exact(edge, store.resolution, day_start=day_start)]
    assert len(exact) > 90
    for edge in exact:
        assert total(store, WON, before_ms=edge) == sum(
            1 for _, time_ms, _ in contributions if time_ms < edge
        )


def test_late_contribution_and_its_retraction_meet_in_the_same_wide_pane() -> None:
    contributions = past_contributions(3000)
    store = store_with(contributions, panes_max=1_000)
    store.coarsen(now_ms=NOW_MS)
    store.retract(contributions)
    assert store.panes == {}


def test_forgetting_drops_flows_and_keeps_levels() -> None:
    store = store_with(past_contributions(1000), panes_max=10_000)
    horizon_ms = NOW_MS - 300 * DAY_MS
    store.forget_before(horizon_ms)
    assert total(store, OPEN) == 1000
    assert all(WON not in pane for key, pane in store.panes.items() if key.start_ms < day_start(horizon_ms))


def test_what_was_forgotten_is_neither_counted_again_nor_taken_back() -> None:
    contributions = past_contributions(1000)
    store = store_with(contributions, panes_max=10_000)
    store.forget_before(NOW_MS - 300 * DAY_MS)
    before = {key: dict(pane) for key, pane in store.panes.items()}
    store.retract(contributions)
    store.add(contributions)
    assert store.panes == before


def test_what_hindsight_knows_can_be_taken_back_whatever_grew_wider_meanwhile() -> None:
    rng = random.Random(5)
    contributions = []
    for cell, time_ms, values in past_contributions(2000, seed=3):
        lag_ms = rng.choice((1, 5_000, 40_000, 600_000, rng.randrange(300 * DAY_MS)))
        contributions.append((cell, time_ms, {**values, hindsight_key(CREATED_WON, lag_ms): 1}))
    store = store_with(contributions[:1500], panes_max=400)
    for days in (-100, 0, 0, 90, 250):  # older panes and newer knowledge grow wider at different times
        store.coarsen(now_ms=NOW_MS + days * DAY_MS)
        store.add(contributions[1500 + days :][:40])
        store.retract(contributions[1500 + days :][:40])
    store.add(contributions[1500:])
    known = [split_hindsight_key(key) for pane in store.panes.values() for key in pane if key > 1 << 52]
    assert {number for number, _ in known} == {CREATED_WON}
    store.retract(contributions)
    assert store.panes == {}


def test_hindsight_is_as_exact_as_the_panes_are() -> None:
    store = PaneStore(day_start=day_start, panes_max=1)
    created_ms = NOW_MS - 500 * DAY_MS + 7
    for lag_ms in (1, 30 * DAY_MS, 30 * DAY_MS + 1, 400 * DAY_MS + 7):
        store.add([(Cell(), created_ms, {hindsight_key(CREATED_WON, lag_ms): 1})])
    store.add([(Cell("R"), created_ms + each, {WON: 1}) for each in range(9)])
    store.coarsen(now_ms=NOW_MS)
    pane = next(values for key, values in store.panes.items() if CREATED_WON in values)
    day_ms = day_start(created_ms)
    assert pane[CREATED_WON] == 1, "what came about within the pane itself is known with it"
    lags = {split_hindsight_key(key)[1]: value for key, value in pane.items() if key != CREATED_WON}
    edge = store.resolution
    assert sum(lags.values()) == 3
    assert all(edge_is_exact(day_ms + lag_ms, edge, day_start=day_start) for lag_ms in lags)
