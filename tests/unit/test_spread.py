"""Records of several partitions are written again oldest first, each partition in its order, to its end."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition

from streams.spread import _copy, _Oldest
from streams.topics import DEALS

FIRST, SECOND = TopicPartition(DEALS, 0), TopicPartition(DEALS, 1)


@dataclass
class Written:
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = b"k"
    topic: str = DEALS
    value: bytes = b"v"
    headers: Sequence[tuple[str, bytes]] = ()


class Log:
    """A consumer over lists of records; hands out two of each partition at a time."""

    def __init__(self, records: dict[TopicPartition, list[Written]]) -> None:
        self._records = {place: deque(found) for place, found in records.items()}
        self._positions = dict.fromkeys(records, 0)

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    async def getmany(self, *places: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Written]]:
        assert timeout_ms
        found = {}
        for place in places:
            held = self._records[place]
            taken = [held.popleft() for _ in range(min(2, len(held)))]
            if taken:
                self._positions[place] = taken[-1].offset + 1
                found[place] = taken
        return found


def log() -> Log:
    return Log(
        {
            FIRST: [Written(0, 0, 10), Written(0, 1, 40), Written(0, 4, 30), Written(0, 5, 99)],
            SECOND: [Written(1, 7, 20), Written(1, 8, 35, key=None), Written(1, 9, 50)],
        }
    )


async def test_the_oldest_comes_first_and_nothing_from_behind_the_end() -> None:
    oldest = _Oldest(log(), {FIRST: 5, SECOND: 9})
    told = [(record.partition, record.offset) async for record in oldest]
    assert told == [(0, 0), (1, 7), (1, 8), (0, 1), (0, 4)]


async def test_a_partition_without_records_holds_nobody_up() -> None:
    oldest = _Oldest(log(), {FIRST: 0, SECOND: 8})
    assert [record.offset async for record in oldest] == [7]


class Producer:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, topic: str, value: bytes, **how: Any) -> Any:
        self.sent.append({"topic": topic, "value": value, **how})

        async def acknowledged() -> None:
            return None

        return acknowledged()


async def test_a_key_says_where_its_record_goes_and_one_without_stays_where_it_was() -> None:
    producer, told = Producer(), list[int]()
    count = await _copy(producer, _Oldest(log(), {FIRST: 0, SECOND: 9}), told.append)
    assert (count, told) == (2, [2])
    assert [(each["key"], each["partition"], each["timestamp_ms"]) for each in producer.sent] == [
        (b"k", None, 20),
        (None, 1, 35),
    ]
