"""A snapshot of a thinned log equals one of the whole log, whatever is added and however time goes."""

from datetime import date
from decimal import Decimal
from random import Random
from typing import Final

import numpy as np
import pytest

from metrics import thinned
from metrics.measures import BY_NAME, MEASURES, Kind, day_key, distinct_key, histogram_key
from metrics.panes import FINEST, Cell, FeedState, PaneLog
from metrics.reference import Rate, RosterSpell
from metrics.snapshot import PaneImage, SnapshotConfig, Snapshotter
from metrics.thinned import Thinner
from tests.strength import amount

NOW_MS: Final = 1_790_000_000_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
KEYS: Final = [
    key
    for measure in MEASURES
    for key in (
        [measure.number] if measure.kind in (Kind.FLOW, Kind.LEVEL)
        else [histogram_key(measure, 5_000), histogram_key(measure, DAY_MS)] if measure.kind is Kind.HISTOGRAM
        else [distinct_key(measure, 3)] if measure.kind is Kind.DISTINCT
        else [day_key(measure, date(2026, 9, 30).toordinal())]
    )
]  # fmt: skip
OFTEN: Final = [
    *(
        BY_NAME[name].number
        for name in ("won", "created", "spend_amount", "calls_done", "open", "won_amount")
    ),
    histogram_key(BY_NAME["won_cycle"], DAY_MS),
    distinct_key(BY_NAME["accounts_buying"], 3),
]
CELLS: Final = (
    Cell("Ann", "N"), Cell("Ann"), Cell("Bob", "S", currency="EUR"), Cell("Bob", stage="new"), Cell("Cid"),
    Cell("Cid", "N", currency="USD"), Cell("Dan", "S"),
)  # fmt: skip
REFERENCES: Final = (
    RosterSpell("Ann", "Ann", "N", None, None, date(2026, 9, 20)),
    RosterSpell("Ann", "Ann", "S", None, date(2026, 9, 20)),
    Rate("EUR", Decimal("1.1"), date(2026, 1, 1)),
    Rate("EUR", Decimal("1.2"), date(2026, 9, 21)),
)
STEPS_MS: Final = (0, 1, 100, 700, 2_500, 5_000, 90_000, 3_600_000)


class Life:
    """A log that grows while time goes on, and both ways to look at it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = NOW_MS + self.random.randrange(DAY_MS)
        self.rows: list[tuple[int, int, int, int]] = []
        # Few of many keys and cells, so that rows meet.
        self.keys = self.random.sample(OFTEN, 3) + self.random.sample(KEYS, 1)
        self.cells = self.random.sample(range(len(CELLS)), 3)
        config = SnapshotConfig(levels=("floor", "team", "rep", "stage"), keys_per_level_max=3)
        self.plain, self.thinning = Snapshotter(config), Snapshotter(config, follows=True)

    def grow(self, rows: int, *, taken_back: float) -> None:
        random = self.random
        for _ in range(rows):
            if self.rows and random.random() < taken_back:
                start_ms, cell, key, value = random.choice(self.rows)
                self.rows.append((start_ms, cell, key, -value))
                continue
            ago_ms = random.choice((0, 5 * MINUTE_MS, DAY_MS, 7 * DAY_MS))
            start_ms = self.now_ms - ago_ms + random.randrange(-10_000, 6_000, random.choice((1, 500)))
            value = random.choices((1, 2, 300, 0, -4), (60, 20, 5, 5, 1))[0]
            self.rows.append((start_ms, random.choice(self.cells), random.choice(self.keys), value))

    def image(self, epoch: int) -> PaneImage:
        start_ms, cell, key, value = (
            np.array(column, dtype=np.int64) for column in zip(*self.rows, strict=True)
        )
        log = PaneLog(start_ms, cell.astype(np.int32), key.astype(np.int32), value, epoch=epoch)
        return PaneImage(CELLS, log, (FINEST,), REFERENCES, FeedState())

    def check(self, epoch: int) -> None:
        image = self.image(epoch)
        fast = self.thinning.take_kpis(image, self.now_ms)
        self.thinning.prepare()
        assert fast.to_json_obj() == self.plain.take_kpis(image, self.now_ms).to_json_obj()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinned, "ROWS_MIN", 1)
    monkeypatch.setattr(thinned, "_WORTH", 1.0)


@pytest.mark.parametrize("seed", range(amount(6, long=200)))
def test_a_snapshot_of_a_thinned_log_is_that_of_the_whole_one(seed: int) -> None:
    life = Life(seed)
    life.grow(300, taken_back=0.01)
    for step in range(6):
        life.grow(life.random.choice((0, 1, 10)), taken_back=0.5)
        life.now_ms += life.random.choice(STEPS_MS)
        life.check(epoch=seed)
        if step == 5:  # as compaction leaves the log: other rows of the same sums
            life.rows = [(*where, value) for *where, value in sorted(life.rows)]  # type: ignore[misc]
            seed += 1000


def log_of(*rows: tuple[int, int], epoch: int | None = 1) -> PaneLog:
    """Return won deals of one cell: when, and how many."""
    start_ms, value = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    numbers = np.zeros(len(rows), dtype=np.int32)
    return PaneLog(start_ms, numbers, numbers + 2, value, epoch=epoch)


EDGES, NO_CUTS = np.array([100_000, 200_000]), np.zeros(0, dtype=np.int64)


def rows_of(log: PaneLog) -> list[tuple[int, int]]:
    return sorted(zip(log.start_ms.tolist(), log.value.tolist(), strict=True))


def test_rows_between_two_edges_are_one_under_the_newest_of_their_times() -> None:
    log = log_of((50_000, 1), (60_000, 2), (150_000, 4), (199_000, 8))
    assert rows_of(Thinner().of(log, EDGES, NO_CUTS)) == [(60_000, 3), (199_000, 12)]


def test_rows_that_an_edge_will_pass_soon_stay_and_one_thinning_serves_until_then() -> None:
    rows = [(50_000, 1), (60_000, 1), (100_500, 1), (100_600, 1), (150_000, 1), (160_000, 1)]
    thinner = Thinner()
    first = thinner.of(log_of(*rows), EDGES, NO_CUTS)
    assert rows_of(first) == [(60_000, 2), (100_500, 1), (100_600, 1), (160_000, 2)]
    later = thinner.of(log_of(*rows, (170_000, 1)), EDGES + 550, NO_CUTS)
    assert rows_of(later) == [*rows_of(first), (170_000, 1)]
    anew = thinner.of(log_of(*rows, (170_000, 1)), EDGES + 55_000, NO_CUTS)
    assert rows_of(anew) == [(150_000, 5), (170_000, 2)]


def test_what_takes_back_is_set_against_its_own_row() -> None:
    rows = [(50_000, 1), (60_000, 1), (110_000, 1), (120_000, 1)]
    thinner = Thinner()
    thinner.of(log_of(*rows), EDGES, NO_CUTS)
    back = thinner.of(log_of(*rows, (60_000, -1)), EDGES, NO_CUTS)
    assert rows_of(back) == [(50_000, 1), (60_000, -1), (60_000, 1), (120_000, 2)]


def test_rows_of_which_some_take_back_stay_one_by_one() -> None:
    rows = [(50_000, 2), (60_000, -2), (70_000, 1)]
    assert rows_of(Thinner().of(log_of(*rows), EDGES, NO_CUTS)) == rows


def test_a_cut_parts_rows_as_an_edge_does() -> None:
    log = log_of((50_000, 1), (60_000, 2))
    assert rows_of(Thinner().of(log, EDGES, np.array([55_000]))) == [(50_000, 1), (60_000, 2)]


def test_a_log_that_nobody_says_how_it_grows_stays_as_it_is() -> None:
    log = log_of((50_000, 1), (60_000, 2), epoch=None)
    assert Thinner().of(log, EDGES, NO_CUTS) is log


@pytest.mark.parametrize("name", ["created", "spend_amount", "open", "accounts_active"])
def test_what_is_looked_at_one_by_one_stays_so(name: str) -> None:
    log = log_of((50_000, 1), (60_000, 2))
    log = log._replace(key=np.full(2, BY_NAME[name].number, dtype=np.int32))
    assert rows_of(Thinner().of(log, EDGES, NO_CUTS)) == [(50_000, 1), (60_000, 2)]
