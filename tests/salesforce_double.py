"""A stand-in for Salesforce's REST API, as documented: a record by its id, composite batches of such reads.

`records` holds each record as `GET …/sobjects/<object>/<id>` gives it. A part of a batch is answered exactly
as that request alone would be.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.api_double import ApiDouble, Asked, Fault

TOKEN: Final = "00D-hunter2"
BATCH_MAX: Final = 25
_VERSION: Final = r"v\d{2}\.0"
_RECORD: Final = re.compile(rf"{_VERSION}/sobjects/(\w+)/([0-9A-Za-z]{{15}}(?:[0-9A-Za-z]{{3}})?)")
_BATCH: Final = re.compile(rf"/services/data/{_VERSION}/composite/batch")

LIMIT_EXCEEDED: Final = Fault(
    403,
    {"Content-Type": "application/json"},
    body='[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]',
)
NO_ACCESS: Final = Fault(
    403,
    {"Content-Type": "application/json"},
    body='[{"message":"insufficient access","errorCode":"INSUFFICIENT_ACCESS"}]',
)


@dataclass(kw_only=True)
class SalesforceDouble(ApiDouble):
    token: str = TOKEN
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """(object, id) -> the record."""

    def put(self, record: dict[str, Any]) -> None:
        self.records[record["attributes"]["type"], record["Id"]] = record

    @property
    def reads(self) -> list[list[str]]:
        """The addresses in every batch that was asked for."""
        return [[part["url"] for part in one.body["batchRequests"]] for one in self.heard if one.body]

    def token_refused(self) -> web.Response:
        return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def answer(self, asked: Asked) -> web.Response:
        if asked.method == "POST" and _BATCH.fullmatch(asked.path):
            return self._batch(asked.body)
        if asked.method == "GET" and asked.path.startswith("/services/data/"):
            status, body = self._record(asked.path.removeprefix("/services/data/"))
            return web.json_response(body, status=status)
        return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _batch(self, body: Any) -> web.Response:
        known = {"batchRequests", "haltOnError"}
        parts = body.get("batchRequests") if isinstance(body, dict) and body.keys() <= known else None
        if not isinstance(parts, list) or not 1 <= len(parts) <= BATCH_MAX:
            return _error(400, "JSON_PARSER_ERROR", f"1 to {BATCH_MAX} batchRequests, and haltOnError")
        results = []
        for part in parts:
            if part.keys() != {"method", "url"} or part["method"] != "GET":
                return _error(400, "INVALID_BATCH_REQUEST", "a read has method and url, and no body")
            status, found = self._record(part["url"])
            results.append({"statusCode": status, "result": found})
        return web.json_response(
            {"hasErrors": any(one["statusCode"] >= 400 for one in results), "results": results}
        )

    def _record(self, path: str) -> tuple[int, Any]:
        address = _RECORD.fullmatch(path)
        if address is None:
            return 404, [_said("NOT_FOUND", "The requested resource does not exist")]
        record = self.records.get((address[1], address[2]))
        if record is None:
            text = "Provided external ID field does not exist or is not accessible"
            return 404, [_said("NOT_FOUND", text)]
        return 200, record


def _said(code: str, message: str) -> dict[str, str]:
    return {"errorCode": code, "message": message}


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response([_said(code, message)], status=status)
