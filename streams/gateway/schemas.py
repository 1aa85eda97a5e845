"""A record of a source's topic in, the same record as JSON out, where it is Avro by the source's settings.

A value that begins with a zero and a schema's number is read by the schema that the registry keeps under it
(Confluent's wire format); a topic with a schema file of its own by that. Anything else is left as it is.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
import msgspec

from streams.gateway.avro import AvroSchema, UnfitSchema, schema_of
from streams.gateway.model import Delivery, FromAvro, Malformed

_MAGIC: Final = b"\0"
_FRAME_BYTES: Final = 5
_SCHEMAS_MAX: Final = 500
_SCHEMA_BYTES_MAX: Final = 4 << 20
_PATIENCE_SECONDS: Final = 10.0
_UNKNOWN_SECONDS: Final = 60.0
"""So long a number that the registry does not know is not asked for again."""
_NO_SCHEMA: Final = 40403
"""The registry's own code, which tells a number it does not know from an address that is not a registry's."""


class SchemasAway(Exception):
    """The registry does not answer as one. What waits for it is to be tried again."""


@dataclass(frozen=True, slots=True)
class AvroTold:
    """What the settings of a source say of Avro."""

    registry: str = ""
    """The address of the schema registry, without a slash at its end; "" for none."""
    login: str = field(default="", repr=False)
    """ "user:password" for the registry, if it asks for one."""
    by_topic: Mapping[str, AvroSchema] = field(default_factory=dict)


class _Json:
    """The schema is one of JSON: what follows the number is text."""


class Registry:
    """Asks a schema registry, and remembers what it said: a number means one schema for ever."""

    def __init__(
        self, http: aiohttp.ClientSession, told: AvroTold, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._http, self._told, self._now_seconds = http, told, now_seconds
        self._schemas: OrderedDict[int, AvroSchema | UnfitSchema | _Json] = OrderedDict()
        self._unknown_until: OrderedDict[int, float] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def schema(self, number: int) -> AvroSchema | None:
        """Return None where records under this number are JSON. Raises `SchemasAway` for now, and
        `UnfitSchema` for a schema that cannot be read."""
        async with self._one_at_a_time:
            found = self._schemas.get(number)
            if found is None:
                if self._unknown_until.get(number, 0.0) > self._now_seconds():
                    raise _unknown(number)
                found = await self._fetch(number)
                self._schemas[number] = found
                if len(self._schemas) > _SCHEMAS_MAX:
                    self._schemas.popitem(last=False)
            self._schemas.move_to_end(number)
        if isinstance(found, UnfitSchema):
            raise found
        return None if isinstance(found, _Json) else found

    async def _fetch(self, number: int) -> AvroSchema | UnfitSchema | _Json:
        status, body = await self._get(f"{self._told.registry}/schemas/ids/{number}")
        try:
            told = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            told = None
        if status == 404 and isinstance(told, dict) and told.get("error_code") == _NO_SCHEMA:
            self._unknown_until[number] = self._now_seconds() + _UNKNOWN_SECONDS
            if len(self._unknown_until) > _SCHEMAS_MAX:
                self._unknown_until.popitem(last=False)
            raise _unknown(number)
        if status != 200 or not isinstance(told, dict) or not isinstance(told.get("schema"), str):
            raise SchemasAway(f"the schema registry answered {status} when asked for schema {number}")
        kind = told.get("schemaType") or "AVRO"
        if kind == "JSON":
            return _Json()
        if kind != "AVRO":
            return UnfitSchema(f"is {kind}; have the connector write JSON or Avro")
        if told.get("references"):
            return UnfitSchema("refers to other schemas, which are not read")
        try:
            return schema_of(told["schema"])
        except UnfitSchema as unfit:
            return unfit

    async def _get(self, address: str) -> tuple[int, bytes]:
        user, _, password = self._told.login.partition(":")
        headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if user:
            headers["Authorization"] = aiohttp.encode_basic_auth(user, password, "utf-8")
        limit = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        try:
            async with self._http.get(
                address, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > _SCHEMA_BYTES_MAX:
                        raise SchemasAway(f"the schema registry sent more than {_SCHEMA_BYTES_MAX} bytes")
                return response.status, bytes(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SchemasAway(f"the schema registry does not answer: {type(error).__name__}") from None


def _unknown(number: int) -> UnfitSchema:
    return UnfitSchema(
        f"is unknown to the schema registry (number {number}); is it the connector's registry?"
    )


class AvroReader:
    """Gives the records of one source as JSON."""

    def __init__(self, told: AvroTold, convert: FromAvro | None, registry: Registry | None) -> None:
        self._told, self._convert, self._registry = told, convert, registry

    async def plain(self, delivery: Delivery) -> Delivery:
        """Raise `SchemasAway`, `Malformed` for a value that cannot be read, and what the vendor raises."""
        body = delivery.body
        schema = self._told.by_topic.get(delivery.origin.get("topic", ""))
        framed = body[:1] == _MAGIC and len(body) >= _FRAME_BYTES
        try:
            if self._registry is not None and framed:
                found = await self._registry.schema(int.from_bytes(body[1:_FRAME_BYTES], "big"))
                rest = body[_FRAME_BYTES:]
                return replace(delivery, body=rest) if found is None else self._as_json(delivery, found, rest)
        except UnfitSchema as unfit:
            raise Malformed(f"the record's schema {unfit}") from None
        if schema is None:
            return delivery
        try:
            return self._as_json(delivery, schema, body)
        except Malformed:
            if not framed:
                raise
            return self._as_json(delivery, schema, body[_FRAME_BYTES:])

    def _as_json(self, delivery: Delivery, schema: AvroSchema, body: bytes) -> Delivery:
        text = schema.json_of(body, self._convert)
        return replace(delivery, body=text, content_type="application/json")
