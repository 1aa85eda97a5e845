"""Topics and where to stop in each partition in, their records in the oracle's log out. Joins no group.

Reads every partition from its first record to exactly the given offset, so that what is produced meanwhile is
not looked at. Judges no record itself and writes nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from oracle.log import Log
from streams.kafka_client import topic_reader
from streams.settings import Settings
from streams.topics import COMPACTED

POLL_MS: Final = 200
POLL_RECORDS_MAX: Final = 5_000
SILENCE_SECONDS: Final = 30.0
"""A broker that gives no record for so long does not have it."""

Partition = tuple[str, int]


class LogTooShort(Exception):
    """The topics do not reach as far as the state says, or are more than may be read. Names the fix."""


@dataclass
class ReadReport:
    total: int
    """Records there should be, up to the cut."""
    records: int = 0
    removed: int = 0
    """Records that retention has removed."""
    whole_since_ms: int | None = None
    """Arrival of the oldest record that is left, where some are gone; None: none is."""
    seen: dict[Partition, int] = field(default_factory=dict)


Progress = Callable[[ReadReport], None]


async def read_log(
    settings: Settings,
    log: Log,
    until: Mapping[Partition, int],
    *,
    records_max: int,
    progress: Progress = lambda _report: None,
) -> ReadReport:
    """Feed the log with every record before `until`. Raises `LogTooShort`, `KafkaError`."""
    wanted = {TopicPartition(*partition): end for partition, end in until.items() if end > 0}
    async with topic_reader(settings.kafka, client_id="salesfloor-verify") as consumer:
        return await _Reading(consumer, log, wanted, progress).run(records_max)


class _Reading:
    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        log: Log,
        wanted: Mapping[TopicPartition, int],
        progress: Progress,
    ) -> None:
        self._consumer, self._log, self._progress = consumer, log, progress
        self._wanted = dict(wanted)
        self._report = ReadReport(0)

    async def run(self, records_max: int) -> ReadReport:
        report = self._report
        if not self._wanted:
            return report
        self._consumer.assign(list(self._wanted))
        first: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(self._wanted))
        for partition, end in self._wanted.items():
            start = min(first[partition], end)
            report.total += end - start
            # A compacted topic loses only what newer records have replaced.
            report.removed += 0 if partition.topic in COMPACTED else start
            self._consumer.seek(partition, start)
        if report.total > records_max:
            raise LogTooShort(
                f"{report.total:,} records are more than --max-records {records_max:,}; allow more where "
                "there is memory for it (about 2 GB per million)"
            )
        self._wanted = {p: end for p, end in self._wanted.items() if first[p] < end}
        await self._read({p for p in self._wanted if first[p] and p.topic not in COMPACTED})
        return report

    async def _read(self, gone: set[TopicPartition]) -> None:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while self._wanted:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
            for partition, records in batches.items():
                self._take(partition, records, partition in gone)
                heard = loop.time()
            for partition in list(self._wanted):
                await self._end_if_read(partition)
            self._progress(self._report)
            if self._wanted and loop.time() - heard > SILENCE_SECONDS:
                raise LogTooShort(self._stops_short(next(iter(self._wanted))))

    def _take(self, partition: TopicPartition, records: list[ConsumerRecord], is_cut: bool) -> None:
        end, report = self._wanted.get(partition, 0), self._report
        for record in records:
            if record.offset >= end:
                break
            arrived_ms = record.timestamp
            if is_cut and (partition.topic, partition.partition) not in report.seen:
                report.whole_since_ms = max(arrived_ms, report.whole_since_ms or arrived_ms)
            report.seen[partition.topic, partition.partition] = record.offset
            report.records += 1
            self._log.take(
                partition.topic,
                partition.partition,
                arrived_ms,
                record.value,
                record.headers,
            )

    async def _end_if_read(self, partition: TopicPartition) -> None:
        position = await self._consumer.position(partition)
        if position >= self._wanted[partition]:
            del self._wanted[partition]
            self._consumer.pause(partition)
            return
        end = self._consumer.highwater(partition)
        if end is not None and end < self._wanted[partition]:
            raise LogTooShort(self._stops_short(partition))

    def _stops_short(self, partition: TopicPartition) -> str:
        return (
            f"{partition.topic} partition {partition.partition} ends before record "
            f"{self._wanted[partition]:,}, up to which the state was folded; is this the Kafka that the "
            "workers read, and was the topic made again?"
        )
