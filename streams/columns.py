"""A column map (TOML) in, a checked `ColumnMap` out: which column becomes which field of which event.

Pure: it is given the map's text and the tables' headers, and never opens a file. `column_rows` applies it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum, auto
from functools import cache
from zoneinfo import available_timezones

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streams.events import EntityKind
from streams.wire import TYPES


class ColumnMapError(Exception):
    """The column map, or the table it is applied to, cannot be used. The message says where and why."""


class Target(Enum):
    """What a field of an event holds; decides how a cell is read."""

    TEXT = auto()
    LIST = auto()
    DECIMAL = auto()
    NUMBER = auto()
    WHOLE = auto()
    DATE = auto()
    TIME = auto()


_WHOSE = dict.fromkeys(("rep_id", "team_id", "region"), Target.TEXT)
_SHARED = _WHOSE | {"account_id": Target.TEXT}
TARGETS: dict[EntityKind, dict[str, Target]] = {
    EntityKind.DEAL: _SHARED
    | dict.fromkeys(
        ("status", "stage", "pipeline", "currency", "lead_id", "source", "merged_into"), Target.TEXT
    )
    | {
        "products": Target.LIST,
        "amount": Target.DECIMAL,
        "cost": Target.DECIMAL,
        "probability": Target.NUMBER,
    }
    | {"created_at": Target.TIME, "closed_at": Target.TIME, "expected_close_on": Target.DATE},
    EntityKind.LEAD: _SHARED
    | dict.fromkeys(("source", "deal_id", "merged_into"), Target.TEXT)
    | {"created_at": Target.TIME},
    EntityKind.ACTIVITY: _SHARED
    | dict.fromkeys(("kind", "deal_id", "lead_id", "outcome"), Target.TEXT)
    | {"duration_seconds": Target.NUMBER}
    | dict.fromkeys(("scheduled_at", "due_at", "completed_at"), Target.TIME),
    EntityKind.ACCOUNT: _WHOSE
    | {"products": Target.LIST, "merged_into": Target.TEXT}
    | dict.fromkeys(("active_from", "churned_at"), Target.TIME),
    EntityKind.FEEDBACK: _SHARED | {"kind": Target.TEXT, "scale": Target.TEXT, "score": Target.NUMBER},
    EntityKind.SPEND: _WHOSE
    | dict.fromkeys(("currency", "category", "source"), Target.TEXT)
    | {"amount": Target.DECIMAL, "from": Target.DATE, "to": Target.DATE},
}
"""Fields a map may fill, by the event's entity; the entity's own id comes from the event's `id`."""

REFERENCE_FIELDS: dict[str, dict[str, Target]] = {
    "sales.target.set": dict.fromkeys(("kpi", "period", "level", "key", "currency"), Target.TEXT)
    | {"value": Target.DECIMAL},
    "sales.rep.updated": dict.fromkeys(("rep_id", "name", "team_id", "region"), Target.TEXT)
    | dict.fromkeys(("active_from", "active_to"), Target.DATE),
    "sales.rate.set": {"currency": Target.TEXT, "rate": Target.DECIMAL, "valid_from": Target.DATE},
    "sales.market.set": {"period": Target.TEXT, "value": Target.DECIMAL, "currency": Target.TEXT},
    "sales.stage.set": dict.fromkeys(("stage", "pipeline"), Target.TEXT)
    | {"order": Target.WHOLE, "probability": Target.NUMBER},
}
"""The same for reference records, by event type; what identifies one are fields like the others."""

_REFERENCE_NEEDS: dict[str, tuple[str, ...]] = {
    "sales.target.set": ("kpi", "period", "value"),
    "sales.rep.updated": ("rep_id",),
    "sales.rate.set": ("currency", "rate", "valid_from"),
    "sales.market.set": ("period", "value"),
    "sales.stage.set": ("stage",),
}


def fields_of(event_type: str) -> dict[str, Target]:
    """Return the fields a map may fill in events of a type; none for a type that tables cannot give."""
    return REFERENCE_FIELDS.get(event_type) or TARGETS.get(TYPES[event_type].kind, {})


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """One CSV table, or one kind of row in a JSON body. With `key` other tables can look into it."""

    file: str = ""
    """Of a table: its file's name in the directory."""
    each: str = ""
    """Of a JSON body: the path of the list whose items are the rows; without it the body is the row."""
    key: str = ""
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    empty: tuple[str, ...] = ()
    """Words that mean "nothing here", beside the empty cell."""
    decimal_mark: str = "."
    thousands_mark: str = ""


class Test(Struct, frozen=True, forbid_unknown_fields=True, rename={"none_of": "not"}):
    __test__ = False  # not a test class, whatever pytest thinks of the name

    empty: bool | UnsetType = UNSET
    none_of: str | tuple[str, ...] | UnsetType = UNSET


When = dict[str, str | tuple[str, ...] | Test]


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a field's value comes from, and how its text is read."""

    column: str = ""
    first: tuple[str, ...] = ()
    """The first of these columns that is not empty."""
    value: str | int | float | UnsetType = UNSET
    lookup: str = ""
    """ "table.column": the cell is a key into that table."""
    values: dict[str, str] = {}
    """Word in the file -> word in the event; other words stay as they are, or become `other`."""
    other: str | UnsetType = UNSET
    default: str | UnsetType = UNSET
    """Used when there is nothing in the columns."""
    when: When = {}
    format: str = ""
    """strptime format, "epoch_seconds" or "epoch_ms"; without it ISO 8601 dates and times."""
    zone: str = ""
    split: str = ""
    scale: str | int | float = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return self.first or ((self.column,) if self.column else ())


class EventRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One event per row of `table` for which `when` holds."""

    type: str
    time: str | Source
    id: str | Source = ""
    """Left out for reference records, which their fields identify."""
    table: str = ""
    when: When = {}
    fields: dict[str, str | Source] = {}

    @property
    def kind(self) -> EntityKind:
        return TYPES[self.type].kind


class ColumnMap(Struct, frozen=True, forbid_unknown_fields=True):
    tables: dict[str, Table]
    events: tuple[EventRule, ...]
    title: str = ""
    source: str = ""
    """CloudEvents `source`; by default the map's name."""
    zone: str = ""
    """Zone of dates and times that name none; by default the floor's."""
    revision: int = 0
    """Raise it when a corrected export is published whose times are the same as before: of two
    events of one time the greater id wins, and the revision stands first in the id."""


def as_source(spec: str | Source) -> Source:
    return Source(column=spec) if isinstance(spec, str) else spec


def parse_map(text: str, name: str) -> ColumnMap:
    """Read and check a map. `name` stands in messages and is the default `source`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ColumnMapError(f"{name}: not valid TOML: {error}") from None
    try:
        parsed = msgspec.convert(_dates_as_text(tree), ColumnMap)
    except msgspec.ValidationError as error:
        raise ColumnMapError(f"{name}: {error}") from None
    if not parsed.tables or not parsed.events:
        raise ColumnMapError(f"{name}: a map needs at least one [tables.NAME] and one [[events]]")
    events = tuple(_with_table(rule, parsed, name) for rule in parsed.events)
    checked = msgspec.structs.replace(parsed, events=events, source=parsed.source or f"/csv/{name}")
    _check_zone(checked.zone, f"{name}: zone")
    for number, rule in enumerate(events, 1):
        _check_rule(rule, checked, f"{name}: event {number}")
    return checked


def columns_used(mapping: ColumnMap, table: str) -> dict[str, str]:
    """Return column -> the place in the map that names it, for every column of a table the map needs."""
    used: dict[str, str] = {}
    if mapping.tables[table].key:
        used[mapping.tables[table].key] = f"tables.{table}.key"
    for number, rule in enumerate(mapping.events, 1):
        for field, source in sources_of(rule).items():
            place = f"event {number}, {field}"
            if source.lookup.partition(".")[0] == table:
                used.setdefault(source.lookup.partition(".")[2], place)
            if rule.table == table:
                used |= {column: place for column in (*source.columns, *source.when) if column not in used}
        if rule.table == table:
            used |= {column: f"event {number}, when" for column in rule.when if column not in used}
    return used


def check_header(mapping: ColumnMap, table: str, header: Iterable[str], file: str) -> None:
    """Raise unless the file has every column that the map names."""
    have = list(header)
    for column, place in columns_used(mapping, table).items():
        if column not in have:
            raise ColumnMapError(f"{file}: no column {column!r} ({place}){_near(column, have)}")


def sources_of(rule: EventRule) -> dict[str, Source]:
    own = {"time": as_source(rule.time)} | ({"id": as_source(rule.id)} if rule.id else {})
    return own | {field: as_source(spec) for field, spec in rule.fields.items()}


def _with_table(rule: EventRule, parsed: ColumnMap, name: str) -> EventRule:
    if rule.table or len(parsed.tables) != 1:
        return rule
    return msgspec.structs.replace(rule, table=next(iter(parsed.tables)))


def _check_rule(rule: EventRule, mapping: ColumnMap, place: str) -> None:
    mappable = [name for name in TYPES if fields_of(name)]
    if rule.type not in mappable:
        raise ColumnMapError(f"{place}: unknown type {rule.type!r}{_near(rule.type, mappable)}")
    if rule.table not in mapping.tables:
        raise ColumnMapError(f"{place}: unknown table {rule.table!r}{_near(rule.table, mapping.tables)}")
    known, what = fields_of(rule.type), rule.type.split(".")[1]
    for field in rule.fields:
        if field == f"{rule.kind}_id":
            raise ColumnMapError(f"{place}: {field} comes from `id`; leave it out of the fields")
        if field not in known:
            raise ColumnMapError(f"{place}: a {what} has no field {field!r}{_near(field, known)}")
    _check_id(rule, place)
    for field, source in sources_of(rule).items():
        _check_source(source, mapping, f"{place}, {field}")


def _check_id(rule: EventRule, place: str) -> None:
    needs = _REFERENCE_NEEDS.get(rule.type)
    if needs is None:
        if not rule.id:
            raise ColumnMapError(f"{place}: `id` is missing; name the column that identifies the {rule.kind}")
        return
    if rule.id:
        raise ColumnMapError(f"{place}: {rule.type} is identified by its fields; leave `id` out")
    if missing := [field for field in needs if field not in rule.fields]:
        raise ColumnMapError(f"{place}: {rule.type} needs the field {missing[0]!r}")


def _check_source(source: Source, mapping: ColumnMap, place: str) -> None:
    given = [bool(source.column), bool(source.first), source.value is not UNSET]
    if sum(given) != 1:
        raise ColumnMapError(f"{place}: give exactly one of column, first and value")
    _check_zone(source.zone, f"{place}: zone")
    if source.lookup:
        table, dot, column = source.lookup.partition(".")
        if not dot or not column:
            raise ColumnMapError(f"{place}: lookup is 'table.column', not {source.lookup!r}")
        if table not in mapping.tables:
            raise ColumnMapError(
                f"{place}: lookup into unknown table {table!r}{_near(table, mapping.tables)}"
            )
        if not mapping.tables[table].key:
            raise ColumnMapError(f'{place}: table {table!r} has no key; add `key = "…"` to [tables.{table}]')


# Listing the zones reads hundreds of files, and every source of a map may name one.
_zones = cache(available_timezones)


def _check_zone(zone: str, place: str) -> None:
    if zone and zone not in _zones():
        raise ColumnMapError(f"{place}: {zone!r} is not an IANA zone; use a name such as 'Europe/Berlin'")


def _near(word: str, known: Iterable[str] | Mapping[str, object]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(sorted(names))}"


def _dates_as_text(tree: object) -> object:
    """TOML knows dates; the map reads them like the cells of a table, as text."""
    if isinstance(tree, dict):
        return {key: _dates_as_text(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_dates_as_text(value) for value in tree]
    return tree.isoformat() if isinstance(tree, date | datetime) else tree
