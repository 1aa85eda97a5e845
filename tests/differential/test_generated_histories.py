"""Generated histories through the product equal the oracle: each KPI, window, twin and level, to the cent."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import FINEST
from oracle.customers import LIFETIME_KPIS
from oracle.numbers import LEVELS, Answer, Sample, answers, books_of
from oracle.windows import Floor
from tests.histories import DAY_MS, HOUR_MS, Event, Generator, edge_times, histories
from tests.product_path import ProductPath, differences, numbers_of
from tests.strength import amount


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type, misc]


CHANCES = {"proposal": 0.4, "closing": 0.85}
NEW_YORK = Floor(
    zone="America/New_York", week_start="sunday", holidays=(date(2018, 3, 9),), stage_probability=CHANCES
)
SAO_PAULO = Floor(zone="America/Sao_Paulo", fiscal_year_start_month=4, stage_probability=CHANCES)
UTC_FLOOR = Floor(stage_probability=CHANCES, business_days=("monday", "wednesday", "saturday"))

AGE = "win_rate_cohort_age"

# An ordinary afternoon, a night and a noon around each clock change, and the ends of months and years.
CASES = (
    (UTC_FLOOR, ms(2018, 5, 16, 15, 30)),
    (UTC_FLOOR, ms(2018, 3, 31, 23, 59)),
    (UTC_FLOOR, ms(2020, 2, 29, 12)),
    (NEW_YORK, ms(2018, 3, 11, 6, 59)),
    (NEW_YORK, ms(2018, 3, 12, 6, 30)),
    (NEW_YORK, ms(2018, 11, 4, 6, 15)),
    (NEW_YORK, ms(2018, 1, 1, 5)),
    (SAO_PAULO, ms(2018, 2, 18, 2, 30)),
    (SAO_PAULO, ms(2018, 11, 4, 3)),
    (SAO_PAULO, ms(2018, 11, 5, 14)),
)


def allowed_gaps(snapshot: KpiSnapshot) -> dict[str | None, bool]:
    return {left_out.window: left_out.previous_only for left_out in snapshot.left_out}


async def check(
    events: list[Event], as_of_ms: int, floor: Floor, random: Random, *, levels: Sequence[str] = LEVELS
) -> None:
    path = ProductPath(floor, now_ms=as_of_ms + 60 * DAY_MS)
    cut = random.randint(0, len(events))
    for part in (events[:cut], events[cut:]):
        await path.arrive(part)
    expected = answers(books_of(events, floor), as_of_ms, floor, levels=levels)
    found = differences(path.snapshot(as_of_ms, levels=levels), expected)
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize("seed", range(60))
def test_a_seeded_history_equals_the_oracle(seed: int) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = Generator(seed, times=edge_times(as_of_ms, floor), entities=8)
    events = generator.history(120)
    asyncio.run(check(events, as_of_ms, floor, generator.random))


@settings(max_examples=amount(60, long=600))
@given(st.data())
def test_any_history_equals_the_oracle(data: st.DataObject) -> None:
    floor, as_of_ms = data.draw(st.sampled_from(CASES))
    events = data.draw(histories(edge_times(as_of_ms, floor), max_size=8))
    asyncio.run(check(events, as_of_ms, floor, Random(0)))


async def crowded(events: list[Event], floor: Floor, *, now_ms: int) -> ProductPath:
    """Return slots that hold many times more panes than they may, and so have merged the old ones."""
    path = ProductPath(floor, now_ms=now_ms, panes_max=5)
    for start in range(0, len(events), 40):
        await path.arrive(events[start : start + 40])
    assert set(path.follower.resolutions()) != {FINEST}
    return path


def crowded_history(seed: int, floor: Floor, now_ms: int) -> list[Event]:
    return Generator(seed, times=edge_times(now_ms, floor)[:-3], entities=40).history(300)


def where_told(snapshot: KpiSnapshot, expected: dict[Sample, Answer]) -> dict[Sample, Answer]:
    """Of KPIs that look at 90 days whatever the window, expect only those whose 90 days cut no pane; the age
    of a cohort only where panes are as fine as events."""
    numbers = numbers_of(snapshot)
    for sample in [sample for sample in expected if sample.kpi in (*LIFETIME_KPIS, AGE)]:
        told = numbers.get(sample, (None, None))
        value, previous = expected[sample]
        expected[sample] = Answer(None if told[0] is None else value, None if told[1] is None else previous)
    return expected


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("hours_ago", [0, 30])
def test_with_too_many_panes_a_window_is_exact_or_left_out(seed: int, hours_ago: int) -> None:
    floor, now_ms = CASES[seed % len(CASES)]
    as_of_ms = now_ms - hours_ago * HOUR_MS
    events = crowded_history(seed, floor, now_ms)
    snapshot = asyncio.run(crowded(events, floor, now_ms=now_ms)).snapshot(as_of_ms)
    expected = where_told(snapshot, answers(books_of(events, floor), as_of_ms, floor))
    found = differences(snapshot, expected, left_out=allowed_gaps(snapshot))
    assert not found, "\n".join(found[:20])


def test_with_too_many_panes_windows_that_cut_one_are_left_out_and_others_stay() -> None:
    floor, now_ms = CASES[0]
    path = asyncio.run(crowded(crowded_history(0, floor, now_ms), floor, now_ms=now_ms))
    long_ago = path.snapshot(now_ms - 300 * DAY_MS - 1)
    assert {left_out.window for left_out in long_ago.left_out} >= {"1h", "30d", None}
    assert {window.name for window in path.snapshot(now_ms).windows} >= {"5m", "1h", "today", "mtd"}
