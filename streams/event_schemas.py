"""The types that events are decoded with in, JSON Schemas (2020-12) of whole events out, by file name. Pure.

What a worker takes in structured mode is valid by its schema. The reverse does not hold: that a deal is not
merged into itself, that a currency exists or a time is not ahead are checks no schema says.
"""

from typing import Any, Final

import msgspec

from streams.alert_events import AlertEvent
from streams.decode import ID_BYTES_MAX
from streams.events import EntityKind
from streams.wire import TYPES
from streams.wire_form import WireForm

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
EVENT: Final = "event.json"
"""Any event that a worker folds; the others are its parts."""
ALERT: Final = "alert.json"
_ID: Final = {"type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX}

_PATCH: Final = "In data, what is absent stays as it was and null clears it."
_WHOLE: Final = "Its data replaces the record of the same id, whole."


def subject_of(event_type: str) -> str:
    """Return what an event type is about: `target` of `sales.target.set`."""
    return event_type.split(".")[1]


def event_schemas() -> dict[str, Schema]:
    """Return one schema for each subject, one for any of them, and the one of the alerts we write."""
    forms = {subject_of(name): known.form for name, known in TYPES.items()}
    files = {f"{subject}.json": _event(subject, form) for subject, form in forms.items()}
    any_event: Schema = {
        "$schema": DIALECT,
        "title": "Any event that salesfloor reads",
        "oneOf": [{"$ref": name} for name in files],
    }
    return {EVENT: any_event, **files, ALERT: _alert()}


def data_schema(form: WireForm) -> Schema:
    """Return the schema of an event's data as it is decoded."""
    name = form.data.__name__
    schema: Schema = _with_numbers(msgspec.json.schema(form.data)["$defs"][name])
    schema.pop("title")
    kind = next(known.kind for known in TYPES.values() if known.form is form)
    if kind is not EntityKind.REFERENCE:
        schema["properties"] = {**schema["properties"], form.id_field: _ID}
        schema["required"] = [form.id_field, *schema["required"]]
    return schema


def _event(subject: str, form: WireForm) -> Schema:
    types = [name for name in TYPES if subject_of(name) == subject]
    is_reference = TYPES[types[0]].kind is EntityKind.REFERENCE
    return {
        "$schema": DIALECT,
        "title": f"A {subject} event",
        "description": f"A CloudEvents 1.0 event in structured mode. {_WHOLE if is_reference else _PATCH}",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _ID,
            "source": {"type": "string"},
            "type": {"enum": types},
            "time": {"type": "string", "format": "date-time"},
            "data": data_schema(form),
        },
        "required": ["specversion", "id", "source", "type", "time", "data"],
    }


def _alert() -> Schema:
    schema: Schema = msgspec.json.schema(AlertEvent)
    return {"$schema": DIALECT, "title": "An alert that salesfloor writes to sales.alerts", **schema}


def _with_numbers(node: Any) -> Any:
    """Return the schema with decimals as they are read: text or number, where the library names text only."""
    if isinstance(node, list):
        return [_with_numbers(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _with_numbers(value) for key, value in node.items()}
    if found.get("format") == "decimal":
        found["type"] = ["string", "number"]
    return found
