"""Watches that the logs fit what was folded of them: which they are, where they end, that reading goes on.

Comes in: the keeper's slots and what the last fetch answers said. Goes out: slots stopped, read again, moved
past offsets that hold no record, or released. Folds nothing.
"""

import logging
from collections.abc import Sequence

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.keeper import Keeper
from streams.logs import fields
from streams.ownership import Phase, is_truncated
from streams.slot import Reader, Slot
from streams.stores.base import StoreUnavailable

log = logging.getLogger(__name__)

TRUNCATION_SIGHTINGS = 3
"""A new partition leader may for a moment tell an older high watermark; a truncated log keeps telling it."""
MISSING_SIGHTINGS = 5
"""Brokers that have just started may for a moment not know all topics."""
IDENTITY_LOOKS = 10
"""Looks, a second apart, from one question for the topics' ids to the next."""
STALL_SIGHTINGS = 5
"""Looks, a second apart, without a step of this partition or any other: its records got lost on the way."""
STALL_SIGHTINGS_BUSY = 60
"""While others move, a partition with a backlog may just be waiting for its turn."""


class TopicsGone(Exception):
    """Source topics are not there any more. Started again the worker makes them, and says what that means."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__(f"{', '.join(topics)} not in Kafka any more: deleted, or the broker lost its data")


class LogWatch:
    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._folded_to = 0
        """Sum of all next offsets at the last look: whether anything moved since."""
        self._looks = 0
        self._missing_sightings = 0

    async def look(self, *, reading: bool) -> None:
        """Look at all slots; to be called once a second. Progress is expected only while `reading`."""
        reader = self._keeper.reader
        if reader is None:
            return
        self._check_presence(reader)
        self._check_ends(reader)
        if self._looks % IDENTITY_LOOKS == 0:
            await self._check_identity()
        self._looks += 1
        if reading:
            await self._check_progress(reader)
        await self._check_stopped()

    def _check_presence(self, reader: Reader) -> None:
        """End a worker whose topics are gone: its group gives it nothing to read, which looks like peace."""
        missing = reader.missing_topics()
        self._missing_sightings = self._missing_sightings + 1 if missing else 0
        if self._missing_sightings == MISSING_SIGHTINGS:
            self._keeper.on_fatal(TopicsGone(missing))

    def _check_ends(self, reader: Reader) -> None:
        """Stop slots one of whose logs ends before what was folded of it."""
        for slot in self._keeper.owned:
            for partition, next_offset in slot.positions().items():
                end = reader.high_watermark(partition)
                if not is_truncated(next_offset, high_watermark=end):
                    continue
                slot.behind_sightings += 1
                if slot.behind_sightings >= TRUNCATION_SIGHTINGS:
                    self._keeper.stop_truncated(slot, partition, end)
                break
            else:
                slot.behind_sightings = 0

    async def _check_identity(self) -> None:
        """Stop slots one of whose topics was made anew. Its log may be longer by now than what was folded.

        They are released when the new topic was accepted.
        """
        try:
            anew = await self._keeper.topics_made_anew()
        except (KafkaError, StoreUnavailable, TimeoutError):
            return
        for slot in self._keeper.slots.values():
            folded = [each for each in anew if slot.table is not None and slot.table.next_offset[each]]
            if slot.owned_table is not None and folded:
                self._keeper.stop_made_anew(slot, folded)
            elif not anew and slot.of_other_topics and slot.ownership.phase is Phase.STOPPED:
                self._keeper.release(slot)

    async def _check_progress(self, reader: Reader) -> None:
        """Fetch again where the log goes on and a slot does not.

        A gap shows itself only when the next batch comes, which may be never; whatever lost the records
        on the way from Kafka to the fold, this brings them back.
        """
        folded_to = sum(sum(slot.positions().values()) for slot in self._keeper.owned)
        limit = STALL_SIGHTINGS if folded_to == self._folded_to else STALL_SIGHTINGS_BUSY
        self._folded_to = folded_to
        for slot in self._keeper.owned:
            if slot.owned_table is None:
                continue  # lost while another one was read again
            for partition, next_offset in slot.positions().items():
                if _stands_still(slot, partition, reader.readable_end(partition), next_offset, limit):
                    await self._read_on(reader, slot, partition, next_offset)

    async def _read_on(self, reader: Reader, slot: Slot, partition: TopicPartition, next_offset: int) -> None:
        """Read the partition again, or move past what was read already and held no record.

        A log may well end in offsets without a record: the marks of transactions, and what was aborted.
        """
        if slot.owned_table is None:
            return  # lost while another partition was read again
        empty_to = reader.empty_to(partition)
        if empty_to is not None and empty_to > next_offset:
            self._keeper.skip_gap(slot, partition.topic, empty_to)
            return
        self._keeper.counts.reseeks += 1
        log.warning(fields("stalled, reading again", topic=partition.topic, slot=slot.number))
        await self._keeper.reseek(partition)

    async def _check_stopped(self) -> None:
        """Load stopped slots again once somebody else has claimed them: that is how an operator decides."""
        for slot in self._keeper.slots.values():
            if slot.ownership.phase is not Phase.STOPPED:
                continue
            tenure = slot.tenure
            try:
                mark = await self._keeper.store.read_mark(slot.number)
            except StoreUnavailable:
                return
            if slot.tenure == tenure and mark.owner != slot.mark.owner:
                self._keeper.release(slot)


def _stands_still(
    slot: Slot, partition: TopicPartition, end: int | None, next_offset: int, limit: int
) -> bool:
    stood_at, sightings = slot.stalls.pop(partition.topic, (-1, 0))
    if end is None or end <= next_offset:
        return False
    sightings = sightings + 1 if stood_at == next_offset else 1
    if sightings >= limit:
        return True
    slot.stalls[partition.topic] = next_offset, sightings
    return False
