"""A stand-in for Zoho CRM's API, as documented: a record by its id, and what fields a module has.

The fetcher asks for records only; Zoho's own client asks for the fields first, to know how to read them.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.api_double import ApiDouble, Asked, Fault

TOKEN: Final = "1000.hunter2"
_RECORD: Final = re.compile(r"/crm/v8/([A-Za-z_]+)/([^/?]+)")
_FIELDS: Final = re.compile(r"/crm/v8/settings/fields\?module=([A-Za-z_]+)")

TOO_MANY: Final = Fault(
    429,
    {"Content-Type": "application/json"},
    body='{"code":"TOO_MANY_REQUESTS","details":{},"message":"wait a while","status":"error"}',
)


@dataclass(kw_only=True)
class ZohoDouble(ApiDouble):
    token: str = TOKEN
    scheme: str = "Zoho-oauthtoken"
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(module, id) -> the record."""
    data_types: dict[str, str] = field(default_factory=dict)
    """Field -> its type, as the fields of every module are told."""

    def put(self, module: str, record: dict[str, Any]) -> None:
        self.records[module, record["id"]] = record

    def token_refused(self) -> web.Response:
        return _error(401, "INVALID_TOKEN", "invalid oauth token")

    def answer(self, asked: Asked) -> web.Response:
        if asked.method == "GET" and asked.body is None:
            if _FIELDS.fullmatch(asked.path):
                fields = [
                    {"id": str(number), "api_name": name, "data_type": kind}
                    for number, (name, kind) in enumerate(self.data_types.items(), 1)
                ]
                return web.json_response({"fields": fields})
            if address := _RECORD.fullmatch(asked.path):
                return self._record(address[1], address[2])
        return _error(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    def _record(self, module: str, one: str) -> web.Response:
        if not one.isdecimal():
            return _error(400, "INVALID_DATA", "the id given seems to be invalid")
        record = self.records.get((module, one))
        if record is None:
            return web.Response(status=204)
        return web.json_response({"data": [record]})


def _error(status: int, code: str, message: str) -> web.Response:
    body = {"code": code, "details": {}, "message": message, "status": "error"}
    return web.json_response(body, status=status)
