"""simple-salesforce, the client that Python programs use for Salesforce, asks our double and understands it.

Salesforce has no client of its own for Python. No client knows composite batches as such; their parts are
requests by id, which this one makes, and an answer to a part is the answer to that request.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api_double import Fault, served
from tests.salesforce_double import LIMIT_EXCEEDED, TOKEN, SalesforceDouble
from tests.vendors.clients import WHY_ABSENT, aside, first_call

simple_salesforce = pytest.importorskip("simple_salesforce", reason=WHY_ABSENT)
requests = pytest.importorskip("requests", reason=WHY_ABSENT)
adapters = pytest.importorskip("requests.adapters", reason=WHY_ABSENT)

DEAL = "0068d00000LmNo1AAF"
GONE = "0068d00000LmNo2AAF"
RECORD = {
    "attributes": {"type": "Opportunity", "url": f"/services/data/v62.0/sobjects/Opportunity/{DEAL}"},
    "Id": DEAL,
    "Amount": 1200.5,
    "StageName": "Prospecting",
    "LastModifiedDate": "2025-11-14T15:00:00.000+0000",
}


@dataclass
class Talk:
    double: SalesforceDouble
    client: Any

    async def refused(self) -> Any:
        with pytest.raises(simple_salesforce.exceptions.SalesforceError) as refused:
            await aside(lambda: self.client.Opportunity.get(DEAL))
        return refused.value


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    double = SalesforceDouble()
    double.put(RECORD)

    class Plain(adapters.HTTPAdapter):  # type: ignore[misc,name-defined]
        """Goes to the double without TLS: the client knows https addresses only."""

        def send(self, request: Any, **told: Any) -> Any:
            request.url = f"http{request.url.removeprefix('https')}"
            return super().send(request, **told)

    async with served(double) as url:
        with requests.Session() as session:
            session.mount("https://", Plain())
            client = simple_salesforce.Salesforce(
                instance_url=url, session_id=TOKEN, version="62.0", session=session
            )
            yield Talk(double, client)


async def test_client_reads_a_record_by_its_id(talk: Talk) -> None:
    assert dict(await aside(lambda: talk.client.Opportunity.get(DEAL))) == RECORD


async def test_parts_of_our_batch_are_the_requests_that_the_client_makes(talk: Talk) -> None:
    call = first_call("salesforce", "Opportunity", DEAL, GONE)
    body: Any = call.body
    await aside(lambda: talk.client.Opportunity.get(DEAL))
    with pytest.raises(simple_salesforce.exceptions.SalesforceResourceNotFound):
        await aside(lambda: talk.client.Opportunity.get(GONE))
    made = [(one.method, one.path) for one in talk.double.heard]
    asked = [(part["method"], f"/services/data/{part['url']}") for part in body["batchRequests"]]
    assert asked == made


async def test_client_sends_our_batch_and_a_part_is_answered_as_its_request_alone_would_be(
    talk: Talk,
) -> None:
    call = first_call("salesforce", "Opportunity", DEAL, GONE)
    path = call.path.removeprefix("/services/data/v62.0/")
    answer = await aside(lambda: talk.client.restful(path, method=call.method, json=call.body))
    assert answer["hasErrors"] is True
    found, gone = answer["results"]
    assert (found["statusCode"], dict(found["result"])) == (200, RECORD)
    with pytest.raises(simple_salesforce.exceptions.SalesforceResourceNotFound) as alone:
        await aside(lambda: talk.client.Opportunity.get(GONE))
    assert (gone["statusCode"], gone["result"]) == (alone.value.status, alone.value.content)


async def test_client_is_refused_a_batch_of_more_than_the_vendor_takes(talk: Talk) -> None:
    parts = [{"method": "GET", "url": f"v62.0/sobjects/Opportunity/{DEAL}"}] * 26
    with pytest.raises(simple_salesforce.exceptions.SalesforceMalformedRequest):
        await aside(
            lambda: talk.client.restful("composite/batch", method="POST", json={"batchRequests": parts})
        )


async def test_client_knows_a_used_up_allowance(talk: Talk) -> None:
    talk.double.faults.append(LIMIT_EXCEEDED)
    refused = await talk.refused()
    assert isinstance(refused, simple_salesforce.exceptions.SalesforceRefusedRequest)
    assert refused.content[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


async def test_client_is_told_to_come_later(talk: Talk) -> None:
    talk.double.faults.append(Fault(429, {"Retry-After": "7"}))
    refused = await talk.refused()
    assert isinstance(refused, simple_salesforce.exceptions.SalesforceGeneralError)
    assert refused.status == 429


async def test_client_knows_a_session_that_expired(talk: Talk) -> None:
    talk.double.token = "renewed"
    refused = await talk.refused()
    assert isinstance(refused, simple_salesforce.exceptions.SalesforceExpiredSession)
    assert refused.content[0]["errorCode"] == "INVALID_SESSION_ID"
