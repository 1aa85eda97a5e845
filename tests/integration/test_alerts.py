"""A floor whose conversion falls, seen by a real Prometheus and a real Alertmanager: who is told, and when.

Only waiting times are shortened, by the settings that anybody has. The weeks before are published with their
own event times, so the service's baseline is there at once.
"""

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import layout
from streams.alert_events import AlertEvent, read_event
from streams.settings import load_settings
from streams.stores.base import Commit, Outcome
from streams.stores.redis import RedisStore
from streams.topics import ALERTS
from tests.histories import rfc3339
from tests.integration.test_prometheus import until
from tests.integration.watched_floor import Json, Watched, watched_floor

DAY_MS, MINUTE_MS = 86_400_000, 60_000
SETTINGS = """
[floor]
business_days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
business_hours = ["00:00", "24:00"]

[metrics]
tick_ms = 200

[alerts]
evaluation_seconds = 1
stale_after_seconds = 6
group_wait_seconds = 0
group_interval_seconds = 1
for_seconds = { ConversionFallingFast = 2, SalesfloorDataStale = 0 }
keep_firing_seconds = { ConversionFallingFast = 0 }
off = ["ConversionFallingSlow", "ConversionCusum", "TeamWithoutActivity"]
"""
CONVERSION = 'ALERTS{alertname=~"Conversion.*"}'
STALE = 'count(ALERTS{alertname="SalesfloorDataStale", alertstate="firing"})'
_ids = count(1)


def closed(team: str, *, won: int, lost: int, before_ms: int) -> list[Json]:
    """Return deals that a team closed in the day that ended at an instant, spread over 20 of its hours."""
    events: list[Json] = []
    for number in range(won + lost):
        deal = f"D-{next(_ids)}"
        time_ms = before_ms - 5 * MINUTE_MS - number * 20 * 60 * MINUTE_MS // (won + lost)
        outcome = "won" if number * won % (won + lost) < won else "lost"
        events.append(event(f"sales.deal.{outcome}", time_ms, deal_id=deal, team_id=team, rep_id=f"R-{team}"))
    assert sum(each["type"] == "sales.deal.won" for each in events) == won
    return events


def event(type_: str, time_ms: int, **data: object) -> Json:
    number = next(_ids)
    return {
        "specversion": "1.0", "id": f"e-{number}", "source": "/test", "type": type_, "time": rfc3339(time_ms),
        "data": data,
    }  # fmt: skip


@contextmanager
def at_work(floor: Watched) -> Iterator[None]:
    """Keep the data fresh: somebody on the floor finishes a call twice a second."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            call = {"activity_id": f"A-{next(_ids)}", "kind": "call", "rep_id": "R-South", "team_id": "South"}
            floor.send([event("sales.activity.completed", now_ms(), **call)])
            stop.wait(0.5)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def now_ms() -> int:
    return int(time.time() * 1000)


def closings(value: int) -> tuple[str, int]:
    return 'salesfloor_floor_conversion_trials{funnel="deal_win", window="1bd"}', value


async def say_rebuilding(floor: Watched, *, rebuilding: bool) -> None:
    """Write into slot 0 that its history is (or is no longer) being folded anew, as its owner would."""
    store = RedisStore(floor.redis, namespace="salesfloor", version=VERSION)
    try:
        outcome = None
        while outcome is not Outcome.DONE:  # the worker may take its slot back in between
            claim = await store.claim(0)
            facts = layout.unpack_facts(claim.board[layout.FACTS_FIELD])
            facts.rebuild_until = {"sales.spend": 1 << 40} if rebuilding else {}
            board = {layout.FACTS_FIELD: layout.pack_facts(facts)}
            outcome = await store.commit(0, Commit(claim.owner, claim.seq, claim.offsets, board, [], {}, []))
    finally:
        await store.close()


VERSION = load_settings(overrides={}).definition_version


async def alert_events(kafka: str) -> list[AlertEvent]:
    """Return everything on the topic `sales.alerts`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [
            TopicPartition(ALERTS, number) for number in consumer.partitions_for_topic(ALERTS) or ()
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[AlertEvent] = []
        while batches := await consumer.getmany(timeout_ms=1000):
            for records in batches.values():
                for record in records:
                    read = read_event(record.value)
                    assert read is not None, record.value
                    assert record.key == read.data.fingerprint.encode()
                    found.append(read)
        return found
    finally:
        await consumer.stop()


def banner(floor: Watched, name: str) -> Json:
    """Read the wall's stream until it shows the alert."""
    with urllib.request.urlopen(f"{floor.metrics}/wall/stream", timeout=30) as stream:
        for line in stream:
            if line.startswith(b"data: ") and b'"alerts"' in line:
                for alert in json.loads(line.removeprefix(b"data: ")).get("alerts", ()):
                    if alert["name"] == name:
                        return dict(alert)
    raise AssertionError(f"the stream ended without {name}")


@pytest.mark.timeout(180)
def test_a_fall_is_told_and_stale_data_a_replay_and_a_steady_team_are_not(tmp_path: Path) -> None:
    now = now_ms()
    with watched_floor(tmp_path, SETTINGS) as floor:
        weeks = [now - 7 * DAY_MS * week for week in range(1, 5)]
        steady = [deal for team in ("North", "South") for end in (now, *weeks)
                  for deal in closed(team, won=50, lost=150, before_ms=end)]  # fmt: skip
        # 1. The floor without a fall: nobody is told anything of its conversion.
        with at_work(floor):
            floor.send(steady)
            floor.wait_for(*closings(400))
            floor.look_again()
            assert floor.asked(CONVERSION) == []
        # 2. It falls, but nothing fresh comes any more: stale data is told, and only that.
        floor.wait_for(STALE, 1)
        floor.send(closed("North", won=0, lost=300, before_ms=now))
        floor.wait_for(*closings(700))
        floor.look_again()
        assert floor.asked(f"{CONVERSION}[5m]") == []
        until(lambda: floor.told_of("SalesfloorDataStale") or None)
        # 3. Data is fresh again, but history is being folded anew: still nothing.
        asyncio.run(say_rebuilding(floor, rebuilding=True))
        floor.wait_for("max(salesfloor_replay_in_progress)", 1)
        with at_work(floor):
            until(lambda: floor.told_of("SalesfloorDataStale", "resolved") or None)
            floor.look_again()
            assert floor.asked(f"{CONVERSION}[5m]") == []
            # 4. Fresh and whole: the fall is told, to people and as an event, with what it costs.
            asyncio.run(say_rebuilding(floor, rebuilding=False))
            told = until(lambda: found if len(found := floor.told_of("ConversionFallingFast")) > 1 else None)
            shown = banner(floor, "ConversionFallingFast")
        check_told(floor, told, shown)


def check_told(floor: Watched, told: list[Json], shown: Json) -> None:
    where = {(alert["labels"]["level"], alert["labels"].get("team")) for alert in told}
    assert where == {("floor", None), ("team", "North")}
    team = next(alert for alert in told if alert["labels"]["level"] == "team")
    expected = (
        "Over the last business day, 50 of 500 deal_win trials succeeded (p = 10%); in the same days of the "
        "four weeks before it was p0 = 25% of 800. That is 75 wins lost."
    )
    assert team["annotations"]["description"] == expected
    events = {event.data.fingerprint: event for event in asyncio.run(alert_events(floor.kafka))}
    said = events[team["fingerprint"]]
    assert (said.type, said.data.name) == ("sales.alert.firing", "ConversionFallingFast")
    assert said.data.description == expected
    assert said.data.labels["team"] == "North"
    names = {event.data.name for event in events.values()}
    assert names >= {"ConversionFallingFast", "SalesfloorDataStale"}
    assert {name for name in names if name.startswith("Conversion")} == {"ConversionFallingFast"}
    assert shown["severity"] == "page"
    told_of_south = floor.asked('ALERTS{team="South"}[10m]')
    assert told_of_south == []
