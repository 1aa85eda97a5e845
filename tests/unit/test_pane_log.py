"""The pane log: rows add up, views stay as they were, equal rows become one."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.calendar import Calendar
from metrics.edges import PaneEdges
from metrics.measures import hindsight_key
from metrics.panes import DAY_MS, DAY_TIER, PaneLog
from streams.pane_log import GrowingLog, Rows
from tests.keys import rows_of_log

NOW_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z


def rows(*values: tuple[int, int, int, int]) -> Rows:
    made = Rows()
    for start_ms, cell, key, value in values:
        made.add(start_ms, cell, {}, {key: value})
    return made


def as_tuples(log: PaneLog) -> list[tuple[int, ...]]:
    return list(rows_of_log(log))


def test_a_row_is_what_changed() -> None:
    made = Rows()
    made.add(7, 2, was={1: 10, 2: 20, 3: 30}, is_now={1: 10, 2: 25, 4: 40})
    assert sorted(zip(made.start_ms, made.cell, made.key, made.value, strict=True)) == [
        (7, 2, 2, 5),
        (7, 2, 3, -30),
        (7, 2, 4, 40),
    ]


def test_rows_come_out_as_they_went_in() -> None:
    log = GrowingLog()
    log.append(rows((1 << 40, 3, 5, -(1 << 60))))
    log.append(rows())
    log.append(rows((-1, 0, (9 << 21) + 4, 1)))
    assert as_tuples(log.view()) == [(1 << 40, 3, 5, -(1 << 60)), (-1, 0, (9 << 21) + 4, 1)]
    assert [column.dtype for column in log.view()[:4]] == [np.int64, np.int32, np.int32, np.int64]


def test_what_was_handed_out_stays_as_it_was() -> None:
    log = GrowingLog(compact_rows_min=10_000)
    log.append(rows((5, 1, 1, 1)))
    early = log.view()
    log.append(rows(*((start_ms, 1, 1, 1) for start_ms in range(9_000))))
    grown = log.view()
    log.compact()
    assert as_tuples(early) == [(5, 1, 1, 1)]
    assert len(grown.value) == 9_001
    with pytest.raises(ValueError, match="read-only"):
        early.value[0] = 2


def test_compacting_adds_up_equal_rows_and_drops_what_came_to_nothing() -> None:
    log = GrowingLog()
    log.append(rows((2, 1, 1, 5), (1, 1, 2, 1), (1, 2, 1, 8), (1, 1, 1, 3), (2, 1, 1, -5), (1, 1, 1, 4)))
    log.compact()
    assert as_tuples(log.view()) == [(1, 1, 1, 7), (1, 1, 2, 1), (1, 2, 1, 8)]
    log.append(rows((1, 1, 1, -7), (1, 1, 2, -1), (1, 2, 1, -8)))
    log.compact()
    assert as_tuples(log.view()) == []
    log.compact()
    assert len(log) == 0


@pytest.mark.parametrize("span_ms", [4, 1 << 61], ids=["one sort key", "three sort keys"])
def test_compacting_finds_every_group_however_wide_the_times(span_ms: int) -> None:
    rng = random.Random(11)
    expected: Counter[tuple[int, int, int]] = Counter()
    log = GrowingLog(compact_rows_min=1 << 20)
    for _ in range(3_000):
        start_ms = rng.choice([0, 1, 2, span_ms])
        where = (start_ms, rng.randrange(5), rng.choice([1, 2, 9 << 21, (9 << 21) + 1]))
        value = rng.randint(-2, 2)
        expected[where] += value
        log.append(rows((*where, value)))
    log.compact()
    assert as_tuples(log.view()) == sorted((*where, value) for where, value in expected.items() if value)


def test_history_never_outgrows_what_is_live() -> None:
    log = GrowingLog(compact_rows_min=100)
    for number in range(5_000):
        before, after = {1: number}, {1: number + 1}
        changed = Rows()
        changed.add(number % 50, 0, before, after)
        log.append(changed)
        assert len(log) <= 100
    assert sum(log.view().value.tolist()) == 5_000


NEW_YORK = Calendar("America/New_York")
times = st.integers(-400 * DAY_MS, DAY_MS).map(lambda age_ms: NOW_MS + age_ms)
made_rows = st.lists(
    st.tuples(
        times,
        st.integers(0, DAY_MS) | st.integers(0, 400 * DAY_MS),
        st.integers(0, 2),
        st.sampled_from((1, 10, 9)),
        st.integers(-3, 3),
    ),
    min_size=1,
    max_size=60,
)


def sums_before(log: PaneLog, edge_ms: int) -> Counter[tuple[int, int]]:
    """Return by cell and measure what counts and is known before the edge."""
    sums: Counter[tuple[int, int]] = Counter()
    for start_ms, cell, key, value in zip(*(column.tolist() for column in log[:4]), strict=True):
        if start_ms < edge_ms:
            sums[cell, key] += value
    for start_ms, known_ms, cell, key, value in zip(
        *(column.tolist() for column in log.hindsight), strict=True
    ):
        assert known_ms > start_ms
        if known_ms < edge_ms:
            sums[cell, key] += value
    return Counter({at: value for at, value in sums.items() if value})


@given(st.lists(made_rows, min_size=1, max_size=3), st.integers(1, 40), st.lists(times, max_size=20))
def test_a_crowded_log_tells_the_same_at_every_edge_that_cuts_no_pane(
    batches: list[list[tuple[int, int, int, int, int]]], rows_max: int, edges: list[int]
) -> None:
    plain = GrowingLog()
    crowded = GrowingLog(rows_max=rows_max, day_start=NEW_YORK.day_start_ms)
    for batch in batches:
        for log in (plain, crowded):
            made = Rows()
            for start_ms, lag_ms, cell, number, value in batch:
                if value:
                    made.add(start_ms, cell, {}, {hindsight_key(number, lag_ms): value})
            log.append(made)
        if crowded.is_crowded:
            before = crowded.view().epoch
            crowded.coarsen(now_ms=NOW_MS)
            assert crowded.view().epoch != before
    whole = PaneEdges([crowded.resolution], NEW_YORK)
    for edge_ms in (*map(whole.aligned_ms, edges), NOW_MS, NOW_MS + 900 * DAY_MS):
        assert whole.refusal(edge_ms) is None
        assert sums_before(crowded.view(), edge_ms) == sums_before(plain.view(), edge_ms)


def test_a_crowded_log_merges_old_rows_until_there_is_room() -> None:
    log = GrowingLog(rows_max=8_000, day_start=NEW_YORK.day_start_ms)
    made = Rows()
    for hour in range(20_000):
        made.add(NOW_MS - hour * 3_600_000, hour % 2, {}, {1: 1})
    log.append(made)
    log.coarsen(now_ms=NOW_MS)
    assert len(log) <= 8_000
    assert int(log.view().value.sum()) == 20_000
    assert log.resolution.tier_at(NOW_MS - 60_000) < DAY_TIER, "the newest rows stay finer than the oldest"
    assert list(log.resolution.since_ms) == sorted(log.resolution.since_ms, reverse=True)


def test_what_the_windows_of_today_need_is_not_merged_however_crowded_it_is() -> None:
    log = GrowingLog(rows_max=10, day_start=NEW_YORK.day_start_ms)
    log.append(rows(*((NOW_MS - second * 1_000, 1, 1, 1) for second in range(9_000))))
    log.coarsen(now_ms=NOW_MS)
    assert log.resolution.tier_at(NOW_MS - 10_000_000) == 1
    assert not log.is_crowded, "it is not tried again before a tenth more has come"


def test_logs_of_one_epoch_only_grow_and_compaction_and_new_numbers_begin_another() -> None:
    log, seen = GrowingLog(compact_rows_min=40), []
    for start_ms in range(100):
        rows = Rows()
        rows.add(start_ms % 7, 0, {}, {1: 1})
        log.append(rows)
        seen.append(log.view())
    for before, after in pairwise(seen):
        if before.epoch == after.epoch:
            assert after.start_ms[: len(before.start_ms)].tolist() == before.start_ms.tolist()
        else:
            assert len(after.value) < len(before.value)
    epochs = {view.epoch for view in seen}
    assert len(epochs) > 1
    log.renumber({0: 5})
    assert log.view().epoch not in epochs | {GrowingLog().view().epoch}
