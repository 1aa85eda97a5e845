"""Rows of funnels that are learned as a log grows equal those of the whole log, read anew."""

from datetime import date
from random import Random

import numpy as np
import pytest

from metrics.calendar import Calendar
from metrics.funnel_rows import FunnelLog
from metrics.panes import Cell, Hindsight, PaneLog
from metrics.places import Places
from metrics.reference import RosterSpell
from metrics.roster import Roster
from tests.strength import amount

NUMBERS = (2, 3)
MOVES = RosterSpell("Ann", "Ann", "N", None, None, date(1970, 1, 2)), RosterSpell("Ann", "Ann", "S")
CELLS = (Cell("Ann"), Cell("Bob", "N"))
PLACES = [Places(CELLS, Roster(spells, Calendar())) for spells in ((), MOVES)]
DAY_MS = 86_400_000


class GrowingRows:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.rows: list[tuple[int, int, int, int]] = []
        self.later: list[tuple[int, int, int, int, int]] = []

    def grow(self) -> None:
        random = self.random
        for _ in range(random.choice((0, 1, 10))):
            if self.rows and random.random() < 0.3:
                start_ms, cell, key, value = random.choice(self.rows)
                self.rows.append((start_ms, cell, key, -value))
            else:
                start_ms = DAY_MS + random.randrange(-20, 20)
                self.rows.append((start_ms, random.randrange(2), random.choice((2, 3, 4, 1 << 22)), 1))
        if random.random() < 0.1:
            self.later.append((DAY_MS, DAY_MS + random.randrange(1, 20), 0, random.choice((2, 4)), 1))

    def log(self, epoch: int | None) -> PaneLog:
        start_ms, cell, key, value = np.array(self.rows, dtype=np.int64).reshape(-1, 4).T
        at, known, of, number, count = np.array(self.later, dtype=np.int64).reshape(-1, 5).T
        later = Hindsight(at, known, of.astype(np.int32), number.astype(np.int32), count)
        return PaneLog(start_ms, cell.astype(np.int32), key.astype(np.int32), value, later, epoch)


@pytest.mark.parametrize("seed", range(amount(30, long=1000)))
def test_what_was_learned_bit_by_bit_equals_what_is_read_at_once(seed: int) -> None:
    random = Random(seed)
    growing, kept, epoch, places = GrowingRows(random), FunnelLog(), seed, PLACES[0]
    for _ in range(30):
        growing.grow()
        if random.random() < 0.05:
            growing.rows, epoch = sorted(growing.rows)[::-1], epoch + 1000
        if random.random() < 0.05:
            places = random.choice(PLACES)
        since_ms = DAY_MS + random.randrange(-25, 5)
        asked = (growing.log(random.choice((epoch, epoch, epoch, None))), places, NUMBERS, since_ms)
        before_ms = DAY_MS + random.randrange(25)
        found = kept.rows(*asked, before_ms).columns()
        expected = FunnelLog().rows(*asked, before_ms).columns()
        assert [column.tolist() for column in found] == [column.tolist() for column in expected]


def test_what_was_taken_back_leaves_no_trace_also_later() -> None:
    growing, kept = GrowingRows(Random(0)), FunnelLog()
    growing.rows = [(5, 0, 2, 1), (6, 1, 2, 1), (6, 1, 4, 1)]
    assert kept.rows(growing.log(1), PLACES[0], NUMBERS, 0, 10).start_ms.tolist() == [5, 6]
    growing.rows.append((5, 0, 2, -1))
    assert kept.rows(growing.log(1), PLACES[0], NUMBERS, 0, 10).start_ms.tolist() == [6]
    assert kept.rows(growing.log(1), PLACES[0], (4,), 0, 10).key.tolist() == [4]
