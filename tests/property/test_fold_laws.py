"""The panes are a function of the set of events: order, duplicates, batches, restarts cannot change them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise, permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.calendar import Calendar
from streams.contribute import contribute
from streams.decode import decode
from streams.entities import State, merge
from streams.events import EntityKind
from streams.events import Event as Decoded
from streams.pane_store import PaneStore
from streams.rules import FoldRules
from streams.topics import KIND_OF_TOPIC
from tests.folding import Panes, Slots
from tests.histories import DAY_MS, HOUR_MS, Event, cloud_event, delivery, histories

T0 = int(datetime(2026, 3, 8, 4, 30, tzinfo=UTC).timestamp()) * 1000
TIMES = (T0, T0 + 1, T0 + HOUR_MS, T0 + DAY_MS, T0 - 40 * DAY_MS)
RULES = FoldRules(
    calendar=Calendar("America/New_York"),
    stage_probability={"proposal": 0.4, "closing": 0.8},
    activity_horizon_ms=800 * DAY_MS,
)


def fresh(slots: int = 1) -> Slots:
    return Slots(RULES, now_ms=T0 + 2 * DAY_MS, slots=slots)


def panes_of(events: Sequence[Event]) -> Panes:
    """Return the panes after the events arrived one by one in this order."""
    slots = fresh()
    for event in events:
        slots.arrive([event])
    return slots.panes()


@given(histories(TIMES), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_panes(events: list[Event], random: Random) -> None:
    assert panes_of(random.sample(events, len(events))) == panes_of(events)


@given(histories(TIMES), st.randoms(use_true_random=False))
def test_duplicates_change_nothing(events: list[Event], random: Random) -> None:
    copies = random.choices(events, k=len(events))
    assert panes_of(random.sample(events + copies, 2 * len(events))) == panes_of(events)


@given(histories(TIMES), st.lists(st.integers(0, 12), max_size=4), st.booleans())
def test_any_split_into_batches_and_any_restart_between_them_gives_the_same_panes(
    events: list[Event], cuts: list[int], restarts: bool
) -> None:
    slots = fresh(slots=2)
    edges = [0, *sorted(cuts), len(events)]
    for start, end in pairwise(edges):
        slots.arrive(events[start:end])
        slots.commit()
        if restarts:
            slots.reload()
    assert slots.panes() == panes_of(events)


@given(histories(TIMES), st.integers(0, 12))
def test_folding_a_prefix_twice_equals_folding_it_once(events: list[Event], length: int) -> None:
    slots = fresh()
    slots.arrive(events[:length])
    slots.redeliver_everything()
    slots.arrive(events[:length])  # published twice: the same events under new offsets
    slots.arrive(events[length:])
    assert slots.panes() == panes_of(events)


@given(histories(TIMES))
def test_a_lost_commit_is_replayed_to_the_same_panes(events: list[Event]) -> None:
    slots = fresh()
    middle = len(events) // 2
    slots.arrive(events[:middle])
    slots.commit()
    slots.arrive(events[middle:])
    slots.reload()  # what was folded since the commit is gone
    slots.redeliver_everything()
    assert slots.panes() == panes_of(events)


@given(histories(TIMES))
def test_deleting_everything_leaves_no_pane(events: list[Event]) -> None:
    entities = {(str(event["type"]).split(".")[1], number_of(event)) for event in events}
    deletions = [
        cloud_event(kind, "deleted", number, T0 + DAY_MS + 1, {}, event_id=f"x{kind}{number}")
        for kind, number in entities
    ]
    assert panes_of([*events, *deletions]) == {}
    assert panes_of([*deletions, *events]) == {}


@given(histories(TIMES, kinds=("deal", "lead")))
def test_a_restore_brings_back_what_a_deletion_took(events: list[Event]) -> None:
    living = [event for event in events if str(event["type"]).split(".")[2] not in ("deleted", "merged")]
    ended: list[Event] = []
    for event in living:
        kind, number = str(event["type"]).split(".")[1], number_of(event)
        ended.append(cloud_event(kind, "deleted", number, T0 + DAY_MS + 1, {}, event_id="x1"))
        ended.append(cloud_event(kind, "restored", number, T0 + DAY_MS + 2, {}, event_id="x2"))
    assert panes_of([*ended, *living]) == panes_of(living)


@given(histories(TIMES), st.randoms(use_true_random=False), st.integers(0, 12), st.booleans())
def test_facts_too_are_a_function_of_the_set_of_events(
    events: list[Event], random: Random, cut: int, restarts: bool
) -> None:
    """Stages a deal came through, and what activities did for whom, in any order, twice, over a restart."""
    plain, other = fresh(slots=2), fresh(slots=2)
    plain.arrive(events)
    arrived = random.sample(events + events[:cut], len(events) + len(events[:cut]))
    other.arrive(arrived[:cut])
    other.commit()
    if restarts:
        other.reload()
    other.arrive(arrived[cut:])
    assert other.facts() == plain.facts()


def number_of(event: Event) -> int:
    data = event["data"]
    assert isinstance(data, dict)
    kind = str(event["type"]).split(".")[1]
    return int(str(data[f"{kind}_id"]).split("-")[1])


def decoded(event: Event) -> Decoded:
    topic, _, value = delivery(event, slots=1)
    answer = decode(value, (), kind=KIND_OF_TOPIC[topic])
    assert isinstance(answer, Decoded), answer
    return answer


def states_of(events: Sequence[Event]) -> dict[tuple[EntityKind, str], State]:
    states: dict[tuple[EntityKind, str], State] = {}
    for event in map(decoded, events):
        place = (event.kind, event.entity_id)
        states[place] = merge(states.get(place), event)
    return states


@given(histories(TIMES), histories(TIMES))
def test_retracting_undoes_exactly_what_adding_did(first: list[Event], second: list[Event]) -> None:
    store = PaneStore(day_start=RULES.calendar.day_start_ms, panes_max=1_000)

    def contributions(events: list[Event]) -> Iterator[State]:
        yield from states_of(events).values()

    for state in contributions(first):
        store.add(contribute(state, FoldRules(calendar=Calendar("UTC"))))
    before = {key: dict(pane) for key, pane in store.panes.items()}
    for state in contributions(second):
        store.add(contribute(state, FoldRules(calendar=Calendar("UTC"))))
    for state in contributions(second):
        store.retract(contribute(state, FoldRules(calendar=Calendar("UTC"))))
    assert store.panes == before


# ---- every order of every small case --------------------------------------------------------------


def deal(verb: str, time_ms: int, event_id: str, **data: object) -> Event:
    return cloud_event("deal", verb, 1, time_ms, data, event_id=event_id)


SMALL_CASES: dict[str, list[Event]] = {
    "a deal is won, re-opened and won again": [
        deal("created", T0, "a", amount="1", rep_id="R1"),
        deal("won", T0 + 10, "b", amount="2"),
        deal("reopened", T0 + 20, "c", amount="4"),
        deal("updated", T0 + 30, "d", status="won", amount="8"),
        deal("updated", T0 + 40, "e", status="won", rep_id="R2"),
    ],
    "equal times are decided by the id": [
        deal("created", T0, "c", amount="1"),
        deal("won", T0, "d", amount="2"),
        deal("lost", T0, "b", amount="4"),
        deal("updated", T0, "a", amount="8"),
        deal("reopened", T0 - 1, "z", amount="16"),
    ],
    "a deal without a closing time is said to be won again and again": [
        deal("updated", T0 + 10, "a", status="won"),
        deal("updated", T0 + 20, "b", status="won"),
        deal("updated", T0 + 30, "c", amount="4"),
        deal("updated", T0 + 15, "d", status="won"),
        deal("created", T0, "e", amount="8"),
    ],
    "an owner moves while the deal is deleted and restored": [
        deal("created", T0, "a", amount="1", rep_id="R1", team_id="North"),
        deal("updated", T0 + 10, "b", rep_id="R2", team_id="South"),
        deal("deleted", T0 + 20, "c"),
        deal("updated", T0 + 30, "d", amount="8"),
        deal("restored", T0 + 40, "e"),
    ],
    "a deal is merged away and another is cleared": [
        deal("created", T0, "a", amount="1", stage="proposal"),
        deal("merged", T0 + 10, "b", merged_into="D-2"),
        deal("updated", T0 + 5, "c", amount=None, stage="closing"),
        cloud_event("deal", "updated", 2, T0 - 5, {"amount": "8"}, event_id="d"),
        cloud_event("deal", "won", 2, T0 + 10, {"created_at": None}, event_id="e"),
    ],
    "an activity is corrected after its deletion": [
        cloud_event("activity", "completed", 1, T0, {"kind": "call"}, event_id="a"),
        cloud_event("activity", "updated", 1, T0 + 1, {"outcome": "connected"}, event_id="b"),
        cloud_event("activity", "deleted", 1, T0 + 2, {}, event_id="c"),
        cloud_event("activity", "updated", 1, T0 + 3, {"kind": "demo"}, event_id="d"),
    ],
}


@pytest.mark.parametrize("name", SMALL_CASES)
def test_every_order_and_every_split_of_a_small_case_gives_the_same_panes(name: str) -> None:
    events = SMALL_CASES[name]
    expected = panes_of(events)
    for order in permutations(events):
        for cuts in range(1 << (len(events) - 1)):
            slots = fresh()
            start = 0
            for end in range(1, len(events) + 1):
                if end == len(events) or cuts >> (end - 1) & 1:
                    slots.arrive(order[start:end])
                    slots.commit()
                    start = end
            assert slots.panes() == expected, [event["id"] for event in order]
