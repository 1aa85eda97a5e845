"""decode: what is read in one step is what a closer look says, of good events and of broken ones."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from streams.decode import decode, look_closer
from streams.event_schemas import data_schema
from streams.events import EntityKind, Event
from streams.wire import TYPES
from tests.made_up import allowed, bodies, spoiled

TIMES = st.sampled_from(
    [
        "2026-11-21T12:00:00Z",
        "2026-11-21T12:00:00.9999+08:00",
        "2016-12-31T23:59:60Z",
        "1979-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.9991Z",
        "2026-11-21T12:00:00",
    ]
)
IDS = st.sampled_from(["e-1", "e-1", "", "ü" * 64, "ü" * 129, "e" * 257])
SCHEMAS = {name: data_schema(known.form) for name, known in TYPES.items()}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(TYPES)))
    return {
        "specversion": draw(st.sampled_from(["1.0", "1.0", "0.3"])),
        "id": draw(IDS),
        "source": "/t",
        "type": name,
        "time": draw(TIMES),
        "data": draw(allowed(SCHEMAS[name], SCHEMAS[name], TIMES)),
    }


def agree(value: bytes, kind: EntityKind) -> None:
    assert decode(value, (), kind=kind) == look_closer(value, (), kind=kind)


@given(events() | spoiled(events()), st.sampled_from(EntityKind))
def test_both_ways_say_the_same_of_any_event(event: Any, other: EntityKind) -> None:
    name = event.get("type") if isinstance(event, dict) else None
    known = TYPES.get(name) if isinstance(name, str) else None
    agree(json.dumps(event).encode(), other if known is None else known.kind)
    agree(json.dumps(event).encode(), other)


@given(bodies(events()).filter(bool), st.data())
def test_both_ways_say_the_same_of_broken_bytes(value: bytes, data: st.DataObject) -> None:
    at, removed = data.draw(st.integers(0, len(value))), data.draw(st.integers(0, 3))
    inserted = data.draw(
        st.sampled_from([b"", b"\xff", b'"', b"}", b",", b"[", b'"id":"x",', b"\\u0000", b"1e9"])
    )
    agree(value[:at] + inserted + value[at + removed :] or b"x", data.draw(st.sampled_from(EntityKind)))


ODD_ONES: dict[str, object] = {
    "status": "open",
    "amount": "1",
    "cost": "2",
    "currency": "EUR",
    "probability": 0.5,
    "duration_seconds": 1,
    "score": 3,
    "scale": "1-5",
    "from": "2026-11-21",
    "to": "2026-11-22",
    "expected_close_on": "2026-11-21",
    "active_from": "2026-11-21T12:00:00Z",
}


def test_every_field_lands_in_the_change_of_its_name() -> None:
    """What `streams.wire` makes, it makes by position."""
    for name, known in TYPES.items():
        if known.kind is EntityKind.REFERENCE:
            continue
        bare = written(name, {})
        for field in known.form.known - {known.form.id_field}:
            value = "2026-11-21T12:00:00Z" if field.endswith("_at") else ODD_ONES.get(field, field)
            if field == "kind":
                value = "call" if known.kind is EntityKind.ACTIVITY else "nps"
            into = {"from": "from_on", "to": "to_on"}.get(field, field)
            new = written(name, {field: value}) - bare
            assert new <= {into, f"{into}_ms"}
            assert new or bare & {into, f"{into}_ms"}


def written(name: str, data: dict[str, object]) -> set[str]:
    known = TYPES[name]
    if name.endswith("merged"):
        data = {"merged_into": "other", **data}
    event = {
        "specversion": "1.0",
        "id": "e",
        "source": "/t",
        "type": name,
        "time": "2026-11-21T12:00:00Z",
        "data": {known.form.id_field: "1", **data},
    }
    decoded = decode(json.dumps(event).encode(), (), kind=known.kind)
    assert type(decoded) is Event, decoded
    return {
        field for field in decoded.changes.__struct_fields__ if getattr(decoded.changes, field) is not UNSET
    }
