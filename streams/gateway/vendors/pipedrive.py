"""Pipedrive's webhooks in, versions 1 and 2; snapshots of whole records, deletes and merges out. Pure.

A delivery tells of one record and carries its whole state. It is never refused for what is in it: Pipedrive
counts every refusal towards a ban, and events of a ban are lost.
"""

from collections.abc import Mapping
from typing import Final

from streams.events import EntityKind, Reason
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
    Unreadable,
    Unusable,
    Vendor,
    Verified,
)
from streams.gateway.reading import Object, as_object, each, id_at, json_of, object_at, text_at
from streams.gateway.signing import basic, same
from streams.gateway.vendors.pipedrive_change import Change, Op, stamp_ms, utc_ms
from streams.gateway.vendors.pipedrive_fields import READERS, flag_at, names_somebody, whose


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """Pipedrive signs nothing; it shows the user and password of HTTP basic that the webhook has."""
    shown = basic(delivery.header("authorization"))
    if not shown:
        return Refusal(RefusalReason.MISSING, "give the webhook an HTTP auth user and password")
    if same(shown, source.secrets):
        return Verified()
    return Refusal(RefusalReason.WRONG, "user or password is another; the secret is written user:password")


def unfit_secret(secret: str) -> str:
    user, colon, password = secret.partition(":")
    return "" if user and colon and password else "write it as user:password"


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    try:
        body = json_of(delivery)
    except Malformed as error:
        return [Unusable(Reason.MALFORMED, str(error))]
    return each([body], lambda item: _outcomes(_change_of(item), source))


def record(name: str, body: object, source: Source) -> list[Outcome]:
    """Read what the API answers for one record: itself, or under `data`. Raises `Unreadable`."""
    answer = as_object(body, "the answer")
    data = object_at(answer, "data") if "data" in answer else answer
    entity_id = id_at(data, "id")
    changed = text_at(data, "update_time") or text_at(data, "add_time")
    time_ms = utc_ms(changed, "update_time")
    found = Change(name, entity_id, Op.CHANGE, time_ms, (name, entity_id, str(time_ms), "record"), data)
    return _outcomes(found, source)


# --- the two envelopes ----------------------------------------------------------------------------

_OPS: Final = {
    "create": Op.CREATE,
    "change": Op.CHANGE,
    "delete": Op.DELETE,
    "added": Op.CREATE,
    "updated": Op.CHANGE,
    "merged": Op.CHANGE,
    "deleted": Op.DELETE,
}


def _change_of(item: Object) -> Change:
    meta = object_at(item, "meta")
    if not meta:
        raise Unreadable(Reason.MALFORMED, "meta is missing; this is no webhook of Pipedrive")
    return _version_1(item, meta) if "event" in item or "current" in item else _version_2(item, meta)


def _version_2(item: Object, meta: Object) -> Change:
    return Change(
        text_at(meta, "entity"),
        id_at(meta, "entity_id"),
        _OPS.get(text_at(meta, "action"), Op.UNKNOWN),
        stamp_ms(text_at(meta, "timestamp")),
        (id_at(meta, "id"),),
        object_at(item, "data"),
        object_at(item, "previous"),
        account=text_at(meta, "company_id"),
        merged_into=text_at(meta, "merged_to_id"),
        merged_from=text_at(meta, "merged_from_id"),
    )


def _version_1(item: Object, meta: Object) -> Change:
    """Version 1 has no event id: what happened, to what, and the finest time it tells make one."""
    action, _, entity = text_at(item, "event").partition(".")
    action, entity = text_at(meta, "action") or action, text_at(meta, "object") or entity
    data, previous = object_at(item, "current"), object_at(item, "previous")
    entity_id = text_at(meta, "id") or id_at(data or previous, "id")
    stamps = (text_at(meta, name) for name in ("timestamp_micro", "timestamp_milli", "timestamp"))
    stamp = next((one for one in stamps if one), "")
    merged = text_at(previous, "id") if action == "merged" else ""
    return Change(
        entity,
        entity_id,
        _OPS.get(action, Op.UNKNOWN),
        stamp_ms(stamp),
        (f"{action}.{entity}", entity_id, stamp),
        data,
        previous,
        account=text_at(meta, "company_id"),
        merged_from=merged if merged != entity_id else "",
    )


# --- what a change means --------------------------------------------------------------------------

_KINDS: Final[Mapping[str, EntityKind]] = {
    "deal": EntityKind.DEAL,
    "lead": EntityKind.LEAD,
    "person": EntityKind.LEAD,
    "organization": EntityKind.ACCOUNT,
    "activity": EntityKind.ACTIVITY,
}


def _outcomes(change: Change, source: Source) -> list[Outcome]:
    if source.account and change.account and change.account != source.account:
        return [Skipped(SkipReason.ACCOUNT)]
    kind = _KINDS.get(change.entity)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    if kind is EntityKind.LEAD and change.entity != source.options["lead_object"]:
        return [Skipped(SkipReason.NOT_WANTED)]
    if change.op is Op.UNKNOWN:
        return [Skipped(SkipReason.OPERATION)]
    if change.op is Op.DELETE:
        return [_removed(change, kind, source)]
    if not change.data:
        return [Thin(change.entity, change.entity_id, "update", change.time_ms, kind, account=change.account)]
    if _gone(change.data):
        return [_removed(change, kind, source)]
    return [*_back(change, kind), *_losers(change, kind), *READERS[kind](change, source)]


def _gone(data: Object) -> bool:
    """Say whether a whole record is one that lies in the bin."""
    return (
        text_at(data, "status") == "deleted"
        or flag_at(data, "is_deleted") is True
        or flag_at(data, "deleted") is True
        or flag_at(data, "active_flag") is False
    )


def _removed(change: Change, kind: EntityKind, source: Source) -> Outcome:
    if change.merged_into and kind is not EntityKind.ACTIVITY:
        merged = {"merged_into": change.merged_into}
        return change.event(f"sales.{kind}.merged", merged, form=Form.MERGE)
    if change.entity == "lead" and source.options["deleted_lead"] == "converted":
        return change.event("sales.lead.converted", {}, form=Form.PATCH)
    if kind is not EntityKind.ACTIVITY:
        return change.event(f"sales.{kind}.deleted", {}, form=Form.DELETE)
    last = whose(change.data or change.previous, source)
    if not names_somebody(last):
        return Thin(change.entity, change.entity_id, "delete", change.time_ms, kind, account=change.account)
    return change.event("sales.activity.deleted", last, form=Form.DELETE)


def _back(change: Change, kind: EntityKind) -> list[Canonical]:
    """A record that was in the bin before and is not now has been restored."""
    if kind not in (EntityKind.DEAL, EntityKind.LEAD) or not _gone(change.previous):
        return []
    return [change.event(f"sales.{kind}.restored", {}, form=Form.MARK)]


def _losers(change: Change, kind: EntityKind) -> list[Canonical]:
    """The winner of a merge names the loser too; the loser's own delivery may have been lost."""
    if not change.merged_from or change.merged_from == change.entity_id or kind is EntityKind.ACTIVITY:
        return []
    merged = {"merged_into": change.entity_id}
    return [change.event(f"sales.{kind}.merged", merged, form=Form.MERGE, entity_id=change.merged_from)]


LEAD_STEPS: Final[Mapping[str, LeadStep]] = {"archived": "disqualified"}

VENDOR: Final = Vendor(
    kind="pipedrive",
    verify=verify,
    normalise=normalise,
    record=record,
    answer_seconds=10.0,
    unfit_secret=unfit_secret,
    options={"lead_object": "lead", "deleted_lead": "deleted", "deal_source": ""},
    activity_kinds={
        "call": "call",
        "meeting": "meeting",
        "lunch": "meeting",
        "email": "email",
        "task": "follow_up",
        "deadline": "follow_up",
    },
    lead_steps=LEAD_STEPS,
)
