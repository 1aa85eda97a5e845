"""How a slot's state becomes the byte fields of its checkpoint, and back. Pure; the only place that knows.

board     b"c" cell number                 -> the cell, msgpack array of 7 strings
          b"p" cell number, start_ms, tier -> the pane, msgpack map {key: value} (metrics.measures); the lag
                                              in a key of hindsight counts from start_ms
          b"r" + id                        -> reference record (metrics.reference)
          b"f", one letter by kind + id    -> the entity's fact (streams.facts), of which readers make what it
                                              contributes; by b"a" and whom they touch, the activities for
                                              a lead or a deal
          b"s"                             -> `SlotFacts`
entities  one letter by kind + id          -> entity state
          b"t" + table name + NUL + key    -> one row of a Faust table
          b"h" + whom they touched         -> touches of activities that left memory (streams.touches)

A change here is a new `FOLD_VERSION` in `streams.settings`.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from metrics.panes import FINEST, Cell, Resolution
from metrics.reference import Reference
from streams.entities import STATES, State
from streams.events import EntityKind
from streams.facts import FACTS, Fact
from streams.topics import REFERENCE
from streams.touches import Concern, Touches

FACTS_FIELD = b"s"
_CELL = struct.Struct(">cI")
_PANE = struct.Struct(">cIqB")

CELL, PANE, REFERENCE_RECORD, FACT = b"cprf"
"""The first byte of a field of the board says what it holds."""

PaneValues = dict[int, int]


class PaneKey(NamedTuple):
    cell: int
    start_ms: int
    tier: int


class SlotFacts(msgspec.Struct):
    """What a slot knows beside its panes and entities; committed with them, so it is exact."""

    newest_ms: dict[str, int] = {}
    """Topic -> greatest event time folded: the watermark that horizons are measured from."""
    resolution: tuple[int, ...] = FINEST.since_ms
    rebuild_until: dict[str, int] = {}
    """Topic -> offset; while a topic's next offset is below it, the slot is rebuilding."""
    counters: dict[str, dict[str, int]] = {}
    behind: dict[str, int] = {}
    """Topic -> records known to wait in the log when this was committed, where they are many."""

    @property
    def behind_event_ms(self) -> int | None:
        """Return the oldest of the newest event times where records wait; None when nowhere any do."""
        waiting = (self.newest_ms.get(topic, 0) for topic in self.behind if topic != REFERENCE)
        return min(waiting, default=None)

    @property
    def newest_event_ms(self) -> int | None:
        facts = (newest_ms for topic, newest_ms in self.newest_ms.items() if topic != REFERENCE)
        return max(facts, default=None)


_pack = msgspec.msgpack.Encoder().encode
_unpack_cell = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_unpack_pane = msgspec.msgpack.Decoder(PaneValues).decode
_unpack_reference: Callable[[bytes], Reference] = msgspec.msgpack.Decoder(Reference).decode
_unpack_touches = msgspec.msgpack.Decoder(Touches).decode
_unpack_facts = msgspec.msgpack.Decoder(SlotFacts).decode


def cell_field(number: int) -> bytes:
    return _CELL.pack(b"c", number)


def pane_field(key: PaneKey) -> bytes:
    return _PANE.pack(b"p", *key)


def is_cell(field: bytes) -> bool:
    return field[:1] == b"c"


def is_pane(field: bytes) -> bool:
    return field[:1] == b"p"


def cell_number(field: bytes) -> int:
    return int(_CELL.unpack(field)[1])


split_pane: Callable[[bytes], tuple[bytes, int, int, int]] = _PANE.unpack
"""Do `pane_key` where it is done for every pane of a commit: its letter, cell, start in ms and tier."""


def pane_key(field: bytes) -> PaneKey:
    return PaneKey(*_PANE.unpack(field)[1:])


def pack_cell(cell: Cell) -> bytes:
    return _pack(cell)


def unpack_cell(value: bytes) -> Cell:
    return Cell(*_unpack_cell(value))


pack_pane: Callable[[PaneValues], bytes] = _pack


def unpack_pane(value: bytes) -> PaneValues:
    return _unpack_pane(value)


def pack_facts(facts: SlotFacts) -> bytes:
    return _pack(facts)


def unpack_facts(value: bytes) -> SlotFacts:
    return _unpack_facts(value)


_ENTITY_PREFIX = {
    EntityKind.DEAL: b"d",
    EntityKind.LEAD: b"l",
    EntityKind.ACTIVITY: b"a",
    EntityKind.ACCOUNT: b"k",
    EntityKind.FEEDBACK: b"f",
    EntityKind.SPEND: b"e",
    EntityKind.REFERENCE: b"r",
}
_KIND_OF_PREFIX = {prefix: kind for kind, prefix in _ENTITY_PREFIX.items()}
_unpack_entity: dict[EntityKind, Callable[[bytes], State]] = {
    kind: msgspec.msgpack.Decoder(state).decode for kind, state in STATES.items()
}


def entity_prefix(kind: EntityKind) -> bytes:
    """Return what the fields of a kind's entities begin with; their ids follow."""
    return _ENTITY_PREFIX[kind]


def entity_field(kind: EntityKind, entity_id: str) -> bytes:
    return _ENTITY_PREFIX[kind] + entity_id.encode()


def entity_of_field(field: bytes) -> tuple[EntityKind, str] | None:
    """Return whose state a field of `entities` holds; None for a row of a Faust table."""
    kind = _KIND_OF_PREFIX.get(field[:1])
    return None if kind is None else (kind, field[1:].decode())


pack_entity: Callable[[State], bytes] = _pack


def unpack_entity(kind: EntityKind, value: bytes) -> State:
    return _unpack_entity[kind](value)


def reference_field(record_id: str) -> bytes:
    return b"r" + record_id.encode()


def is_reference(field: bytes) -> bool:
    return field[:1] == b"r"


def pack_reference(record: Reference) -> bytes:
    return _pack(record)


def unpack_reference(value: bytes) -> Reference:
    return _unpack_reference(value)


_unpack_fact: dict[EntityKind, Callable[[bytes], Fact]] = {
    kind: msgspec.msgpack.Decoder(fact).decode for kind, fact in FACTS.items()
}


def fact_field(kind: EntityKind, entity_id: str) -> bytes:
    return fact_field_of(entity_field(kind, entity_id))


def fact_field_of(entity: bytes) -> bytes:
    """Return the field for the fact of an entity, given the field of its state."""
    return b"f" + entity


def is_fact(field: bytes) -> bool:
    return field[:1] == b"f"


def fact_owner(field: bytes) -> tuple[EntityKind, str]:
    """Return whose fact a field of the board holds."""
    return _KIND_OF_PREFIX[field[1:2]], field[2:].decode()


pack_fact: Callable[[Fact], bytes] = _pack


def unpack_fact(kind: EntityKind, value: bytes) -> Fact:
    return _unpack_fact[kind](value)


def touches_field(concern: Concern) -> bytes:
    return b"h" + concern.encode()


def is_touches(field: bytes) -> bool:
    return field[:1] == b"h"


def touches_owner(field: bytes) -> Concern:
    return field[1:].decode()


def pack_touches(touches: Touches) -> bytes:
    return _pack(touches)


def unpack_touches(value: bytes) -> Touches:
    return _unpack_touches(value)


def row_field(table: str, key: bytes) -> bytes:
    return b"t" + table.encode() + b"\0" + key


def row_of_field(field: bytes) -> tuple[str, bytes]:
    table, _, key = field[1:].partition(b"\0")
    return table.decode(), key


def resolution_of(facts: SlotFacts) -> Resolution:
    return Resolution(facts.resolution)
