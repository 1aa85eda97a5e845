"""Dataverse webhooks of Dynamics 365 in, events of deals, leads, accounts, activities out, by the column map.

The body is a serialised execution context: lists of pairs and typed wrappers, which are made plain here, as
`attributes.<column>` (a lookup is its id, and also `references.<column>.<table>`). A body that was too large
arrives without its columns and becomes an id to be fetched. Pure.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, unquote_plus
from zoneinfo import ZoneInfo

from streams.events import EntityKind, Reason
from streams.gateway.json_rows import outcomes_of
from streams.gateway.model import (
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Skipped,
    SkipReason,
    Source,
    Thin,
    ThinOp,
    Unreadable,
    Vendor,
    Verified,
)
from streams.gateway.reading import (
    Object,
    as_object,
    day_of,
    each,
    id_at,
    json_of,
    list_at,
    object_at,
    text_at,
    time_ms_of,
    when,
)
from streams.gateway.signing import same

_KINDS: Final = {
    "opportunity": EntityKind.DEAL,
    "lead": EntityKind.LEAD,
    "account": EntityKind.ACCOUNT,
    "phonecall": EntityKind.ACTIVITY,
    "appointment": EntityKind.ACTIVITY,
    "email": EntityKind.ACTIVITY,
    "task": EntityKind.ACTIVITY,
}
_OPS: Final[dict[str, ThinOp]] = {"Create": "create", "Update": "update", "Delete": "delete"}
_TIME: Final = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/", re.ASCII)
_TOO_LARGE: Final = "x-ms-dynamics-msg-size-exceeded"


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """Dataverse shows a fixed text: in a header, or in the address as `code` or a name of your own."""
    shown = [delivery.header(source.options["header"].lower())]
    for pair in delivery.url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name == source.options["query"]:
            shown += [unquote(value), unquote_plus(value)]
    # Every one is compared, so that the time taken tells nothing.
    if any([same(one, source.secrets) for one in shown]):  # noqa: C419
        return Verified()
    if any(shown):
        return Refusal(RefusalReason.WRONG, "the key is another than the one registered with the step")
    return Refusal(RefusalReason.MISSING, "neither the header nor the address shows the key")


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    body = json_of(delivery)
    if not isinstance(body, dict):
        raise Malformed("the body is no execution context")
    return each([body], lambda context: _told(context, delivery, source))


def _told(context: Object, delivery: Delivery, source: Source) -> list[Outcome]:
    entity, message = text_at(context, "PrimaryEntityName"), text_at(context, "MessageName")
    if source.account and text_at(context, "OrganizationId").lower() != source.account.lower():
        return [Skipped(SkipReason.ACCOUNT)]
    if message not in _OPS:
        return [Skipped(SkipReason.OPERATION)]
    if entity not in _KINDS:
        return [Skipped(SkipReason.OBJECT)]
    time_ms = _time_ms(text_at(context, "OperationCreatedOn"), "OperationCreatedOn")
    record_id = id_at(context, "PrimaryEntityId").lower()
    target = _target(context)
    if message != "Delete" and (delivery.header(_TOO_LARGE) or target is None):
        return [Thin(entity, record_id, _OPS[message], time_ms, _KINDS[entity])]
    after = [
        pair
        for image in list_at(context, "PostEntityImages")
        for pair in list_at(object_at(as_object(image, "PostEntityImages"), "value"), "Attributes")
    ]
    attributes, references = _plain([*after, *list_at(target or {}, "Attributes")], source.zone)
    row = {"entity": entity, "message": message, "id": record_id, "time": when(time_ms)}
    return outcomes_of(
        {**row, "attributes": attributes, "references": references},
        {"@received": when(delivery.received_ms)},
        source,
    )


def _target(context: Object) -> Object | None:
    for one in list_at(context, "InputParameters"):
        pair = as_object(one, "InputParameters")
        if text_at(pair, "key") == "Target":
            return object_at(pair, "value")
    return None


def _plain(pairs: Iterable[object], zone: ZoneInfo) -> tuple[dict[str, object], dict[str, dict[str, str]]]:
    """Return column -> plain value, and column -> table -> id for lookups. Later pairs win."""
    attributes: dict[str, object] = {}
    references: dict[str, dict[str, str]] = {}
    for one in pairs:
        pair = as_object(one, "Attributes")
        name, value = text_at(pair, "key"), pair.get("value")
        references.pop(name, None)
        if isinstance(value, dict):
            if "LogicalName" in value:
                found = text_at(value, "Id").lower()
                references[name] = {text_at(value, "LogicalName"): found}
                attributes[name] = found
            else:
                attributes[name] = value.get("Value")
        elif isinstance(value, str) and (match := _TIME.fullmatch(value)) is not None:
            attributes[name] = _moment(match[1], name, zone)
        else:
            attributes[name] = value
    return attributes, references


def _moment(epoch_ms: str, name: str, zone: ZoneInfo) -> str:
    """Columns of days arrive as midnight UTC: they stay days, so that no zone moves them to another."""
    if name.endswith("closedate"):
        return day_of(epoch_ms, name, zone).isoformat()
    return when(time_ms_of(epoch_ms, name, zone))


def _time_ms(text: str, name: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unreadable(Reason.BAD_TIME, f"{name} is no time such as /Date(1763100005000)/")
    return time_ms_of(match[1], name, ZoneInfo("UTC"))


VENDOR: Final = Vendor(
    kind="dynamics",
    verify=verify,
    normalise=normalise,
    answer_seconds=30.0,
    ships_map=True,
    options={"header": "authorization", "query": "code"},
)
