"""A Salesforce change event, however it is wrapped, in; what it means of each of its records out. Pure.

Connectors fill in every field of the object, so null says nothing by itself: of a change only what
`changedFields` and `nulledFields` name is read.
"""

from collections.abc import Iterator
from typing import Final

from streams.events import EntityKind, Reason
from streams.gateway.model import Outcome, Skipped, SkipReason, Source, Thin, ThinOp, Unreadable
from streams.gateway.reading import (
    Object,
    as_object,
    each,
    id_at,
    list_at,
    object_at,
    text_at,
    text_from,
    time_ms_of,
)
from streams.gateway.vendors.salesforce_fields import Change, Values, kind_of
from streams.gateway.vendors.salesforce_ids import long_id
from streams.gateway.vendors.salesforce_records import outcomes_of, without_values

_HEADER: Final = "ChangeEventHeader"
_OPS: Final[dict[str, ThinOp]] = {
    "CREATE": "create",
    "UPDATE": "update",
    "DELETE": "delete",
    "UNDELETE": "restore",
}
_ROW_OPS: Final[dict[str, ThinOp]] = {
    "created": "create", "updated": "update", "deleted": "delete", "undeleted": "restore",
}  # fmt: skip
_BESIDE: Final = ("OwnerId", "WhatId", "WhoId", "AccountId", "Type", "TaskSubtype")


def changes_of(body: object, source: Source) -> list[Outcome]:
    """Read one change event or a list of them; raises nothing for any JSON."""
    return each(body if isinstance(body, list) else [body], lambda item: _one(item, source))


def record(name: str, body: object, source: Source) -> list[Outcome]:
    """Read a record as its REST address gives it: whole, with null for what is empty."""
    item = as_object(body, "the record")
    kind = kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    return outcomes_of(_row(item, name, kind, "update", source, drop_nulls=False), source)


def _one(item: Object, source: Source) -> list[Outcome]:
    payload = _payload(item)
    if payload is None:
        return [Skipped(SkipReason.NOT_WANTED)]  # CometD's own talk: handshake, connect, subscribe
    if _HEADER in payload:
        return _changed(payload, object_at(payload, _HEADER), source)
    name = text_at(payload, "_ObjectType")
    if not name:
        raise Unreadable(Reason.MALFORMED, f"{_HEADER} is missing: it is no change event")
    op, kind = _ROW_OPS.get(text_at(payload, "_EventType").lower()), kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    if op is None:
        return [Skipped(SkipReason.OPERATION)]
    # A PushTopic's row: its connector gives null for fields that were not selected, too.
    return outcomes_of(_row(payload, name, kind, op, source, drop_nulls=True), source)


def _payload(item: Object) -> Object | None:
    """Take the wrappings off: CometD's message, its data, the {schema, payload} of Kafka Connect."""
    if text_at(item, "channel").startswith("/meta/"):
        return None
    for name in ("data", "payload"):
        if _HEADER not in item and isinstance(item.get(name), dict):
            item = object_at(item, name)
    return item


# --- change events --------------------------------------------------------------------------------


def _changed(payload: Object, header: Object, source: Source) -> list[Outcome]:
    name = id_at(header, "entityName")
    kind = kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    time_ms = time_ms_of(id_at(header, "commitTimestamp"), "commitTimestamp", source.zone)
    said = id_at(header, "changeType").upper()
    if said == "GAP_OVERFLOW":
        return [Thin(name, "", "reconcile", time_ms, kind)]
    is_gap = said.startswith("GAP_")
    op = _OPS.get(said.removeprefix("GAP_"))
    if op is None:
        return [Skipped(SkipReason.OPERATION)]
    ids = [long_id(id_at({"recordIds": one}, "recordIds")) for one in list_at(header, "recordIds")]
    if not ids:
        raise Unreadable(Reason.MISSING_ID, "recordIds is missing or empty")
    values = {} if is_gap or op == "delete" else _values(payload, header, op)
    outcomes: list[Outcome] = []
    for entity_id in dict.fromkeys(ids):
        if "*" in entity_id:
            outcomes.append(Thin(name, "", "reconcile", time_ms, kind))
            continue
        change = Change(
            name,
            kind,
            entity_id,
            time_ms,
            values,
            (name, entity_id, _transaction(header, time_ms), text_at(header, "sequenceNumber"), said),
            _order(header),
            whole=op in ("create", "restore"),
            op=op,
            beside=_beside(payload, values),
        )
        outcomes += without_values(change) if is_gap and op != "delete" else outcomes_of(change, source)
    return outcomes


def _transaction(header: Object, time_ms: int) -> str:
    return text_at(header, "transactionKey") or f"{text_at(header, 'commitNumber')}@{time_ms}"


def _order(header: Object) -> str:
    """Return what puts two changes of the same time in order: the commit, then the place in it."""
    commit, place = text_at(header, "commitNumber"), text_at(header, "sequenceNumber")
    if not (commit.isdecimal() and place.isdecimal() and len(commit) <= 20 and len(place) <= 8):
        return ""
    return f"{int(commit):020d}-{int(place):08d}-"


def _values(payload: Object, header: Object, op: ThinOp) -> Values:
    whole = {name: value for name, value in _flat(payload) if value is not None}
    nulled = [id_at({"nulledFields": one}, "nulledFields") for one in list_at(header, "nulledFields")]
    changed = [id_at({"changedFields": one}, "changedFields") for one in list_at(header, "changedFields")]
    if any(name.startswith("0x") or "-0x" in name for name in (*changed, *nulled)):
        raise Unreadable(
            Reason.MALFORMED, "changedFields holds bitmaps, which its reader must decode by the schema"
        )
    if op != "update" or not (changed or nulled):
        return whole
    return {name: _at(payload, name) for name in changed} | dict.fromkeys(nulled)


def _flat(payload: Object) -> Iterator[tuple[str, object]]:
    for name, value in payload.items():
        if name == _HEADER:
            continue
        if isinstance(value, dict):
            yield from ((f"{name}.{part}", inner) for part, inner in value.items())
        else:
            yield name, value


def _at(payload: Object, name: str) -> object:
    """Return a field; the parts of a compound one lie under it or, from a connector, beside it."""
    head, dot, part = name.partition(".")
    value = payload.get(head)
    if not dot:
        return value
    if isinstance(value, dict):
        return value.get(part)
    return payload.get(part)


def _beside(payload: Object, values: Values) -> Values | None:
    """Return whose an activity is, and of what kind, where the channel tells it with every change. It does if
    the owner is told and has not changed."""
    if "OwnerId" in values or not text_at(payload, "OwnerId"):
        return None
    return {name: payload.get(name) for name in _BESIDE}


# --- rows -----------------------------------------------------------------------------------------


def _row(
    item: Object, name: str, kind: EntityKind, op: ThinOp, source: Source, *, drop_nulls: bool
) -> Change:
    values = {key: value for key, value in _flat(item) if not (drop_nulls and value is None)}
    changed = "LastModifiedDate" if text_from(values.get("LastModifiedDate"), "") else "SystemModstamp"
    time_ms = time_ms_of(id_at(values, changed), changed, source.zone)
    entity_id = long_id(id_at(values, "Id"))
    if values.get("IsDeleted") is True:
        op = "delete"
    return Change(
        name, kind, entity_id, time_ms, values, (name, entity_id, "row", str(time_ms), op), whole=True, op=op
    )
