"""The gateway's application with a door of every kind there are samples of, and a client for plain tests."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.clock import ManualClock
from streams.gateway import alertmanager
from streams.gateway.app import create_app
from streams.gateway.model import Verified
from streams.gateway.vendors import VENDORS
from tests.crm_samples import folders
from tests.openapi import Answer
from tests.senders import RecordingSender

NOW_MS: Final = 1_795_000_000_000  # 2026-11-18T06:26:40Z
TOKEN: Final = "hunter2"


def gateway(producer: RecordingSender | None = None, *, verified: bool = False) -> web.Application:
    """Return the gateway; `verified` takes every sender of a hook for who they say they are."""
    vendors = {
        kind: vendor
        if kind == "cloudevents"
        else replace(vendor, verify=lambda _delivery, _source: Verified())
        for kind, vendor in VENDORS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        if verified:
            patch.setattr("streams.gateway.app.VENDORS", vendors)
        return create_app(
            producer or RecordingSender(),
            ManualClock(NOW_MS),
            token=TOKEN,
            retention_ms=800 * 86_400_000,
            sources=[folder.source() for folder in folders()],
            more_doors=[alertmanager.add_doors],
        )


@dataclass(frozen=True)
class Caller:
    """Asks an application from a test that is no coroutine, as those of hypothesis are."""

    runner: "asyncio.Runner"
    client: TestClient[Any, Any]

    def ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> Answer:  # fmt: skip
        async def asked() -> Answer:
            given = dict(headers or {})
            skip = () if "Content-Type" in given else ("Content-Type",)
            async with self.client.request(
                method, path, data=body, headers=given, params=query, skip_auto_headers=skip
            ) as response:
                said = await response.read()
                return Answer(response.status, response.content_type, dict(response.headers), said)

        return self.runner.run(asked())


@contextmanager
def calling(app: web.Application) -> Iterator[Caller]:
    with asyncio.Runner() as runner:

        async def opened() -> TestClient[Any, Any]:
            client: TestClient[Any, Any] = TestClient(TestServer(app))
            await client.start_server()
            return client

        client = runner.run(opened())
        try:
            yield Caller(runner, client)
        finally:
            runner.run(client.close())
