"""Touches: what activities leave behind for their lead and deal, in memory and after it."""

import itertools
from random import Random

import pytest

from streams.entities import ActivityState
from streams.events import ActivityKind
from streams.touches import Touch, Touches, TouchIndex, together, touched_by, touches_of

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def activity(
    time_ms: int | None = 5, kind: ActivityKind = "call", lead: str | None = "L", deal: str | None = None
) -> ActivityState:
    return ActivityState(
        first_seen_ms=1, last_seen_ms=1, stamps=[], stamp_of=bytearray(),
        kind=kind, completed_at_ms=time_ms, lead_id=lead, deal_id=deal,
    )  # fmt: skip


def test_a_call_touches_its_lead_and_its_deal() -> None:
    call = Touch(5, is_attempt=True, is_call=True)
    assert touched_by(activity(deal="D")) == {"lL": call, "dD": call}


@pytest.mark.parametrize("kind", ["one_on_one", "training"])
def test_what_happens_in_house_is_no_attempt(kind: ActivityKind) -> None:
    assert touched_by(activity(kind=kind))["lL"].is_attempt is False


def test_what_is_not_done_or_deleted_touches_nobody() -> None:
    deleted = activity()
    deleted.deleted = True
    assert touched_by(activity(time_ms=None)) == touched_by(deleted) == touched_by(None) == {}


def test_an_activity_that_moves_to_another_lead_leaves_the_first() -> None:
    index = TouchIndex()
    first, second = touched_by(activity()), touched_by(activity(lead="M"))
    index.move("A", {}, first)
    index.move("A", first, second)
    assert index.all_of("lL") is None
    assert index.all_of("lM") == Touches((5,), 5, 1)
    assert index.changed == {"lL", "lM"}


def test_what_leaves_memory_stays_counted_with_what_comes_later() -> None:
    index = TouchIndex()
    index.move("A", {}, touched_by(activity(time_ms=5)))
    index.settle("A", activity(time_ms=5))
    index.move("B", {}, touched_by(activity(time_ms=9, kind="email")))
    assert index.all_of("lL") == Touches((5, 9), 5, 1)
    index.settle("B", activity(time_ms=9, kind="email"))
    assert index.all_of("lL") == index.settled("lL") == Touches((5, 9), 5, 1)
    index.expire(oldest_ms=10)
    assert index.all_of("lL") is None
    assert "lL" in index.changed_settled


def pauses(times_ms: tuple[int, ...], *, longer_than_ms: int) -> list[tuple[int, int]]:
    ordered = sorted(times_ms)
    return [(one, two) for one, two in itertools.pairwise(ordered) if two - one > longer_than_ms]


@pytest.mark.parametrize("seed", range(30))
def test_leaving_out_times_hides_no_pause_of_a_day_and_keeps_rows_short(seed: int) -> None:
    random = Random(seed)
    times = [random.randrange(40) * 6 * HOUR_MS + random.randrange(2) for _ in range(random.randrange(2, 60))]
    touches = [Touch(time_ms, is_attempt=random.random() < 0.5, is_call=True) for time_ms in times]
    parts: list[list[Touch]] = [[], [], []]
    for touch in touches:
        random.choice(parts).append(touch)
    joined = together(touches_of(part) for part in parts if part)
    whole = touches_of(touches)
    for kept in (joined, whole):
        assert pauses(kept.times_ms, longer_than_ms=DAY_MS) == pauses(tuple(times), longer_than_ms=DAY_MS)
        assert (min(kept.times_ms), max(kept.times_ms)) == (min(times), max(times))
        assert len(kept.times_ms) <= 2 * 10 + 2
    assert (joined.first_attempt_ms, joined.calls) == (whole.first_attempt_ms, len(touches))
