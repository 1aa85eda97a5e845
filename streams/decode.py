"""One record value and its headers in; an `Event`, an `Ignored` or a `Rejected` out. Total: any bytes get
an answer. The only place that sees bytes of events; does no I/O and reads no clock.

Both CloudEvents 1.0 Kafka modes are read: structured (the value is the whole event) and binary (attributes
in `ce_` headers, the value is the data).
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from metrics.money import exponent_of
from streams.events import (
    ActivityChanges,
    ActivityKind,
    Changes,
    DealChanges,
    DealStatus,
    Decoded,
    EntityKind,
    Event,
    Ignored,
    LeadChanges,
    Reason,
    Rejected,
)

RECORD_BYTES_MAX = 1 << 20
ID_BYTES_MAX = 256
AMOUNT_MINOR_MAX = 1 << 53
FUTURE_MAX_MS = 24 * 3_600_000
EARLIEST_BUSINESS_TIME_MS = 315_532_800_000  # 1980-01-01: before it, a time is a zero or a typing error
DURATION_SECONDS_MAX = 366 * 86_400

Headers = Sequence[tuple[str, bytes]]

_Text = Annotated[str, Meta(max_length=256)]
_Time = Annotated[datetime, Meta(tz=True)]
_OptText = _Text | None | UnsetType
_OptTime = _Time | None | UnsetType


class _DealData(Struct, gc=False):
    deal_id: str = ""
    status: DealStatus | None | UnsetType = UNSET
    stage: _OptText = UNSET
    pipeline: _OptText = UNSET
    amount: Decimal | None | UnsetType = UNSET
    currency: _OptText = UNSET
    cost: Decimal | None | UnsetType = UNSET
    probability: Annotated[float, Meta(ge=0, le=1)] | None | UnsetType = UNSET
    rep_id: _OptText = UNSET
    team_id: _OptText = UNSET
    account_id: _OptText = UNSET
    lead_id: _OptText = UNSET
    products: list[_Text] | _Text | None | UnsetType = UNSET
    source: _OptText = UNSET
    region: _OptText = UNSET
    created_at: _OptTime = UNSET
    closed_at: _OptTime = UNSET
    expected_close_on: date | None | UnsetType = UNSET
    merged_into: _OptText = UNSET


class _LeadData(Struct, gc=False):
    lead_id: str = ""
    rep_id: _OptText = UNSET
    team_id: _OptText = UNSET
    source: _OptText = UNSET
    region: _OptText = UNSET
    account_id: _OptText = UNSET
    deal_id: _OptText = UNSET
    created_at: _OptTime = UNSET
    merged_into: _OptText = UNSET


class _ActivityData(Struct, gc=False):
    activity_id: str = ""
    kind: ActivityKind | None | UnsetType = UNSET
    rep_id: _OptText = UNSET
    team_id: _OptText = UNSET
    region: _OptText = UNSET
    deal_id: _OptText = UNSET
    lead_id: _OptText = UNSET
    account_id: _OptText = UNSET
    outcome: _OptText = UNSET
    duration_seconds: Annotated[float, Meta(ge=0, le=DURATION_SECONDS_MAX)] | None | UnsetType = UNSET
    scheduled_at: _OptTime = UNSET
    due_at: _OptTime = UNSET
    completed_at: _OptTime = UNSET


class _StrictDeal(_DealData, forbid_unknown_fields=True, gc=False):
    pass


class _StrictLead(_LeadData, forbid_unknown_fields=True, gc=False):
    pass


class _StrictActivity(_ActivityData, forbid_unknown_fields=True, gc=False):
    pass


class _Envelope(Struct, gc=False):
    """CloudEvents attributes we use; extension attributes are ignored."""

    specversion: str
    id: str
    source: str
    type: str
    time: _Time
    data: Raw = Raw(b"")
    data_base64: str = ""


_ACTIONS: Final[dict[EntityKind, frozenset[str]]] = {
    EntityKind.DEAL: frozenset(
        ("created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged")
    ),
    EntityKind.LEAD: frozenset(
        ("created", "updated", "qualified", "converted", "disqualified", "deleted", "restored", "merged")
    ),
    EntityKind.ACTIVITY: frozenset(("scheduled", "completed", "updated", "deleted")),
}
TYPES: Final[dict[str, tuple[EntityKind, str]]] = {
    f"sales.{kind}.{action}": (kind, action) for kind, actions in _ACTIONS.items() for action in actions
}

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_STRICT: Final[dict[EntityKind, msgspec.json.Decoder[Any]]] = {
    EntityKind.DEAL: msgspec.json.Decoder(_StrictDeal),
    EntityKind.LEAD: msgspec.json.Decoder(_StrictLead),
    EntityKind.ACTIVITY: msgspec.json.Decoder(_StrictActivity),
}
_LENIENT: Final[dict[EntityKind, msgspec.json.Decoder[Any]]] = {
    EntityKind.DEAL: msgspec.json.Decoder(_DealData),
    EntityKind.LEAD: msgspec.json.Decoder(_LeadData),
    EntityKind.ACTIVITY: msgspec.json.Decoder(_ActivityData),
}
_KNOWN_FIELDS: Final[dict[EntityKind, frozenset[str]]] = {
    EntityKind.DEAL: frozenset(_DealData.__struct_fields__),
    EntityKind.LEAD: frozenset(_LeadData.__struct_fields__),
    EntityKind.ACTIVITY: frozenset(_ActivityData.__struct_fields__),
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP_SECOND = re.compile(rb'("time"\s*:\s*"[^"]{0,20}:\d\d):60(?:\.\d+)?')


class _Refused(Exception):
    """Carries a `Rejected` out of the nested checks of one record."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.rejected = Rejected(reason, detail)


def decode(value: bytes | None, headers: Headers, *, kind: EntityKind) -> Decoded:
    """Turn one record of the topic of `kind` into an event, or say why not. Never raises."""
    if not value:
        return Rejected(Reason.EMPTY, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, at most {RECORD_BYTES_MAX} are read")
    try:
        envelope = _envelope(value, headers)
        if envelope.specversion != "1.0":
            return Rejected(Reason.NOT_CLOUDEVENT, "$.specversion is not 1.0")
        known = TYPES.get(envelope.type)
        if known is None:
            return Ignored(envelope.type)
        if known[0] is not kind:
            return Rejected(Reason.WRONG_TOPIC, f"{envelope.type} does not belong on a {kind} topic")
        return _event(envelope, kind, known[1])
    except _Refused as refused:
        return refused.rejected
    except msgspec.ValidationError as error:
        return _invalid(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejected(Reason.MALFORMED, str(error)[:200])
    except RecursionError:
        return Rejected(Reason.MALFORMED, "nested too deep")


def check_times(event: Event, *, now_ms: int, oldest_ms: int) -> Rejected | None:
    """Say whether the event's own time, or a business time in it, lies outside what is kept.

    `oldest_ms` is the retention horizon. A business time may be older (an old open deal); only the
    event time is held to the horizon.
    """
    if event.time_ms < oldest_ms:
        return Rejected(Reason.TOO_OLD, "$.time is before the retention horizon")
    latest_ms = now_ms + FUTURE_MAX_MS
    if event.time_ms > latest_ms:
        return Rejected(Reason.FUTURE, "$.time is more than 24 h ahead")
    for name in _FACT_TIMES[event.kind]:
        time_ms = getattr(event.changes, name)
        if time_ms is not UNSET and time_ms is not None and time_ms > latest_ms:
            return Rejected(Reason.FUTURE, f"$.data.{name.removesuffix('_ms')} is more than 24 h ahead")
    return None


_FACT_TIMES: Final[dict[EntityKind, tuple[str, ...]]] = {
    EntityKind.DEAL: ("created_at_ms", "closed_at_ms"),
    EntityKind.LEAD: ("created_at_ms",),
    EntityKind.ACTIVITY: ("completed_at_ms",),
}


def _envelope(value: bytes, headers: Headers) -> _Envelope:
    attributes = {name.lower(): raw for name, raw in headers if name[:3].lower() == "ce_"} if headers else {}
    if "ce_specversion" in attributes:
        fields: dict[str, Any] = {name[3:]: raw.decode() for name, raw in attributes.items()}
        if "time" in fields:
            fields["time"] = re.sub(r"(:\d\d):60(?:\.\d+)?", r"\1:59.999", fields["time"])
        fields["data"] = Raw(value)
        return msgspec.convert(fields, _Envelope)
    try:
        return _decode_envelope(value)
    except msgspec.ValidationError:
        # A leap second is a valid RFC 3339 time that datetime cannot hold: it counts as the last
        # millisecond before it.
        mended, leaps = _LEAP_SECOND.subn(rb"\1:59.999", value, count=1)
        if leaps:
            return _decode_envelope(mended)
        raise


def _event(envelope: _Envelope, kind: EntityKind, action: str) -> Event:
    if not envelope.id:
        raise _Refused(Reason.MISSING_ID, "$.id is empty")
    _check_id(envelope.id, "$.id")
    raw: bytes | Raw = envelope.data
    if not raw and envelope.data_base64:
        try:
            raw = base64.b64decode(envelope.data_base64, validate=True)
        except binascii.Error:
            raise _Refused(Reason.NOT_CLOUDEVENT, "$.data_base64 is not base64") from None
    if not raw:
        raise _Refused(Reason.NOT_CLOUDEVENT, "$.data is missing")
    unknown = 0
    try:
        data = _STRICT[kind].decode(raw)
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise _Refused(*_reason_of(error, within="$.data")) from None
        try:
            data = _LENIENT[kind].decode(raw)
        except msgspec.ValidationError as error:
            raise _Refused(*_reason_of(error, within="$.data")) from None
        unknown = len(msgspec.json.decode(raw).keys() - _KNOWN_FIELDS[kind])
    time_ms = _ms(envelope.time)
    if time_ms < EARLIEST_BUSINESS_TIME_MS:
        raise _Refused(Reason.TOO_OLD, "$.time is before 1980")
    entity_id, changes = _CHANGES[kind](data, action, time_ms)
    if not entity_id:
        raise _Refused(Reason.MISSING_ID, f"$.data.{kind}_id is missing or empty")
    _check_id(entity_id, f"$.data.{kind}_id")
    return Event(kind, entity_id, time_ms, envelope.id, changes, unknown)


def _deal(data: _DealData, action: str, time_ms: int) -> tuple[str, Changes]:
    status, closed_at_ms = data.status, _business_ms(data.closed_at, "closed_at")
    created_at_ms = _business_ms(data.created_at, "created_at")
    deleted: bool | UnsetType = UNSET
    merged_into = data.merged_into
    if action == "created" and created_at_ms is UNSET:
        created_at_ms = time_ms
    elif action in ("won", "lost"):
        status = "won" if action == "won" else "lost"
        if closed_at_ms is UNSET:
            closed_at_ms = time_ms
    elif action == "reopened":
        status = "open"
        if closed_at_ms is UNSET:
            closed_at_ms = None
    else:
        deleted, merged_into = _life(action, data.deal_id, merged_into)
    products = data.products
    return data.deal_id, DealChanges(
        status=status,
        stage=data.stage,
        pipeline=data.pipeline,
        amount=_amount(data.amount, data.currency, "amount"),
        currency=_currency(data.currency),
        cost=_amount(data.cost, data.currency, "cost"),
        probability=data.probability,
        rep_id=data.rep_id,
        team_id=data.team_id,
        account_id=data.account_id,
        lead_id=data.lead_id,
        products=(products,)
        if isinstance(products, str)
        else tuple(sorted(set(products)))
        if isinstance(products, list)
        else products,
        source=data.source,
        region=data.region,
        created_at_ms=created_at_ms,
        closed_at_ms=closed_at_ms,
        expected_close_on=data.expected_close_on,
        merged_into=merged_into,
        deleted=deleted,
    )


def _lead(data: _LeadData, action: str, time_ms: int) -> tuple[str, Changes]:
    created_at_ms = _business_ms(data.created_at, "created_at")
    if action == "created" and created_at_ms is UNSET:
        created_at_ms = time_ms
    deleted, merged_into = _life(action, data.lead_id, data.merged_into)
    return data.lead_id, LeadChanges(
        rep_id=data.rep_id,
        team_id=data.team_id,
        source=data.source,
        region=data.region,
        account_id=data.account_id,
        deal_id=data.deal_id,
        created_at_ms=created_at_ms,
        qualified_at_ms=time_ms if action == "qualified" else UNSET,
        converted_at_ms=time_ms if action == "converted" else UNSET,
        disqualified_at_ms=time_ms if action == "disqualified" else UNSET,
        merged_into=merged_into,
        deleted=deleted,
    )


def _activity(data: _ActivityData, action: str, time_ms: int) -> tuple[str, Changes]:
    completed_at_ms = _business_ms(data.completed_at, "completed_at")
    if action == "completed" and completed_at_ms is UNSET:
        completed_at_ms = time_ms
    deleted, _ = _life(action, data.activity_id, UNSET)
    return data.activity_id, ActivityChanges(
        kind=data.kind,
        rep_id=data.rep_id,
        team_id=data.team_id,
        region=data.region,
        deal_id=data.deal_id,
        lead_id=data.lead_id,
        account_id=data.account_id,
        outcome=data.outcome,
        duration_seconds=data.duration_seconds,
        scheduled_at_ms=_business_ms(data.scheduled_at, "scheduled_at"),
        due_at_ms=_business_ms(data.due_at, "due_at"),
        completed_at_ms=completed_at_ms,
        deleted=deleted,
    )


_CHANGES: Final[dict[EntityKind, Callable[[Any, str, int], tuple[str, Changes]]]] = {
    EntityKind.DEAL: _deal,
    EntityKind.LEAD: _lead,
    EntityKind.ACTIVITY: _activity,
}


def _life(
    action: str, entity_id: str, merged_into: str | None | UnsetType
) -> tuple[bool | UnsetType, str | None | UnsetType]:
    """Return what an action writes into the registers `deleted` and `merged_into`."""
    if action == "deleted":
        return True, merged_into
    if action == "restored":
        return False, None
    if action == "merged" and not merged_into:
        raise _Refused(Reason.MISSING_ID, "$.data.merged_into is missing")
    if merged_into and merged_into == entity_id:
        raise _Refused(Reason.WRONG_TYPE, "$.data.merged_into names the record itself")
    return UNSET, merged_into


def _ms(moment: datetime) -> int:
    """Return UTC milliseconds, rounded down; integer arithmetic, since floats lose the last one."""
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _business_ms(moment: _OptTime, field: str) -> int | None | UnsetType:
    if moment is UNSET or moment is None:
        return moment
    time_ms = _ms(moment)
    if time_ms < EARLIEST_BUSINESS_TIME_MS:
        raise _Refused(Reason.BAD_TIME, f"$.data.{field} is before 1980")
    return time_ms


def _amount(amount: Decimal | None | UnsetType, currency: _OptText, field: str) -> Decimal | None | UnsetType:
    if amount is UNSET or amount is None:
        return amount
    if not amount.is_finite() or amount < 0:
        raise _Refused(Reason.BAD_AMOUNT, f"$.data.{field} is negative or not a number")
    exponent = exponent_of(currency) if isinstance(currency, str) else None
    if amount > Decimal(AMOUNT_MINOR_MAX).scaleb(-(2 if exponent is None else exponent)):
        raise _Refused(Reason.BAD_AMOUNT, f"$.data.{field} is beyond 2**53 minor units")
    return amount


def _currency(currency: _OptText) -> _OptText:
    if isinstance(currency, str) and exponent_of(currency) is None:
        raise _Refused(Reason.WRONG_TYPE, "$.data.currency is not an ISO 4217 code")
    return currency


def _check_id(text: str, path: str) -> None:
    if len(text) > ID_BYTES_MAX // 4 and len(text.encode()) > ID_BYTES_MAX:
        raise _Refused(Reason.TOO_LARGE, f"{path} is over {ID_BYTES_MAX} bytes")


def _invalid(error: msgspec.ValidationError) -> Rejected:
    reason, detail = _reason_of(error, within="$")
    return Rejected(Reason.NOT_CLOUDEVENT if reason is Reason.WRONG_TYPE else reason, detail)


def _reason_of(error: msgspec.ValidationError, *, within: str) -> tuple[Reason, str]:
    """Classify a validation error; its text holds the path and the expected type, never the value."""
    text = str(error)
    path = within
    if " - at `$" in text:
        path = within + text.rsplit(" - at `$", 1)[1].rstrip("`")
    if "Invalid enum value" in text:
        return Reason.WRONG_TYPE, f"not one of the allowed values - at `{path}`"
    expected = text.split(" - at ")[0]
    is_time = "timezone" in text or "RFC3339" in text
    return (Reason.BAD_TIME if is_time else Reason.WRONG_TYPE), f"{expected} - at `{path}`"
