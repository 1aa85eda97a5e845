"""Poison on every topic: no record stops a partition, each has exactly one fate, and the numbers can be told.

The long form (`SALESFLOOR_TEST_LONG=1`) folds a million records.
"""

import asyncio
from collections import Counter, defaultdict
from itertools import islice

import pytest

from metrics.snapshot import PaneImage, Snapshotter
from streams.following import following
from streams.settings import Settings, snapshot_config_of
from streams.settings_rules import fold_rules
from streams.stores.base import Outcome
from streams.stores.memory import MemoryStore
from streams.table import SlotTable
from tests.folding import LogRecord
from tests.poisoned import poisoned
from tests.strength import amount

RECORDS = amount(8_000, long=1_000_000)
BATCH = 500
NOW_MS = 1_795_300_000_000  # a day after the events
HOUR_MS = 3_600_000
ZONES = ("UTC", "Asia/Kathmandu", "America/Havana")


async def kept(table: SlotTable, store: MemoryStore) -> None:
    commit = table.take_commit()
    if commit is not None:
        assert await store.commit(table.slot, commit) is Outcome.DONE
        table.committed()


async def folded(settings: Settings, seed: int) -> tuple[SlotTable, MemoryStore, Counter[str]]:
    """Fold in batches of a topic each, commit after each; now and then begin again from the checkpoint."""
    rules, store = fold_rules(settings), MemoryStore(version="v")
    table = SlotTable(0, rules, await store.claim(0))
    ends, dead, records = defaultdict[str, int](int), Counter[str](), poisoned(seed)
    for number in range(RECORDS // BATCH):
        batches: dict[str, list[LogRecord]] = {}
        for topic, value, headers in islice(records, BATCH):
            record = LogRecord(topic, 0, ends[topic], value, None, headers)  # type: ignore[arg-type]
            batches.setdefault(topic, []).append(record)
            ends[topic] += 1
        for topic, batch in batches.items():
            letters = table.fold(topic, batch, now_ms=NOW_MS + number * HOUR_MS // 10)
            dead.update(letter.rejected.reason for letter in letters)
            assert table.next_offset[topic] == ends[topic], "nothing stops a partition"
        await kept(table, store)
        if number % 10 == 9:
            table.expire(now_ms=NOW_MS)
            await kept(table, store)
            table = SlotTable(0, rules, await store.claim(0))
    return table, store, dead


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.timeout(3_600)
def test_poison_stops_nothing_and_each_record_has_one_fate(zone: str) -> None:
    settings = Settings.model_validate({"floor": {"zone": zone}})
    table, store, dead = asyncio.run(folded(settings, ZONES.index(zone)))
    counters = table.facts.counters
    read = sum(table.next_offset.values())
    accepted = sum(counters["accepted"].values())
    assert read == RECORDS // BATCH * BATCH
    assert counters["rejected"] == dead
    assert read == accepted + sum(dead.values()) + counters["ignored"]["unknown_type"]
    assert accepted > RECORDS // 10
    assert len(dead) >= 9, "poison of every kind"
    follower = following(store, fold_rules(settings), slots=1, definition_version="v")
    asyncio.run(follower.load())
    for as_of_ms in (NOW_MS, NOW_MS + 30 * 24 * HOUR_MS):
        snapshot = Snapshotter(snapshot_config_of(settings)).take(PaneImage.of(follower), as_of_ms)
        assert snapshot.value("deals_created", "floor", "all", "30d") is not None
        assert snapshot.to_json_obj()["values"]
