"""Fetched bytes in, records as aiokafka's C code read them out: without its `ConsumerRecord` for each.

That costs more than to read them, and says again in every record what is known of the whole batch: topic and
partition. A consumer asks for it with `leave_plain`; others in the process get what aiokafka gives them.
Drops and reorders nothing.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition


def leave_plain(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer that is not started yet hand out records with offset, timestamp, key, value and headers
    only."""
    consumer._value_deserializer = _as_it_came


def _as_it_came(value: bytes | None) -> bytes | None:
    """Mark a consumer whose records are left plain."""
    return value


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """What a fetch brought of one partition. aiokafka has no other place to say what becomes of a record."""

    def __iter__(self) -> Iterator[Any]:
        return self._records_iterator  # type: ignore[no-any-return]  # without a step in Python for each

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any:
        if self._value_deserializer is _as_it_came:
            return record
        return super()._consumer_record(tp, record)


fetcher.PartitionRecords = _PartitionRecords
