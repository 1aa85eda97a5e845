"""A full export against a live state that lacks some of what happened: what differs, and that it ends."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oracle.windows import Floor
from streams import layout
from streams.entities import FIELDS, State, merge
from streams.events import EntityKind
from streams.reconcile import (
    RECONCILED,
    Drift,
    Entity,
    Exported,
    Finding,
    Terms,
    add,
    compared,
    filled_by,
)
from streams.reconcile_events import stamp_of, wire_name, wire_value
from streams.rfc3339 import rfc3339
from streams.routing import Routed, route
from tests.histories import DAY_MS, Event, edge_times, histories
from tests.strength import amount

S_MS = 1_717_372_800_000  # 2024-06-03T00:00:00Z
TERMS = Terms(as_of_ms=S_MS, oldest_ms=0, oldest_activity_ms=0)
STEPS = {"qualified_at_ms": "qualified", "converted_at_ms": "converted", "disqualified_at_ms": "disqualified"}
States = dict[Entity, State]


def event(kind: str, verb: str, entity_id: str, time_ms: int, event_id: str = "e", /, **data: Any) -> bytes:
    told = {"specversion": "1.0", "id": event_id, "source": "/t", "type": f"sales.{kind}.{verb}"}
    whole = {**told, "time": rfc3339(time_ms), "data": {f"{kind}_id": entity_id, **data}}
    return json.dumps(whole).encode()


def folded(values: Sequence[bytes], states: States | None = None) -> States:
    states = states if states is not None else {}
    for value in values:
        routed = route(value)
        if isinstance(routed, Routed):
            entity = routed.event.kind, routed.event.entity_id
            states[entity] = merge(states.get(entity), routed.event)
    return states


def exported(values: Sequence[bytes]) -> dict[Entity, Exported]:
    found: dict[Entity, Exported] = {}
    for value in values:
        routed = route(value)
        assert isinstance(routed, Routed), routed
        add(found, value, routed.event)
    return found


def all_compared(export: Sequence[bytes], live: States, terms: Terms = TERMS) -> dict[Entity, Drift]:
    packed = {entity: layout.pack_entity(state) for entity, state in live.items()}
    return {(one.kind, one.id): one for one in compared(exported(export), packed, terms)}


def compare(export: Sequence[bytes], live: States, terms: Terms = TERMS) -> dict[str, Drift]:
    return {entity_id: drift for (_, entity_id), drift in all_compared(export, live, terms).items()}


def mended(export: Sequence[bytes], live: States, terms: Terms = TERMS) -> States:
    """Return the live state after the corrections."""
    drifts = all_compared(export, live, terms)
    copy = {entity: layout.unpack_entity(entity[0], layout.pack_entity(one)) for entity, one in live.items()}
    return folded([value for drift in drifts.values() for value in drift.events], copy)


# --- what is found --------------------------------------------------------------------------------

D1 = event("deal", "updated", "D-1", S_MS - 1000, amount="100.00", currency="EUR", stage="new", status="open")


def test_what_is_told_alike_is_the_same_whatever_its_writing() -> None:
    live = folded([event("deal", "updated", "D-1", S_MS - 9, amount=100, currency="EUR", rep_id="ann")])
    assert (
        compare([event("deal", "updated", "D-1", S_MS, amount="100.0")], live)["D-1"].finding is Finding.SAME
    )


def test_only_fields_that_differ_are_corrected_at_the_time_of_the_export() -> None:
    live = folded([event("deal", "updated", "D-1", S_MS - 2000, amount=7, currency="EUR", stage="new")])
    drift = compare([D1], live)["D-1"]
    assert (drift.finding, set(drift.fields)) == (Finding.DIFFERS, {"amount", "status"})
    [value] = drift.events
    told = json.loads(value)
    assert (told["type"], told["time"]) == ("sales.deal.updated", rfc3339(S_MS))
    assert told["data"] == {"deal_id": "D-1", "amount": "100.00", "currency": "EUR", "status": "open"}
    assert mended([D1], live)[EntityKind.DEAL, "D-1"].amount == 100  # type: ignore[union-attr]


def test_later_facts_stay_and_equal_times_are_corrected() -> None:
    later = event("deal", "updated", "D-1", S_MS + 1, amount=7)
    at_once = event("deal", "updated", "D-1", S_MS, "zzz", stage="won over")
    live = folded([D1, later, at_once])
    drift = compare([D1], live)["D-1"]
    assert (drift.finding, set(drift.fields)) == (Finding.DIFFERS, {"stage"})
    after = mended([D1], live)[EntityKind.DEAL, "D-1"]
    assert (after.amount, after.stage) == (7, "new")  # type: ignore[union-attr]
    assert compare([D1], folded([D1, later]))["D-1"].finding is Finding.LATER


def test_missing_record_is_published_as_the_export_tells_it() -> None:
    drift = compare([D1], {})["D-1"]
    assert (drift.finding, list(drift.events)) == (Finding.MISSING, [D1])
    old = Terms(as_of_ms=S_MS, oldest_ms=S_MS - 500, oldest_activity_ms=0)
    assert compare([D1], {}, old)["D-1"].finding is Finding.TOO_OLD
    gone = event("deal", "deleted", "D-1", S_MS)
    assert compare([gone], {})["D-1"].finding is Finding.SAME


def test_activity_that_workers_have_put_away_is_not_published_again() -> None:
    done = event("activity", "updated", "A-1", S_MS, kind="call", completed_at=rfc3339(S_MS - 40 * DAY_MS))
    terms = Terms(as_of_ms=S_MS, oldest_ms=0, oldest_activity_ms=S_MS - 35 * DAY_MS)
    assert compare([done], {}, terms)["A-1"].finding is Finding.TOO_OLD


def test_record_that_the_export_lacks_is_deleted_only_where_that_is_asked_for() -> None:
    live = folded([D1, event("deal", "updated", "D-2", S_MS - 5), event("lead", "created", "L-1", S_MS - 5)])
    live |= folded([event("deal", "created", "D-3", S_MS + 5), event("deal", "deleted", "D-4", S_MS - 5)])
    found = compare([D1], live)
    assert {name: one.finding for name, one in found.items()} == {
        "D-1": Finding.SAME,
        "D-2": Finding.EXTRA,
        "D-3": Finding.LATER,
    }, "of kinds that the export tells; a deleted one is not there"
    assert found["D-2"].events == []
    deleting = Terms(as_of_ms=S_MS, oldest_ms=0, oldest_activity_ms=0, delete_missing=True)
    after = mended([D1], live, deleting)
    assert {entity[1] for entity, state in after.items() if state.deleted} == {"D-2", "D-4"}


def test_deleted_record_that_the_export_has_comes_back_where_the_contract_can_say_so() -> None:
    live = folded([D1, event("deal", "deleted", "D-1", S_MS - 5)])
    drift = compare([D1], live)["D-1"]
    assert [json.loads(one)["type"] for one in drift.events] == ["sales.deal.restored"]
    assert mended([D1], live)[EntityKind.DEAL, "D-1"].deleted is False
    account = event("account", "updated", "C-1", S_MS - 9, active_from=rfc3339(S_MS - DAY_MS))
    live = folded([account, event("account", "deleted", "C-1", S_MS - 5)])
    assert compare([account], live)["C-1"].finding is Finding.STUCK


def test_time_of_an_event_is_told_by_that_event() -> None:
    export = [
        event("lead", "created", "L-1", S_MS - 9),
        event("lead", "converted", "L-1", S_MS - 5, deal_id="D"),
    ]
    live = folded(export[:1])
    drift = compare(export, live)["L-1"]
    kinds = {(one["type"], one["time"]) for one in map(json.loads, drift.events)}
    assert kinds == {
        ("sales.lead.converted", rfc3339(S_MS - 5)),
        ("sales.lead.updated", rfc3339(S_MS)),
    }
    assert mended(export, live)[EntityKind.LEAD, "L-1"] is not None
    later = folded([*export[:1], event("lead", "converted", "L-1", S_MS - 1, deal_id="D")])
    assert compare(export, later)["L-1"].finding is Finding.STUCK, (
        "an earlier time cannot win over a later one"
    )


def test_deal_that_tells_no_closing_time_closes_when_the_export_says_it_was() -> None:
    won = event("deal", "updated", "D-1", S_MS - 8 * DAY_MS, status="won")
    live = folded([event("deal", "updated", "D-1", S_MS - 9 * DAY_MS, status="open")])
    after = mended([won], live)[EntityKind.DEAL, "D-1"]
    assert after.closed_at_ms == S_MS - 8 * DAY_MS  # type: ignore[union-attr]


def test_answer_and_spend_are_corrected_at_their_own_time() -> None:
    answer = event("feedback", "received", "F-1", S_MS - 5, kind="nps", score=9.0)
    live = folded([event("feedback", "received", "F-1", S_MS - 5, "zz", kind="nps", score=3.0)])
    after = mended([answer], live)[EntityKind.FEEDBACK, "F-1"]
    assert (after.score, after.received_at_ms) == (9.0, S_MS - 5)  # type: ignore[union-attr]


def test_correction_has_the_same_id_each_time_so_publishing_it_twice_changes_nothing() -> None:
    live = folded([event("deal", "updated", "D-1", S_MS - 2000, amount=7)])
    assert compare([D1], live)["D-1"].events == compare([D1], live)["D-1"].events


def test_filled_is_what_the_export_tells_and_could_be_put_right() -> None:
    account = event("account", "updated", "C-1", S_MS - 9)
    live = folded(
        [account, event("account", "deleted", "C-1", S_MS - 5), event("deal", "updated", "D-2", S_MS)]
    )
    deleting = Terms(as_of_ms=S_MS, oldest_ms=0, oldest_activity_ms=0, delete_missing=True)
    is_filled = filled_by(exported([D1, account]), compare([D1, account], live, deleting).values())
    assert is_filled(EntityKind.DEAL, "D-1")
    assert is_filled(EntityKind.DEAL, "D-2"), "deleted"
    assert is_filled(EntityKind.DEAL, ""), "all of them"
    assert not is_filled(EntityKind.ACCOUNT, "C-1"), "stuck"
    assert not is_filled(EntityKind.LEAD, "")
    assert not is_filled(EntityKind.DEAL, "D-9")


# --- for any history ------------------------------------------------------------------------------


def export_of(truth: Mapping[Entity, State]) -> list[bytes]:
    """Write what a CRM would export: each record as it is, whole."""
    lines = []
    for (kind, entity_id), state in truth.items():
        if kind not in (EntityKind.DEAL, EntityKind.LEAD, EntityKind.ACTIVITY, EntityKind.ACCOUNT):
            continue
        if state.deleted:
            continue
        names = [
            name
            for position, name in enumerate(FIELDS[kind])
            if stamp_of(state, position) is not None
            and name not in ("deleted", "merged_into", "booked_at_ms", *STEPS)
        ]
        data = {wire_name(kind, name): wire_value(name, getattr(state, name)) for name in names}
        lines.append(event(kind, "updated", entity_id, state.last_seen_ms, "export", **data))
        for name, verb in STEPS.items():
            if kind is EntityKind.LEAD and (at_ms := getattr(state, name)) is not None:
                lines.append(event(kind, verb, entity_id, at_ms, f"step-{verb}"))
    return lines


@settings(max_examples=amount(40, long=500), phases=(Phase.explicit, Phase.generate))
@given(history=histories(edge_times(S_MS, Floor()), max_size=25), seed=st.integers(0, 2**32))
def test_after_the_corrections_nothing_differs_but_what_is_later(history: list[Event], seed: int) -> None:
    random = Random(seed)
    before: list[bytes] = []
    after: list[bytes] = []
    for value in (json.dumps(one).encode() for one in history):
        routed = route(value)
        if isinstance(routed, Routed) and routed.event.kind in RECONCILED:
            (before if routed.event.time_ms <= S_MS else after).append(value)
    truth = folded(before)
    export = [line for line in export_of(truth) if isinstance(route(line), Routed)]
    live = folded([*(value for value in before if random.random() < 0.5), *after])
    terms = Terms(as_of_ms=S_MS, oldest_ms=0, oldest_activity_ms=0, delete_missing=True)
    once, final = all_compared(export, live, terms), mended(export, live, terms)
    again = all_compared(export, final, terms)
    assert {one.finding for one in again.values()} <= {Finding.SAME, Finding.LATER, Finding.STUCK}
    whole = folded(after, truth)
    for entity, told in exported(export).items():
        if Finding.STUCK in (once[entity].finding, again[entity].finding):
            continue
        for position, name in enumerate(FIELDS[entity[0]]):
            if stamp_of(told.state, position) is not None and name not in ("merged_into", *STEPS):
                assert getattr(final[entity], name) == getattr(whole[entity], name), name


@pytest.mark.parametrize("kind", sorted(RECONCILED))
def test_every_field_of_the_contract_can_be_told_apart(kind: EntityKind) -> None:
    """A field that is in no event would never be corrected: it must be one that the comparison knows of."""
    from streams.reconcile_events import _TIME_OF, ONCE
    from streams.wire import TYPES

    action = ONCE[kind][0] if kind in ONCE else "updated"
    data = TYPES[f"sales.{kind}.{action}"].form.data
    known = {*data.__struct_encode_fields__, "deleted"}
    by_time = {*_TIME_OF, *(when for _action, when in ONCE.values())}
    assert {
        name for name in FIELDS[kind] if name not in by_time and wire_name(kind, name) not in known
    } == set()
