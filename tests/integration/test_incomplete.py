"""A record known by its id only, on a broker: the next gateway shows it, fetches it, forgets it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.admin import describe_topics
from streams.clock import SystemClock
from streams.gateway.incomplete import told_by
from streams.rfc3339 import rfc3339
from streams.roles import Role, run_roles
from streams.settings import Settings
from streams.topics import INCOMPLETE
from tests.hubspot_double import hubspot_double
from tests.integration.cluster import clean_topics, until
from tests.integration.test_fetching import PUBLIC_URL, kafka, settings_for
from tests.unit.gateway.test_hooks import note, signed

__all__ = ["kafka"]

TOKEN = "gateway-token"


class Gateway:
    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        self._address, self._http = address, http

    async def incomplete(self) -> list[str]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._http.get(f"{self._address}/incomplete", headers=headers) as answer:
            return [one["id"] for one in (await answer.json())["incomplete"]]

    async def shows(self, *ids: str) -> None:
        async def is_so() -> bool:
            return await self.incomplete() == list(ids)

        await until(is_so)

    async def is_ready(self) -> bool:
        async with self._http.get(f"{self._address}/-/ready") as answer:
            return answer.status == 200

    async def tell(self, one: int) -> None:
        await until(self.is_ready)
        now_ms = SystemClock().now_ms()
        said = [note(subscriptionType="deal.creation", objectId=one, occurredAt=now_ms)]
        body = json.dumps(said).encode()
        headers = signed(body, stamp_ms=now_ms, url=PUBLIC_URL)
        async with self._http.post(f"{self._address}/hooks/hubspot", data=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["incomplete"]) == (200, 1)


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
    roles = run_roles(
        settings, [Role.GATEWAY], stop=stop, announce=lambda _role, address: opened.set_result(address)
    )
    running = asyncio.create_task(roles)
    try:
        async with aiohttp.ClientSession() as http:
            yield Gateway(await opened, http)
    finally:
        stop.set()
        await running


async def standing_on(settings: Settings) -> dict[tuple[str, ...], bool]:
    """Return, by key, whether the newest record of the topic says that it is incomplete."""
    count = (await describe_topics(settings))[INCOMPLETE]
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    found: dict[tuple[str, ...], bool] = {}
    try:
        partitions = [TopicPartition(INCOMPLETE, number) for number in range(count)]
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while end and await consumer.position(partition) < end:
                for records in (await consumer.getmany(partition, timeout_ms=1000)).values():
                    for record in records:
                        assert record.value != b"", "only a null is a tombstone"
                        told = told_by(record.key, record.value)
                        assert told is not None
                        found[told.key] = told.thin is not None
    finally:
        await consumer.stop()
    return found


@pytest.mark.timeout(120)
async def test_record_without_values_outlives_the_gateway_until_it_is_complete(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_SECRET", "s3cret")
    monkeypatch.setenv("SALESFLOOR_GATEWAY__TOKEN", TOKEN)
    key = ("hubspot", "deal", "77")
    async with hubspot_double() as (double, api):
        double.hold = asyncio.Event()  # the API is silent: the first gateway stops before it answers
        settings = settings_for(tmp_path, kafka, api)
        await clean_topics(settings)
        async with gateway(settings) as first, gateway(settings) as beside:
            await first.tell(77)
            await first.shows("77")
            await beside.shows("77")
        assert (await standing_on(settings))[key]

        properties = {"hs_lastmodifieddate": rfc3339(SystemClock().now_ms()), "amount": "100.50"}
        asked = len(double.asked)
        async with gateway(settings) as second:
            await second.shows("77")
            double.put("deals", {"id": "77", "properties": properties, "archived": False})
            double.hold.set()
            await second.shows()
            await second.tell(78)  # which the API does not know
            await second.shows("78")
        assert len(double.asked) > asked, "fetched"
        assert (await standing_on(settings))[key] is False

        asked = len(double.asked)
        async with gateway(settings) as third:
            await third.shows("78")  # known from the topic alone, so the topic was read
        assert "77" not in json.dumps(double.asked[asked:])
