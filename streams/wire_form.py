"""How one event's data is read: the `WireForm` of an event type, and the checks its fields share. Pure.

Knows no event type; `streams.wire` and `streams.wire_reference` list them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from metrics.money import CURRENCIES, exponent_of
from streams.events import Changes, EntityKind, Reason, Rejected

AMOUNT_MINOR_MAX = 1 << 53
EARLIEST_BUSINESS_TIME_MS = 315_532_800_000  # 1980-01-01: before it, a time is a zero or a typing error
DURATION_SECONDS_MAX = 366 * 86_400
EARLIEST_DAY, LATEST_DAY = date(1980, 1, 1), date(2200, 1, 1)
SPEND_DAYS_MAX = 3660

Text = Annotated[str, Meta(max_length=256)]
Time = Annotated[datetime, Meta(tz=True)]
OptText = Text | None | UnsetType
OptTime = Time | None | UnsetType
OptMoney = Decimal | None | UnsetType
OptDay = date | None | UnsetType
OptProducts = list[Text] | Text | None | UnsetType


class Refused(Exception):
    """Carries a `Rejected` out of the nested checks of one record."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.rejected = Rejected(reason, detail)


Read = tuple[str, Changes, int]
"""What was read of one event's data: entity id, changes, `Event.latest_ms`."""


@dataclass(frozen=True, slots=True)
class WireForm:
    """How the data of one kind of event is read. `decode` gives what was read and the unknown fields."""

    data: type[Struct]
    id_field: str
    read: Callable[[Any, str, int], Read]
    strict: "msgspec.json.Decoder[Any]"
    lenient: "msgspec.json.Decoder[Any]"
    known: frozenset[str]
    times: frozenset[str]

    def decode(self, raw: bytes | Raw, action: str, time_ms: int) -> tuple[Read, int]:
        """Raise `msgspec.ValidationError` or `Refused` for data that cannot be used."""
        try:
            return self._decode(raw, action, time_ms)
        except msgspec.ValidationError:
            mended = self._without_leap_seconds(raw)
            if mended is None:
                raise
        return self._decode(mended, action, time_ms)

    def _without_leap_seconds(self, raw: bytes | Raw) -> bytes | None:
        """Return the data with times that `datetime` can hold; None when no leap second is in it."""
        try:
            fields = msgspec.json.decode(raw, type=dict[str, Raw])
        except msgspec.ValidationError:
            return None
        mended = False
        for name in self.times & fields.keys():
            text = msgspec.json.decode(fields[name])
            if isinstance(text, str) and (moment := without_leap_second(text)) != text:
                fields[name], mended = Raw(msgspec.json.encode(moment)), True
        return msgspec.json.encode(fields) if mended else None

    def _decode(self, raw: bytes | Raw, action: str, time_ms: int) -> tuple[Read, int]:
        unknown = 0
        try:
            data = self.strict.decode(raw)
        except msgspec.ValidationError as error:
            if "unknown field" not in str(error):
                raise
            data = self.lenient.decode(raw)
            unknown = len(msgspec.json.decode(raw).keys() - self.known)
        return self.read(data, action, time_ms), unknown


def form_of(data: type[Struct], id_field: str, read: Callable[[Any, str, int], Read]) -> WireForm:
    strict = msgspec.defstruct(f"Strict{data.__name__}", [], bases=(data,), forbid_unknown_fields=True)
    return WireForm(
        data,
        id_field,
        read,
        msgspec.json.Decoder(strict),
        msgspec.json.Decoder(data),
        frozenset(data.__struct_encode_fields__),
        frozenset(field.encode_name for field in msgspec.structs.fields(data) if field.type == OptTime),
    )


@dataclass(frozen=True, slots=True)
class EventType:
    kind: EntityKind
    action: str
    form: WireForm


def types_of(kind: EntityKind, form: WireForm, *actions: str) -> dict[str, EventType]:
    return {f"sales.{kind}.{action}": EventType(kind, action, form) for action in actions}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Within the bound in every currency: none has more than four decimals.
_NOTHING, _SURELY_WITHIN = Decimal(0), Decimal(AMOUNT_MINOR_MAX // 10**4)


def life(
    action: str, entity_id: str, merged_into: str | None | UnsetType
) -> tuple[bool | UnsetType, str | None | UnsetType]:
    """Return what an action writes into the registers `deleted` and `merged_into`."""
    if action == "deleted":
        return True, merged_into
    if action == "restored":
        return False, None
    if action == "merged" and not merged_into:
        raise Refused(Reason.MISSING_ID, "$.data.merged_into is missing")
    if merged_into and merged_into == entity_id:
        raise Refused(Reason.WRONG_TYPE, "$.data.merged_into names the record itself")
    return UNSET, merged_into


def merged_of(merged_into: OptText) -> OptText:
    """Return the target of a merge: one without a name is none, as null is."""
    return merged_into if merged_into is UNSET else merged_into or None


_LEAP_SECOND = re.compile(r"(:\d\d):60(?:\.\d+)?", re.ASCII)


def without_leap_second(time: str) -> str:
    """Return the time as `datetime` can hold it: of a leap second, the last millisecond before it."""
    return _LEAP_SECOND.sub(r"\1:59.999", time)


def ms_of(moment: datetime) -> int:
    """Return UTC milliseconds, rounded down; integer arithmetic, since floats lose the last one."""
    since = moment - _EPOCH
    # Parts, since dividing the whole by a millisecond costs a fifth more.
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def business_ms(moment: OptTime, field: str) -> int | None | UnsetType:
    if moment is UNSET or moment is None:
        return moment
    time_ms = ms_of(moment)
    if time_ms < EARLIEST_BUSINESS_TIME_MS:
        raise Refused(Reason.BAD_TIME, f"$.data.{field} is before 1980")
    return time_ms


def latest_of(time_ms: int, *moments: int | None | UnsetType) -> int:
    """Return the latest of an event's time and what is known of these."""
    latest_ms = time_ms
    for moment in moments:
        if type(moment) is int and moment > latest_ms:
            latest_ms = moment
    return latest_ms


def amount_of(
    amount: Decimal | None | UnsetType, currency: OptText, field: str
) -> Decimal | None | UnsetType:
    if amount is UNSET or amount is None:
        return amount
    if amount.is_finite() and _NOTHING <= amount <= _SURELY_WITHIN:
        return amount
    if not amount.is_finite() or amount < 0:
        raise Refused(Reason.BAD_AMOUNT, f"$.data.{field} is negative or not a number")
    exponent = exponent_of(currency) if isinstance(currency, str) else None
    if amount > Decimal(AMOUNT_MINOR_MAX).scaleb(-(2 if exponent is None else exponent)):
        raise Refused(Reason.BAD_AMOUNT, f"$.data.{field} is beyond 2**53 minor units")
    return amount


def currency_of(currency: OptText) -> OptText:
    if currency is UNSET or currency is None or currency in CURRENCIES:
        return currency
    raise Refused(Reason.WRONG_TYPE, "$.data.currency is not an ISO 4217 code")


def products_of(products: OptProducts) -> tuple[str, ...] | None | UnsetType:
    if isinstance(products, str):
        return (products,)
    return tuple(sorted(set(products))) if isinstance(products, list) else products


def day_of(day: OptDay, field: str) -> OptDay:
    if isinstance(day, date) and not EARLIEST_DAY <= day < LATEST_DAY:
        raise Refused(Reason.BAD_TIME, f"$.data.{field} is not between {EARLIEST_DAY} and {LATEST_DAY}")
    return day
