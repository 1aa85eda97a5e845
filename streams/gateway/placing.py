"""Outcomes of a delivery in, Kafka records or refusals out. Pure: what it places, a worker will count.

The id of an event comes from what identifies the change, so a delivery that comes twice, or by two
subscriptions, gives the same event twice, and that changes nothing. It begins with the vendor's own order of
changes, if there is one: of two writes at one time the greater id wins.
"""

import msgspec

from streams.column_rows import content_id
from streams.decode import check_times
from streams.events import EntityKind, Rejected
from streams.gateway.model import AsIs, Canonical, Delivery, Outgoing, Source, Unusable
from streams.rfc3339 import rfc3339
from streams.routing import Routed, route
from streams.topics import DEAD_LETTERS
from streams.wire import TYPES


class Placed(msgspec.Struct, frozen=True):
    """An event with its topic and key, and what the door says of it."""

    outgoing: Outgoing
    type: str
    entity_id: str
    time_ms: int


def cloud_event(event: Canonical, source: Source) -> bytes:
    """Put the envelope around an event."""
    kind = TYPES[event.type].kind
    account = event.account or source.account
    origin = f"/crm/{source.kind}/{account or source.name}"
    own_id = {} if kind is EntityKind.REFERENCE else {f"{kind}_id": event.entity_id}
    identity = [origin, event.type, event.entity_id, *event.dedup]
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event.order + content_id(msgspec.json.encode(identity)),
            "source": origin,
            "type": event.type,
            "time": rfc3339(event.time_ms),
            **({"subject": event.entity_id} if event.entity_id else {}),
            "data": own_id | dict(event.data),
        }
    )


def place(found: Canonical | AsIs, source: Source, *, now_ms: int, oldest_ms: int) -> Placed | Unusable:
    """Decide topic and key of an event, which is decoded as the workers will decode it."""
    value = found.value if isinstance(found, AsIs) else cloud_event(found, source)
    routed = route(value)
    if isinstance(routed, Routed):
        rejected = check_times(routed.event, now_ms=now_ms, oldest_ms=oldest_ms)
        if rejected is None:
            event = routed.event
            outgoing = Outgoing(routed.topic, routed.key, value)
            return Placed(outgoing, routed.type, event.entity_id, event.time_ms)
        routed = rejected
    assert isinstance(routed, Rejected)
    return Unusable(routed.reason, routed.detail)


def dead_letter(original: Delivery, source: str, why: Unusable) -> Outgoing:
    """Keep what a verified sender sent, whole, with the reason why it gave no event."""
    said = {
        "reason": why.reason.value,
        "detail": why.detail[:500],
        "source": source,
        "content-type": original.content_type,
        **original.origin,
    }
    headers = tuple((f"salesfloor-{name}", text.encode("utf-8", "replace")) for name, text in said.items())
    return Outgoing(DEAD_LETTERS, None, original.body, headers)
