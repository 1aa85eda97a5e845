"""Salesforce's and Zoho's APIs: an id told by a notification is read back; what cannot be is told apart."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streams.clock import ManualClock
from streams.events import EntityKind
from streams.gateway.apis import Api
from streams.gateway.clerk import Clerk
from streams.gateway.fetch_queue import Pace
from streams.gateway.fetching import fetching
from streams.gateway.ledger import Ledger
from streams.gateway.model import Delivery, Source, Thin, ThinOp
from streams.gateway.vendors import VENDORS
from tests.api_double import Fault, served
from tests.salesforce_double import LIMIT_EXCEEDED, NO_ACCESS, SalesforceDouble
from tests.senders import RecordingSender
from tests.unit.gateway.test_fetching import events_of, until
from tests.unit.gateway.test_hooks import NOW_MS
from tests.zoho_double import ZohoDouble

QUICK = Pace(linger=0.0, first=0.001, last=0.01)
CRM = Path(__file__).parents[2] / "crm"
DEAL = "006d800000BcDeFAAX"


class Floor:
    """A clerk with a fetcher for one source, and the double of its vendor's API."""

    def __init__(
        self, source: Source, double: SalesforceDouble | ZohoDouble, clerk: Clerk, sender: RecordingSender
    ) -> None:
        self.double, self.clerk, self.sender = double, clerk, sender
        self.source = source

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
async def opened(kind: str, double: SalesforceDouble | ZohoDouble) -> AsyncIterator[Floor]:
    sender = RecordingSender()
    clerk = Clerk(sender, ManualClock(NOW_MS), Ledger())
    of = source(kind)
    async with served(double) as url, fetching(clerk, [of], {kind: Api(url, lambda: double.token)}, QUICK):
        yield Floor(of, double, clerk, sender)


def sample(kind: str, file: str) -> Delivery:
    body = (CRM / kind / file).read_bytes()
    return Delivery("POST", "", {}, "application/json", body, NOW_MS)


def opportunity(one: str) -> dict[str, Any]:
    return {
        "attributes": {"type": "Opportunity"},
        "Id": one,
        "Amount": 1200.5,
        "StageName": "Prospecting",
        "OwnerId": "005d80000012345AAA",
        "LastModifiedDate": "2025-11-14T15:00:00.000+0000",
    }


async def test_gap_of_salesforce_is_filled_by_the_record() -> None:
    double = SalesforceDouble()
    async with opened("salesforce", double) as floor:
        outcomes = VENDORS["salesforce"].normalise(
            sample("salesforce", "cdc-opportunity-gap-update.json"), floor.source
        )
        [thin] = [one for one in outcomes if isinstance(one, Thin)]
        double.put(opportunity(thin.entity_id))
        await floor.clerk.take(outcomes, floor.source)
        await until(lambda: floor.incomplete() == [])
        assert double.reads == [[f"v62.0/sobjects/Opportunity/{thin.entity_id}"]]
        [event] = floor.events()
        assert (event["type"], event["data"]["amount"]) == ("sales.deal.updated", "1200.5")


async def test_record_that_salesforce_lacks_spoils_no_other() -> None:
    double = SalesforceDouble()
    double.put(opportunity(DEAL))
    async with opened("salesforce", double) as floor:
        other = DEAL.replace("BcDeF", "BcDeG")
        await floor.tell("Opportunity", other, DEAL, "../../limits")
        await until(lambda: floor.count("_given_up_records_total", "missing") == 2)
        assert [event["subject"] for event in floor.events()] == [DEAL]
        assert floor.incomplete() == [other, "../../limits"]
        assert not [url for urls in double.reads for url in urls if "limits" in url], "only ids are put there"


async def test_many_records_of_salesforce_take_one_batch_for_each_twenty_five() -> None:
    double = SalesforceDouble()
    ids = [f"006d8000000{number:04d}AAX" for number in range(60)]
    for one in ids:
        double.put(opportunity(one))
    async with opened("salesforce", double) as floor:
        await floor.tell("Opportunity", *ids)
        await until(lambda: floor.incomplete() == [])
    assert [len(urls) for urls in double.reads] == [25, 25, 10]


async def test_used_up_allowance_of_salesforce_is_waited_out_and_a_lacking_right_is_not() -> None:
    double = SalesforceDouble()
    double.put(opportunity(DEAL))
    double.faults.append(LIMIT_EXCEEDED)
    async with opened("salesforce", double) as floor:
        await floor.tell("Opportunity", DEAL)
        await until(lambda: floor.incomplete() == [])
        assert floor.count("_failures_total", "rate_limited") == 1
        double.faults.append(NO_ACCESS)
        await floor.tell("Opportunity", DEAL)
        await until(lambda: floor.count("_given_up_records_total", "refused") == 1)


async def test_zoho_record_is_read_whole_by_its_id() -> None:
    double = ZohoDouble()
    [record] = json.loads(sample("zoho", "deal-record.json").body)["data"]
    double.put("Deals", record)
    async with opened("zoho", double) as floor:
        await floor.tell("Deals", record["id"])
        await until(lambda: floor.incomplete() == [])
        assert floor.events()[0]["subject"] == record["id"]
    assert [(one.method, one.path) for one in double.heard] == [("GET", f"/crm/v8/Deals/{record['id']}")]


async def test_record_that_zoho_has_no_more_stays_incomplete() -> None:
    double = ZohoDouble()
    async with opened("zoho", double) as floor:
        await floor.tell("Deals", "5725767000003000099")
        await until(lambda: floor.count("_given_up_records_total", "missing") == 1)
        await floor.tell("Deals", "1?x/..")
        await until(lambda: floor.count("_given_up_records_total", "refused") == 1)
        assert double.heard[-1].path == "/crm/v8/Deals/1%3Fx%2F..", "what is no id stays one part of the path"
        assert floor.incomplete() == ["5725767000003000099", "1?x/.."]


@pytest.mark.parametrize("kind", ["salesforce", "zoho"])
@pytest.mark.parametrize("reason", ["rate_limited", "token_refused"])
async def test_limit_and_a_token_that_expired_are_waited_out(kind: str, reason: str) -> None:
    double: SalesforceDouble | ZohoDouble
    if kind == "salesforce":
        double, name, one = SalesforceDouble(), "Opportunity", DEAL
        double.put(opportunity(DEAL))
    else:
        [record] = json.loads(sample("zoho", "deal-record.json").body)["data"]
        double, name, one = ZohoDouble(), "Deals", record["id"]
        double.put("Deals", record)
    double.faults.append(Fault(429 if reason == "rate_limited" else 401, {"Retry-After": "0"}))
    async with opened(kind, double) as floor:
        await floor.tell(name, one)
        await until(lambda: floor.incomplete() == [])
        assert floor.count("_failures_total", reason) == 1


@pytest.mark.parametrize(("kind", "double"), [("salesforce", SalesforceDouble()), ("zoho", ZohoDouble())])
async def test_deleted_record_is_not_asked_for_where_the_api_would_not_tell(
    kind: str, double: SalesforceDouble | ZohoDouble
) -> None:
    async with opened(kind, double) as floor:
        await floor.tell("Tasks", "1", op="delete")
        assert floor.count("_given_up_records_total", "deleted") == 1
        assert (floor.incomplete(), double.heard) == (["1"], [])
