"""One CloudEvent in; its topic, its key and what a worker will make of it out, or a refusal. Pure."""

from typing import NamedTuple

import msgspec

from streams.decode import Headers, decode
from streams.events import ActivityChanges, Event, Ignored, Reason, Rejected
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
    key = key_of(event)
    if not key:
        return Rejected(
            Reason.MISSING_ID, "an activity must say whom it concerns: deal_id, lead_id or rep_id"
        )
    return Routed(TOPIC_OF_KIND[kind], key.encode(), event, name)


def key_of(event: Event) -> str:
    """Return the key whose partition holds the event: an activity lies with the deal or lead it concerns,
    else with its rep. Empty when an activity says none of them."""
    changes = event.changes
    if not isinstance(changes, ActivityChanges):
        return event.entity_id
    concerned = (changes.deal_id, changes.lead_id, changes.rep_id)
    return next((name for name in concerned if isinstance(name, str) and name), "")
