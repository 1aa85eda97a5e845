"""A feed that is told as a log grows equals that of the whole log, read anew."""

from random import Random

import numpy as np
import pytest

from metrics.measures import BY_NAME
from metrics.panes import Cell, PaneLog
from metrics.wall import feed
from metrics.wall.feed import FEED_SPAN_MS, Feed
from tests.strength import amount

CELLS = (Cell("ann", currency="USD"), Cell("bob", currency="EUR"))
MEASURES = ("won", "won_amount", "created", "leads_new", "lost")
KEYS = (*(BY_NAME[name].number for name in MEASURES), 1 << 22)


class GrowingRows:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.rows: list[tuple[int, int, int, int]] = []

    def grow(self, now_ms: int) -> None:
        """Add rows about now, some to come and some of a day ago; some take back what there is."""
        random = self.random
        for _ in range(random.choice((0, 1, 10))):
            if self.rows and random.random() < 0.3:
                start_ms, cell, key, value = random.choice(self.rows)
                self.rows.append((start_ms, cell, key, -value))
            else:
                start_ms = now_ms - random.choice((0, 0, FEED_SPAN_MS)) + random.randrange(-20, 8)
                self.rows.append((start_ms, random.randrange(2), random.choice(KEYS), 1))

    def log(self, epoch: int | None) -> PaneLog:
        start_ms, cell, key, value = np.array(self.rows, dtype=np.int64).reshape(-1, 4).T
        return PaneLog(start_ms, cell.astype(np.int32), key.astype(np.int32), value, epoch=epoch)


@pytest.mark.parametrize("seed", range(amount(30, long=1000)))
def test_what_is_told_bit_by_bit_equals_what_is_read_at_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_ROWS_OF_A_KIND", 6)
    random = Random(seed)
    growing, kept, epoch, now_ms = GrowingRows(random), Feed(), seed, 2 * FEED_SPAN_MS
    for _ in range(40):
        now_ms += random.choice((0, 3, 10, -5))
        growing.grow(now_ms)
        if random.random() < 0.05:
            growing.rows, epoch = sorted(growing.rows)[len(growing.rows) // 2 :], epoch + 1000
        log = growing.log(random.choice((epoch, epoch, epoch, None)))
        assert kept.of(log, CELLS, now_ms, {}) == Feed().of(log, CELLS, now_ms, {})


def test_of_a_kind_the_newest_are_told_when_more_come_than_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "_ROWS_OF_A_KIND", 3)
    growing, kept, created = GrowingRows(Random(0)), Feed(), BY_NAME["created"].number
    growing.rows = [(at_ms, 0, created, 1) for at_ms in (5, 1, 9, 3, 7)]
    assert [item.at_ms for item in kept.of(growing.log(1), CELLS, 8, {})] == [7, 5, 3]
    assert [item.at_ms for item in kept.of(growing.log(1), CELLS, 9, {})] == [9, 7, 5]
    growing.rows += [(8, 1, created, 1), (7, 0, created, -1)]
    assert [item.at_ms for item in kept.of(growing.log(1), CELLS, 9, {})] == [9, 8]
