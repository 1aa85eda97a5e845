"""HubSpot's own Python client asks our double, and reads its answers by HubSpot's schema; our fetcher asks
what the client asks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from streams.gateway.fetchers import FETCHERS
from streams.gateway.fetchers.model import Batch, Reply
from tests.api_double import Fault
from tests.hubspot_double import TOKEN, HubSpotDouble, hubspot_double
from tests.vendors.clients import CRM, WHY_ABSENT, aside, first_call, source_of, without_nulls

hubspot = pytest.importorskip("hubspot", reason=WHY_ABSENT)
of_deals = pytest.importorskip("hubspot.crm.deals", reason=WHY_ABSENT)

DEAL = json.loads((CRM / "hubspot" / "deal-record.json").read_text(encoding="utf-8"))
CALL = json.loads((CRM / "hubspot" / "call-record.json").read_text(encoding="utf-8"))


@dataclass
class Talk:
    double: HubSpotDouble
    client: Any
    """Validates each answer by the schema it was generated from."""

    def read(self, ids: list[str], properties: list[str], *, archived: bool = False) -> Any:
        asked = {"inputs": [{"id": one} for one in ids], "properties": properties}
        return self.client.crm.deals.batch_api.read(
            {**asked, "propertiesWithHistory": []}, archived=str(archived).lower()
        )


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    async with hubspot_double() as (double, url):
        client = hubspot.Client.create(access_token=TOKEN, host=url, client_side_validation=True)
        double.put("deals", DEAL, contacts=["123"])
        double.put("calls", CALL)
        yield Talk(double, client)


async def test_client_reads_a_deal_by_its_id(talk: Talk) -> None:
    answer = await aside(lambda: talk.read([DEAL["id"]], ["amount", "closedate", "hs_lead_status"]))
    [found] = answer.results
    assert (found.id, found.archived) == (DEAL["id"], False)
    assert found.properties["amount"] == "48000.00"
    assert found.properties["hs_lead_status"] is None, "what has no value is told as null"
    assert found.created_at.isoformat().startswith("2025-10-30T08:00:00")
    assert answer.status == "COMPLETE"


@pytest.mark.parametrize("ids", [[DEAL["id"]], [DEAL["id"], "404"]])
async def test_answer_holds_nothing_that_hubspots_schema_lacks(talk: Talk, ids: list[str]) -> None:
    asked = {"inputs": [{"id": one} for one in ids], "properties": ["amount"]}
    api = talk.client.crm.deals.batch_api
    plain = await aside(lambda: api.read(asked, _preload_content=False))
    raw = json.loads(plain.data)
    read = await aside(lambda: api.read(asked))
    told = api.api_client.sanitize_for_serialization(read)
    assert _shape(without_nulls(told)) == _shape(without_nulls(raw))


def _shape(value: Any) -> Any:
    """Return the names in a JSON value: times are written in another way by the client."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else ...


async def test_client_is_told_what_of_a_batch_was_not_found(talk: Talk) -> None:
    answer = await aside(lambda: talk.read([DEAL["id"], "404"], ["amount"]))
    assert [found.id for found in answer.results] == [DEAL["id"]]
    assert answer.num_errors == 1
    [error] = answer.errors
    assert (error.category, error.context) == ("OBJECT_NOT_FOUND", {"ids": ["404"]})


async def test_client_finds_archived_deals_only_where_it_asks_for_them(talk: Talk) -> None:
    talk.double.put("deals", {**DEAL, "id": "7", "archived": True, "archivedAt": "2025-11-14T15:30:00Z"})
    assert (await aside(lambda: talk.read(["7"], ["amount"]))).results == []
    [found] = (await aside(lambda: talk.read(["7"], ["amount"], archived=True))).results
    assert found.archived is True


async def test_client_reads_what_a_deal_is_associated_with(talk: Talk) -> None:
    talk.double.link_primary("deals", "companies", DEAL["id"], "301")
    api = talk.client.crm.associations.v4.batch_api
    answer = await aside(lambda: api.get_page("deals", "companies", {"inputs": [{"id": DEAL["id"]}]}))
    [found] = answer.results
    assert found._from.id == DEAL["id"]
    assert [end.to_object_id for end in found.to] == ["301"]
    assert [kind.label for kind in found.to[0].association_types] == [None, "Primary"]


@pytest.mark.parametrize(
    ("fault", "status", "category"),
    [(Fault(429, body='{"status":"error","category":"RATE_LIMITS"}'), 429, "RATE_LIMITS")],
)
async def test_client_is_refused_beyond_the_limit(
    talk: Talk, fault: Fault, status: int, category: str
) -> None:
    talk.double.faults.append(fault)
    error = await _refused(talk)
    assert (error.status, json.loads(error.body)["category"]) == (status, category)


async def test_client_is_refused_with_a_token_that_expired(talk: Talk) -> None:
    talk.double.token = "renewed"
    error = await _refused(talk)
    assert error.status == 401
    api_client = talk.client.crm.deals.batch_api.api_client
    said = api_client.deserialize(type("Response", (), {"data": error.body}), "Error")
    assert said.category == "INVALID_AUTHENTICATION", "the error is one of HubSpot's schema"


async def _refused(talk: Talk) -> Any:
    with pytest.raises(of_deals.exceptions.ApiException) as refused:
        await aside(lambda: talk.read([DEAL["id"]], ["amount"]))
    return refused.value


# --- our fetcher ----------------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", [False, True])
async def test_fetcher_asks_for_records_as_the_client_does(talk: Talk, deleted: bool) -> None:
    call = first_call("hubspot", "deal", "1", "2", deleted=deleted)
    body: Any = call.body
    wire = await _request_of(
        lambda client: client.crm.deals.batch_api.read(body, archived=str(deleted).lower())
    )
    assert wire == (call.method, call.path, body)
    body_type = of_deals.BatchReadInputSimplePublicObjectId
    assert body.keys() <= set(body_type.attribute_map.values())


async def test_fetcher_asks_for_associations_as_the_client_does() -> None:
    reading = FETCHERS["hubspot"].read(Batch("deal", [DEAL["id"]], False), source_of("hubspot"))
    next(reading)
    call = reading.send(Reply(200, {"results": [DEAL]}))
    wire = await _request_of(
        lambda client: client.crm.associations.v4.batch_api.get_page("deals", "companies", call.body)
    )
    assert wire == (call.method, call.path, call.body)


async def _request_of(ask: Any) -> tuple[str, str, Any]:
    """Return the request that the client makes, seen at its own transport."""
    seen: list[tuple[str, str, Any]] = []

    def request(_self: object, method: str, url: str, **told: Any) -> None:
        seen.append((method, url.removeprefix("http://api"), json.loads(told["body"])))
        raise _Seen

    client = hubspot.Client.create(access_token=TOKEN, host="http://api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib3.PoolManager.request", request)
        with pytest.raises(_Seen):
            await aside(lambda: ask(client))
    [one] = seen
    return one


class _Seen(Exception):
    """The request has been looked at and goes nowhere."""
