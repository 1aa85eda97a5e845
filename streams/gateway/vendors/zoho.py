"""Zoho CRM's notifications and workflow webhooks in, what they say out: patches, deletes, ids to be fetched.

A notification echoes the token that its channel was made with and names records; the values that changed
come along only where the channel says so. A workflow's webhook has a body that the customer typed: it goes
through the source's column map. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.events import DealStatus, EntityKind, Reason
from streams.gateway.model import (
    Canonical,
    Delivery,
    Form,
    LeadStep,
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
    Unusable,
    Vendor,
    Verified,
)
from streams.gateway.reading import (
    Object,
    as_object,
    each,
    id_at,
    json_of,
    list_at,
    object_at,
    text_at,
    text_from,
    time_ms_of,
    when,
)
from streams.gateway.signing import basic, bearer, same
from streams.gateway.vendors import generic, zoho_records
from streams.gateway.vendors.zoho_fields import FIELDS, kind_of, patch_of

# --- the sender -----------------------------------------------------------------------------------


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """A workflow's webhook shows the secret in a header; a notification has it as the body's `token`."""
    shown = delivery.header(source.options["header"].lower())
    if shown:
        right = same(shown, source.secrets)
        right |= same(bearer(shown), source.secrets) | same(basic(shown), source.secrets)
        return Verified() if right else Refusal(RefusalReason.WRONG, "the header's secret is another")
    token = _token(delivery)
    if not token:
        return Refusal(RefusalReason.MISSING, "neither a token in the body nor the secret in a header")
    if same(token, source.secrets):
        return Verified()
    return Refusal(RefusalReason.WRONG, "the body's token is not the one the channel should have")


def _token(delivery: Delivery) -> str:
    try:
        body = json_of(delivery)
    except Malformed:
        return ""
    token = body.get("token") if isinstance(body, dict) else None
    return token if isinstance(token, str) else ""


# --- what it says ---------------------------------------------------------------------------------

_FORM: Final = "application/x-www-form-urlencoded"


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    if delivery.content_type != _FORM:
        body = json_of(delivery)
        if isinstance(body, dict) and "channel_id" in body and "module" in body:
            return _notification(body, source)
    if source.mapping is None:
        return [Unusable(Reason.MALFORMED, "it is no notification, and the source has no map for others")]
    return generic.normalise(delivery, source)


_OPS: Final[Mapping[str, ThinOp]] = {"insert": "create", "update": "update", "delete": "delete"}


@dataclass(frozen=True, slots=True)
class _Notice:
    """What all records of one notification share."""

    channel: str
    module: str
    kind: EntityKind
    operation: str
    time_ms: int

    def event(self, entity_id: str, action: str, form: Form, data: Mapping[str, object]) -> Canonical:
        parts = (self.channel, self.module, self.operation, entity_id, str(self.time_ms))
        return Canonical(f"sales.{self.kind}.{action}", entity_id, self.time_ms, data, parts, form)

    def thin(self, entity_id: str, changed: tuple[str, ...] = (), mark: Canonical | None = None) -> Thin:
        op = _OPS[self.operation]
        return Thin(self.module, entity_id, op, self.time_ms, self.kind, changed, mark)


def _notification(item: Object, source: Source) -> list[Outcome]:
    try:
        channel, module = id_at(item, "channel_id"), id_at(item, "module")
        if source.account and channel != source.account:
            return [Skipped(SkipReason.ACCOUNT)]
        kind = kind_of(module, source)
        if kind is None:
            return [Skipped(SkipReason.OBJECT)]
        operation = text_at(item, "operation")
        if operation not in _OPS:
            return [Skipped(SkipReason.OPERATION)]
        time_ms = time_ms_of(id_at(item, "server_time"), "server_time", source.zone)
        records = _records(item)
    except Unreadable as error:
        return [error.unusable]
    notice = _Notice(channel, module, kind, operation, time_ms)
    return each(records, lambda one: _record(notice, one, source))


def _records(item: Object) -> list[object]:
    """Return one object per record: its id, the names of its changed fields, and their values."""
    named: dict[str, object] = {}
    for entry in list_at(item, "affected_fields"):
        named |= as_object(entry, "affected_fields")
    values: dict[str, object] = {}
    for entry in list_at(item, "affected_values"):
        found = as_object(entry, "affected_values")
        values[id_at(found, "record_id")] = found.get("values")
    ids = [text_from(one, "ids") for one in list_at(item, "ids")]
    if not ids or not all(ids):
        raise Unreadable(Reason.MISSING_ID, "ids is missing or empty")
    return [{"id": one, "changed": named.get(one), "values": values.get(one)} for one in dict.fromkeys(ids)]


def _record(notice: _Notice, one: Object, source: Source) -> list[Outcome]:
    entity_id = id_at(one, "id")
    is_activity = notice.kind is EntityKind.ACTIVITY
    if is_activity and not source.activity_kinds.get(notice.module):
        return [Skipped(SkipReason.NOT_WANTED)]
    if notice.operation == "delete":
        # Where an activity lies only its values would say.
        return (
            [notice.thin(entity_id)] if is_activity else [notice.event(entity_id, "deleted", Form.DELETE, {})]
        )
    values = object_at(one, "values")
    if notice.operation == "insert":
        if notice.kind not in (EntityKind.DEAL, EntityKind.LEAD):
            return [notice.thin(entity_id)]
        patch = patch_of(notice.module, values, notice.time_ms, source)
        closed = (
            {"status": patch.action, "closed_at": when(notice.time_ms)}
            if patch.action in ("won", "lost")
            else {}
        )
        mark = notice.event(entity_id, "created", Form.MARK, {**patch.data, **closed})
        return [notice.thin(entity_id, mark=mark)]
    changed = [text_from(name, "affected_fields") for name in list_at(one, "changed")]
    known = FIELDS[notice.module]
    if is_activity:
        return _to_fetch(notice, entity_id, changed or list(values), known)
    return _updated(notice, entity_id, changed, values, source)


def _updated(
    notice: _Notice, entity_id: str, changed: list[str], values: Object, source: Source
) -> list[Outcome]:
    known = FIELDS[notice.module]
    outcomes: list[Outcome] = []
    if any(name in known for name in values):
        patch = patch_of(notice.module, values, notice.time_ms, source)
        outcomes.append(notice.event(entity_id, patch.action, Form.PATCH, patch.data))
    missing = [name for name in (*changed, *values) if name not in values or _is_internal(name)]
    missing = list(dict.fromkeys(missing))
    if missing or not (changed or values):
        fetch = _to_fetch(notice, entity_id, missing, known)
        outcomes += [one for one in fetch if isinstance(one, Thin) or not outcomes]
    return outcomes or [Skipped(SkipReason.PROPERTY)]


def _to_fetch(notice: _Notice, entity_id: str, names: list[str], known: frozenset[str]) -> list[Outcome]:
    """A record of which something was changed that counts, or nobody says what."""
    wanted = tuple(name for name in names if name in known or _is_internal(name))
    if names and not wanted:
        return [Skipped(SkipReason.PROPERTY)]
    return [notice.thin(entity_id, wanted)]


def _is_internal(name: str) -> bool:
    """Notifications may call a field by a number of Zoho's own; only the record says which it is."""
    return re.fullmatch(r"field\d+", name, re.ASCII) is not None


# --- the vendor -----------------------------------------------------------------------------------

STAGE_STATUS: Final[Mapping[str, DealStatus]] = {
    "Qualification": "open",
    "Needs Analysis": "open",
    "Value Proposition": "open",
    "Identify Decision Makers": "open",
    "Id. Decision Makers": "open",
    "Proposal/Price Quote": "open",
    "Negotiation/Review": "open",
    "Closed Won": "won",
    "Closed Lost": "lost",
    "Closed Lost to Competition": "lost",
    "Closed-Lost to Competition": "lost",
}
"""Zoho's own stages, by the labels they come as; accounts rename and translate them."""

LEAD_STEPS: Final[Mapping[str, LeadStep]] = {
    "Pre-Qualified": "qualified",
    "Junk Lead": "disqualified",
    "Lost Lead": "disqualified",
    "Not Qualified": "disqualified",
}

VENDOR: Final = Vendor(
    kind="zoho",
    verify=verify,
    normalise=normalise,
    record=zoho_records.record,
    unsupported=generic.unsupported,
    options={"header": "authorization", "lead_object": "Leads"},
    stage_status=STAGE_STATUS,
    activity_kinds={"Calls": "call", "Events": "meeting", "Tasks": "follow_up"},
    lead_steps=LEAD_STEPS,
)
