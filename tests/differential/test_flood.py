"""Made-up names in any number change no number of the real ones: shown or not, everything adds up.

What a level shows of a flooded history is compared with everything there is, and that with the oracle.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import OTHER
from metrics.panes import PaneReader
from metrics.reference import RosterSpell
from metrics.snapshot import Filters, PaneImage, SnapshotConfig, Snapshotter
from oracle.numbers import answers, books_of
from streams.board import BoardFollower
from streams.pane_store import PaneStore
from tests.differential.test_generated_histories import CASES
from tests.histories import DAY_MS, Event, Generator, edge_times
from tests.product_path import ProductPath, differences

REAL = ("R1", "R2")
ADDING_UP = ("deals_won", "deals_lost", "revenue", "calls", "leads_new", "open_deals", "pipeline_value")
"""KPIs of which the sum over all groups is the floor's."""


def flooded(events: Iterable[Event], random: Random) -> list[Event]:
    """Let made-up reps and teams have a part of everything; what they have changes hands among them."""
    found = []
    for event in events:
        data = event["data"]
        assert isinstance(data, dict)
        if random.random() < 0.6:
            data = {**data, "rep_id": f"X-{random.randrange(40)}"}
            if random.random() < 0.3:
                data["team_id"] = f"Y-{random.randrange(40)}"
        found.append({**event, "data": data})
    return found


def taken(reader: PaneReader, at_ms: int, config: SnapshotConfig, filters: Filters) -> KpiSnapshot:
    image = replace(
        PaneImage.of(reader),
        references=tuple(RosterSpell(rep, f"{rep} by name", None, None, None) for rep in REAL),
    )
    return Snapshotter(config).take_kpis(image, at_ms, filters=filters)


def assert_adds_up(shown: KpiSnapshot, whole: KpiSnapshot) -> None:
    """Who is shown has the same numbers as among all; who shares `other` has them there together."""
    for some, every in zip(shown.series, whole.series, strict=True):
        labels, among = shown.keys[some.level].labels, whole.keys[some.level].labels
        for column, label in enumerate(labels):
            if label != OTHER:
                own = every.values[:, among.index(label)]
                assert np.array_equal(some.values[:, column], own, equal_nan=True), (some.kpi.name, label)
        if OTHER in labels and some.kpi.name in ADDING_UP:
            rest = [number for number, label in enumerate(among) if label not in labels]
            together = np.nansum(every.values[:, rest], axis=1)
            assert np.allclose(np.nan_to_num(some.values[:, labels.index(OTHER)]), together, atol=0.005)


@pytest.mark.parametrize("seed", range(4))
def test_a_flood_of_names_changes_no_number_of_the_real_ones(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(PaneStore, "few_cells", 0)
    monkeypatch.setattr(BoardFollower, "few_cells", 0)
    asyncio.run(check(seed))


async def check(seed: int) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = Generator(seed, times=edge_times(as_of_ms, floor), entities=12)
    events = flooded(generator.history(150), generator.random)
    path = ProductPath(floor, now_ms=as_of_ms + 60 * DAY_MS)
    for start in range(0, len(events), 50):
        await path.arrive(events[start : start + 50])
        await path.expire_and_reload()
    path.config = replace(path.config, keys_per_level_max=sys.maxsize)
    assert not differences(path.snapshot(as_of_ms), answers(books_of(events, floor), as_of_ms, floor))

    config = replace(path.config, levels=("floor", "team", "rep", "source"))
    whole = taken(path.follower, as_of_ms, config, Filters())
    few = taken(path.follower, as_of_ms, replace(config, keys_per_level_max=5), Filters())
    assert set(REAL) < set(few.keys["rep"].labels)
    assert len(few.keys["rep"].labels) == 5
    assert few.keys["rep"].over_budget > 5
    assert_adds_up(few, whole)

    everybody = taken(path.follower, as_of_ms, replace(config, strangers_max=4).for_everybody(), Filters())
    assert set(REAL) < set(everybody.keys["rep"].labels)
    assert len(everybody.keys["rep"].labels) == len(REAL) + 4
    assert_adds_up(everybody, whole)

    some = {"R1", whole.keys["rep"].labels[-1]}
    keys = frozenset({("team", "nobody"), *(("rep", rep) for rep in some)})
    named = taken(path.follower, as_of_ms, config.for_named(), Filters(levels=("rep",), keys=keys))
    assert set(named.keys["rep"].labels) == some
    assert_adds_up(named, replace(whole, series=tuple(s for s in whole.series if s.level == "rep")))
