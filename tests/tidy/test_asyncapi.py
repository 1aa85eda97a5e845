"""docs/asyncapi.yaml says what the code does: same topics, types, fields, values; its examples are events."""

import json
import types
import typing
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from msgspec import UnsetType

from streams import topics
from streams.decode import decode
from streams.events import ActivityChanges, Changes, DealChanges, EntityKind, Event, LeadChanges, Reason
from streams.wire import TYPES
from tests.tidy.repository import ROOT

Schema = dict[str, Any]
CHANGES: dict[EntityKind, type[Changes]] = {
    EntityKind.DEAL: DealChanges,
    EntityKind.LEAD: LeadChanges,
    EntityKind.ACTIVITY: ActivityChanges,
}
# Registers that an event's type writes, not a data field.
FROM_THE_TYPE = {"deleted", "qualified_at_ms", "converted_at_ms", "disqualified_at_ms", "booked_at_ms"}

DOCUMENT: Schema = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
MESSAGES: Schema = DOCUMENT["components"]["messages"]
SCHEMAS: Schema = DOCUMENT["components"]["schemas"]


def _resolve(node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _data(kind: EntityKind) -> Schema:
    payload = MESSAGES[f"{kind}Event"]["payload"]["allOf"][1]
    return _resolve(payload["properties"]["data"])


def _wire(field: str, annotation: Any) -> tuple[str, Schema]:
    """Return the data field that writes a register, and its schema, from the register's annotation."""
    union = get_args(annotation)
    assert get_origin(annotation) in (types.UnionType, typing.Union)
    told = [part for part in union if part not in (types.NoneType, UnsetType)]
    assert types.NoneType in union, f"{field}: every data field can be cleared"
    kind = told[0]
    if get_origin(kind) is Literal:
        return field, {"type": {"string", "null"}, "enum": {*get_args(kind), None}}
    if get_origin(kind) is tuple:
        return field, {"type": {"array", "string", "null"}}
    if kind is int:
        assert field.endswith("_ms")
        return field.removesuffix("_ms"), {"type": {"string", "null"}, "format": "date-time"}
    plain: dict[Any, Schema] = {
        str: {"type": {"string", "null"}},
        float: {"type": {"number", "null"}},
        Decimal: {"type": {"string", "number", "null"}},
        date: {"type": {"string", "null"}, "format": "date"},
    }
    return field, plain[kind]


def test_the_document_is_asyncapi_3_and_its_references_resolve() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for reference in _references(DOCUMENT):
        assert _resolve({"$ref": reference}) is not None
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("receive", "send")
        assert operation["channel"]["$ref"].startswith("#/channels/")


def test_channels_are_the_topics() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted((*topics.SOURCES, topics.DEAD_LETTERS))
    for kind, topic in topics.TOPIC_OF_KIND.items():
        (channel,) = (channel for channel in DOCUMENT["channels"].values() if channel["address"] == topic)
        assert channel["messages"].keys() == {f"{kind}Event"}


@pytest.mark.parametrize("kind", EntityKind)
def test_event_types_are_those_that_are_decoded(kind: EntityKind) -> None:
    documented = MESSAGES[f"{kind}Event"]["payload"]["allOf"][1]["properties"]["type"]["enum"]
    assert set(documented) == {name for name, of in TYPES.items() if of.kind is kind}


@pytest.mark.parametrize("kind", EntityKind)
def test_fields_and_their_types_are_those_of_the_contract(kind: EntityKind) -> None:
    hints = typing.get_type_hints(CHANGES[kind])
    expected = dict(_wire(name, hint) for name, hint in hints.items() if name not in FROM_THE_TYPE)
    documented = {}
    for name, schema in _data(kind)["properties"].items():
        if name == f"{kind}_id":
            assert _data(kind)["required"] == [name]
            continue
        schema = _resolve(schema)
        said = {"type": set(schema["type"])}
        if "format" in schema:
            said["format"] = schema["format"]
        if "enum" in schema:
            said["enum"] = set(schema["enum"])
        documented[name] = said
    assert documented == expected


def test_reasons_of_dead_letters_are_the_closed_set() -> None:
    headers = MESSAGES["deadLetter"]["headers"]["properties"]
    assert set(headers["salesfloor-reason"]["enum"]) == {reason.value for reason in Reason}


@pytest.mark.parametrize("kind", EntityKind)
def test_examples_are_events(kind: EntityKind) -> None:
    for example in MESSAGES[f"{kind}Event"]["examples"]:
        event = decode(json.dumps(example["payload"]).encode(), [], kind=kind)
        assert isinstance(event, Event), event
        assert event.unknown_fields == 0


def _example_of(schema: Schema) -> object:
    if "enum" in schema:
        return schema["enum"][0]
    by_format = {"date-time": "2026-11-21T09:30:00Z", "date": "2026-11-30"}
    if "format" in schema:
        return by_format[schema["format"]]
    if schema.get("pattern") == "^[A-Z]{3}$":
        return "EUR"
    return {"array": ["a"], "number": 0.5, "string": "12"}[schema["type"][0]]


@pytest.mark.parametrize("kind", EntityKind)
def test_an_event_with_every_documented_field_is_read_whole(kind: EntityKind) -> None:
    data = {
        name: _example_of(_resolve(schema))
        for name, schema in _data(kind)["properties"].items()
        if name != f"{kind}_id"
    }
    envelope = {
        "specversion": "1.0", "id": "e", "source": "/s", "type": f"sales.{kind}.updated",
        "time": "2026-11-21T09:30:00Z", "data": {f"{kind}_id": "X", **data},
    }  # fmt: skip
    event = decode(json.dumps(envelope).encode(), [], kind=kind)
    assert isinstance(event, Event), event
    assert event.unknown_fields == 0
    envelope["data"] = {f"{kind}_id": "X", **dict.fromkeys(data)}
    assert isinstance(decode(json.dumps(envelope).encode(), [], kind=kind), Event), (
        "every field can be cleared"
    )
