"""Any JSON body and a column map in, events out. Pure.

A column is the path of a value: `deal.amount`, `items.0.id`. A null clears the fields that are read from it
alone; a path that is not there leaves them as they are.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from streams.column_rows import RowError, RowMapper
from streams.columns import ColumnMap, as_source
from streams.events import Reason
from streams.gateway.model import AsIs, Malformed, Outcome, Skipped, SkipReason, Source, Unusable
from streams.gateway.reading import text_from

_DEPTH_MAX: Final = 20
_OWN_ORIGIN: Final = "/csv/"


class Cells(dict[str, str]):
    """A row; a column that the body does not have is empty."""

    def __missing__(self, column: str) -> str:
        return ""


def with_origin(mapping: ColumnMap, kind: str, account: str) -> ColumnMap:
    """Return the map with the source's own origin, unless the map says one."""
    if not mapping.source.startswith(_OWN_ORIGIN):
        return mapping
    return msgspec.structs.replace(mapping, source=f"/crm/{kind}/{account}")


def fitted(mapping: ColumnMap, source: Source) -> ColumnMap:
    """Return the map with what the source says of reps, stages, pipelines and currency on top of it, so that
    these settings mean the same whatever reads the body."""
    on_top: dict[str, Mapping[str, str]] = {
        "rep_id": source.reps,
        "status": source.stage_status,
        "stage": source.stage_names,
        "pipeline": source.pipeline_names,
    }
    events = []
    for rule in mapping.events:
        fields = dict(rule.fields)
        for field, words in on_top.items():
            if field in fields and words:
                spec = as_source(fields[field])
                fields[field] = msgspec.structs.replace(spec, values={**spec.values, **words})
        if "currency" in fields and source.currency:
            spec = as_source(fields["currency"])
            if spec.default is UNSET:
                fields["currency"] = msgspec.structs.replace(spec, default=source.currency)
        events.append(msgspec.structs.replace(rule, fields=fields))
    return msgspec.structs.replace(mapping, events=tuple(events))


def outcomes_of(body: object, beside: Mapping[str, str], source: Source) -> list[Outcome]:
    """Apply the source's map to a body. `beside` holds cells that are not in it, such as `@received`."""
    mapping = source.mapping
    assert mapping is not None, "a source of this kind has a map"
    mapper = RowMapper(mapping, {}, source.zone)
    outcomes: list[Outcome] = []
    for name, table in mapping.tables.items():
        for number, item in enumerate(_items(body, table.each)):
            row, cleared = _row(item, beside)
            outcomes += _events(mapper, name, row, cleared, number)
    return outcomes or [Skipped(SkipReason.NOT_WANTED)]


def _items(body: object, path: str) -> list[object]:
    found = body
    for step in path.split(".") if path else ():
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _row(item: object, beside: Mapping[str, str]) -> tuple[Cells, frozenset[str]]:
    if not isinstance(item, dict):
        raise Malformed("the body is no JSON object, nor a list of them")
    row, cleared = Cells(beside), set[str]()
    for column, value in _leaves(item, "", 0):
        if value is None:
            cleared.add(column)
        else:
            row[column] = str(value).lower() if isinstance(value, bool) else text_from(value, column)
    return row, frozenset(cleared)


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    if depth > _DEPTH_MAX:
        raise Malformed("the body is nested too deep")
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = {str(number): one for number, one in enumerate(value)}.items()
    else:
        yield path, value
        return
    for name, part in parts:
        yield from _leaves(part, f"{path}.{name}" if path else str(name), depth + 1)


def _events(
    mapper: RowMapper, table: str, row: Cells, cleared: frozenset[str], number: int
) -> Iterator[Outcome]:
    found = False
    for rule in mapper.rules(table):
        try:
            event = mapper.event(rule, row, cleared)
        except RowError as error:
            yield Unusable(Reason.WRONG_TYPE, f"[{number}] {error.blind}")
            found = True
        else:
            if event is not None:
                yield AsIs(event.value)
                found = True
    if not found:
        yield Skipped(SkipReason.NOT_WANTED)
