"""Bodies and single values of vendors in, exact Python values out. Pure; an unreadable one is `Unreadable`.

Whole numbers keep all their digits, fractions become `Decimal` from their text: nothing passes a float.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import NoReturn
from zoneinfo import ZoneInfo

from streams.events import Reason
from streams.gateway.model import Delivery, Malformed, Outcome, Unreadable
from streams.rfc3339 import EPOCH, MILLISECOND, rfc3339, to_ms

Object = Mapping[str, object]

_DIGITS_MAX = 40
_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_FAR_MS = 253_402_214_400_000  # a day before the last that a date can say, so that every zone can say it


def text_of(delivery: Delivery) -> str:
    try:
        return delivery.body.decode()
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8 text") from None


def json_of(delivery: Delivery) -> object:
    """Return the body's JSON with exact numbers; raise `Malformed` for anything else."""
    return parse_json(text_of(delivery))


def parse_json(text: str) -> object:
    """Do the same for a text. Half of a surrogate pair, as a sender that cuts texts off leaves it behind, is
    replaced: it is no character, and no event could hold it."""
    if "\\ud" in text or "\\uD" in text:
        text = _SURROGATES.sub(_whole_character, text)
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Malformed("the body is nested too deep") from None
    except (ValueError, InvalidOperation):
        raise Malformed("the body holds a number that cannot be read") from None


def _whole_character(found: re.Match[str]) -> str:
    return "\\ufffd" if found["half"] else found[0]


def _not_json(_constant: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def each(items: Iterable[object], convert: Callable[[Object], Iterable[Outcome]]) -> list[Outcome]:
    """Convert every item; one that cannot be read becomes `Unusable` and stops no other."""
    outcomes: list[Outcome] = []
    for number, item in enumerate(items):
        try:
            outcomes += convert(as_object(item, "it"))
        except Unreadable as error:
            found = error.unusable
            outcomes.append(type(found)(found.reason, f"[{number}] {found.detail}"))
    return outcomes


# --- looking things up ----------------------------------------------------------------------------


def as_object(value: object, name: str) -> Object:
    if not isinstance(value, dict):
        raise Unreadable(Reason.MALFORMED, f"{name} is not a JSON object")
    return value


def object_at(item: Object, name: str) -> Object:
    """Return the object under a name; an empty one when it is absent or null."""
    value = item.get(name)
    return {} if value is None else as_object(value, name)


def list_at(item: Object, name: str) -> Sequence[object]:
    """Return the list under a name; an empty one when it is absent or null."""
    value = item.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Unreadable(Reason.WRONG_TYPE, f"{name} is not a list")
    return value


def text_at(item: Object, name: str) -> str:
    """Return a text, or a number as its text; "" when it is absent, null or empty."""
    return text_from(item.get(name), name)


def text_from(value: object, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(Reason.WRONG_TYPE, f"{name} is neither text nor a number")


def id_at(item: Object, name: str) -> str:
    """Return an id, which must be there; whole numbers keep all their digits."""
    found = text_at(item, name)
    if not found:
        raise Unreadable(Reason.MISSING_ID, f"{name} is missing or empty")
    return found


# --- reading values -------------------------------------------------------------------------------


def decimal_of(value: object, name: str) -> Decimal:
    """Read a number from JSON or from its text, exactly."""
    text = text_from(value, name)
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unreadable(Reason.WRONG_TYPE, f"{name} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS_MAX:
        raise Unreadable(Reason.BAD_AMOUNT, f"{name} is not a number of reasonable size")
    return number


def percent_of(value: object, name: str) -> Decimal:
    """Read a probability of 0 to 100 as one of 0 to 1."""
    return decimal_of(value, name).scaleb(-2)


def flag_of(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return value
    word = text_from(value, name).lower()
    if word in ("true", "false"):
        return word == "true"
    raise Unreadable(Reason.WRONG_TYPE, f"{name} is neither true nor false")


def time_ms_of(value: object, name: str, zone: ZoneInfo) -> int:
    """Read epoch milliseconds (a number, or digits), or an ISO date and time; one without a zone is local.
    Vendors that send seconds multiply first."""
    text = text_from(value, name)
    if re.fullmatch(r"-?\d{1,15}", text, re.ASCII):
        time_ms = int(text)
    else:
        moment = _moment(text, name)
        time_ms = to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))
    if not 0 <= time_ms <= _FAR_MS:
        raise Unreadable(Reason.BAD_TIME, f"{name} is no time of this age")
    return time_ms


def day_of(value: object, name: str, zone: ZoneInfo) -> date:
    """Read a day. A time at midnight UTC means that day, which is how most vendors write one; any other time
    is the day it falls on in the zone."""
    text = text_from(value, name)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return _moment(text, name).date()
    time_ms = time_ms_of(text, name, zone)
    moment = EPOCH + time_ms * MILLISECOND
    return moment.date() if time_ms % 86_400_000 == 0 else moment.astimezone(zone).date()


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(Reason.BAD_TIME, f"{name} is no date or time in a known form") from None


def when(time_ms: int) -> str:
    """Write a time as events hold it."""
    return rfc3339(time_ms)
