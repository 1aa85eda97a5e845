"""A record known by its id only in, what the topic `sales.incomplete` holds of it out, and back. Pure.

A record's key is its source, kind and id; its value says what happened to it, and is empty once it is
complete. Ids and names of fields only: never a value of the record.
"""

from typing import NamedTuple

import msgspec

from streams.events import EntityKind
from streams.gateway.model import Outgoing, Thin, ThinOp
from streams.topics import INCOMPLETE


class Key(NamedTuple):
    source: str
    object: str
    id: str


class IncompleteRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a record of the topic. The times are the vendor's, in ms."""

    source: str
    object: str
    id: str
    op: ThinOp
    time_ms: int
    kind: EntityKind
    changed: tuple[str, ...] = ()
    account: str = ""


class Told(NamedTuple):
    """What a record of the topic says."""

    key: Key
    thin: Thin | None
    """None: the record is complete."""


_key_decoder = msgspec.json.Decoder(Key)
_value_decoder = msgspec.json.Decoder(IncompleteRecord)


def record_of(source: str, thin: Thin) -> Outgoing:
    value = IncompleteRecord(
        source,
        thin.object,
        thin.entity_id,
        thin.op,
        thin.time_ms,
        thin.kind,
        thin.changed,
        thin.account,
    )
    return Outgoing(INCOMPLETE, _key(source, thin), msgspec.json.encode(value))


def tombstone_of(source: str, thin: Thin) -> Outgoing:
    return Outgoing(INCOMPLETE, _key(source, thin), b"", tombstone=True)


def told_by(key: bytes | None, value: bytes | None) -> Told | None:
    """Read a record of the topic; None for what salesfloor did not write."""
    try:
        found = _key_decoder.decode(key or b"")
        if not value:
            return Told(found, None)
        told = _value_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    thin = Thin(found.object, found.id, told.op, told.time_ms, told.kind, told.changed, account=told.account)
    return Told(found, thin)


def _key(source: str, thin: Thin) -> bytes:
    return msgspec.json.encode(Key(source, thin.object, thin.entity_id))
