"""What the gateway's parts say to each other: a delivery, its source, what became of it. Types only; a leaf.

A vendor's module gets a `Delivery` and a `Source` and gives a `Verified` or a `Refusal`, then `Outcome`s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from streams.columns import ColumnMap
from streams.events import DealStatus, EntityKind, Reason

LeadStep = Literal["qualified", "converted", "disqualified"]
ThinOp = Literal["create", "update", "delete", "restore", "reconcile"]


class Outgoing(NamedTuple):
    """One Kafka record to be produced."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    tombstone: bool = False
    """Written without a value: a compacted topic forgets the key."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request of a sender, or one record of a topic that a source is read from, whole."""

    method: str
    url: str
    """The address as the sender called it: the source's `public_url` with the raw query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    content_type: str
    """The media type alone, in lower case; "" if there is none."""
    body: bytes
    received_ms: int
    origin: Mapping[str, str] = field(default_factory=dict)
    """Of a record: its topic, partition and offset."""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One configured sender: a door of its own at /hooks/<name>."""

    name: str
    kind: str
    zone: ZoneInfo
    """Of times and days that name none."""
    account: str = ""
    """The vendor's id of the account; other accounts' events are skipped. Empty: any."""
    secrets: tuple[str, ...] = ()
    """Any one of them opens the door: two while a secret is being changed."""
    public_url: str = ""
    signatures: tuple[str, ...] = ()
    """Versions of the vendor's signature that are accepted."""
    currency: str | None = None
    """Of amounts in whole records that name none."""
    stage_status: Mapping[str, DealStatus] = field(default_factory=dict)
    """Stage id -> what a deal in it is. A stage that is not in it says nothing about the status."""
    stage_names: Mapping[str, str] = field(default_factory=dict)
    pipeline_names: Mapping[str, str] = field(default_factory=dict)
    reps: Mapping[str, str] = field(default_factory=dict)
    """The vendor's owner id -> rep id; others stay as they are."""
    activity_kinds: Mapping[str, str] = field(default_factory=dict)
    """The vendor's word for an activity -> kind of the contract; "" leaves such activities out."""
    lead_steps: Mapping[str, LeadStep] = field(default_factory=dict)
    """The vendor's status of a lead -> the step that it means."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The vendor's own settings, by the names its `Vendor.options` lists."""
    mapping: ColumnMap | None = None
    topics: tuple[str, ...] = ()
    """Kafka topics that its deliveries are read from, besides the door."""

    def rep(self, owner: str) -> str:
        return self.reps.get(owner, owner)

    def stage(self, stage: str) -> str:
        return self.stage_names.get(stage, stage)

    def pipeline(self, pipeline: str) -> str:
        return self.pipeline_names.get(pipeline, pipeline)


# --- is the sender who it says --------------------------------------------------------------------


class RefusalReason(StrEnum):
    """Why a sender was turned away. A closed set: it is a metric label."""

    MISSING = "missing_signature"
    WRONG = "wrong_signature"
    STALE = "stale_timestamp"  # outside the time window, or no timestamp at all
    REPLAYED = "replayed"  # this very request has been taken before


class Refusal(NamedTuple):
    reason: RefusalReason
    detail: str
    """For the sender; holds nothing of a secret or of what was shown."""


class Verified(NamedTuple):
    once: str = ""
    """What makes this request unique within the time window, "" where the vendor signs no time."""


# --- what a delivery says -------------------------------------------------------------------------


class Form(StrEnum):
    """How much of a record an event carries."""

    SNAPSHOT = "snapshot"
    PATCH = "patch"
    MARK = "mark"  # created or restored, without values
    DELETE = "delete"
    MERGE = "merge"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Canonical:
    """An event of the contract, before its envelope is put around it."""

    type: str
    entity_id: str
    """ "" for reference records, which their data identify."""
    time_ms: int
    """When the vendor says it happened (or was last changed): it decides which write of a field is newest."""
    data: Mapping[str, object]
    """Fields of the contract without the entity's own id; None clears a field, absent leaves it."""
    dedup: tuple[str | int, ...]
    """What makes the change the same when it is delivered again; never an attempt or subscription number."""
    form: Form = Form.PATCH
    account: str = ""
    order: str = ""
    """Of two changes of one record in the same millisecond the one with the greater of these is the later: a
    text of fixed length, where the vendor numbers its changes."""


@dataclass(frozen=True, slots=True)
class AsIs:
    """A CloudEvent of the contract in structured mode, sent by somebody who knows it."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Thin:
    """Something happened to a record, and its values must be fetched."""

    object: str
    """The vendor's word for what it is: what its API calls it."""
    entity_id: str
    """ "" for all records of the kind: a reconcile."""
    op: ThinOp
    time_ms: int
    kind: EntityKind
    changed: tuple[str, ...] = ()
    mark: Canonical | None = None
    """What can be told at once, without the values."""
    account: str = ""


class SkipReason(StrEnum):
    """Why something was well understood and left out. A closed set: it is a metric label."""

    OBJECT = "unknown_object"
    OPERATION = "unknown_operation"
    PROPERTY = "unknown_property"
    REDACTED = "redacted"
    ACCOUNT = "other_account"
    NOT_PRIMARY = "not_primary"
    NOT_WANTED = "not_wanted"  # a test ping, a kind that the settings leave out


@dataclass(frozen=True, slots=True)
class Skipped:
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Unusable:
    """A part of a delivery that should have been an event. The detail names the field, never its value."""

    reason: Reason
    detail: str


Outcome = Canonical | AsIs | Thin | Skipped | Unusable


class Malformed(Exception):
    """The body cannot be read at all. The message says what was expected, without a word of the body."""


class Unreadable(Exception):
    """One value of a delivery cannot be read."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.unusable = Unusable(reason, detail)


# --- a vendor -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a delivery that Kafka holds, counted."""

    accepted: int = 0
    skipped: int = 0
    incomplete: int = 0
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor wants to hear."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""


Verify = Callable[[Delivery, Source], Verified | Refusal]
"""Pure, constant-time, over the raw bytes; "now" is `Delivery.received_ms`."""
Normalise = Callable[[Delivery, Source], Sequence[Outcome]]
"""Pure. Raises `Malformed` for a body that cannot be read; nothing else for any bytes."""
AvroField = tuple[str, Sequence[str]]
"""A field of an Avro schema, and its own fields where it is a record."""
FromAvro = Callable[[object, Sequence[AvroField]], object]
"""Turns what only the schema explains of a record that was Avro into what `normalise` reads. Pure; changes
what it is given. Raises `Unreadable`."""
Record = Callable[[str, object, Source], Sequence[Outcome]]
"""Turns a record read back from the vendor's API: (object, parsed JSON with exact numbers, source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """All that the doors need to know of one kind of source."""

    kind: str
    verify: Verify
    normalise: Normalise
    record: Record | None = None
    content_types: tuple[str, ...] = ("application/json",)
    unsupported: Callable[[Delivery], str] | None = None
    """Says why a content type is not taken, "" when it is; instead of `content_types`."""
    acknowledge: Callable[[Taken], Answer] | None = None
    """None: 200 with the counts as JSON."""
    answer_seconds: float = 5.0
    """The vendor gives up after so long; the door answers 503 a little before."""
    strict: bool = False
    """True: one unusable part refuses the whole delivery with 400, and nothing is produced. False: it goes
    to the dead letters, whole, and the rest is taken: senders that cannot mend it must not be asked to."""
    secrets_min: int = 1
    unfit_secret: Callable[[str], str] | None = None
    """Says what is wrong with the form of a secret, "" when nothing is; must not repeat it."""
    topics: bool = False
    """Its deliveries may also be records of Kafka topics, `normalise` reads either."""
    from_avro: FromAvro | None = None
    needs_public_url: bool = False
    needs_map: bool = False
    ships_map: bool = False
    """True: a source that names no column map gets streams/gateway/maps/<kind>.toml."""
    signatures: tuple[str, ...] = ()
    """Versions there are; the first is what a source accepts unless it says otherwise."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Names and defaults of settings that only this vendor has."""
    stage_status: Mapping[str, DealStatus] = field(default_factory=dict)
    """The vendor's default stages; a source's own come on top."""
    activity_kinds: Mapping[str, str] = field(default_factory=dict)
    lead_steps: Mapping[str, LeadStep] = field(default_factory=dict)
