"""How a slot's state becomes the byte fields of its checkpoint, and back. Pure; the only place that knows.

board     b"c" cell number                 -> the cell, msgpack array of 7 strings
          b"p" cell number, start_ms, tier -> the pane, msgpack map {key: value} (metrics.measures)
          b"s"                             -> `SlotFacts`
entities  b"d" | b"l" | b"a" + id          -> entity state of a deal, lead, activity
          b"t" + table name + NUL + key    -> one row of a Faust table

A change here is a new `FOLD_VERSION` in `streams.settings`.
"""

import struct
from typing import NamedTuple

import msgspec

from metrics.panes import FINEST, Cell, Resolution

FACTS_FIELD = b"s"
_CELL = struct.Struct(">cI")
_PANE = struct.Struct(">cIqB")

PaneValues = dict[int, int]


class PaneKey(NamedTuple):
    cell: int
    start_ms: int
    tier: int


class SlotFacts(msgspec.Struct):
    """What a slot knows beside its panes and entities; committed with them, so it is exact."""

    newest_event_ms: int | None = None
    resolution: tuple[int, ...] = FINEST.since_ms
    rebuild_until: dict[str, int] = {}
    """Topic -> offset; while a topic's next offset is below it, the slot is rebuilding."""
    counters: dict[str, dict[str, int]] = {}


_pack = msgspec.msgpack.Encoder().encode
_unpack_cell = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_unpack_pane = msgspec.msgpack.Decoder(PaneValues).decode
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


def pane_key(field: bytes) -> PaneKey:
    return PaneKey(*_PANE.unpack(field)[1:])


def pack_cell(cell: Cell) -> bytes:
    return _pack(cell)


def unpack_cell(value: bytes) -> Cell:
    return Cell(*_unpack_cell(value))


def pack_pane(values: PaneValues) -> bytes:
    return _pack(values)


def unpack_pane(value: bytes) -> PaneValues:
    return _unpack_pane(value)


def pack_facts(facts: SlotFacts) -> bytes:
    return _pack(facts)


def unpack_facts(value: bytes) -> SlotFacts:
    return _unpack_facts(value)


def resolution_of(facts: SlotFacts) -> Resolution:
    return Resolution(facts.resolution)
