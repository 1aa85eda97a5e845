"""Salesforce's fields in, fields of the contract out: for change events, messages and records alike. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from streams.events import EntityKind, Reason
from streams.gateway.model import Canonical, Form, Source, Thin, ThinOp, Unreadable
from streams.gateway.reading import day_of, decimal_of, flag_of, percent_of, text_from, time_ms_of, when
from streams.gateway.vendors.salesforce_ids import QUEUE, long_id, short_id
from streams.rfc3339 import EPOCH, MILLISECOND, to_ms
from streams.wire_form import EARLIEST_DAY, LATEST_DAY

Values = Mapping[str, object]
"""Salesforce's field -> value; the part of a compound field is "BillingAddress.Country"."""

_KINDS: Final = {
    "Opportunity": EntityKind.DEAL,
    "Lead": EntityKind.LEAD,
    "Contact": EntityKind.LEAD,
    "Account": EntityKind.ACCOUNT,
    "Task": EntityKind.ACTIVITY,
    "Event": EntityKind.ACTIVITY,
}


def kind_of(name: str, source: Source) -> EntityKind | None:
    """Return what an object is in the contract. Leads are Salesforce's leads or, where the settings say so,
    its contacts: never both, for their ids are of different kinds."""
    if name in ("Lead", "Contact") and name.lower() != source.options["lead_object"]:
        return None
    return _KINDS.get(name)


@dataclass(frozen=True, slots=True)
class Change:
    """What one change, message or record says of one record."""

    name: str
    kind: EntityKind
    entity_id: str
    time_ms: int
    values: Values
    """What it sets; None empties a field, one that is not in it stays."""
    dedup: tuple[str, ...]
    order: str = ""
    whole: bool = False
    """The values are the record's state, as far as they go; else only what this change changed."""
    op: ThinOp = "update"
    beside: Values | None = None
    """Of a change: unchanged fields that it was enriched with."""

    def event(
        self, action: str, data: Mapping[str, object], *dedup: str, form: Form | None = None
    ) -> Canonical:
        return Canonical(
            f"sales.{self.kind}.{action}",
            self.entity_id,
            self.time_ms,
            data,
            (*self.dedup, *dedup),
            form or (Form.SNAPSHOT if self.whole else Form.PATCH),
            order=self.order,
        )

    def thin(self, op: ThinOp, *changed: str, mark: Canonical | None = None) -> Thin:
        return Thin(self.name, self.entity_id, op, self.time_ms, self.kind, changed, mark)

    def has(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def flag(self, name: str) -> bool | None:
        return flag_of(self.values[name], name) if self.has(name) else None

    def day(self, name: str, source: Source) -> date | None:
        return _day(self.values[name], name, source) if self.has(name) else None

    def moment(self, name: str, source: Source) -> int | None:
        return time_ms_of(self.values[name], name, source.zone) if self.has(name) else None


# --- single values --------------------------------------------------------------------------------

Read = Callable[[object, str, Source], object]
Table = Mapping[str, tuple[str, Read]]
"""Salesforce's field -> (field of the contract, how it is read)."""


def _text(value: object, name: str, _source: Source) -> object:
    return text_from(value, name) or None


def _record_id(value: object, name: str, _source: Source) -> object:
    return long_id(text_from(value, name)) or None


def _owner(value: object, name: str, source: Source) -> object:
    return rep_of(text_from(value, name), source)


def _time(value: object, name: str, source: Source) -> object:
    return when(time_ms_of(value, name, source.zone))


def _start(value: object, name: str, source: Source) -> object:
    """A time, or the beginning of a day."""
    text = text_from(value, name)
    if len(text) == len("2025-01-31"):
        return when(day_starts_ms(_day(text, name, source), source))
    return _time(value, name, source)


def _day(value: object, name: str, source: Source) -> date:
    day = day_of(value, name, source.zone)
    if not EARLIEST_DAY <= day <= LATEST_DAY:
        raise Unreadable(Reason.BAD_TIME, f"{name} is no day of this age")
    return day


def rep_of(owner: str, source: Source) -> str | None:
    """Return the rep of an owner id, whichever of its two forms the settings name; a queue is nobody."""
    owner = long_id(owner)
    if not owner or owner.startswith(QUEUE):
        return None
    return source.reps.get(owner) or source.reps.get(short_id(owner)) or owner


def day_starts_ms(day: date, source: Source) -> int:
    return to_ms(datetime.combine(day, time(), source.zone).astimezone(UTC))


def day_ends_ms(day: date, source: Source) -> int:
    """Return the last millisecond of a day."""
    return day_starts_ms(day + timedelta(days=1), source) - 1


def day_at(time_ms: int, source: Source) -> date:
    return (EPOCH + time_ms * MILLISECOND).astimezone(source.zone).date()


# --- whole objects --------------------------------------------------------------------------------

_DEAL: Final[Table] = {
    "Amount": ("amount", lambda value, name, _source: decimal_of(value, name)),
    "CurrencyIsoCode": ("currency", lambda value, name, _source: text_from(value, name).upper() or None),
    "Probability": ("probability", lambda value, name, _source: float(percent_of(value, name))),
    "CloseDate": ("expected_close_on", lambda value, name, source: _day(value, name, source)),
    "StageName": ("stage", lambda value, name, source: source.stage(text_from(value, name)) or None),
    "AccountId": ("account_id", _record_id),
    "OwnerId": ("rep_id", _owner),
    "LeadSource": ("source", _text),
    "CreatedDate": ("created_at", _time),
}
_LEAD: Final[Table] = {
    "AccountId": ("account_id", _record_id),  # of a contact
    "ConvertedAccountId": ("account_id", _record_id),
    "ConvertedOpportunityId": ("deal_id", _record_id),
    "OwnerId": ("rep_id", _owner),
    "LeadSource": ("source", _text),
    "CreatedDate": ("created_at", _time),
}
_ACCOUNT: Final[Table] = {"OwnerId": ("rep_id", _owner)}
_TABLES: Final = {EntityKind.DEAL: _DEAL, EntityKind.LEAD: _LEAD, EntityKind.ACCOUNT: _ACCOUNT}

OPTIONS: Final[Mapping[str, str]] = {
    "deal_cost": "",
    "deal_pipeline": "",
    "deal_products": "",
    "deal_region": "",
    "lead_region": "",
    "account_region": "",
    "account_since": "",
    "account_until": "",
}
"""Salesforce's fields, mostly an organisation's own, that hold what no standard field does."""
_OWN: Final[Mapping[str, tuple[str, Read]]] = {
    "deal_cost": ("cost", lambda value, name, _source: decimal_of(value, name)),
    "deal_pipeline": (
        "pipeline",
        lambda value, name, source: source.pipeline(long_id(text_from(value, name))) or None,
    ),
    "deal_products": (
        "products",
        lambda value, name, _source: [one for one in text_from(value, name).split(";") if one] or None,
    ),
    "deal_region": ("region", _text),
    "lead_region": ("region", _text),
    "account_region": ("region", _text),
    "account_since": ("active_from", _start),
    "account_until": ("churned_at", _start),
}


def fields_of(change: Change, source: Source) -> dict[str, object]:
    """Return the fields of the contract that a change sets by itself, without what they mean together."""
    data: dict[str, object] = {}
    own = {source.options[name]: read for name, read in _OWN.items() if name.startswith(f"{change.kind}_")}
    for name, (field, read) in {**_TABLES[change.kind], **own}.items():
        if name and name in change.values:
            data[field] = read(change.values[name], name, source) if change.has(name) else None
    return data
