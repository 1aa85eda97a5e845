"""Zoho's own Python SDK asks our double and understands its answers; our fetcher asks what the SDK asks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.api_double import served
from tests.vendors.clients import CRM, WHY_ABSENT, aside, first_call
from tests.zoho_double import TOKEN, TOO_MANY, ZohoDouble

pytest.importorskip("zohocrmsdk", reason=WHY_ABSENT)

[RECORD] = json.loads((CRM / "zoho" / "deal-record.json").read_text(encoding="utf-8"))["data"]
TYPES = {"Amount": "currency", "Closing_Date": "date", "Owner": "ownerlookup", "Modified_Time": "datetime"}


@dataclass
class Talk:
    double: ZohoDouble

    async def get(self, one: str) -> Any:
        from zohocrmsdk.src.com.zoho.crm.api.record import RecordOperations

        return await aside(lambda: RecordOperations("Deals").get_record(int(one)))

    @property
    def records_asked_for(self) -> list[tuple[str, str]]:
        return [(one.method, one.path) for one in self.double.heard if "/settings/" not in one.path]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    double = ZohoDouble(data_types=TYPES)
    double.put("Deals", RECORD)
    async with served(double) as url:
        await aside(lambda: _initialise(url, tmp_path))
        yield Talk(double)


def _initialise(url: str, folder: Path) -> None:
    from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
    from zohocrmsdk.src.com.zoho.api.authenticator.store.file_store import FileStore
    from zohocrmsdk.src.com.zoho.crm.api.dc.data_center import DataCenter
    from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
    from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig

    Initializer.initialize(
        DataCenter.Environment(url, f"{url}/oauth/v2/token", url),
        OAuthToken(access_token=TOKEN, find_user=False),
        store=FileStore(str(folder / "tokens")),
        sdk_config=SDKConfig(auto_refresh_fields=False, pick_list_validation=False),
        resource_path=str(folder),
    )


async def test_sdk_reads_a_deal_by_its_id(talk: Talk) -> None:
    answer = await talk.get(RECORD["id"])
    assert answer.get_status_code() == 200
    [found] = answer.get_object().get_data()
    values = found.get_key_values()
    assert found.get_id() == int(RECORD["id"])
    assert values.keys() == RECORD.keys(), "nothing is left out, nothing made up"
    assert (float(values["Amount"]), values["Stage"]) == (38000.0, "Negotiation/Review")
    assert values["Modified_Time"].isoformat().startswith("2025-11-12T")


async def test_fetcher_asks_for_a_record_as_the_sdk_does(talk: Talk) -> None:
    await talk.get(RECORD["id"])
    call = first_call("zoho", "Deals", RECORD["id"])
    assert talk.records_asked_for == [(call.method, call.path)]
    assert call.body is None


async def test_sdk_finds_nothing_where_there_is_no_such_record(talk: Talk) -> None:
    answer = await talk.get("5725767000003000099")
    assert (answer.get_status_code(), answer.get_object()) == (204, None)


async def test_sdk_is_refused_beyond_the_limit(talk: Talk) -> None:
    await talk.get(RECORD["id"])  # the fields are known now
    talk.double.faults.append(TOO_MANY)
    assert await _refused(talk) == (429, "TOO_MANY_REQUESTS")


async def test_sdk_is_refused_with_a_token_that_expired(talk: Talk) -> None:
    await talk.get(RECORD["id"])
    talk.double.token = "1000.renewed"
    assert await _refused(talk) == (401, "INVALID_TOKEN")


async def _refused(talk: Talk) -> tuple[int, str]:
    from zohocrmsdk.src.com.zoho.crm.api.record.api_exception import APIException

    answer = await talk.get(RECORD["id"])
    said = answer.get_object()
    assert isinstance(said, APIException)
    return answer.get_status_code(), said.get_code().get_value()
