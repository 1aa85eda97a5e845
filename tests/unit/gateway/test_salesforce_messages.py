"""Salesforce's Outbound Messages: who gets in, which XML is refused, what a message says, what it hears."""

import io
import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.clock import ManualClock
from streams.gateway.app import create_app
from streams.gateway.model import (
    Canonical,
    Delivery,
    Malformed,
    Outcome,
    Refusal,
    Unusable,
    Verified,
)
from streams.gateway.placing import cloud_event, place
from tests.salesforce_told import AT_MS, DEAL, ORGANISATION, VENDOR, only, source
from tests.senders import RecordingSender
from tests.strength import amount


def envelope(*records: str, organisation: str = ORGANISATION, before: str = "") -> bytes:
    told = "".join(
        f'<Notification><Id>04l8d0000771{number:03d}AAA</Id><sObject xsi:type="sf:Opportunity" '
        f'xmlns:sf="urn:sobject.enterprise.soap.sforce.com">{record}</sObject></Notification>'
        for number, record in enumerate(records)
    )
    return (
        f'<?xml version="1.0"?>{before}<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{organisation}</OrganizationId><SessionId>00D!secret</SessionId>{told}"
        "</notifications></s:Body></s:Envelope>"
    ).encode()


STAMP = "<sf:LastModifiedDate>2025-03-05T10:45:12.000Z</sf:LastModifiedDate>"
WON = f"<sf:Id>{DEAL}</sf:Id><sf:StageName>Closed Won</sf:StageName><sf:IsClosed>true</sf:IsClosed>{STAMP}"


def posted(body: bytes, url: str = "", **told: Any) -> Verified | Refusal:
    return VENDOR.verify(Delivery("POST", url, {}, "text/xml", body, AT_MS), source(**told))


def message(body: bytes, received_ms: int = AT_MS + 9000, **told: Any) -> list[Outcome]:
    delivery = Delivery("POST", "", {}, "text/xml", body, received_ms)
    return list(VENDOR.normalise(delivery, source(**told)))


FIELDS = (
    "Id", "Amount", "CloseDate", "CreatedDate", "IsClosed", "IsDeleted", "IsWon", "LastModifiedDate",
    "ActivityDate", "OwnerId", "Probability", "StageName", "Status", "IsConverted", "ConvertedDate", "WhoId",
    "StartDateTime", "Type",
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "-1", "1e999", "9" * 400, "2025-13-01", "true", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z"]
)


@settings(max_examples=amount(80, long=800))
@given(
    values=st.dictionaries(
        st.sampled_from(FIELDS),
        TEXTS | st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=8),
    ),
    kind=st.sampled_from(["Opportunity", "Lead", "Account", "Task", "Event", "Case", ""]),
)
def test_whatever_a_field_holds_a_message_has_an_answer(values: Mapping[str, str], kind: str) -> None:
    told = "".join(f"<sf:{name}>{escape(text)}</sf:{name}>" for name, text in values.items())
    body = envelope(told).replace(b"sf:Opportunity", f"sf:{kind}".encode())
    try:
        outcomes = message(body, zone=ZoneInfo("Asia/Kuala_Lumpur"))
    except Malformed:
        return  # a character that XML has no place for
    for outcome in outcomes:
        if isinstance(outcome, Canonical):
            place(outcome, source(), now_ms=AT_MS, oldest_ms=0)


@pytest.mark.parametrize(
    ("secrets", "url", "verdict"),
    [
        ((ORGANISATION,), "https://h/x", Verified),
        (("00D8d000009zZzZ", ORGANISATION[:15]), "https://h/x", Verified),
        ((ORGANISATION,), "https://h/x?token=any", Verified),
        ((f"{ORGANISATION}:t0k",), "https://h/x?a=1&token=t0k", Verified),
        ((f"{ORGANISATION}:t0k",), "https://h/x?token=t0", Refusal),
        ((f"{ORGANISATION}:t0k",), "https://h/x", Refusal),
        (("00D8d000009zZzZ:t0k",), "https://h/x?token=t0k", Refusal),
        (("nonsense",), "https://h/x", Refusal),
        ((), "https://h/x", Refusal),
    ],
)
def test_organisation_and_the_token_of_the_address_open_the_door(
    secrets: tuple[str, ...], url: str, verdict: type
) -> None:
    assert isinstance(posted(envelope(WON), url, secrets=secrets), verdict)


@pytest.mark.parametrize("organisation", ["", "00D8d000009zZzZ", "00D8d000004tQrZAAA", "é" * 15])
def test_other_organisations_and_wrong_checks_stay_outside(organisation: str) -> None:
    assert isinstance(posted(envelope(WON, organisation=organisation)), Refusal)


LAUGHS = '<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE l [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "body",
    [
        envelope("<sf:Id>&b;</sf:Id>", before=LAUGHS),
        envelope("<sf:Id>&b;</sf:Id>", before=FILE),
        envelope("<sf:Id>&b;</sf:Id>"),
        envelope(WON).replace(b"</s:Body>", b""),
        envelope(WON).decode().encode("utf-16"),
        envelope(WON, before=LAUGHS).decode().encode("utf-16"),
        envelope("<sf:Id>\xff</sf:Id>").decode().encode("latin-1"),
        envelope("<a>" * 5000 + "</a>" * 5000),
        b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"/>',
        b"<other/>",
        b"{}",
        b"",
    ],
)
def test_document_types_entities_and_other_bodies_are_refused_at_the_door(body: bytes) -> None:
    assert isinstance(posted(body), Refusal)
    with pytest.raises(Malformed):
        message(body)


def test_message_is_a_snapshot_of_the_chosen_fields_and_nil_empties_one() -> None:
    nil = '<sf:Amount xsi:nil="true"/><sf:Probability>100.0</sf:Probability><sf:IsWon>true</sf:IsWon>'
    found = only(message(envelope(WON + nil + "<x:Odd xmlns:x='urn:x'>1</x:Odd>")))
    assert (found.type, found.time_ms) == ("sales.deal.updated", AT_MS)
    assert found.data == {
        "stage": "Closed Won",
        "amount": None,
        "probability": 1.0,
        "status": "won",
        "closed_at": "2025-03-05T10:45:12.000Z",
    }


def test_each_notification_stands_alone_and_one_without_a_time_has_that_of_its_arrival() -> None:
    plain = f"<sf:Id>{DEAL}</sf:Id><sf:StageName>Qualification</sf:StageName>"
    wrong = f"<sf:Id>{DEAL}</sf:Id><sf:Amount>many</sf:Amount>{STAMP}"
    deleted = f"<sf:Id>{DEAL}</sf:Id><sf:IsDeleted>true</sf:IsDeleted>{STAMP}"
    first, second, third = message(envelope(plain, wrong, deleted))
    assert only([first]).time_ms == AT_MS + 9000
    assert isinstance(second, Unusable)
    assert re.match(r"\[1\] Amount", second.detail)
    assert only([third]).type == "sales.deal.deleted"
    again = only(message(envelope(plain), AT_MS + 60_000))
    same = [json.loads(cloud_event(one, source()))["id"] for one in (again, only([first]))]
    assert same[0] == same[1]


def test_fit_secret_is_an_organisation_id_and_the_advice_does_not_repeat_it() -> None:
    assert VENDOR.unfit_secret is not None
    for secret in (ORGANISATION, ORGANISATION[:15], f"{ORGANISATION}:t0k"):
        assert VENDOR.unfit_secret(secret) == ""
    for secret in ("hunter2", DEAL, ORGANISATION.lower()):
        assert "Company Information" in VENDOR.unfit_secret(secret)
        assert secret not in VENDOR.unfit_secret(secret)


async def test_message_is_acknowledged_only_when_kafka_has_it() -> None:
    sender = RecordingSender(refusals=1)
    app = create_app(sender, ManualClock(AT_MS), token=None, retention_ms=None, sources=[source()])
    headers = {"Content-Type": "text/xml; charset=UTF-8"}
    async with TestClient(TestServer(app)) as client:
        answers = []
        for body in (envelope(WON), envelope(WON), envelope(WON, organisation="00D8d000009zZzZ")):
            async with client.post("/hooks/salesforce", data=io.BytesIO(body), headers=headers) as response:
                answers.append((response.status, response.content_type, await response.text()))
        async with client.post(
            "/hooks/salesforce", data=io.BytesIO(b" " * (2 << 20)), headers=headers
        ) as response:
            assert response.status == 413
    assert [status for status, _type, _text in answers] == [503, 200, 401]
    assert answers[1][1] == "text/xml"
    assert "<Ack>true</Ack>" in answers[1][2]
    assert "<Ack>" not in answers[0][2] + answers[2][2]
    assert [record.topic for record in sender.sent] == ["sales.deals"]
    assert b"secret" not in sender.sent[0].value
