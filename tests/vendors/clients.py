"""What the tests with the vendors' own clients share. The clients block, so each works in a thread."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from streams.gateway.fetchers import FETCHERS
from streams.gateway.fetchers.model import Batch, Call
from streams.gateway.model import Source
from streams.gateway.vendors import VENDORS

CRM = Path(__file__).parents[1] / "crm"
WHY_ABSENT = "the vendors' clients are not installed; .ci/vendors runs these tests, or pip install .[vendors]"


def source_of(kind: str) -> Source:
    vendor = VENDORS[kind]
    return Source(
        name=kind,
        kind=kind,
        zone=ZoneInfo("UTC"),
        stage_status=vendor.stage_status,
        options=vendor.options,
        activity_kinds=vendor.activity_kinds,
        lead_steps=vendor.lead_steps,
    )


def first_call(kind: str, name: str, *ids: str, deleted: bool = False) -> Call:
    """Return the first request that our fetcher makes for these records."""
    return next(FETCHERS[kind].read(Batch(name, ids, deleted), source_of(kind)))


async def aside(ask: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(ask)


def without_nulls(value: Any) -> Any:
    """Leave out what is null: clients fill in whatever their schema knows."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value
