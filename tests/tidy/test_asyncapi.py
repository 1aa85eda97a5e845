"""docs/asyncapi.yaml says what the code does: same topics, types, fields, values; its examples are events."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from streams import topics
from streams.alert_events import FIRING, RESOLVED, AlertData, read_event
from streams.decode import decode
from streams.event_schemas import data_schema, event_schemas, subject_of
from streams.events import EntityKind, Event, Reason, ReferenceChanges
from streams.gateway.incomplete import IncompleteRecord, told_by
from streams.gateway.model import ThinOp
from streams.wire import TYPES
from streams.wire_form import EventType
from tests.tidy.repository import ROOT

Schema = dict[str, Any]

DOCUMENT: Schema = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8"))
MESSAGES: Schema = DOCUMENT["components"]["messages"]


SUBJECTS: dict[str, EventType] = {subject_of(name): known for name, known in TYPES.items()}
"""One message tells of each."""


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


def _own_part(subject: str) -> Schema:
    part: Schema = MESSAGES[f"{subject}Event"]["payload"]["allOf"][1]["properties"]
    return part


def _data(subject: str) -> Schema:
    return _resolve(_own_part(subject)["data"])


def _facts(schema: Schema) -> Schema:
    """Return what a program needs of one field's schema, however it is put."""
    forms = schema.get("anyOf") or [schema]
    facts: Schema = {"type": set(), "enum": set()}
    for form in forms:
        said = form.get("type", "string")
        facts["type"] |= {said} if isinstance(said, str) else set(said)
        facts["enum"] |= set(form.get("enum", ())) - {None}
        if form.get("format") == "decimal":
            facts["type"].add("number")
        elif "format" in form:
            facts["format"] = form["format"]
        facts |= {bound: form[bound] for bound in ("minimum", "maximum", "default") if bound in form}
    return facts


def _decoded_data(subject: str) -> Schema:
    return data_schema(SUBJECTS[subject].form)


def test_the_document_is_asyncapi_3_and_its_references_resolve() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for reference in _references(DOCUMENT):
        assert _resolve({"$ref": reference}) is not None
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("receive", "send")
        assert operation["channel"]["$ref"].startswith("#/channels/")


def test_channels_are_the_topics_and_hold_the_messages_that_belong_there() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted((*topics.SOURCES, *topics.TOLD))
    for kind, topic in topics.TOPIC_OF_KIND.items():
        (channel,) = (channel for channel in DOCUMENT["channels"].values() if channel["address"] == topic)
        belong = {f"{subject}Event" for subject, known in SUBJECTS.items() if known.kind is kind}
        assert channel["messages"].keys() == belong
    others = {"deadLetter", "alertEvent", "incompleteRecord"}
    assert MESSAGES.keys() == {f"{subject}Event" for subject in SUBJECTS} | others


def test_alerts_are_written_as_documented() -> None:
    (channel,) = (each for each in DOCUMENT["channels"].values() if each["address"] == topics.ALERTS)
    assert channel["messages"].keys() == {"alertEvent"}
    assert _own_part("alert")["type"]["enum"] == [FIRING, RESOLVED]
    decoded = msgspec.json.schema(AlertData)["$defs"]["AlertData"]
    assert _data("alert")["properties"].keys() == decoded["properties"].keys()
    assert set(_data("alert")["required"]) == set(decoded["required"])
    for example in MESSAGES["alertEvent"]["examples"]:
        assert read_event(json.dumps(example["payload"]).encode()) is not None


def test_incomplete_records_are_written_as_documented() -> None:
    documented = MESSAGES["incompleteRecord"]["payload"]
    decoded = msgspec.json.schema(IncompleteRecord)["$defs"]
    assert documented["properties"].keys() == decoded["IncompleteRecord"]["properties"].keys()
    assert set(documented["required"]) == set(decoded["IncompleteRecord"]["required"])
    assert set(documented["properties"]["kind"]["enum"]) == set(EntityKind)
    assert set(documented["properties"]["op"]["enum"]) == set(get_args(ThinOp))
    for example in MESSAGES["incompleteRecord"]["examples"]:
        Draft202012Validator(documented).validate(example["payload"])
        key = [example["payload"][name] for name in ("source", "object", "id")]
        told = told_by(json.dumps(key).encode(), json.dumps(example["payload"]).encode())
        assert told is not None
        assert told.thin is not None


def test_every_channel_has_an_operation() -> None:
    used = [operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()]
    assert sorted(used) == sorted(f"#/channels/{name}" for name in DOCUMENT["channels"])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_event_types_are_those_that_are_decoded(subject: str) -> None:
    documented = _own_part(subject)["type"]["enum"]
    assert set(documented) == {name for name in TYPES if subject_of(name) == subject}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_fields_and_their_types_are_those_that_are_decoded(subject: str) -> None:
    id_field = SUBJECTS[subject].form.id_field
    decoded, documented = _decoded_data(subject), _data(subject)
    assert set(documented["required"]) == {id_field, *decoded["required"]}
    assert documented["properties"].keys() == decoded["properties"].keys()
    for name, schema in decoded["properties"].items():
        said, expected = _facts(_resolve(documented["properties"][name])), _facts(schema)
        if expected.get("default", "") in ("", None):
            expected.pop("default", None)  # empty, as an absent field is
            said.pop("default", None)
        if "minimum" not in expected:
            said.pop("minimum", None)  # a check of its own refuses negative money, not the type
        assert said == expected, name


def test_a_reference_record_is_kept_under_the_documented_id() -> None:
    for subject, known in SUBJECTS.items():
        if known.kind is EntityKind.REFERENCE:
            for example in MESSAGES[f"{subject}Event"]["examples"]:
                event = decode(json.dumps(example["payload"]).encode(), [], kind=known.kind)
                assert isinstance(event, Event)
                assert isinstance(event.changes, ReferenceChanges)
                absent = dict.fromkeys(_data(subject)["properties"], "")
                given = absent | example["payload"]["data"]
                assert event.entity_id == _data(subject)["x-record-id"].format(**given)


def test_reasons_of_dead_letters_are_the_closed_set() -> None:
    headers = MESSAGES["deadLetter"]["headers"]["properties"]
    assert set(headers["salesfloor-reason"]["enum"]) == {reason.value for reason in Reason}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_examples_are_events(subject: str) -> None:
    for example in MESSAGES[f"{subject}Event"]["examples"]:
        event = decode(json.dumps(example["payload"]).encode(), [], kind=SUBJECTS[subject].kind)
        assert isinstance(event, Event), event
        assert event.unknown_fields == 0
        assert example["payload"]["type"] in _own_part(subject)["type"]["enum"]
        Draft202012Validator(event_schemas()[f"{subject}.json"]).validate(example["payload"])


def _example_of(schema: Schema) -> object:
    for given in ("examples", "enum"):
        if given in schema:
            return schema[given][0]
    by_format = {"date-time": "2026-11-21T09:30:00Z", "date": "2026-11-30"}
    if "format" in schema:
        return by_format[schema["format"]]
    if schema.get("pattern") == "^[A-Z]{3}$":
        return "EUR"
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    return {"array": ["a"], "integer": 3, "number": 0.5, "string": "12"}[kind]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_event_with_every_documented_field_is_read_whole(subject: str) -> None:
    kind, schemas = SUBJECTS[subject].kind, _data(subject)["properties"]
    data = {name: _example_of(_resolve(schema)) for name, schema in schemas.items()}
    envelope = {
        "specversion": "1.0", "id": "e", "source": "/s", "type": _own_part(subject)["type"]["enum"][0],
        "time": "2026-11-21T09:30:00Z", "data": {**data, SUBJECTS[subject].form.id_field: _id(data, subject)},
    }  # fmt: skip
    event = decode(json.dumps(envelope).encode(), [], kind=kind)
    assert isinstance(event, Event), event
    assert event.unknown_fields == 0
    nullable = {name: None for name, schema in schemas.items() if "null" in _facts(_resolve(schema))["type"]}
    envelope["data"] = {**data, SUBJECTS[subject].form.id_field: _id(data, subject), **nullable}
    assert isinstance(decode(json.dumps(envelope).encode(), [], kind=kind), Event), (
        "every such field can be empty"
    )


def _id(data: Schema, subject: str) -> object:
    """Return an id unlike the other examples, so that nothing is merged into itself."""
    return (
        "X" if SUBJECTS[subject].kind is not EntityKind.REFERENCE else data[SUBJECTS[subject].form.id_field]
    )
