"""Rows of tables and a `ColumnMap` in, CloudEvents out. Pure: it opens no file and reads no clock.

A cell that cannot be read is a `RowError` with the column and the reason; it never stops the other rows.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from streams.columns import ColumnMap, EventRule, Source, Table, Target, Test, When, as_source, fields_of
from streams.events import EntityKind
from streams.rfc3339 import EPOCH, MILLISECOND, rfc3339, to_ms

Row = Mapping[str, str]
Lookups = Mapping[str, Mapping[str, Row]]
"""Table name -> key -> row."""

_DIGITS_MAX = 40
"""Before or after the decimal mark; money has fewer, and 1e999999 would be a text of a million digits."""

_FieldValue = str | int | float | list[str]


class RowError(Exception):
    """This row gives no event. The message says which field and why; `blind` says it without the value."""

    def __init__(self, message: str, blind: str = "") -> None:
        super().__init__(message)
        self.blind = blind or message


class MappedEvent(NamedTuple):
    kind: EntityKind
    value: bytes
    """The CloudEvent as JSON."""


class RowMapper:
    """Applies one map to rows."""

    def __init__(self, mapping: ColumnMap, lookups: Lookups, floor_zone: ZoneInfo) -> None:
        self._mapping = mapping
        self._lookups = lookups
        self._zone = ZoneInfo(mapping.zone) if mapping.zone else floor_zone
        self._zones: dict[str, ZoneInfo] = {}

    def rules(self, table: str) -> Iterator[EventRule]:
        return (rule for rule in self._mapping.events if rule.table == table)

    def event(self, rule: EventRule, row: Row, cleared: frozenset[str] = frozenset()) -> MappedEvent | None:
        """Return the event a rule makes of a row; None when its condition does not hold. Fields read from
        `cleared` columns alone, which hold an explicit nothing, become null; a table has no such columns."""
        table = self._mapping.tables[rule.table]
        if not _holds(rule.when, row, table):
            return None
        data: dict[str, _FieldValue | None] = {}
        entity_id = ""
        if rule.kind is not EntityKind.REFERENCE:
            entity_id = self._text(as_source(rule.id), row, table)
            if not entity_id:
                raise RowError("id: empty")
            data[f"{rule.kind}_id"] = entity_id
        time = self._field("time", as_source(rule.time), Target.TIME, row, table)
        if time is None:
            raise RowError("time: nothing in its columns and no default in the map")
        known = fields_of(rule.type)
        for field, spec in rule.fields.items():
            source = as_source(spec)
            value = self._field(field, source, known[field], row, table)
            if value is not None or (source.columns and cleared.issuperset(source.columns)):
                data[field] = value
        return MappedEvent(rule.kind, self._envelope(rule, entity_id, str(time), data))

    def _envelope(
        self, rule: EventRule, entity_id: str, time: str, data: dict[str, _FieldValue | None]
    ) -> bytes:
        event = {"specversion": "1.0", "source": self._mapping.source, "type": rule.type, "time": time}
        event_id = content_id(msgspec.json.encode([event, data], order="sorted"))
        if self._mapping.revision:
            event_id = f"{self._mapping.revision:08d}-{event_id}"
        subject = {"subject": entity_id} if entity_id else {}
        return msgspec.json.encode(event | {"id": event_id, **subject, "data": data})

    def _field(
        self, field: str, source: Source, target: Target, row: Row, table: Table
    ) -> _FieldValue | None:
        text = self._text(source, row, table)
        if not text:
            return None
        try:
            return self._read(text, source, target, table)
        except (ValueError, InvalidOperation, OverflowError):
            wanted = f"is not a {_NAMES[target]}{_expected(source, target)}"
            raise RowError(f"{field}: {_clip(text)} {wanted}", f"{field}: {wanted}") from None

    def _read(self, text: str, source: Source, target: Target, table: Table) -> _FieldValue:
        if target is Target.TEXT:
            return text
        if target is Target.LIST:
            parts = text.split(source.split) if source.split else [text]
            return [part.strip() for part in parts if part.strip()]
        if target in (Target.DECIMAL, Target.NUMBER):
            amount = _decimal(text, table) * Decimal(str(source.scale))
            return f"{amount:f}" if target is Target.DECIMAL else float(amount)
        if target is Target.WHOLE:
            return _whole(_decimal(text, table) * Decimal(str(source.scale)))
        moment = _moment(text, source.format)
        if target is Target.DATE:
            return moment.date().isoformat()
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone_of(source))
        return rfc3339(to_ms(moment))

    def _zone_of(self, source: Source) -> ZoneInfo:
        if not source.zone:
            return self._zone
        if source.zone not in self._zones:
            self._zones[source.zone] = ZoneInfo(source.zone)
        return self._zones[source.zone]

    def _text(self, source: Source, row: Row, table: Table) -> str:
        """Return the words a field is read from; "" when there are none."""
        if not _holds(source.when, row, table):
            return ""
        if source.value is not UNSET:
            return str(source.value)
        text = next((cell for column in source.columns if (cell := _cell(row, column, table))), "")
        if text and source.lookup:
            name, _, column = source.lookup.partition(".")
            found = self._lookups[name].get(text)
            text = _cell(found, column, self._mapping.tables[name]) if found is not None else ""
        if text and (source.values or source.other is not UNSET):
            text = source.values.get(text, text if source.other is UNSET else source.other)
        if not text and source.default is not UNSET:
            text = source.default
        return text


def content_id(content: bytes) -> str:
    """Return an id that is the same whenever the content is, so that publishing twice changes nothing."""
    return hashlib.sha256(content).hexdigest()[:32]


_NAMES = {
    Target.DECIMAL: "number",
    Target.NUMBER: "number",
    Target.WHOLE: "whole number",
    Target.DATE: "date",
    Target.TIME: "date or time",
}


def _expected(source: Source, target: Target) -> str:
    if target in (Target.DATE, Target.TIME):
        return f" of the form {source.format!r}" if source.format else " in ISO form (else set `format`)"
    return ""


def _clip(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _cell(row: Row, column: str, table: Table) -> str:
    text = row[column].strip()
    return "" if text in table.empty else text


def _holds(when: When, row: Row, table: Table) -> bool:
    for column, test in when.items():
        cell = _cell(row, column, table)
        if isinstance(test, Test):
            if test.empty is not UNSET and test.empty is not (cell == ""):
                return False
            if test.none_of is not UNSET and cell in _words(test.none_of):
                return False
        elif cell not in _words(test):
            return False
    return True


def _words(words: str | tuple[str, ...]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else words


def _decimal(text: str, table: Table) -> Decimal:
    plain = text.replace("\u00a0", "").replace(" ", "")
    if table.thousands_mark:
        plain = _ungrouped(plain, table)
    return _number(plain.replace(table.decimal_mark, "."))


def _number(text: str) -> Decimal:
    """Read a number; one that is written shortly and has a million digits is none."""
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS_MAX:
        raise ValueError("not finite, or not of reasonable size")
    return number


def _ungrouped(text: str, table: Table) -> str:
    """Take the marks between groups out. The last group has three digits: 12,50 is no 1250 written oddly."""
    whole, mark, fraction = text.partition(table.decimal_mark)
    first, *groups = whole.split(table.thousands_mark)
    if groups and not (first and len(groups[-1]) == 3 and all(len(group) in (2, 3) for group in groups)):
        raise ValueError("digits are not in groups of thousands")
    return "".join((first, *groups, mark, fraction))


def _whole(number: Decimal) -> int:
    if number != int(number):
        raise ValueError("not whole")
    return int(number)


def _moment(text: str, form: str) -> datetime:
    if form == "epoch_seconds":
        return EPOCH + int(_number(text) * 1000) * MILLISECOND
    if form == "epoch_ms":
        return EPOCH + int(text) * MILLISECOND
    if form:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the field's, added by the caller
    return datetime.fromisoformat(text)
