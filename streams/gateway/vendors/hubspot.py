"""HubSpot's webhooks in, what they say out: signatures v1 to v3, notifications of both subscription kinds.

A notification names one property of one record, so most become patches; creations carry an id only. Whole
records, read back or sent by a workflow, are read by `hubspot_records`. Pure.
"""

from collections.abc import Mapping
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
    Vendor,
    Verified,
)
from streams.gateway.reading import Object, each, id_at, json_of, list_at, text_at, time_ms_of
from streams.gateway.signing import base64_text, fresh, hmac_sha256, sha256_hex, signed_by, whole_number
from streams.gateway.vendors import hubspot_records
from streams.gateway.vendors.hubspot_fields import (
    ACTIVITY_PROPERTIES,
    OBJECT_OF_TYPE_ID,
    REDACTED,
    kind_of,
    patch_of,
)

# --- signatures -----------------------------------------------------------------------------------

# Exactly these are decoded before v3 is computed; everything else in the address stays as it was sent.
_DECODED: Final = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'",
    "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """Check the best signature that is shown among those the source allows; never fall back to another."""
    shown_v3 = delivery.header("x-hubspot-signature-v3")
    if "v3" in source.signatures and (shown_v3 or len(source.signatures) == 1):
        return _verify_v3(delivery, source, shown_v3)
    version = delivery.header("x-hubspot-signature-version").lower()
    shown = delivery.header("x-hubspot-signature").lower()
    if version not in source.signatures or version == "v3":
        allowed = " or ".join(source.signatures)
        return Refusal(RefusalReason.MISSING, f"sign the request with {allowed}")
    signed = (delivery.body,) if version == "v1" else (delivery.method, delivery.url, delivery.body)
    return signed_by(shown, source.secrets, lambda secret: sha256_hex(secret, *signed)) or Verified()


def _verify_v3(delivery: Delivery, source: Source, shown: str) -> Verified | Refusal:
    stamp = delivery.header("x-hubspot-request-timestamp")
    address = _decoded(delivery.url)
    refusal = signed_by(
        shown,
        source.secrets,
        lambda secret: base64_text(hmac_sha256(secret, delivery.method, address, delivery.body, stamp)),
    )
    return refusal or fresh(whole_number(stamp), delivery.received_ms) or Verified(once=shown)


def _decoded(address: str) -> str:
    for escape, mark in _DECODED.items():
        address = address.replace(escape, mark).replace(escape.lower(), mark)
    return address


# --- notifications --------------------------------------------------------------------------------


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    """Read a batch of notifications, or the one record that a workflow sends."""
    body = json_of(delivery)
    if isinstance(body, list):
        return each(body, lambda item: _notification(item, source))
    if isinstance(body, dict):
        return each([body], lambda item: hubspot_records.sent_by_workflow(item, source, delivery.received_ms))
    raise Malformed("the body is neither a list of notifications nor a record")


def _notification(item: Object, source: Source) -> list[Outcome]:
    account = text_at(item, "portalId")
    if source.account and account != source.account:
        return [Skipped(SkipReason.ACCOUNT)]
    # The documentation's example calls the field eventType, deliveries call it subscriptionType.
    name, _, op = (text_at(item, "subscriptionType") or text_at(item, "eventType")).partition(".")
    if not op:
        raise Unreadable(Reason.MALFORMED, "subscriptionType is missing")
    time_ms = time_ms_of(id_at(item, "occurredAt"), "occurredAt", source.zone)
    if op == "associationChange":
        return _association(item, source, time_ms, account)
    if name == "object":
        name = OBJECT_OF_TYPE_ID.get(text_at(item, "objectTypeId"), "")
    kind = kind_of(name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    note = _Note(item, name, kind, id_at(item, "objectId"), time_ms, account)
    if op == "propertyChange":
        return _property(note, source)
    if op == "merge":
        return _merge(note)
    return _life(note, op)


class _Note:
    """A notification about one record, with what all its outcomes share."""

    def __init__(
        self, item: Object, name: str, kind: EntityKind, entity_id: str, time_ms: int, account: str
    ) -> None:
        self.item, self.name, self.kind = item, name, kind
        self.entity_id, self.time_ms, self.account = entity_id, time_ms, account

    def event(
        self, action: str, form: Form, data: Mapping[str, object], *dedup: str, entity_id: str = ""
    ) -> Canonical:
        """Two subscriptions, and every attempt, tell of one change with the same of these parts."""
        parts = (self.name, self.entity_id, str(self.time_ms), *dedup)
        return Canonical(
            f"sales.{self.kind}.{action}",
            entity_id or self.entity_id,
            self.time_ms,
            data,
            parts,
            form,
            self.account,
        )

    def thin(self, op: ThinOp, *changed: str, mark: Canonical | None = None) -> Thin:
        return Thin(self.name, self.entity_id, op, self.time_ms, self.kind, changed, mark, self.account)


def _property(note: _Note, source: Source) -> list[Outcome]:
    name, value = id_at(note.item, "propertyName"), text_at(note.item, "propertyValue")
    if value == REDACTED or note.item.get("isSensitive") is True:
        return [Skipped(SkipReason.REDACTED)]
    if note.kind is EntityKind.ACTIVITY or note.kind in (EntityKind.REFERENCE, EntityKind.FEEDBACK):
        # Whose it is decides where an activity lies, and a target is replaced whole: both need the record.
        if note.kind is EntityKind.ACTIVITY and name not in ACTIVITY_PROPERTIES:
            return [Skipped(SkipReason.PROPERTY)]
        return [note.thin("update", name)]
    patch = patch_of(note.kind, name, value, note.time_ms, source)
    if patch is None:
        return [Skipped(SkipReason.PROPERTY)]
    return [note.event(patch.action, Form.PATCH, patch.data, "propertyChange", name, value)]


def _merge(note: _Note) -> list[Outcome]:
    if note.kind not in (EntityKind.DEAL, EntityKind.LEAD, EntityKind.ACCOUNT):
        return [Skipped(SkipReason.OPERATION)]
    primary = text_at(note.item, "primaryObjectId") or note.entity_id
    winner = text_at(note.item, "newObjectId") or primary
    merged = [id_at({"id": one}, "id") for one in list_at(note.item, "mergedObjectIds")]
    losers = [loser for loser in dict.fromkeys([*merged, primary]) if loser != winner]
    if not losers:
        raise Unreadable(Reason.MISSING_ID, "mergedObjectIds is missing or empty")
    return [
        note.event("merged", Form.MERGE, {"merged_into": winner}, "merge", entity_id=loser)
        for loser in losers
    ]


def _life(note: _Note, op: str) -> list[Outcome]:
    if op in ("deletion", "privacyDeletion"):
        if note.kind in (EntityKind.ACTIVITY, EntityKind.REFERENCE):
            return [note.thin("delete")]
        return [note.event("deleted", Form.DELETE, {}, "deletion")]
    if op not in ("creation", "restore"):
        return [Skipped(SkipReason.OPERATION)]
    if note.kind not in (EntityKind.DEAL, EntityKind.LEAD):
        return [note.thin("create" if op == "creation" else "restore")]
    if op == "creation":
        return [note.thin("create", mark=note.event("created", Form.MARK, {}, op))]
    return [note.thin("restore", mark=note.event("restored", Form.MARK, {}, op))]


# --- associations ---------------------------------------------------------------------------------

_LINKS: Final = {("deal", "contact"): "lead_id", ("deal", "company"): "account_id",
                 ("contact", "company"): "account_id"}  # fmt: skip
"""(record, other) -> field of the record that names the other. Both sides tell of one link."""


def _association(item: Object, source: Source, time_ms: int, account: str) -> list[Outcome]:
    left, _, right = text_at(item, "associationType").lower().partition("_to_")
    ends = {left: id_at(item, "fromObjectId"), right: id_at(item, "toObjectId")}
    for name in ends:
        if kind_of(name, source) is EntityKind.ACTIVITY:
            return [Thin(name, ends[name], "update", time_ms, EntityKind.ACTIVITY, account=account)]
    link = next(((one, other) for one, other in _LINKS if {one, other} == set(ends)), None)
    kind = kind_of(link[0], source) if link else None
    if link is None or kind is None or (link[1] == "contact" and kind_of("contact", source) is None):
        return [Skipped(SkipReason.OBJECT)]
    owner, other = link
    removed = item.get("associationRemoved") is True
    if other == "company" and item.get("isPrimaryAssociation") is False:
        return [Skipped(SkipReason.NOT_PRIMARY)]
    if removed and other == "contact":
        # Other contacts may be left: which one it is now only the record can say.
        return [Thin(owner, ends[owner], "update", time_ms, kind, (_LINKS[link],), account=account)]
    note = _Note(item, owner, kind, ends[owner], time_ms, account)
    data = {_LINKS[link]: None if removed else ends[other]}
    return [note.event("updated", Form.LINK, data, "association", other, ends[other], str(removed))]


# --- the vendor -----------------------------------------------------------------------------------

STAGE_STATUS: Final[Mapping[str, DealStatus]] = {
    "appointmentscheduled": "open",
    "qualifiedtobuy": "open",
    "presentationscheduled": "open",
    "decisionmakerboughtin": "open",
    "contractsent": "open",
    "closedwon": "won",
    "closedlost": "lost",
}
"""HubSpot's own sales pipeline; stages of other pipelines have numbers as ids."""

LEAD_STEPS: Final[Mapping[str, LeadStep]] = {
    "salesqualifiedlead": "qualified",
    "opportunity": "converted",
    "UNQUALIFIED": "disqualified",
    "qualified-stage-id": "qualified",
    "unqualified-stage-id": "disqualified",
}

VENDOR: Final = Vendor(
    kind="hubspot",
    verify=verify,
    normalise=normalise,
    record=hubspot_records.record,
    answer_seconds=5.0,
    needs_public_url=True,
    signatures=("v3", "v2", "v1"),
    options={"lead_object": "contact", "goal_kpi": "revenue"},
    stage_status=STAGE_STATUS,
    activity_kinds={"call": "call", "meeting": "meeting", "email": "email", "task": "follow_up"},
    lead_steps=LEAD_STEPS,
)
