"""Change events of Salesforce as Avro, for tests: the schema as the Pub/Sub API gives it, bytes of it."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro

TIME = ["null", {"type": "long", "logicalType": "timestamp-millis"}]
ADDRESS = ["null", {"type": "record", "name": "Address", "fields": [
    {"name": name, "type": ["null", "string"], "default": None} for name in ("Street", "City", "Country")
]}]  # fmt: skip
HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": {"type": "array", "items": "string"}},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": [
            "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE",
            "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT",
        ]}},
        {"name": "changeOrigin", "type": "string", "default": ""},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string", "default": ""},
        {"name": "nulledFields", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "diffFields", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "changedFields", "type": {"type": "array", "items": "string"}, "default": []},
    ],
}  # fmt: skip
OPPORTUNITY: Mapping[str, Any] = {
    "type": "record",
    "name": "OpportunityChangeEvent",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "ChangeEventHeader", "type": HEADER},
        {"name": "Name", "type": ["null", "string"], "default": None},
        {"name": "Amount", "type": ["null", "double"], "default": None},
        {"name": "StageName", "type": ["null", "string"], "default": None},
        {"name": "CloseDate", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "LeadSource", "type": ["null", "string"], "default": None},
        {"name": "BillingAddress", "type": ADDRESS, "default": None},
        {"name": "LastModifiedDate", "type": TIME, "default": None},
        {"name": "Cost__c", "default": None, "type": ["null", {
            "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2,
        }]},
    ],
}  # fmt: skip
"""Places: header 0, Name 1, Amount 2, StageName 3, CloseDate 4, LeadSource 5, BillingAddress 6 and so on."""


def places(*names: str, schema: Mapping[str, Any] = OPPORTUNITY) -> str:
    """Return the bitmap of these fields, as the Pub/Sub API writes it."""
    order = [field["name"] for field in schema["fields"]]
    return f"0x{sum(1 << order.index(name) for name in names):X}"


def avro_of(event: Mapping[str, Any], schema: Mapping[str, Any] = OPPORTUNITY) -> bytes:
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(dict(schema)), dict(event))
    return written.getvalue()


def framed(number: int, body: bytes) -> bytes:
    """Put the number of a registry's schema before a body."""
    return b"\0" + number.to_bytes(4, "big") + body


def in_bits(event: dict[str, Any], changed: Sequence[str], nulled: Sequence[str] = ()) -> dict[str, Any]:
    """Put bitmaps into an event's header, as the Pub/Sub API sends it."""
    header = {**event["ChangeEventHeader"], "changedFields": list(changed), "nulledFields": list(nulled)}
    return {**event, "ChangeEventHeader": header}
