"""pane_store: sums stay exact while panes grow wider with age."""

import random

from metrics.measures import BY_NAME
from metrics.panes import TIERS, Cell, edge_is_exact
from streams.contribute import Contribution
from streams.pane_store import PaneStore

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 12 * 3_600_000
WON, OPEN = BY_NAME["won"].number, BY_NAME["open"].number


def day_start(time_ms: int) -> int:
    return time_ms - time_ms % DAY_MS


def store_with(contributions: list[Contribution], *, panes_max: int) -> PaneStore:
    store = PaneStore(day_start=day_start, panes_max=panes_max)
    store.add(contributions)
    return store


def past_contributions(count: int, seed: int = 1) -> list[Contribution]:
    rng = random.Random(seed)
    return [
        Contribution(
            Cell(rep=f"R{rng.randrange(3)}"), NOW_MS - rng.randrange(700 * DAY_MS), {WON: 1, OPEN: 1}
        )
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
    assert store.is_crowded
    for tier, start_ms in {(key.tier, key.start_ms) for key in store.panes}:
        finer = TIERS[tier - 1] if tier else TIERS[0]
        assert start_ms <= NOW_MS - finer.keep_ms


def test_sum_up_to_an_exact_edge_survives_coarsening() -> None:
    contributions = past_contributions(4000)
    store = store_with(contributions, panes_max=1_000)
    store.coarsen(now_ms=NOW_MS)
    edges = [day_start(NOW_MS) - n * DAY_MS for n in range(0, 700, 7)] + [NOW_MS - 600_000]
    exact = [edge for edge in edges if edge_is_exact(edge, store.resolution, day_start=day_start)]
    assert len(exact) > 90
    for edge in exact:
        assert total(store, WON, before_ms=edge) == sum(1 for each in contributions if each.time_ms < edge)


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
