"""A stand-in for a schema registry, as Confluent documents its API: schemas by number, and registering."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.api_double import ApiDouble, Asked

_TYPE: Final = "application/vnd.schemaregistry.v1+json"


@dataclass(kw_only=True)
class RegistryDouble(ApiDouble):
    token: str = ""
    """ "user:password", "" where anybody may ask."""
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Number -> `schema` and, unless it is Avro, `schemaType`."""

    def __post_init__(self) -> None:
        self.scheme = "Basic"

    def put(self, number: int, schema: object, kind: str = "", **more: Any) -> None:
        told = {"schema": schema if isinstance(schema, str) else json.dumps(schema), **more}
        self.schemas[number] = told | ({"schemaType": kind} if kind else {})

    def allows(self, authorization: str | None) -> bool:
        shown = f"Basic {base64.b64encode(self.token.encode()).decode()}"
        return not self.token or authorization == shown

    def token_refused(self) -> web.Response:
        return _answer({"error_code": 40101, "message": "Unauthorized"}, 401)

    def answer(self, asked: Asked) -> web.Response:
        path, _, _query = asked.path.partition("?")
        parts = path.strip("/").split("/")
        if asked.method == "GET" and parts[:2] == ["schemas", "ids"] and len(parts) == 3:
            found = self.schemas.get(int(parts[2]))
            if found is None:
                return _answer({"error_code": 40403, "message": f"Schema {parts[2]} not found"}, 404)
            return _answer(found)
        if asked.method == "POST" and parts[:1] == ["subjects"] and parts[2:] == ["versions"]:
            number = len(self.schemas) + 1
            self.schemas[number] = {
                name: asked.body[name] for name in ("schema", "schemaType") if name in asked.body
            }
            return _answer({"id": number})
        return _answer({"error_code": 404, "message": "HTTP 404 Not Found"}, 404)


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(body), content_type=_TYPE)
