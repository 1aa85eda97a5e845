"""The topic `sales.incomplete` in, the ledger's list of incomplete records out, and work for the fetchers.

What it holds at the start is shown and fetched: an earlier gateway answered for it. Of what comes later, this
gateway's own is at the fetchers already, and another's is shown only. Nothing here holds up a door.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.admin import describe_topics
from streams.gateway.clerk import Clerk
from streams.gateway.incomplete import Key, told_by
from streams.gateway.ledger import INCOMPLETE_MAX
from streams.gateway.model import Source, Thin
from streams.kafka_client import client_options, meaning_of
from streams.logs import fields
from streams.settings import Settings
from streams.topics import INCOMPLETE

log = logging.getLogger(__name__)

_POLL_MS: Final = 1000
_EMPTY_POLLS_AT_THE_END: Final = 5
"""A log may end in offsets that hold no record any more; then nothing comes, and that is the end."""
_WAIT_FIRST_SECONDS: Final = 0.5
_WAIT_LAST_SECONDS: Final = 15.0
_PATIENCE: Final = 4
"""So many tries fail without a word: where all starts at once, Kafka and the topic come a little later."""
_STOP_SECONDS: Final = 2.0


class Standing:
    """Records of the topic in; into the ledger what they mean, first all together and then one by one."""

    def __init__(self, clerk: Clerk, sources: Iterable[Source]) -> None:
        self._clerk = clerk
        self._sources = {source.name: source for source in sources}
        self._found: OrderedDict[Key, Thin] | None = OrderedDict()

    @property
    def restored(self) -> bool:
        return self._found is None

    def take(self, key: bytes | None, value: bytes | None) -> None:
        told = told_by(key, value)
        if told is None:
            return
        if self._found is not None:
            self._found.pop(told.key, None)
            if told.thin is not None:
                self._found[told.key] = told.thin
                if len(self._found) > INCOMPLETE_MAX:
                    self._found.popitem(last=False)
        elif told.thin is not None:
            self._clerk.ledger.wait_for(told.key.source, told.thin)
        else:
            self._clerk.ledger.completed(*told.key)

    def restore(self) -> None:
        """Show and fetch what is incomplete, the oldest first; to be called at the end of the topic, once."""
        found = self._found or OrderedDict[Key, Thin]()
        self._found = None
        for key, thin in sorted(found.items(), key=lambda each: each[1].time_ms):
            if self._clerk.ledger.waits_for(key.source, thin):
                continue  # told of since the start, and asked for already
            self._clerk.ledger.wait_for(key.source, thin)
            source, fetch = self._sources.get(key.source), self._clerk.fetches.get(key.source)
            if source is not None and fetch is not None:
                fetch(source, thin)
        if found:
            log.info(fields("incomplete records of before are known again", records=len(found)))


class IncompleteFeed:
    """Follows the topic for one gateway."""

    def __init__(self, standing: Standing, settings: Settings) -> None:
        self._standing, self._settings = standing, settings
        self._next: dict[TopicPartition, int] = {}
        """The offset to read next; a connection that broke is taken up there."""

    async def run(self) -> None:
        """Follow until cancelled; wait longer and longer for a Kafka that is not there."""
        pause, tries, said = _WAIT_FIRST_SECONDS, 0, ""
        while True:
            before = dict(self._next)
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - a list must not cost the doors their gateway
                reason = meaning_of(error)
            if self._next != before:
                pause, tries, said = _WAIT_FIRST_SECONDS, 0, ""
            tries += 1
            if tries >= _PATIENCE and reason != said:
                log.warning(fields("incomplete records of before are not known", reason=reason))
                said = reason
            await asyncio.sleep(pause)
            pause = min(2 * pause, _WAIT_LAST_SECONDS)

    async def _follow(self) -> None:
        # Asking for a topic by name would create it where the broker does so by itself.
        count = (await describe_topics(self._settings)).get(INCOMPLETE)
        if count is None:
            raise LookupError(f"no topic {INCOMPLETE} yet; workers create it, or `salesfloor topics create`")
        consumer = AIOKafkaConsumer(
            **client_options(self._settings.kafka, client_id="salesfloor-incomplete"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            await self._read(consumer, [TopicPartition(INCOMPLETE, number) for number in range(count)])
        finally:
            await _stop(consumer)

    async def _read(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, self._next.setdefault(partition, begins[partition]))
        empty_polls = 0
        while True:
            if not self._standing.restored and (
                empty_polls >= _EMPTY_POLLS_AT_THE_END
                or all(self._next[partition] >= end for partition, end in ends.items())
            ):
                self._standing.restore()
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            empty_polls = 0 if batches else empty_polls + 1
            for partition, records in batches.items():
                self._take(records)
                self._next[partition] = records[-1].offset + 1

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            self._standing.take(record.key, record.value)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await consumer.stop()
    except TimeoutError:
        pass  # it holds nothing that would be lost


@asynccontextmanager
async def following_incomplete(
    clerk: Clerk, sources: Iterable[Source], settings: Settings
) -> AsyncIterator[None]:
    """Keep the clerk's list of incomplete records as the topic says, for as long as the context lasts."""
    feed = IncompleteFeed(Standing(clerk, sources), settings)
    task = asyncio.create_task(feed.run(), name="gateway follows incomplete records")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
