"""One record value and its headers in; an `Event`, an `Ignored` or a `Rejected` out. Total: any bytes get
an answer. The only place that sees bytes of events; does no I/O and reads no clock.

Both CloudEvents 1.0 Kafka modes are read: structured (the value is the whole event) and binary (attributes
in `ce_` headers, the value is the data).
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from streams.events import Decoded, EntityKind, Event, Ignored, Reason, Rejected
from streams.wire import TYPES
from streams.wire_form import (
    EARLIEST_BUSINESS_TIME_MS,
    EventType,
    Refused,
    WireForm,
    ms_of,
    without_leap_second,
)

RECORD_BYTES_MAX = 1 << 20
ID_BYTES_MAX = 256
FUTURE_MAX_MS = 24 * 3_600_000

Headers = Sequence[tuple[str, bytes]]
"""Kafka lets a value be null, whatever the types of clients say."""

Decoder = Callable[[bytes | None, Headers], Decoded]

_Time = Annotated[datetime, Meta(tz=True)]


class _Envelope(Struct, gc=False):
    """CloudEvents attributes we use; extension attributes are ignored."""

    specversion: str
    id: str
    source: str
    type: str
    time: _Time
    data: Raw = Raw(b"")
    data_base64: str = ""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


_SURELY_SHORT: Final = ID_BYTES_MAX // 4
_ShortId = Annotated[str, Meta(min_length=1, max_length=_SURELY_SHORT)]
_LEAP_SECOND = re.compile(rb'("time"\s*:\s*"[^"]{0,20}:\d\d):60(?:\.\d+)?')


def decode(value: bytes | None, headers: Headers, *, kind: EntityKind) -> Decoded:
    """Turn one record of the topic of `kind` into an event, or say why not. Never raises."""
    return DECODERS[kind](value, headers)


def _patiently(value: bytes | None, headers: Headers, *, kind: EntityKind) -> Decoded:
    if not value:
        return Rejected(Reason.EMPTY, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, at most {RECORD_BYTES_MAX} are read")
    return look_closer(value, headers, kind=kind)


def _decoder_of(kind: EntityKind) -> Decoder:
    """Return `decode` for one kind. A good event of the plainest form is read in one step.

    That is so where all events of a kind have data of one form: envelope and data are then read at once.
    """
    patiently: Decoder = partial(_patiently, kind=kind)
    types = {name: each for name, each in TYPES.items() if each.kind is kind}
    forms = {id(each.form): each.form for each in types.values()}
    if len(forms) > 1:
        return patiently
    (form,) = forms.values()
    read: Callable[[bytes], Any] = msgspec.json.Decoder(_usual_of(form, types)).decode
    read_data = form.read
    action_of = {name: each.action for name, each in types.items()}

    def decode_usual(value: bytes | None, headers: Headers) -> Decoded:
        if headers or not value or len(value) > RECORD_BYTES_MAX:
            return patiently(value, headers)
        try:
            envelope = read(value)
            time_ms = ms_of(envelope.time)
            entity_id, changes, latest_ms = read_data(envelope.data, action_of[envelope.type], time_ms)
            if time_ms >= EARLIEST_BUSINESS_TIME_MS:
                return Event(kind, entity_id, time_ms, envelope.id, changes, latest_ms)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refused):
            pass  # a closer look says what is wrong with it
        return patiently(value, headers)

    return decode_usual


def _usual_of(form: WireForm, types: Iterable[str]) -> type[Struct]:
    """Return the plainest form of an event, all of which msgspec checks while it reads."""
    data = msgspec.defstruct(
        f"Usual{form.data.__name__}",
        [(form.id_field, _ShortId)],
        bases=(form.strict.type,),
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    fields: list[tuple[str, Any]] = [
        ("specversion", Literal["1.0"]),
        ("id", _ShortId),
        ("type", Literal[tuple(types)]),
        ("data", data),
    ]
    return msgspec.defstruct("UsualEvent", fields, bases=(_Envelope,), kw_only=True, gc=False)


DECODERS: Final = {kind: _decoder_of(kind) for kind in EntityKind}
"""`decode` by kind: who decodes many records of one looks it up once."""


def look_closer(value: bytes, headers: Headers, *, kind: EntityKind) -> Decoded:
    """Decode step by step, so that whatever is wrong has its own answer. It alone could do it all."""
    try:
        envelope = _envelope(value, headers)
        if envelope.specversion != "1.0":
            return Rejected(Reason.NOT_CLOUDEVENT, "$.specversion is not 1.0")
        known = TYPES.get(envelope.type)
        if known is None:
            return Ignored(envelope.type)
        if known.kind is not kind:
            return Rejected(Reason.WRONG_TOPIC, f"{envelope.type} does not belong on a {kind} topic")
        return _event(envelope, known)
    except Refused as refused:
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
    event time is held to the horizon. Reference records hold until they are replaced: never too old.
    """
    if event.time_ms < oldest_ms and event.kind is not EntityKind.REFERENCE:
        return Rejected(Reason.TOO_OLD, "$.time is before the retention horizon")
    latest_ms = now_ms + FUTURE_MAX_MS
    if event.time_ms > latest_ms:
        return Rejected(Reason.FUTURE, "$.time is more than 24 h ahead")
    changes = event.changes
    for name in _FACT_TIMES[event.kind]:
        time_ms = getattr(changes, name)
        if time_ms is not UNSET and time_ms is not None and time_ms > latest_ms:
            return Rejected(Reason.FUTURE, f"$.data.{name.removesuffix('_ms')} is more than 24 h ahead")
    return None


_FACT_TIMES: Final[dict[EntityKind, tuple[str, ...]]] = {
    EntityKind.DEAL: ("created_at_ms", "closed_at_ms"),
    EntityKind.LEAD: ("created_at_ms",),
    EntityKind.ACTIVITY: ("completed_at_ms",),
    EntityKind.ACCOUNT: ("active_from_ms", "churned_at_ms"),
    EntityKind.FEEDBACK: (),
    EntityKind.SPEND: (),
    EntityKind.REFERENCE: (),
}


def _envelope(value: bytes, headers: Headers) -> _Envelope:
    attributes = {name.lower(): raw for name, raw in headers if name[:3].lower() == "ce_"} if headers else {}
    if "ce_specversion" in attributes:
        # A header may be there without a value; then so is the attribute.
        fields: dict[str, Any] = {name[3:]: (raw or b"").decode() for name, raw in attributes.items()}
        if "time" in fields:
            fields["time"] = without_leap_second(fields["time"])
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


def _event(envelope: _Envelope, known: EventType) -> Event:
    if not envelope.id:
        raise Refused(Reason.MISSING_ID, "$.id is empty")
    _check_id(envelope.id, "$.id")
    raw: bytes | Raw = envelope.data
    if not raw and envelope.data_base64:
        try:
            raw = base64.b64decode(envelope.data_base64, validate=True)
        except binascii.Error:
            raise Refused(Reason.NOT_CLOUDEVENT, "$.data_base64 is not base64") from None
    if not raw:
        raise Refused(Reason.NOT_CLOUDEVENT, "$.data is missing")
    time_ms = ms_of(envelope.time)
    try:
        (entity_id, changes, latest_ms), unknown = known.form.decode(raw, known.action, time_ms)
    except msgspec.ValidationError as error:
        raise Refused(*_reason_of(error, within="$.data")) from None
    if time_ms < EARLIEST_BUSINESS_TIME_MS:
        raise Refused(Reason.TOO_OLD, "$.time is before 1980")
    if not entity_id:
        raise Refused(Reason.MISSING_ID, f"$.data.{known.form.id_field} is missing or empty")
    _check_id(entity_id, f"$.data.{known.form.id_field}")
    return Event(known.kind, entity_id, time_ms, envelope.id, changes, latest_ms, unknown)


def _check_id(text: str, path: str) -> None:
    if len(text) > _SURELY_SHORT and len(text.encode()) > ID_BYTES_MAX:
        raise Refused(Reason.TOO_LARGE, f"{path} is over {ID_BYTES_MAX} bytes")


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
