"""Salesforce in, what it says out: change events from a topic of Kafka, Outbound Messages over HTTP. Pure.

A change event holds what changed of one or several records; a message holds the fields that somebody chose,
as they were when it was sent.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from streams.events import DealStatus, Reason
from streams.gateway.model import (
    Answer,
    Delivery,
    LeadStep,
    Malformed,
    Outcome,
    Refusal,
    RefusalReason,
    Skipped,
    SkipReason,
    Source,
    Taken,
    Unreadable,
    Unusable,
    Vendor,
    Verified,
)
from streams.gateway.reading import json_of, time_ms_of
from streams.gateway.signing import same
from streams.gateway.vendors.salesforce_bitmaps import with_names
from streams.gateway.vendors.salesforce_changes import changes_of, record
from streams.gateway.vendors.salesforce_fields import OPTIONS, Change, kind_of
from streams.gateway.vendors.salesforce_ids import long_id, short_id
from streams.gateway.vendors.salesforce_records import outcomes_of
from streams.gateway.vendors.salesforce_soap import ACKNOWLEDGED, Notification, message_of

_XML: Final = ("text/xml", "application/xml", "application/soap+xml")

# --- who sends ------------------------------------------------------------------------------------


def verify(delivery: Delivery, source: Source) -> Verified | Refusal:
    """Outbound Messages carry no signature: the organisation must be the one whose id is the secret and,
    where the secret goes on with a colon and a token, the address must show the token."""
    try:
        organisation = short_id(message_of(delivery.body).organisation)
    except Malformed as error:
        return Refusal(RefusalReason.MISSING, str(error))
    if not organisation:
        return Refusal(RefusalReason.MISSING, "the message names no organisation")
    shown = f"{organisation}:{_token(delivery)}"
    expected = []
    for secret in source.secrets:
        known, _, token = secret.partition(":")
        # A secret without a token asks for none: whichever is shown fits.
        expected.append(f"{short_id(known)}:{token or _token(delivery)}" if short_id(known) else "")
    if same(shown, expected):
        return Verified()
    return Refusal(RefusalReason.WRONG, "another organisation, or the address lacks ?token=… of the secret")


def _token(delivery: Delivery) -> str:
    try:
        return dict(parse_qsl(delivery.url.partition("?")[2], max_num_fields=20)).get("token", "")
    except ValueError:
        return ""


def unfit_secret(secret: str) -> str:
    organisation = secret.partition(":")[0]
    if organisation.startswith("00D") and short_id(organisation):
        return ""
    return (
        "is not an organisation id; copy the one of Setup → Company Information, 00D and 12 or 15 more "
        "characters with capitals as they are, and put :TOKEN behind it if the address ends in ?token=TOKEN"
    )


# --- what is sent ---------------------------------------------------------------------------------


def normalise(delivery: Delivery, source: Source) -> list[Outcome]:
    """Read an Outbound Message, or a change event in any of the wrappings that it comes in."""
    if delivery.content_type not in _XML:
        return changes_of(json_of(delivery), source)
    outcomes: list[Outcome] = []
    for number, notification in enumerate(message_of(delivery.body).notifications):
        try:
            outcomes += _notified(notification, source, delivery.received_ms)
        except Unreadable as error:
            found = error.unusable
            outcomes.append(Unusable(found.reason, f"[{number}] {found.detail}"))
    return outcomes


def _notified(found: Notification, source: Source, received_ms: int) -> list[Outcome]:
    kind = kind_of(found.name, source)
    if kind is None:
        return [Skipped(SkipReason.OBJECT)]
    values = found.values
    entity_id = long_id(str(values.get("Id") or ""))
    if not found.id or not entity_id:
        raise Unreadable(Reason.MISSING_ID, "the notification or its record has no Id")
    changed = next((name for name in ("LastModifiedDate", "SystemModstamp") if values.get(name)), "")
    time_ms = time_ms_of(values[changed], changed, source.zone) if changed else received_ms
    deleted = values.get("IsDeleted") == "true"
    return outcomes_of(
        Change(
            found.name,
            kind,
            entity_id,
            time_ms,
            values,
            ("outbound", found.id),
            whole=True,
            op="delete" if deleted else "update",
        ),
        source,
    )


def _acknowledge(_taken: Taken) -> Answer:
    return Answer(content_type="text/xml", body=ACKNOWLEDGED)


# --- the vendor -----------------------------------------------------------------------------------

STAGE_STATUS: Final[Mapping[str, DealStatus]] = {
    "Prospecting": "open",
    "Qualification": "open",
    "Needs Analysis": "open",
    "Value Proposition": "open",
    "Id. Decision Makers": "open",
    "Perception Analysis": "open",
    "Proposal/Price Quote": "open",
    "Negotiation/Review": "open",
    "Closed Won": "won",
    "Closed Lost": "lost",
}
"""The stages a new organisation has; they count where IsClosed and IsWon are not told."""

LEAD_STEPS: Final[Mapping[str, LeadStep]] = {
    "Qualified": "qualified",
    "Closed - Converted": "converted",
    "Unqualified": "disqualified",
    "Closed - Not Converted": "disqualified",
}

VENDOR: Final = Vendor(
    kind="salesforce",
    verify=verify,
    normalise=normalise,
    record=record,
    content_types=_XML,
    acknowledge=_acknowledge,
    answer_seconds=60.0,
    unfit_secret=unfit_secret,
    topics=True,
    from_avro=with_names,
    options={"lead_object": "lead", "meeting_outcome": "", **OPTIONS},
    stage_status=STAGE_STATUS,
    activity_kinds={
        "Call": "call",
        "Email": "email",
        "Meeting": "meeting",
        "Task": "follow_up",
        "ListEmail": "",
        "Event": "meeting",
    },
    lead_steps=LEAD_STEPS,
)
