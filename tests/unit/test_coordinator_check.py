"""transport: a worker that waits on purpose stays in its group; one that hangs leaves it."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState

from streams.transport import _check


def consumer_idle_for(seconds: float) -> Any:
    subscription = SubscriptionState()
    subscription._last_fetch_ended = time.monotonic() - seconds
    coordinator = SimpleNamespace(_heartbeat_task=None, check_errors=lambda: None)
    return SimpleNamespace(_subscription=subscription, _coordinator=coordinator)


@pytest.mark.parametrize("waits", [True, False])
async def test_only_who_waits_on_purpose_counts_as_fetching(waits: bool) -> None:
    consumer = consumer_idle_for(300.0)
    await _check(consumer, waits=waits)
    assert (consumer._subscription.fetcher_idle_time < 100.0) is waits
