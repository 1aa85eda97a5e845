"""Fields in which an export and the live state differ in, events of the contract that write them out. Pure.

Most fields are written at the as-of time. Some are nothing but the time of an event (when a lead was
converted, an activity booked): that event is told, at that time. Of equal times a correction wins.
"""

from collections.abc import Iterator, Mapping, Set
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from streams.column_rows import content_id
from streams.entities import State
from streams.events import EntityKind
from streams.rfc3339 import rfc3339

_SOURCE: Final = "/salesfloor/reconcile"
_NEVER: Final = 255
_TIME_OF: Final[Mapping[str, str]] = {
    "qualified_at_ms": "qualified",
    "converted_at_ms": "converted",
    "disqualified_at_ms": "disqualified",
    "booked_at_ms": "scheduled",
}
"""Field that is the time of an event -> that event."""
ONCE: Final[Mapping[EntityKind, tuple[str, str]]] = {
    EntityKind.FEEDBACK: ("received", "received_at_ms"),
    EntityKind.SPEND: ("recorded", "recorded_at_ms"),
}
"""Kinds that are told by one event, whose time is a fact of theirs."""
_RESTORED: Final = frozenset({EntityKind.DEAL, EntityKind.LEAD})
_RENAMED: Final = {(EntityKind.SPEND, "from_on"): "from", (EntityKind.SPEND, "to_on"): "to"}


class Fixed(NamedTuple):
    """What is to be written: these fields of an entity, as the export has them."""

    live: State
    export: State
    names: Set[str]
    as_of_ms: int


def stamp_of(state: State, position: int) -> int | None:
    """Return when the newest write of a field happened, in ms; None if it was never written."""
    held = state.stamp_of[position]
    return None if held == _NEVER else state.stamps[held].time_ms


def corrections(kind: EntityKind, entity_id: str, fixed: Fixed) -> Iterator[bytes]:
    """Yield events, each with what it can write. Fields that no event of the contract writes are left out."""
    if "deleted" in fixed.names:
        if fixed.export.deleted:
            yield _event(kind, "deleted", entity_id, fixed.as_of_ms, {})
            return
        if kind in _RESTORED:
            yield _event(kind, "restored", entity_id, fixed.as_of_ms, {})
    for name in sorted(fixed.names & _TIME_OF.keys()):
        if isinstance(time_ms := getattr(fixed.export, name), int):
            yield _event(kind, _TIME_OF[name], entity_id, time_ms, {})
    names = fixed.names - _TIME_OF.keys() - {"deleted"}
    action, time_ms = "updated", fixed.as_of_ms
    if kind in ONCE:
        action, when = ONCE[kind]
        told_ms = getattr(fixed.export, when)
        time_ms, names = (told_ms if isinstance(told_ms, int) else fixed.as_of_ms), names - {when}
    data = {wire_name(kind, name): wire_value(name, getattr(fixed.export, name)) for name in names}
    data |= _beside(fixed, names)
    if data or (kind in ONCE and ONCE[kind][1] in fixed.names):
        yield _event(kind, action, entity_id, time_ms, data)


def _beside(fixed: Fixed, names: Set[str]) -> dict[str, object]:
    """Return what belongs to what differs: an amount's currency, and when a deal closed that says no time of
    its own, for that would be the time of the correction."""
    data: dict[str, object] = {}
    currency = getattr(fixed.export, "currency", None)
    if names & {"amount", "cost"} and isinstance(currency, str):
        data["currency"] = currency
    closes = "status" in names and getattr(fixed.export, "status", None) in ("won", "lost")
    if closes and "closed_at_ms" not in names and getattr(fixed.live, "closed_at_ms", None) is None:
        data["closed_at"] = rfc3339(fixed.export.last_seen_ms)
    return data


def deleted_at(kind: EntityKind, entity_id: str, time_ms: int) -> bytes:
    return _event(kind, "deleted", entity_id, time_ms, {})


def wire_name(kind: EntityKind, name: str) -> str:
    return _RENAMED.get((kind, name)) or name.removesuffix("_ms")


def wire_value(name: str, value: object) -> object:
    if name.endswith("_ms") and isinstance(value, int):
        return rfc3339(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _event(kind: EntityKind, action: str, entity_id: str, time_ms: int, data: Mapping[str, object]) -> bytes:
    told = {
        "specversion": "1.0",
        "source": _SOURCE,
        "type": f"sales.{kind}.{action}",
        "time": rfc3339(time_ms),
        "subject": entity_id,
        "data": {f"{kind}_id": entity_id, **data},
    }
    # The tilde comes after every letter and digit: of writes of the same time the greatest id wins.
    return msgspec.json.encode(told | {"id": f"~{content_id(msgspec.json.encode(told, order='sorted'))}"})
