"""Salesforce's and Zoho's APIs: an id told by a notification is read back; what cannot be is told apart."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.clock import ManualClock
from streams.events import EntityKind
from streams.gateway.apis import Api
from streams.gateway.clerk import Clerk
from streams.gateway.fetch_queue import Pace
from streams.gateway.fetching import fetching
from streams.gateway.ledger import Ledger
from streams.gateway.model import Delivery, Source, Thin, ThinOp
from streams.gateway.vendors import VENDORS
from tests.senders import RecordingSender
from tests.unit.gateway.test_fetching import events_of, until
from tests.unit.gateway.test_hooks import NOW_MS

QUICK = Pace(linger=0.0, first=0.001, last=0.01)
CRM = Path(__file__).parents[2] / "crm"
DEAL = "006d800000BcDeFAAX"


class Double:
    """Answers each request by `answer`, and remembers what was asked for and with which token."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens: set[str] = set()
        self.answers: list[tuple[int, object]] = []

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.asked.append((request.method, request.path_qs, json.loads(raw) if raw else None))
        self.tokens.add(request.headers["Authorization"])
        status, body = self.answers.pop(0)
        return web.Response(status=status, text="" if body is None else json.dumps(body))


class Asked:
    def __init__(self, kind: str, double: Double, clerk: Clerk, sender: RecordingSender) -> None:
        self.double, self.clerk, self.sender = double, clerk, sender
        self.source = source(kind)

    def incomplete(self) -> list[str]:
        return [one.id for one in self.clerk.ledger.incomplete()]

    def events(self) -> list[dict[str, Any]]:
        return events_of(self.sender)

    def count(self, name: str, reason: str) -> float:
        labels = {"source": self.source.name, "reason": reason}
        return self.clerk.ledger.registry.get_sample_value(f"salesfloor_gateway_fetch{name}", labels) or 0.0

    async def tell(self, name: str, *ids: str, op: ThinOp = "update") -> None:
        kind = EntityKind.DEAL
        await self.clerk.take([Thin(name, one, op, NOW_MS, kind) for one in ids], self.source)


def source(kind: str) -> Source:
    vendor = VENDORS[kind]
    return Source(
        name=kind,
        kind=kind,
        zone=ZoneInfo("UTC"),
        stage_status=vendor.stage_status,
        options=vendor.options,
        activity_kinds=vendor.activity_kinds,
    )


@asynccontextmanager
async def asked(kind: str) -> AsyncIterator[Asked]:
    double, sender = Double(), RecordingSender()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    clerk = Clerk(sender, ManualClock(NOW_MS), Ledger())
    async with TestServer(app) as server:
        api = Api(str(server.make_url("")).rstrip("/"), lambda: "hunter2")
        async with fetching(clerk, [source(kind)], {kind: api}, QUICK):
            yield Asked(kind, double, clerk, sender)


def sample(kind: str, file: str) -> Delivery:
    body = (CRM / kind / file).read_bytes()
    return Delivery("POST", "", {}, "application/json", body, NOW_MS)


def opportunity(one: str) -> dict[str, object]:
    return {
        "attributes": {"type": "Opportunity"},
        "Id": one,
        "Amount": 1200.5,
        "StageName": "Prospecting",
        "OwnerId": "005d80000012345AAA",
        "LastModifiedDate": "2025-11-14T15:00:00.000+0000",
    }


async def test_gap_of_salesforce_is_filled_by_the_record() -> None:
    async with asked("salesforce") as api:
        outcomes = VENDORS["salesforce"].normalise(
            sample("salesforce", "cdc-opportunity-gap-update.json"), api.source
        )
        [thin] = [one for one in outcomes if isinstance(one, Thin)]
        api.double.answers.append(
            (
                200,
                {"hasErrors": False, "results": [{"statusCode": 200, "result": opportunity(thin.entity_id)}]},
            )
        )
        await api.clerk.take(outcomes, api.source)
        await until(lambda: api.incomplete() == [])
        asked_for = [{"method": "GET", "url": f"v62.0/sobjects/Opportunity/{thin.entity_id}"}]
        assert api.double.asked == [
            ("POST", "/services/data/v62.0/composite/batch", {"batchRequests": asked_for})
        ]
        assert api.double.tokens == {"Bearer hunter2"}
        [event] = api.events()
        assert (event["type"], event["data"]["amount"]) == ("sales.deal.updated", "1200.5")


async def test_record_that_salesforce_lacks_spoils_no_other() -> None:
    gone = {"statusCode": 404, "result": [{"errorCode": "NOT_FOUND", "message": "…"}]}
    async with asked("salesforce") as api:
        other = DEAL.replace("BcDeF", "BcDeG")
        found = {"statusCode": 200, "result": opportunity(DEAL)}
        api.double.answers += [(200, {"hasErrors": True, "results": [gone, found]})]
        api.double.answers += [(200, {"hasErrors": True, "results": [gone]})] * 2
        await api.tell("Opportunity", other, DEAL, "../../limits")
        await until(lambda: api.count("_given_up_records_total", "missing") == 2)
        assert [event["subject"] for event in api.events()] == [DEAL]
        assert api.incomplete() == [other, "../../limits"]
        urls = [part["url"] for _m, _p, body in api.double.asked for part in body["batchRequests"]]
        assert not [url for url in urls if "limits" in url], "only ids are put into an address"


async def test_used_up_allowance_of_salesforce_is_waited_out_and_a_lacking_right_is_not() -> None:
    async with asked("salesforce") as api:
        found = {"hasErrors": False, "results": [{"statusCode": 200, "result": opportunity(DEAL)}]}
        api.double.answers += [(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]), (200, found)]
        await api.tell("Opportunity", DEAL)
        await until(lambda: api.incomplete() == [])
        assert api.count("_failures_total", "rate_limited") == 1
        api.double.answers += [(403, [{"errorCode": "INSUFFICIENT_ACCESS"}])]
        await api.tell("Opportunity", DEAL)
        await until(lambda: api.count("_given_up_records_total", "refused") == 1)


async def test_zoho_record_is_read_whole_by_its_id() -> None:
    async with asked("zoho") as api:
        body = json.loads(sample("zoho", "deal-record.json").body)
        one = (body["data"][0] if "data" in body else body)["id"]
        api.double.answers += [(200, body)]
        await api.tell("Deals", one)
        await until(lambda: api.incomplete() == [])
        assert api.double.asked == [("GET", f"/crm/v8/Deals/{one}", None)]
        assert api.double.tokens == {"Zoho-oauthtoken hunter2"}
        assert api.events()[0]["subject"] == one


async def test_record_that_zoho_has_no_more_stays_incomplete() -> None:
    async with asked("zoho") as api:
        api.double.answers += [(204, None), (404, {"code": "INVALID_URL"}), (204, None)]
        await api.tell("Deals", "1?x/..")
        await until(lambda: api.count("_given_up_records_total", "missing") == 1)
        assert {path for _method, path, _body in api.double.asked} == {"/crm/v8/Deals/1%3Fx%2F.."}
        assert api.incomplete() == ["1?x/.."]


@pytest.mark.parametrize("kind", ["salesforce", "zoho"])
async def test_deleted_record_is_not_asked_for_where_the_api_would_not_tell(kind: str) -> None:
    async with asked(kind) as api:
        await api.tell("Tasks", "1", op="delete")
        assert api.count("_given_up_records_total", "deleted") == 1
        assert (api.incomplete(), api.double.asked) == (["1"], [])
