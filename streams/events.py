"""The event contract as frozen types: what a decoded record is. A leaf: no I/O, no logic.

A `…Changes` struct holds exactly the fields one event writes. `UNSET` means "absent, unchanged",
`None` means "cleared". Times are UTC milliseconds since the epoch; money is an exact `Decimal` in
major units; ids are opaque strings.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from metrics.reference import Reference


class EntityKind(StrEnum):
    DEAL = "deal"
    LEAD = "lead"
    ACTIVITY = "activity"
    ACCOUNT = "account"
    FEEDBACK = "feedback"
    SPEND = "spend"
    REFERENCE = "reference"


DealStatus = Literal["open", "won", "lost"]
ActivityKind = Literal[
    "call",
    "email",
    "meeting",
    "demo",
    "proposal",
    "appointment",
    "follow_up",
    "one_on_one",
    "training",
]


class DealChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    """What one `sales.deal.*` event writes. The event type's meaning is already in it:
    `won` has become status "won" and `closed_at_ms`, `deleted` has become `deleted=True`."""

    status: DealStatus | None | UnsetType = UNSET
    stage: str | None | UnsetType = UNSET
    pipeline: str | None | UnsetType = UNSET
    amount: Decimal | None | UnsetType = UNSET
    currency: str | None | UnsetType = UNSET
    cost: Decimal | None | UnsetType = UNSET
    probability: float | None | UnsetType = UNSET
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    account_id: str | None | UnsetType = UNSET
    lead_id: str | None | UnsetType = UNSET
    products: tuple[str, ...] | None | UnsetType = UNSET
    source: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    created_at_ms: int | None | UnsetType = UNSET
    closed_at_ms: int | None | UnsetType = UNSET
    expected_close_on: date | None | UnsetType = UNSET
    merged_into: str | None | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class LeadChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    source: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    account_id: str | None | UnsetType = UNSET
    deal_id: str | None | UnsetType = UNSET
    created_at_ms: int | None | UnsetType = UNSET
    qualified_at_ms: int | None | UnsetType = UNSET
    converted_at_ms: int | None | UnsetType = UNSET
    disqualified_at_ms: int | None | UnsetType = UNSET
    merged_into: str | None | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class ActivityChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    kind: ActivityKind | None | UnsetType = UNSET
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    deal_id: str | None | UnsetType = UNSET
    lead_id: str | None | UnsetType = UNSET
    account_id: str | None | UnsetType = UNSET
    outcome: str | None | UnsetType = UNSET
    duration_seconds: float | None | UnsetType = UNSET
    scheduled_at_ms: int | None | UnsetType = UNSET
    due_at_ms: int | None | UnsetType = UNSET
    completed_at_ms: int | None | UnsetType = UNSET
    booked_at_ms: int | None | UnsetType = UNSET
    """When it was put into the calendar: the time of the `scheduled` event."""
    deleted: bool | UnsetType = UNSET


class AccountChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    active_from_ms: int | None | UnsetType = UNSET
    churned_at_ms: int | None | UnsetType = UNSET
    products: tuple[str, ...] | None | UnsetType = UNSET
    merged_into: str | None | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


FeedbackKind = Literal["csat", "nps", "enps", "pulse"]
FeedbackScale = Literal["0-10", "1-10", "1-5"]


class FeedbackChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    """One answer. Its own time is the newest `received` event's: `received_at_ms`."""

    kind: FeedbackKind | None | UnsetType = UNSET
    score: float | None | UnsetType = UNSET
    scale: FeedbackScale | None | UnsetType = UNSET
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    account_id: str | None | UnsetType = UNSET
    received_at_ms: int | None | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class SpendChanges(Struct, frozen=True, omit_defaults=True, gc=False):
    """Sales and marketing cost, spread evenly over the local days [from_on, to_on)."""

    amount: Decimal | None | UnsetType = UNSET
    currency: str | None | UnsetType = UNSET
    category: str | None | UnsetType = UNSET
    rep_id: str | None | UnsetType = UNSET
    team_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    source: str | None | UnsetType = UNSET
    from_on: date | None | UnsetType = UNSET
    to_on: date | None | UnsetType = UNSET
    recorded_at_ms: int | None | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class ReferenceChanges(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One reference record. It is replaced whole: the newest record of an id wins."""

    record: Reference


Changes = (
    DealChanges
    | LeadChanges
    | ActivityChanges
    | AccountChanges
    | FeedbackChanges
    | SpendChanges
    | ReferenceChanges
)


class Event(Struct, frozen=True, gc=False):
    """One decoded CRM event.

    `(time_ms, event_id)` is its stamp: per field the greatest stamp wins. `latest_ms` is the latest of its
    own time and the business times in it that must not lie ahead.
    `unknown_fields` counts data fields the contract does not know; they are kept out of the numbers.
    """

    kind: EntityKind
    entity_id: str
    time_ms: int
    event_id: str
    changes: Changes
    latest_ms: int
    unknown_fields: int = 0


class Ignored(Struct, frozen=True, gc=False):
    """A well-formed CloudEvent of a type this version does not know: counted, never an error."""

    type: str


class Reason(StrEnum):
    """Why a record became a dead letter. A closed set: it is a metric label."""

    MALFORMED = "malformed"  # not JSON, not UTF-8, not an object, nested too deep
    NOT_CLOUDEVENT = "not_cloudevent"  # envelope attribute missing or of the wrong type
    WRONG_TOPIC = "wrong_topic"  # a known type on another entity's topic
    MISSING_ID = "missing_id"  # no entity id, or an empty one
    WRONG_TYPE = "wrong_type"  # a known field of the wrong type or outside its values
    BAD_AMOUNT = "bad_amount"  # negative, not finite, or beyond 2**53 minor units
    BAD_TIME = "bad_time"  # a business time before 1980 or without a zone
    TOO_LARGE = "too_large"  # record over 1 MiB, or an id over 256 bytes
    TOO_OLD = "too_old"  # event time before the retention (or activity) horizon
    FUTURE = "future"  # event time more than 24 h ahead of the wall clock
    EMPTY = "empty"  # no value at all


class Rejected(Struct, frozen=True, gc=False):
    """Bad input as a value. `detail` names the field, never customer data beyond its path."""

    reason: Reason
    detail: str


Decoded = Event | Ignored | Rejected
