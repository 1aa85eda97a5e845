"""Alertmanager's notice in, events for `sales.alerts` out; and such an event's bytes back in. Pure.

One event per alert and change, `sales.alert.firing` or `sales.alert.resolved`, keyed by its fingerprint. A
notice that is repeated repeats the event under the same id; only `notified_at` is newer.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from streams.rfc3339 import rfc3339, to_ms

FIRING: Final = "sales.alert.firing"
RESOLVED: Final = "sales.alert.resolved"
SOURCE: Final = "/alertmanager"

ALERTS_PER_NOTICE_MAX: Final = 1000
"""Ours sends at most 500; the door's limit of 1 MiB would be reached soon after."""
TEXT_CHARACTERS_MAX: Final = 4000
_LABELS_MAX: Final = 64

_Labels = Annotated[dict[str, str], Meta(max_length=_LABELS_MAX)]
_Fingerprint = Annotated[str, Meta(pattern="^[A-Za-z0-9]{1,64}$")]


class NoticeError(Exception):
    """The body is no notice of Alertmanager. The message says what is wrong with it."""


class _Noticed(msgspec.Struct, rename="camel"):
    """One alert as Alertmanager's webhook writes it; fields that are not used here are not named."""

    status: Literal["firing", "resolved"]
    labels: _Labels
    starts_at: datetime
    ends_at: datetime
    fingerprint: _Fingerprint
    annotations: _Labels = {}


class _Notice(msgspec.Struct, rename="camel"):
    version: Literal["4"]
    alerts: Annotated[list[_Noticed], Meta(max_length=ALERTS_PER_NOTICE_MAX)]


class AlertData(msgspec.Struct, frozen=True):
    """What an event says of an alert. Times are RFC 3339; `ends_at` is null while it fires."""

    fingerprint: str
    name: str
    severity: str
    summary: str
    description: str
    action: str
    runbook_url: str
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    notified_at: datetime


class AlertEvent(msgspec.Struct, frozen=True):
    """A CloudEvent."""

    id: str
    type: Literal["sales.alert.firing", "sales.alert.resolved"]
    time: datetime
    data: AlertData
    source: str = SOURCE
    specversion: Literal["1.0"] = "1.0"


_decode_notice = msgspec.json.Decoder(_Notice).decode
_decode_event = msgspec.json.Decoder(AlertEvent).decode
_encode = msgspec.json.Encoder().encode


def read_notice(body: bytes) -> list[_Noticed]:
    """Return the alerts of a notice (webhook version 4). Raises `NoticeError` for anything else."""
    try:
        return _decode_notice(body).alerts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoticeError(str(error)) from None


def event_of(alert: _Noticed, *, now_ms: int) -> dict[str, object]:
    """Return the event as it is written: a plain tree, ready for JSON."""
    fires = alert.status == "firing"
    labels, said = alert.labels, alert.annotations
    starts, ends = _shown(alert.starts_at), None if fires else _shown(alert.ends_at)
    return {
        "specversion": "1.0",
        "id": f"{alert.fingerprint}-{to_ms(alert.starts_at)}-{alert.status}",
        "source": SOURCE,
        "type": FIRING if fires else RESOLVED,
        "subject": alert.fingerprint,
        "time": ends or starts,
        "datacontenttype": "application/json",
        "data": {
            "fingerprint": alert.fingerprint,
            "name": _cut(labels.get("alertname", "")),
            "severity": _cut(labels.get("severity", "")),
            **{
                what: _cut(said.get(what, "")) for what in ("summary", "description", "action", "runbook_url")
            },
            "labels": {_cut(name): _cut(value) for name, value in labels.items()},
            "starts_at": starts,
            "ends_at": ends,
            "notified_at": rfc3339(now_ms),
        },
    }


def encoded(event: dict[str, object]) -> bytes:
    return _encode(event)


def read_event(value: bytes | None) -> AlertEvent | None:
    """Return the event, None for anything else that may lie on the topic."""
    try:
        return _decode_event(value) if value is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _shown(moment: datetime) -> str:
    return rfc3339(to_ms(moment))


def _cut(text: str) -> str:
    """Shorten what would not fit anywhere: a template may have printed a whole result."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"
