"""One raw record in, the event it tells out; None for a type nobody knows, `Refusal` for what is none.

Written from the contract: reads JSON with the standard library and checks each field by the sentence that
defines it. Sees no horizon; shares no line with the product.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from oracle.currencies import MINOR_DIGITS

Told = dict[str, object]
"""An event: `id`, `type`, `time` in milliseconds, and of `data` what the contract knows."""


class Refusal(Exception):
    """The record counts nowhere. The message names the field."""


VERBS: Mapping[str, tuple[str, ...]] = {
    "deal": ("created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged"),
    "lead": ("created", "updated", "qualified", "converted", "disqualified", "deleted", "restored", "merged"),
    "activity": ("scheduled", "completed", "updated", "deleted"),
    "account": ("updated", "churned", "reactivated", "deleted", "merged"),
    "feedback": ("received", "deleted"),
    "spend": ("recorded", "deleted"),
}
REFERENCE = ("target.set", "rep.updated", "rate.set", "market.set", "stage.set")
KIND_OF_TOPIC: Mapping[str, str] = {
    "sales.deals": "deal",
    "sales.leads": "lead",
    "sales.activities": "activity",
    "sales.accounts": "account",
    "sales.feedback": "feedback",
    "sales.spend": "spend",
    "sales.reference": "reference",
}
_KIND_OF_TYPE = {
    **{f"sales.{kind}.{verb}": kind for kind, verbs in VERBS.items() for verb in verbs},
    **{f"sales.{name}": "reference" for name in REFERENCE},
}
_MOST_BYTES, _MOST_BYTES_OF_ID, _MOST_CHARACTERS = 1024 * 1024, 256, 256
_YEAR_1980_MS = 315_532_800_000
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_LEAP_SECOND = re.compile(r"(:\d\d):60(?:\.\d+)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def read(topic: str, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> Told | None:
    """Return the event; None where the type is unknown. Raises `Refusal`."""
    if not value:
        raise Refusal("no value")
    if len(value) > _MOST_BYTES:
        raise Refusal("over 1 MiB")
    envelope = _envelope(value, headers)
    kind = _KIND_OF_TYPE.get(str(envelope["type"]))
    if kind is None:
        return None
    if kind != KIND_OF_TOPIC[topic]:
        raise Refusal("wrong topic")
    event_id = str(envelope["id"])
    if not event_id or len(event_id.encode()) > _MOST_BYTES_OF_ID:
        raise Refusal("id")
    time_ms = _time(envelope["time"])
    data = _data(envelope)
    if not isinstance(data, dict):
        raise Refusal("data")
    fields = _known_fields(kind, str(envelope["type"]), data)
    if time_ms < _YEAR_1980_MS:
        raise Refusal("time before 1980")
    return {"id": event_id, "type": envelope["type"], "time": time_ms, "data": fields}


def _envelope(value: bytes, headers: Sequence[tuple[str, bytes]]) -> Mapping[str, object]:
    attributes = {name.lower()[3:]: raw for name, raw in headers if name.lower().startswith("ce_")}
    if "specversion" in attributes:
        envelope: dict[str, object] = {}
        for name, raw in attributes.items():
            try:
                envelope[name] = raw.decode()
            except (UnicodeDecodeError, AttributeError):
                raise Refusal(f"header ce_{name}") from None
        envelope["data"] = parsed(value)
    else:
        whole = parsed(value)
        if not isinstance(whole, dict):
            raise Refusal("no object")
        envelope = whole
    for name in ("specversion", "id", "source", "type", "time"):
        if type(envelope.get(name)) is not str:
            raise Refusal(name)
    if type(envelope.get("data_base64", "")) is not str:
        raise Refusal("data_base64")
    _time(envelope["time"])
    if envelope["specversion"] != "1.0":
        raise Refusal("specversion")
    return envelope


def _data(envelope: Mapping[str, object]) -> object:
    if "data" in envelope:
        return envelope["data"]
    if not envelope.get("data_base64"):
        raise Refusal("data is missing")
    try:
        return parsed(base64.b64decode(str(envelope["data_base64"]), validate=True))
    except (binascii.Error, ValueError):
        raise Refusal("data_base64") from None


def parsed(value: bytes) -> object:
    try:
        text = value.decode("utf-8")
        found: object = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise Refusal("no JSON") from None
    return found


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# ---- single values --------------------------------------------------------------------------------


def instant(value: object) -> int:
    """Return milliseconds since 1970, rounded down from the nearest microsecond."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    if match is None:
        raise Refusal("no time")
    day, hours, minutes, seconds, fraction, zone = match.groups()
    digits = (fraction or "") + "0000000"
    microseconds = int(digits[:6]) + (digits[6] >= "5")
    if zone in "Zz":
        offset = timedelta(0)
    else:
        hour, minute = int(zone[1:3]), int(zone[-2:])
        if hour > 23 or minute > 59:
            raise Refusal("zone")
        offset = timedelta(hours=hour, minutes=minute) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime.fromisoformat(f"{day}T{hours}:{minutes}:{seconds}+00:00")
        since = moment - datetime(1970, 1, 1, tzinfo=UTC) - offset + timedelta(microseconds=microseconds)
    except (ValueError, OverflowError):
        raise Refusal("no such time") from None
    return since // timedelta(milliseconds=1)


def _time(value: object) -> int:
    """Return the instant, of which a leap second is the last millisecond before it."""
    return instant(_LEAP_SECOND.sub(r"\1:59.999", value) if type(value) is str else value)


def _text(value: object) -> str:
    if type(value) is not str or len(value) > _MOST_CHARACTERS:
        raise Refusal("no text of at most 256 characters")
    return value


def _target(value: object) -> str | None:
    """Return the id of what a record was merged into; "" is nothing, as null is."""
    return _text(value) or None


def _any_text(value: object) -> str:
    if type(value) is not str:
        raise Refusal("no text")
    return value


def _moment(value: object) -> int:
    time_ms = _time(value)
    if time_ms < _YEAR_1980_MS:
        raise Refusal("before 1980")
    return time_ms


def _day(value: object) -> str:
    """Return the day as it is written; any that the calendar has."""
    if type(value) is not str or not _DAY.fullmatch(value):
        raise Refusal("no day")
    try:
        date.fromisoformat(value)
    except ValueError:
        raise Refusal("no such day") from None
    return value


def _sensible_day(value: object) -> str:
    day = _day(value)
    if not "1980-01-01" <= day < "2200-01-01":
        raise Refusal("not between 1980 and 2200")
    return day


def decimal(value: object) -> Decimal:
    if not isinstance(value, str):
        raise Refusal("no number")
    try:
        return Decimal(value)
    except InvalidOperation:
        raise Refusal("no number") from None


def _money(value: object) -> Decimal:
    amount = decimal(value)
    if not amount.is_finite() or amount < 0:
        raise Refusal("no amount")
    return amount


def _number(low: float, high: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        if not isinstance(value, _Number):
            raise Refusal("no number")
        number = float(value)
        if not low <= number <= high:
            raise Refusal("out of range")
        return number

    return check


def _one_of(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if type(value) is not str or value not in allowed:
            raise Refusal("not one of the allowed values")
        return value

    return check


def _currency(value: object) -> str:
    code = _text(value)
    if code not in MINOR_DIGITS:
        raise Refusal("no currency")
    return code


def _products(value: object) -> list[str]:
    if isinstance(value, list):
        return sorted({_text(each) for each in value})
    return [_text(value)]


def _whole(value: object) -> int:
    if not isinstance(value, _Number) or not re.fullmatch(r"-?\d+", value):
        raise Refusal("no whole number")
    return int(value)


# ---- fields ---------------------------------------------------------------------------------------

_Check = Callable[[object], object]
_WHOSE: dict[str, _Check] = {"rep_id": _text, "team_id": _text, "region": _text}
_FIELDS: Mapping[str, Mapping[str, _Check]] = {
    "deal": _WHOSE | {
        "status": _one_of("open", "won", "lost"), "stage": _text, "pipeline": _text, "amount": _money,
        "currency": _currency, "cost": _money, "probability": _number(0, 1), "account_id": _text,
        "lead_id": _text, "products": _products, "source": _text, "created_at": _moment,
        "closed_at": _moment, "expected_close_on": _sensible_day, "merged_into": _target,
    },
    "lead": _WHOSE | {
        "source": _text, "account_id": _text, "deal_id": _text, "created_at": _moment, "merged_into": _target,
    },
    "activity": _WHOSE | {
        "kind": _one_of(
            "call", "email", "meeting", "demo", "proposal", "appointment", "follow_up", "one_on_one",
            "training",
        ),
        "deal_id": _text, "lead_id": _text, "account_id": _text, "outcome": _text,
        "duration_seconds": _number(0, 366 * 86_400), "scheduled_at": _moment, "due_at": _moment,
        "completed_at": _moment,
    },
    "account": _WHOSE | {
        "active_from": _moment, "churned_at": _moment, "products": _products, "merged_into": _target,
    },
    "feedback": _WHOSE | {
        "kind": _one_of("csat", "nps", "enps", "pulse"), "score": _number(float("-inf"), float("inf")),
        "scale": _one_of("0-10", "1-10", "1-5"), "account_id": _text,
    },
    "spend": _WHOSE | {
        "amount": _money, "currency": _currency, "category": _text, "source": _text,
        "from": _sensible_day, "to": _sensible_day,
    },
    "target.set": {
        "kpi": _text, "period": _text, "value": decimal, "level": _text, "key": _text, "currency": _currency,
    },
    "rep.updated": {
        "rep_id": _text, "name": _text, "team_id": _text, "region": _text, "active_from": _sensible_day,
        "active_to": _sensible_day,
    },
    "rate.set": {"currency": _currency, "rate": decimal, "valid_from": _sensible_day},
    "market.set": {"period": _text, "value": decimal, "currency": _text},
    "stage.set": {"stage": _text, "pipeline": _text, "order": _whole, "probability": _number(0, 1)},
}  # fmt: skip
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "target.set": ("kpi", "period", "value"),
    "rep.updated": ("rep_id",),
    "rate.set": ("currency", "rate", "valid_from"),
    "market.set": ("period", "value"),
    "stage.set": ("stage",),
}
_NEVER_NULL = {
    "target.set": ("kpi", "period", "level", "key"),
    "rep.updated": ("rep_id",),
    "rate.set": ("currency", "valid_from"),
    "market.set": ("period",),
    "stage.set": ("stage",),
}


def _known_fields(kind: str, type_: str, data: Mapping[str, object]) -> dict[str, object]:
    form = type_.removeprefix("sales.") if kind == "reference" else kind
    fields: dict[str, object] = {}
    for name, check in _FIELDS[form].items():
        if name in data:
            value = data[name]
            fields[name] = None if value is None and name not in _NEVER_NULL.get(form, ()) else check(value)
    if kind == "reference":
        _check_reference(form, fields)
        return fields
    entity_id = _any_text(data.get(f"{kind}_id", ""))
    if not entity_id or len(entity_id.encode()) > _MOST_BYTES_OF_ID:
        raise Refusal(f"{kind}_id")
    _check_together(kind, type_.rpartition(".")[2], entity_id, fields)
    return {f"{kind}_id": entity_id, **fields}


def _check_together(kind: str, verb: str, entity_id: str, fields: Mapping[str, object]) -> None:
    currency = fields.get("currency")
    digits = 2 if currency is None else MINOR_DIGITS[str(currency)]
    for name in ("amount", "cost"):
        amount = fields.get(name)
        if isinstance(amount, Decimal) and amount > Decimal(2**53).scaleb(-digits):
            raise Refusal(f"{name} beyond 2**53 minor units")
    if "merged_into" in _FIELDS[kind]:
        _check_merge(verb, entity_id, fields.get("merged_into"))
    score = fields.get("score")
    scale = fields.get("scale") or {"csat": "1-5", "pulse": "1-5", "nps": "0-10", "enps": "0-10"}.get(
        str(fields.get("kind"))
    )
    if isinstance(score, float) and scale is not None:
        low, high = str(scale).split("-")
        if not int(low) <= score <= int(high):
            raise Refusal("score")
    first, after = fields.get("from"), fields.get("to")
    if first is not None and after is not None:
        days = (date.fromisoformat(str(after)) - date.fromisoformat(str(first))).days
        if not 1 <= days <= 3660:
            raise Refusal("to")


def _check_merge(verb: str, entity_id: str, target: object) -> None:
    if verb in ("deleted", "restored", "won", "lost", "reopened"):
        return
    if verb == "merged" and not target:
        raise Refusal("merged_into is missing")
    if target and target == entity_id:
        raise Refusal("merged into itself")


def _check_reference(form: str, fields: Mapping[str, object]) -> None:
    for name in _NEEDED[form]:
        if name not in fields:
            raise Refusal(name)
    value = fields.get("rate" if form == "rate.set" else "value")
    if isinstance(value, Decimal):
        most = 9 if form == "rate.set" else 15
        positive = form == "target.set" or (value.is_finite() and value > 0)
        least = -9 if form == "rate.set" else None
        if not value.is_finite() or not positive or value.adjusted() > most:
            raise Refusal("value")
        if least is not None and value.adjusted() < least:
            raise Refusal("rate")
    first, after = fields.get("active_from"), fields.get("active_to")
    if first is not None and after is not None and str(after) <= str(first):
        raise Refusal("active_to")
    if form in ("rep.updated", "stage.set") and not fields["rep_id" if form == "rep.updated" else "stage"]:
        raise Refusal("id")
    if len(reference_id(form, fields).encode()) > _MOST_BYTES_OF_ID:
        raise Refusal("id over 256 bytes")


_PARTS_OF_ID: Mapping[str, tuple[str, ...]] = {
    "target": ("kpi", "level", "key", "period"),
    "rep": ("rep_id", "active_from"),
    "rate": ("currency", "valid_from"),
    "market": ("period",),
    "stage": ("pipeline", "stage"),
}


def reference_id(form: str, fields: Mapping[str, object]) -> str:
    """Return what a record replaces, such as `target:revenue:floor::2026`."""
    what = form.partition(".")[0]
    parts = [fields.get(name, "floor" if name == "level" else None) for name in _PARTS_OF_ID[what]]
    return ":".join((what, *("" if part is None else str(part) for part in parts)))
