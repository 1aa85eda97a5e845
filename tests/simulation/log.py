"""The topics of a simulated floor: appended to, cut at both ends, fetched from. Knows no worker."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from tests.folding import LogRecord
from tests.histories import Event


@dataclass
class Partition:
    records: list[LogRecord] = field(default_factory=list)
    """Everything ever appended, with gaps between offsets as compaction and markers leave them."""
    events: dict[int, Event] = field(default_factory=dict)
    """Of those that are good, by offset: what they say."""
    begin: int = 0
    end: int = 0
    vanished: set[int] = field(default_factory=set)
    """Offsets that truncation took away while somebody had folded them."""


@dataclass
class Log:
    partitions: dict[TopicPartition, Partition] = field(default_factory=dict)

    def of(self, place: TopicPartition) -> Partition:
        found = self.partitions.get(place)
        if found is None:
            found = self.partitions[place] = Partition()
        return found

    def partition_of(self, topic: str, slot: int) -> Partition | None:
        return self.partitions.get(TopicPartition(topic, slot))

    def append(self, place: TopicPartition, value: bytes, *, event: Event | None = None, gap: int = 0) -> int:
        partition = self.of(place)
        offset = partition.end + gap
        partition.records.append(LogRecord(place.topic, place.partition, offset, value))
        if event is not None:
            partition.events[offset] = event
        partition.end = offset + 1
        return offset

    def fetch(self, place: TopicPartition, offset: int, count: int) -> list[LogRecord]:
        """Raises `OffsetOutOfRangeError` for what retention has removed."""
        partition = self.partitions.get(place)
        if partition is None:
            return []
        if offset < partition.begin or offset > partition.end:
            raise OffsetOutOfRangeError({place: offset})
        found = []
        for record in self._from(partition, offset):
            found.append(record)
            if len(found) == count:
                break
        return found

    @staticmethod
    def _from(partition: Partition, offset: int) -> Iterator[LogRecord]:
        at = len(partition.records)
        while at and partition.records[at - 1].offset >= offset:
            at -= 1
        return (each for each in partition.records[at:] if each.offset not in partition.vanished)

    def begin(self, place: TopicPartition) -> int:
        return self.partitions[place].begin if place in self.partitions else 0

    def end(self, place: TopicPartition) -> int:
        return self.partitions[place].end if place in self.partitions else 0

    def ends(self, slot: int) -> Mapping[str, int]:
        return {place.topic: each.end for place, each in self.partitions.items() if place.partition == slot}

    def remove_before(self, place: TopicPartition, offset: int) -> None:
        """Remove records as retention does; what was removed stays known to whoever checks."""
        partition = self.of(place)
        partition.begin = max(partition.begin, min(offset, partition.end))

    def truncate(self, place: TopicPartition, offset: int) -> None:
        """Take the newest records away, as an unclean change of leader does."""
        partition = self.of(place)
        gone = [record.offset for record in partition.records if record.offset >= offset]
        partition.vanished.update(gone)
        partition.end = max(min(offset, partition.end), partition.begin)

    def forget_vanished(self, slot: int) -> None:
        """No state holds them any more: their offsets may be given to others."""
        for place, partition in self.partitions.items():
            if place.partition == slot and partition.vanished:
                partition.records = [
                    each for each in partition.records if each.offset not in partition.vanished
                ]
                for offset in partition.vanished:
                    partition.events.pop(offset, None)
                partition.vanished = set()
