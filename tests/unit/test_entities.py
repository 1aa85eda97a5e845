"""entities: per field the newest stamp wins, whatever the order."""

import itertools
from decimal import Decimal

import pytest

from streams.entities import STAGE_WRITES_MAX, DealState, merge
from streams.events import DealChanges, EntityKind, Event


def event(time_ms: int, event_id: str, changes: DealChanges) -> Event:
    return Event(EntityKind.DEAL, "D-1", time_ms, event_id, changes, time_ms)


def merged(*events: Event) -> DealState:
    state = None
    for each in events:
        state = merge(state, each)
    assert isinstance(state, DealState)
    return state


def facts(state: DealState) -> tuple[object, ...]:
    """Everything but how the stamps are stored."""
    stamps = tuple(None if number == 255 else state.stamps[number] for number in state.stamp_of)
    fields = (getattr(state, name) for name in DealState.__struct_fields__ if not name.startswith("stamp"))
    return (stamps, *fields)


HISTORY = (
    event(10, "a", DealChanges(amount=Decimal(1), rep_id="R-1")),
    event(20, "b", DealChanges(amount=Decimal(2), stage="s")),
    event(20, "c", DealChanges(amount=None)),
    event(5, "d", DealChanges(rep_id="R-0", status="won", closed_at_ms=5)),
    event(15, "e", DealChanges(deleted=True)),
)


def test_every_order_of_five_events_gives_one_state() -> None:
    state = merged(*HISTORY)
    for order in itertools.permutations(HISTORY):
        assert facts(merged(*order)) == facts(state)
    assert (state.amount, state.rep_id, state.stage) == (None, "R-1", "s")
    assert (state.status, state.deleted) == ("won", True)
    assert (state.first_seen_ms, state.last_seen_ms) == (5, 20)


def test_stamps_stand_in_their_order_whatever_the_order_of_events() -> None:
    for order in itertools.permutations(HISTORY):
        stamps = merged(*order).stamps
        assert stamps == sorted(set(stamps))


def test_a_second_delivery_changes_nothing() -> None:
    assert facts(merged(*HISTORY, *HISTORY)) == facts(merged(*HISTORY))


def test_a_reused_event_id_still_has_one_answer() -> None:
    one = event(10, "same", DealChanges(stage="a"))
    two = event(10, "same", DealChanges(stage="b"))
    assert merged(one, two).stage == merged(two, one).stage == "b"


def test_a_late_update_does_not_revive_a_deleted_deal_but_a_restore_does() -> None:
    deleted = event(20, "x", DealChanges(deleted=True))
    late = event(30, "y", DealChanges(amount=Decimal(9)))
    assert merged(deleted, late).deleted is True
    assert merged(deleted, late, event(25, "z", DealChanges(deleted=False))).deleted is False


@pytest.mark.parametrize("count", [3, 60])
def test_stamps_stay_few_however_many_events_arrive(count: int) -> None:
    state = merged(*(event(n, f"e{n}", DealChanges(stage=str(n))) for n in range(count)))
    assert state.stage == str(count - 1)
    assert len(state.stamps) <= 19


def stages_of(state: DealState) -> list[str]:
    return [write.stage for write in state.stage_writes]


def test_every_stage_a_deal_was_in_is_remembered_even_when_told_late() -> None:
    moves = [event(n, f"e{n}", DealChanges(stage=stage)) for n, stage in enumerate(("new", "offer", "talks"))]
    for order in itertools.permutations(moves):
        assert stages_of(merged(*order)) == ["new", "offer", "talks"]
    cleared = event(5, "x", DealChanges(stage=None))
    assert stages_of(merged(cleared, *moves, cleared)) == ["new", "offer", "talks", ""]


def test_of_very_many_stages_the_newest_stay_in_whatever_order_they_came() -> None:
    moves = [event(n, "e", DealChanges(stage=str(n))) for n in range(STAGE_WRITES_MAX + 20)]
    newest = [str(n) for n in range(20, STAGE_WRITES_MAX + 20)]
    assert stages_of(merged(*moves)) == stages_of(merged(*moves[::-1])) == newest
    parts = (*moves[50:], *moves[:90])
    assert stages_of(merged(*parts)) == newest
