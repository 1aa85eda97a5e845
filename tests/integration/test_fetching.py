"""The whole way of a webhook that tells an id only: door, vendor's API, record on a broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from streams.clock import SystemClock
from streams.embedded import embedded_kafka
from streams.rfc3339 import rfc3339
from streams.roles import Role, run_roles
from streams.settings import Settings, load_settings
from tests.hubspot_double import TOKEN, hubspot_double
from tests.integration.cluster import clean_topics, real_kafka, until
from tests.unit.gateway.test_hooks import note, signed

PUBLIC_URL = "https://hooks.example.com/hooks/hubspot"


@pytest.fixture
async def kafka() -> AsyncIterator[str]:
    if given := real_kafka():
        yield given
        return
    async with embedded_kafka(0) as running:
        yield running.kafka


def settings_for(folder: Path, kafka: str, api: str) -> Settings:
    path = folder / "salesfloor.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{kafka}"\n[gateway]\nport = 0\n'
        f'[[sources]]\nname = "hubspot"\nkind = "hubspot"\npublic_url = "{PUBLIC_URL}"\n'
        f'secret_env = ["HUBSPOT_SECRET"]\napi_token_file = "api.token"\napi_base_url = "{api}"\n',
        encoding="utf-8",
    )
    (folder / "api.token").write_text(f"{TOKEN}\n", encoding="utf-8")
    return load_settings(path)


async def test_deal_that_a_webhook_names_by_its_id_is_on_kafka_with_its_values(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_SECRET", "s3cret")
    now_ms = SystemClock().now_ms()
    async with hubspot_double() as (double, api):
        properties = {"hs_lastmodifieddate": rfc3339(now_ms), "amount": "100.50"}
        double.put("deals", {"id": "77", "properties": properties, "archived": False}, companies=["41"])
        settings = settings_for(tmp_path, kafka, api)
        await clean_topics(settings)
        stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
        running = asyncio.create_task(
            run_roles(
                settings,
                [Role.GATEWAY],
                stop=stop,
                announce=lambda _role, address: opened.set_result(address),
            )
        )
        try:
            gateway = await opened
            async with aiohttp.ClientSession() as http:

                async def is_ready() -> bool:
                    async with http.get(f"{gateway}/-/ready") as answer:
                        return answer.status == 200

                await until(is_ready)
                body = json.dumps(
                    [note(subscriptionType="deal.creation", objectId=77, occurredAt=now_ms)]
                ).encode()
                headers = signed(body, stamp_ms=now_ms, url=PUBLIC_URL)
                async with http.post(f"{gateway}/hooks/hubspot", data=body, headers=headers) as answer:
                    assert (answer.status, (await answer.json())["incomplete"]) == (200, 1)
            created, updated = await _two_records(kafka)
        finally:
            stop.set()
            await running
    assert created["type"] == "sales.deal.created"
    assert updated["type"] == "sales.deal.updated"
    assert (updated["data"]["amount"], updated["data"]["account_id"]) == ("100.50", "41")


async def _two_records(kafka: str) -> list[dict[str, Any]]:
    consumer = AIOKafkaConsumer(
        "sales.deals", bootstrap_servers=kafka, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [json.loads((await consumer.getone()).value) for _ in range(2)]
    finally:
        await consumer.stop()
