"""What is forgotten is left out, never told wrong: windows that reach no further back than what is kept equal
the oracle, the others are absent with the reason."""

import asyncio

import pytest

from oracle.numbers import answers, books_of
from oracle.windows import Floor, window_pair
from tests.differential.test_generated_histories import CASES, allowed_gaps
from tests.histories import DAY_MS, Event, Generator, edge_times
from tests.product_path import NOT_TOLD, ProductPath, numbers_of, wrong_or_missing

RETENTION_MS = 40 * DAY_MS
# What counts by its own time. What is open now, and who is a customer, also hangs on what was forgotten: an
# open deal or an account nobody heard of for the whole retention is gone, while the oracle keeps it.
COMPARED = {
    "revenue", "deals_won", "deals_lost", "deals_created", "deals_closed", "average_deal_size", "win_rate",
    "sales_cycle", "leads_created", "leads_qualified", "leads_converted", "lead_conversion_period",
    "calls", "calls_connected", "emails", "meetings", "demos", "activities", "csat", "nps",
}  # fmt: skip
WINDOWS = ("5m", "1h", "24h", "7d", "30d", "90d", "today", "wtd", "mtd", "qtd", "ytd", "1bd", "5bd")


async def check(events: list[Event], as_of_ms: int, floor: Floor) -> None:
    path = ProductPath(floor, now_ms=as_of_ms + DAY_MS)
    await path.arrive(events)
    await path.forget(retention_ms=RETENTION_MS, now_ms=as_of_ms)
    snapshot = path.snapshot(as_of_ms)
    gaps = allowed_gaps(snapshot)
    horizon_ms = as_of_ms - RETENTION_MS
    reaching = {name for name in WINDOWS if window_pair(name, as_of_ms, floor).now.start_ms < horizon_ms}
    assert {"90d"} <= {name for name in gaps if gaps[name] is False} <= reaching
    assert gaps["30d"] is True, "its twin begins 60 days ago"
    expected = answers(books_of(events, floor), as_of_ms, floor)
    compared = {each: told for each, told in expected.items() if each.kpi in COMPARED | NOT_TOLD}
    assert {each.kpi for each in compared} >= COMPARED
    found = wrong_or_missing(numbers_of(snapshot), compared, gaps)
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize("seed", range(20))
def test_windows_within_retention_are_exact_and_the_others_left_out(seed: int) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    recent = [time_ms for time_ms in edge_times(as_of_ms, floor) if time_ms >= as_of_ms - 180 * DAY_MS]
    events = Generator(seed, times=recent, entities=8).history(120)
    asyncio.run(check(events, as_of_ms, floor))
