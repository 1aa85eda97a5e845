"""Stored states of releases, as the bytes that lay in Redis: taken, kept in files, put back, folded further.

`python -m tests.upgrade.states` writes the state of this release into `states/`; run it after raising
`FOLD_VERSION` or `STORE_FORMAT`, and keep the older files: they are what users upgrade from.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.structs import TopicPartition
from redis.asyncio import Redis

from streams.definition import shown_of
from streams.embedded import embedded_redis
from streams.settings import FOLD_VERSION, Settings
from streams.settings_rules import fold_rules
from streams.stores.base import STORE_FORMAT, Outcome
from streams.stores.redis import RedisStore
from streams.table import SlotTable
from tests.folding import LogRecord
from tests.histories import Event, Generator, delivery

DIRECTORY = Path(__file__).parent / "states"
NAMESPACE = "floor"
SLOTS = 2
NOW_MS = 1_520_000_000_000
SETTINGS = Settings.model_validate(
    {"floor": {"zone": "America/New_York"}, "worker": {"activity_horizon_days": 800}}
)
Keys = dict[str, dict[bytes, bytes] | bytes]


class StoredState(msgspec.Struct):
    fold: int
    format: int
    records: list[tuple[str, int, bytes]]
    """Topic, partition and value, in the order of the logs."""
    keys: Keys

    @property
    def name(self) -> str:
        return f"format{self.format}-fold{self.fold}.msgpack"


def kept() -> list[Path]:
    return sorted(DIRECTORY.glob("*.msgpack"))


def read(path: Path) -> StoredState:
    return msgspec.msgpack.decode(path.read_bytes(), type=StoredState)


def some_events(seed: int, count: int) -> list[Event]:
    times = [NOW_MS - 7_000_000 * number for number in range(60)]
    return [event for event in Generator(seed, times=times, entities=6).history(count) if _is_plain(event)]


def _is_plain(event: Event) -> bool:
    """Leave out the largest amounts: their sums say nothing about a stored form."""
    return "90071992547409" not in json.dumps(event)


def records_of(events: Iterable[Event]) -> list[tuple[str, int, bytes]]:
    rate: Event = {
        "specversion": "1.0", "id": "r1", "source": "/tests", "type": "sales.rate.set",
        "time": "2018-02-01T00:00:00Z",
        "data": {"currency": "CHF", "valid_from": "2018-02-01", "rate": "1.1"},
    }  # fmt: skip
    told = [delivery(event, slots=SLOTS) for event in events]
    return [
        *((each.topic, each.slot, each.value) for each in told),
        ("sales.reference", 1, json.dumps(rate).encode()),
    ]


def logs_of(records: Iterable[tuple[str, int, bytes]]) -> dict[TopicPartition, list[LogRecord]]:
    logs: dict[TopicPartition, list[LogRecord]] = {}
    for topic, partition, value in records:
        log = logs.setdefault(TopicPartition(topic, partition), [])
        log.append(LogRecord(topic, partition, len(log), value))
    return logs


def store_on(url: str, settings: Settings = SETTINGS) -> RedisStore:
    return RedisStore(url, namespace=NAMESPACE, version=settings.definition_version)


async def fold_into(store: RedisStore, records: Sequence[tuple[str, int, bytes]]) -> None:
    """Claim every slot, fold what it has not folded yet of these logs, and commit, as a worker does."""
    await store.announce(shown_of(SETTINGS, slots=SLOTS))
    for slot in range(SLOTS):
        table = SlotTable(slot, fold_rules(SETTINGS), await store.claim(slot))
        for place, log in logs_of(records).items():
            if place.partition == slot:
                table.fold(place.topic, log, now_ms=NOW_MS)
                commit = table.take_commit()
                if commit is not None:
                    assert await store.commit(slot, commit) is Outcome.DONE
                    table.committed()


async def dump(url: str) -> Keys:
    keys: Keys = {}
    async with Redis.from_url(url, protocol=2) as redis:
        for key in sorted(await _ask(redis, "KEYS", "*")):
            kind = await _ask(redis, "TYPE", key)
            keys[key.decode()] = await _ask(redis, "HGETALL" if kind == b"hash" else "GET", key)
    return keys


async def restore(url: str, keys: Keys) -> None:
    async with Redis.from_url(url, protocol=2) as redis:
        for key, value in keys.items():
            if isinstance(value, bytes):
                await _ask(redis, "SET", key, value)
            else:
                await _ask(redis, "HSET", key, *(part for item in value.items() for part in item))


async def _ask(redis: Redis, *command: str | bytes) -> Any:
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def _take() -> StoredState:
    records = records_of(some_events(11, 120))
    async with embedded_redis() as running:
        store = store_on(running.redis_url)
        await fold_into(store, records)
        await store.close()
        return StoredState(FOLD_VERSION, STORE_FORMAT, records, await dump(running.redis_url))


def main() -> None:
    state = asyncio.run(_take())
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / state.name
    path.write_bytes(msgspec.msgpack.encode(state))
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
