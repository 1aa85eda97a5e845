"""The wall's alerts: the newest word on each, bounded, and not believed for ever."""

import json

import pytest

from streams.alert_events import AlertEvent, read_event
from streams.alert_feed import AlertFeed, AlertStanding
from streams.clock import ManualClock
from streams.rfc3339 import rfc3339
from streams.settings import Settings

HOUR_MS = 3_600_000
NOW_MS = 1_795_336_200_000


def event(
    fingerprint: str = "a", *, fires: bool = True, notified_ms: int = NOW_MS, severity: str = "page",
    since_ms: int = NOW_MS - HOUR_MS,
) -> AlertEvent:  # fmt: skip
    tree = {
        "specversion": "1.0", "id": "x", "source": "/alertmanager",
        "type": "sales.alert.firing" if fires else "sales.alert.resolved", "time": rfc3339(since_ms),
        "data": {
            "fingerprint": fingerprint, "name": f"Alert {fingerprint}", "severity": severity, "summary": "s",
            "description": "d", "action": "", "runbook_url": "", "labels": {"team": "North"},
            "starts_at": rfc3339(since_ms), "ends_at": None, "notified_at": rfc3339(notified_ms),
        },
    }  # fmt: skip
    read = read_event(json.dumps(tree).encode())
    assert read is not None
    return read


def names(standing: AlertStanding, now_ms: int = NOW_MS) -> list[str]:
    return [alert.name for alert in standing.firing(now_ms)]


def test_an_alert_fires_until_it_is_resolved() -> None:
    standing = AlertStanding(believed_ms=2 * HOUR_MS)
    standing.take(event())
    (alert,) = standing.firing(NOW_MS)
    assert (alert.name, alert.severity, alert.since_ms) == ("Alert a", "page", NOW_MS - HOUR_MS)
    assert alert.labels == {"team": "North"}
    standing.take(event(fires=False, notified_ms=NOW_MS + 1))
    assert names(standing) == []


def test_reading_the_topic_again_brings_no_ended_alert_back() -> None:
    standing = AlertStanding(believed_ms=2 * HOUR_MS)
    standing.take(event(fires=False, notified_ms=NOW_MS))
    standing.take(event(notified_ms=NOW_MS - 1))
    assert names(standing) == []


def test_an_alert_that_nobody_repeats_is_no_longer_believed() -> None:
    standing = AlertStanding(believed_ms=2 * HOUR_MS)
    standing.take(event(notified_ms=NOW_MS))
    assert names(standing, NOW_MS + 2 * HOUR_MS) == ["Alert a"]
    assert names(standing, NOW_MS + 2 * HOUR_MS + 1) == []


def test_the_gravest_come_first_then_the_oldest() -> None:
    standing = AlertStanding(believed_ms=2 * HOUR_MS)
    standing.take(event("a", severity="ticket"))
    standing.take(event("b", since_ms=NOW_MS - 1))
    standing.take(event("c", since_ms=NOW_MS - 2))
    standing.take(event("d", severity="whatever"))
    assert names(standing) == ["Alert c", "Alert b", "Alert a", "Alert d"]


def test_a_flood_of_alerts_keeps_the_newest() -> None:
    standing = AlertStanding(believed_ms=2 * HOUR_MS, alerts_max=3)
    for number in range(10):
        standing.take(event(str(number), notified_ms=NOW_MS + number))
    assert sorted(names(standing, NOW_MS + 10)) == ["Alert 7", "Alert 8", "Alert 9"]


async def test_without_kafka_the_feed_says_so_once_and_never_raises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = []

    async def away(settings: Settings) -> dict[str, int]:
        attempts.append(settings)
        raise ConnectionError("Kafka is not there")

    class Enough(BaseException):
        pass

    async def at_once(_seconds: float) -> None:
        if len(attempts) == 5:
            raise Enough

    monkeypatch.setattr("streams.alert_feed.describe_topics", away)
    monkeypatch.setattr("streams.alert_feed.asyncio.sleep", at_once)
    feed = AlertFeed(Settings(), ManualClock(NOW_MS))
    with pytest.raises(Enough):
        await feed.run()
    assert feed.firing() == ()
    (told,) = [record.message for record in caplog.records]
    assert told.startswith("no alerts for the wall reason='Kafka is not there' fix=")
