"""One CloudEvent in; its topic, its key and what a worker will make of it out, or a refusal. Pure."""

from typing import NamedTuple

import msgspec

from streams.decode import Headers, decode
from streams.events import Event, Ignored, Reason, Rejected
from streams.topics import TOPIC_OF_KIND
from streams.wire import TYPES


class Routed(NamedTuple):
    topic: str
    key: bytes
    event: Event
    type: str


class _Head(msgspec.Struct):
    type: str = ""


_decode_head = msgspec.json.Decoder(_Head).decode


def route(value: bytes, headers: Headers = ()) -> Routed | Rejected:
    """Decide where one event goes; an event that a worker would not count is refused here."""
    try:
        name = _decode_head(value).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(Reason.MALFORMED, str(error)[:200])
    if name not in TYPES:
        return Rejected(Reason.NOT_CLOUDEVENT, f"$.type {name[:80]!r} is not an event type of the contract")
    kind = TYPES[name].kind
    event = decode(value, headers, kind=kind)
    if isinstance(event, Rejected):
        return event
    assert not isinstance(event, Ignored), "decode ignores only types that are not in TYPES"
    return Routed(TOPIC_OF_KIND[kind], key_of(event), event, name)


def key_of(event: Event) -> bytes:
    """Return the key whose partition holds the event: all of one entity lie together, whatever else they
    name. So an activity that moves to another deal or rep leaves nothing behind."""
    return event.entity_id.encode()
