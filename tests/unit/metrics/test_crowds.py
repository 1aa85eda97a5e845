"""Many made-up names cost neither the real ones their place nor the process its memory; no sum changes."""

from dataclasses import replace

import numpy as np
import pytest

from metrics import groups
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.snapshot import SnapshotConfig, take_snapshot
from tests.panes import FakeReader, Row

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def crowd(reps: int) -> FakeReader:
    rows = []
    for number in range(reps):
        cell = Cell(f"R-{number:03d}", f"T-{number % 7}", currency="USD", source="web" if number % 3 else "")
        rows.append(Row(NOW_MS - number * HOUR_MS, cell, "won_amount", 100 * (number + 1)))
        rows.append(Row(NOW_MS - number * HOUR_MS, cell, "won", 1 + number % 2))
        rows.append(Row(NOW_MS - number * HOUR_MS, cell, "calls_done", number % 4))
    return FakeReader(rows)


def same(one: KpiSnapshot, other: KpiSnapshot) -> bool:
    values = zip(one.series, other.series, strict=True)
    return one.keys == other.keys and all(
        np.array_equal(a.values, b.values, equal_nan=True) for a, b in values
    )


@pytest.mark.parametrize("keys_max", [5, 1000])
def test_a_table_too_large_is_added_up_measure_by_measure_to_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch, keys_max: int
) -> None:
    reader, config = crowd(60), replace(SnapshotConfig(), keys_per_level_max=keys_max)
    whole = take_snapshot(reader, NOW_MS + 1, config)
    monkeypatch.setattr(groups, "_TABLE_MAX", 0)
    assert same(take_snapshot(reader, NOW_MS + 1, config), whole)
    assert whole.keys["rep"].over_budget == max(0, 60 - 4) * (keys_max == 5)
