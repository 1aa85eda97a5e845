"""The wall's alerts as a broker keeps them: the newest state of each, also of a Kafka that comes late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams import alert_feed
from streams.admin import ensure_topics
from streams.alert_events import encoded, event_of, read_notice
from streams.alert_feed import AlertFeed
from streams.clock import SystemClock
from streams.embedded import embedded_kafka
from streams.gateway.model import Outgoing
from streams.gateway.sender import kafka_sender
from streams.settings import Settings, load_settings
from streams.topics import ALERTS
from tests.integration.cluster import Cluster, until
from tests.unit.test_alert_events import alert, notice


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[AlertFeed]:
    feed = AlertFeed(settings, SystemClock())
    running = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def tell(settings: Settings, *said: tuple[str, str]) -> None:
    """Write what the gateway would write of alerts, each given as its fingerprint and status."""
    async with kafka_sender(settings.kafka) as sender:

        async def connected() -> bool:
            return sender.ready

        await until(connected)
        for fingerprint, status in said:
            (told,) = read_notice(notice(alert(fingerprint=fingerprint, status=status)))
            value = encoded(event_of(told, now_ms=SystemClock().now_ms()))
            await sender.send([Outgoing(ALERTS, fingerprint.encode(), value)])


async def shows(feed: AlertFeed, count: int) -> None:
    async def is_so() -> bool:
        return len(feed.firing()) == count

    await until(is_so)


@pytest.mark.timeout(120)
async def test_the_newest_word_on_each_alert_shows_and_changes_with_the_topic(cluster: Cluster) -> None:
    settings = cluster.settings
    await cluster.produce_raw(ALERTS, 0, b"no alert at all")
    await tell(settings, ("a", "firing"), ("b", "firing"), ("a", "resolved"))
    async with following(settings) as feed:
        await shows(feed, 1)
        await tell(settings, ("c", "firing"))
        await shows(feed, 2)
        await tell(settings, ("b", "resolved"), ("c", "resolved"))
        await shows(feed, 0)


@pytest.mark.timeout(120)
async def test_of_a_long_topic_only_the_newest_records_are_read(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_feed, "RECORDS_PER_PARTITION_MAX", 1)
    await tell(cluster.settings, ("same", "firing"), ("same", "firing"), ("same", "firing"))
    read: list[bytes | None] = []
    monkeypatch.setattr(alert_feed, "read_event", read.append)  # which returns None, as for what is no alert
    async with following(cluster.settings) as feed:

        async def read_once() -> bool:
            return feed._read_once

        await until(read_once)
    assert len(read) == 1


@pytest.mark.timeout(120)
async def test_a_kafka_that_comes_late_is_followed_once_it_is_there(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_feed, "_WAIT_LAST_SECONDS", 1.0)
    settings = load_settings(overrides={"kafka": {"bootstrap": f"127.0.0.1:{free_port}"}})
    async with following(settings) as feed:
        async with embedded_kafka(free_port):
            await ensure_topics(settings)
            await tell(settings, ("a", "firing"))
            await shows(feed, 1)
        assert len(feed.firing()) == 1, "what was known stands while Kafka is away"
