"""When numbers are called stale, and when history is being worked off."""

from dataclasses import replace

import pytest

from metrics.business_hours import BusinessHours
from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import BEHIND_MS, FeedState
from metrics.wall.boards import WallRules
from metrics.wall.condition import condition_of
from tests.panes import READY

MINUTE_MS = 60_000
FRIDAY_1755_MS = 1_795_197_300_000  # 2026-11-20T17:55Z
MONDAY_0905_MS = 1_795_424_700_000  # 2026-11-23T09:05Z
RULES = WallRules(boards=(), stale_after_ms=15 * MINUTE_MS, hours=BusinessHours(Calendar("UTC")))


def taken(newest_ms: int | None, state: FeedState = READY) -> KpiSnapshot:
    state = replace(state, newest_event_ms=newest_ms)
    return KpiSnapshot(
        as_of_ms=FRIDAY_1755_MS, reporting_currency="USD", state=state, windows=(), left_out=(),
        missing_rates={}, data_age_seconds=None, keys={}, series=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("newest_ms", "now_ms", "stale"),
    [
        (FRIDAY_1755_MS - 14 * MINUTE_MS, FRIDAY_1755_MS, False),
        (FRIDAY_1755_MS - 16 * MINUTE_MS, FRIDAY_1755_MS, True),
        (FRIDAY_1755_MS, MONDAY_0905_MS, False),  # a quiet weekend: ten minutes of business
        (FRIDAY_1755_MS, MONDAY_0905_MS + 6 * MINUTE_MS, True),
        (None, MONDAY_0905_MS, False),  # nothing ever happened, so nothing grew old
        (MONDAY_0905_MS + MINUTE_MS, MONDAY_0905_MS, False),
    ],
)
def test_only_business_time_without_events_makes_numbers_stale(
    newest_ms: int | None, now_ms: int, stale: bool
) -> None:
    assert condition_of(taken(newest_ms), now_ms, "", RULES).stale is stale


def test_a_floor_without_hours_is_always_at_work() -> None:
    rules = replace(RULES, hours=None)
    assert condition_of(taken(FRIDAY_1755_MS), MONDAY_0905_MS, "", rules).stale


def test_numbers_that_are_not_ready_are_stale_and_say_why() -> None:
    condition = condition_of(taken(FRIDAY_1755_MS), FRIDAY_1755_MS, "Redis is away", RULES)
    assert (condition.stale, condition.not_ready) == (True, "Redis is away")


def test_before_the_first_snapshot_there_is_only_a_reason() -> None:
    condition = condition_of(None, FRIDAY_1755_MS, "0 of 4 slots are read", RULES)
    assert condition.wire() == {
        "as_of_ms": FRIDAY_1755_MS, "now_ms": FRIDAY_1755_MS, "newest_event_ms": None, "stale": True,
        "not_ready": "0 of 4 slots are read", "catching_up": False, "records_lost": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "catching_up"),
    [
        (READY, False),
        (replace(READY, rebuilding=True), True),
        (replace(READY, behind_event_ms=FRIDAY_1755_MS - BEHIND_MS), False),
        (replace(READY, behind_event_ms=FRIDAY_1755_MS - BEHIND_MS - 1), True),
    ],
    ids=["still", "rebuilding", "a busy floor", "a backlog"],
)
def test_old_records_that_wait_and_state_that_is_folded_anew_are_history(
    state: FeedState, catching_up: bool
) -> None:
    assert condition_of(taken(FRIDAY_1755_MS, state), FRIDAY_1755_MS, "", RULES).catching_up is catching_up


def test_records_that_were_removed_unread_are_told_of_all_topics_together() -> None:
    state = replace(
        READY, counters={"lost": {"sales.deals": 30, "sales.leads": 8}, "gaps": {"sales.deals": 5}}
    )
    assert condition_of(taken(FRIDAY_1755_MS, state), FRIDAY_1755_MS, "", RULES).wire()["records_lost"] == 38
