"""The wall of a running floor in a real browser: a deal won on Kafka is celebrated, a lost server comes back.

The broker and Redis are the embedded ones, everything else is what users start: `salesfloor run` and, for the
page, a `salesfloor metrics` of its own, which may go away and come back.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.clock import SystemClock
from streams.rfc3339 import rfc3339
from tests.browser.conftest import OpenPage
from tests.browser.test_page import LANGUAGES, texts
from tests.floor_process import Process

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

SETTINGS = """
[floor]
name = "Nordwind"
currency = "EUR"

[wall]
celebration_seconds = 2
"""
AMOUNT = 12_500
MONEY = {"en": "€12,500", "ms": "€12,500", "id": "€12.500", "zh-Hant": "€12,500", "zh-Hans": "€12,500",
         "fa": "€۱۲٬۵۰۰"}  # fmt: skip


class LiveFloor:
    """`salesfloor run --embedded`, and a `salesfloor metrics` at an address that stays the same."""

    def __init__(self, directory: Path) -> None:
        self.settings = directory / "salesfloor.toml"
        self.settings.write_text(SETTINGS)
        self.environment = {"SALESFLOOR_KAFKA__SESSION_TIMEOUT_SECONDS": "2"}
        free = [part for name in ("kafka", "redis", "metrics", "gateway", "worker")
                for part in (f"--{name}-port", "0")]  # fmt: skip
        self.run = Process(
            "run",
            "--embedded",
            "--no-live",
            "--config",
            str(self.settings),
            *free,
            environment=self.environment,
        )
        exports = self.run.wait_for(r"export (SALESFLOOR_KAFKA=.*)")
        self.run.drain()
        self.environment |= dict(export.split("=", 1) for export in exports.split())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.metrics: Process | None = None

    @property
    def wall(self) -> str:
        return f"http://127.0.0.1:{self.port}/wall/floor"

    def start_metrics(self) -> None:
        self.metrics = Process(
            "metrics", "--port", str(self.port), "--config", str(self.settings), environment=self.environment
        )
        self.metrics.wait_for(r"(http://\S+)/metrics")
        self.metrics.drain()

    def stop_metrics(self) -> None:
        if self.metrics is not None:
            self.metrics.stop()
            self.metrics = None

    async def send(self, *events: dict[str, Any]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.environment["SALESFLOOR_KAFKA"]) as producer:
            for event in events:
                topic = "sales.reference" if "rep" in event["type"] else "sales.deals"
                await producer.send_and_wait(topic, json.dumps(event).encode(), key=event["subject"].encode())


@contextmanager
def live_floor(directory: Path) -> Iterator[LiveFloor]:
    floor = LiveFloor(directory)
    try:
        floor.start_metrics()
        yield floor
    finally:
        floor.stop_metrics()
        floor.run.stop()


def event(kind: str, subject: str, at_ms: int, **data: object) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"{kind}-{subject}-{at_ms}", "source": "/test", "type": f"sales.{kind}",
        "time": rfc3339(at_ms), "subject": subject, "data": data,
    }  # fmt: skip


async def test_a_deal_won_on_kafka_is_celebrated_in_every_language_and_a_lost_server_comes_back(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with live_floor(tmp_path) as floor:
        now_ms = SystemClock().now_ms()
        await floor.send(
            event("rep.updated", "R-1", now_ms - 60_000, rep_id="R-1", name="Ana Costa", team_id="North"),
            event(
                "deal.created",
                "D-1",
                now_ms - 60_000,
                deal_id="D-1",
                rep_id="R-1",
                amount="900",
                currency="EUR",
            ),
        )
        async with AsyncExitStack() as stack:
            pages = {
                language: await stack.enter_async_context(open_page(f"{floor.wall}?lang={language}"))
                for language in LANGUAGES
            }
            await asyncio.gather(*(is_live(page, texts(language)) for language, page in pages.items()))
            assert await pages["en"].locator("#win").is_hidden()
            await floor.send(
                event("deal.won", "D-2", SystemClock().now_ms(), deal_id="D-2", rep_id="R-1", status="won",
                      amount=str(AMOUNT), currency="EUR"),
            )  # fmt: skip
            await asyncio.gather(*(celebrates(page, MONEY[language]) for language, page in pages.items()))
            await loses_and_regains(floor, pages["en"])


async def is_live(page: Any, words: dict[str, Any]) -> None:
    await page.locator("#state", has_text=words["ui"]["live"]).wait_for(timeout=60_000)


async def celebrates(page: Any, money: str) -> None:
    await page.locator("#win .who", has_text="Ana Costa").wait_for(timeout=60_000)
    shown = (await page.locator("#win .amount").inner_text()).replace("\u200e", "")
    assert shown == money
    await page.locator("#win").wait_for(state="hidden")
    await page.locator(".feed li", has_text="Ana Costa").first.wait_for()
    digits = [await each.inner_text() for each in await page.locator(".kpi .value").all()]
    assert any(money in each.replace("\u200e", "") for each in digits), digits


async def loses_and_regains(floor: LiveFloor, page: Any) -> None:
    numbers = await page.locator(".kpi .value").all_inner_texts()
    await asyncio.to_thread(floor.stop_metrics)
    await page.locator("#state", has_text="Stale since").wait_for()
    assert await page.locator(".kpi .value").all_inner_texts() == numbers
    await asyncio.to_thread(floor.start_metrics)
    await is_live(page, texts("en"))
    assert await page.locator("#win").is_hidden(), "history was celebrated"
