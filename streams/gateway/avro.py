"""Avro bytes and the schema they were written with in, the same record as JSON out. No Kafka, no HTTP.

The reader is fastavro, of the optional extra `avro`; it is imported when the first schema is read. What a
schema could make of few bytes is bounded: none that contains itself, no lists of things without a byte.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from streams.gateway.model import AvroField, FromAvro, Malformed

_PRIMITIVE: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_json = msgspec.json.Encoder(decimal_format="number")


class AvroMissing(Exception):
    """The extra is not installed. The message says how to get it."""

    def __init__(self) -> None:
        super().__init__("Avro is read with the extra `avro`: pip install 'salesfloor[avro]'")


class UnfitSchema(Exception):
    """A schema that is not read. The message says why."""


@dataclass(frozen=True, slots=True)
class AvroSchema:
    parsed: Any
    fields: Sequence[AvroField]
    """Of the record that the schema is of, in the order of the schema."""

    def json_of(self, body: bytes, convert: FromAvro | None = None) -> bytes:
        """Return the record as JSON with exact numbers; raise `Malformed` for bytes of another schema."""
        from fastavro import schemaless_reader

        stream = io.BytesIO(body)
        try:
            record = schemaless_reader(stream, self.parsed, None)
        except Exception:  # noqa: BLE001 - foreign bytes make it raise whatever its parts do
            raise Malformed("the value was not written with this Avro schema") from None
        if stream.read(1):
            raise Malformed("the value was not written with this Avro schema: it goes on behind the record")
        try:
            return _json.encode(record if convert is None else convert(record, self.fields))
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise Malformed("the value holds what no JSON can") from None


def have_reader() -> None:
    """Raise `AvroMissing` where the extra is not installed."""
    try:
        import fastavro  # noqa: F401
    except ImportError:
        raise AvroMissing from None


def schema_of(text: str) -> AvroSchema:
    """Read a schema of a record; raise `UnfitSchema` for any other text."""
    from fastavro.schema import SchemaParseException, parse_schema

    try:
        told = msgspec.json.decode(text)
        if not isinstance(told, dict) or told.get("type") != "record":
            raise UnfitSchema("is not the Avro schema of a record")
        _Walk().weight(told)
        parsed = parse_schema(told)
    except msgspec.DecodeError:
        raise UnfitSchema("is not JSON, so no Avro schema") from None
    except (SchemaParseException, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UnfitSchema(f"is no valid Avro schema: {type(error).__name__}") from None
    return AvroSchema(parsed, [(one["name"], _names_below(one["type"])) for one in told["fields"]])


def _names_below(told: object) -> Sequence[str]:
    """Return the names of a field's own fields, if it is a record or may be one."""
    for one in told if isinstance(told, list) else [told]:
        if isinstance(one, dict) and one.get("type") == "record":
            return [field["name"] for field in one["fields"]]
    return ()


class _Walk:
    """Goes through a schema once, and refuses what could make much of few bytes."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}
        self._inside: set[str] = set()

    def weight(self, told: Any, space: str = "") -> bool:
        """Say whether every value of the type takes a byte at least."""
        if isinstance(told, list):
            for one in told:
                self.weight(one, space)
            return True  # the number of the branch
        if isinstance(told, str):
            return self._named(told, space)
        kind = told["type"]
        if kind in ("record", "error"):
            return self._record(told, space)
        if kind == "array":
            if not self.weight(told["items"], space):
                raise UnfitSchema("has a list of things that take no byte")
            return True
        if kind == "map":
            self.weight(told["values"], space)
            return True
        if kind in ("fixed", "enum"):
            self._known[_full(told, space)] = kind == "enum" or told["size"] > 0
            return self._known[_full(told, space)]
        return self.weight(kind, space)

    def _named(self, told: str, space: str) -> bool:
        if told in _PRIMITIVE:
            return told != "null"
        full = told if "." in told or not space else f"{space}.{told}"
        if full in self._inside or told in self._inside:
            raise UnfitSchema(f"contains itself, in {told!r}; such schemas are not read")
        return self._known.get(full, self._known.get(told, True))

    def _record(self, told: Mapping[str, Any], space: str) -> bool:
        full = _full(told, space)
        self._inside.add(full)
        weights = [self.weight(field["type"], full.rpartition(".")[0]) for field in told["fields"]]
        self._inside.discard(full)
        self._known[full] = any(weights)
        return self._known[full]


def _full(told: Mapping[str, Any], space: str) -> str:
    name = str(told["name"])
    within = str(told.get("namespace", space))
    return name if "." in name or not within else f"{within}.{name}"
