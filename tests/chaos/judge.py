"""Topics, Redis and the metrics role in, what is wrong with them out. Changes nothing.

Two things are compared with what the topics hold: every counter, pane and fact in Redis with an undisturbed
fold of the same records (a record left out or folded twice shows there), and every number of /api/snapshot
with the oracle's, which shares no code with the product.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from oracle.numbers import answers, books_of
from oracle.windows import Floor as OracleFloor
from streams import layout
from streams.clock import SystemClock
from streams.settings_rules import fold_rules
from streams.table import SlotTable
from streams.topics import REFERENCE, SOURCES
from tests.chaos.floor import SLOTS, Floor, until
from tests.chaos.load import MINUTE_MS
from tests.folding import Checkpoint, LogRecord
from tests.histories import Event, rfc3339
from tests.product_path import differences_of_json

LEVELS = ("floor", "team", "rep", "stage")
SHOWN_SECONDS = 30.0
TOLD_MAX = 12


@dataclass
class Verdict:
    """What a comparison found. Empty `wrong` is exact."""

    records: int = 0
    lost: int = 0
    doubled: int = 0
    rejected: int = 0
    counted_lost: int = 0
    """Records that are gone from the topics and that the product says so of."""
    wrong: list[str] = field(default_factory=list)


class Judge:
    """Reads each record of the topics once; may be asked again and again as they grow."""

    def __init__(self, floor: Floor, *, as_of_ms: int) -> None:
        self.floor, self.as_of_ms = floor, as_of_ms
        self.events: list[Event] = []
        self.read_to: Counter[TopicPartition] = Counter()
        self.forgotten: Counter[int] = Counter()
        """Slot -> records folded of topics that were made anew since: offsets tell of them no more."""
        self._rules = fold_rules(floor.settings)
        self._tables: list[SlotTable] = []
        self._images = [Checkpoint() for _ in range(SLOTS)]
        self._tables = [
            SlotTable(slot, self._rules, image.claim()) for slot, image in enumerate(self._images)
        ]

    # Reading

    async def read(self) -> None:
        """Take in what the topics hold beyond what was read before."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.floor.kafka.bootstrap,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=5_000,
            max_partition_fetch_bytes=8 << 20,
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic, slot) for topic in SOURCES for slot in range(SLOTS)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            begins = await consumer.beginning_offsets(places)
            for place in places:
                self._skip_to(place, begins[place])
                consumer.seek(place, self.read_to[place])
            while [place for place in places if await consumer.position(place) < ends[place]]:
                for place, records in (await consumer.getmany(timeout_ms=500)).items():
                    await asyncio.to_thread(self._take, place, records)
            for place in places:
                if self.read_to[place] < ends[place]:  # the marks of transactions, and what was aborted
                    self._tables[place.partition].skip_to(place.topic, ends[place], lost=False)
                    self.read_to[place] = ends[place]
        finally:
            await consumer.stop()

    def _take(self, place: TopicPartition, records: list[Any]) -> None:
        table = self._tables[place.partition]
        now_ms = SystemClock().now_ms()
        kept = [LogRecord(each.topic, each.partition, each.offset, each.value) for each in records]
        dead = {letter.record.offset for letter in table.fold(place.topic, kept, now_ms=now_ms)}
        for record in kept:
            # The batch answers are asked of a floor without reference records; the fold above has them.
            if record.offset not in dead and record.value is not None and place.topic != REFERENCE:
                self.events.append(msgspec.json.decode(record.value))
        self.read_to[place] = records[-1].offset + 1

    def _skip_to(self, place: TopicPartition, first: int) -> None:
        """Records that are gone before anybody read them are lost: the product must have counted them."""
        if first > self.read_to[place]:
            self._tables[place.partition].skip_to(place.topic, first, lost=True)
            self.read_to[place] = first

    def lose(self, place: TopicPartition, until_offset: int) -> None:
        """Tell that the workers cannot have read what lies from here to there: for retention scenarios."""
        self._skip_to(place, until_offset)

    def read_anew(self, topic: str) -> None:
        """Tell that the workers read this topic again from its beginning, on top of what they have."""
        for slot, table in enumerate(self._tables):
            self.forgotten[slot] += table.next_offset[topic]
            table.next_offset[topic] = self.read_to[TopicPartition(topic, slot)] = 0

    # Comparing

    async def verdict(self) -> Verdict:
        """Compare all; the workers must have committed everything."""
        await self.read()
        verdict = Verdict(records=sum(self.read_to.values()))
        store = self.floor.store()
        try:
            for slot in range(SLOTS):
                board = await store.read_board(slot)
                await asyncio.to_thread(self._compare_slot, slot, board.offsets, board.fields, verdict)
        finally:
            await store.close()
        await self._compare_numbers(verdict)
        return verdict

    def _compare_slot(
        self, slot: int, offsets: dict[str, int], fields: dict[bytes, bytes], verdict: Verdict
    ) -> None:
        table, image = self._tables[slot], self._images[slot]
        commit = table.take_commit()
        if commit is not None:
            image.apply(commit)
            table.committed()
        if layout.FACTS_FIELD not in fields:
            if any(table.next_offset.values()):
                verdict.wrong.append(f"slot {slot} holds nothing")
            return
        if {topic: offsets.get(topic, 0) for topic in SOURCES} != table.next_offset:
            verdict.wrong.append(f"slot {slot} stands at {offsets}, the topics at {table.next_offset}")
        actual = layout.unpack_facts(fields[layout.FACTS_FIELD]).counters
        known = sum(offsets.values()) + self.forgotten[slot]
        _compare_counters(slot, known, actual, table.facts.counters, verdict)
        stored = Checkpoint()
        stored.board = fields
        found, right = stored.panes(), image.panes()
        if found != right:
            verdict.wrong.append(f"slot {slot}: {_different(found, right)} of {len(right)} panes differ")
        told, true = stored.facts(), image.facts()
        if told != true:
            verdict.wrong.append(f"slot {slot}: {_different(told, true)} of {len(true)} facts differ")

    async def _compare_numbers(self, verdict: Verdict) -> None:
        stored = await self.floor.stored()

        async def shows_all() -> bool:
            told = (await self.floor.snapshot("?kpi=revenue&level=floor&window=1h")).get("partitions", {})
            return all(told.get(topic, {}).get(str(slot)) == end for (topic, slot), end in stored.items())

        try:
            await until("metrics shows what is stored", shows_all, SHOWN_SECONDS)
        except TimeoutError as error:
            verdict.wrong.append(str(error))
            return
        at = self.as_of_ms // MINUTE_MS * MINUTE_MS
        levels = "".join(f"&level={level}" for level in LEVELS)
        told = await self.floor.snapshot(f"?at={rfc3339(at)}{levels}")
        found = await asyncio.to_thread(self._against_oracle, told, at)
        verdict.wrong += found[:TOLD_MAX]
        if len(found) > TOLD_MAX:
            verdict.wrong.append(f"… and {len(found) - TOLD_MAX} numbers more")

    def _against_oracle(self, told: dict[str, Any], at_ms: int) -> list[str]:
        floor = OracleFloor()
        return differences_of_json(told, answers(books_of(self.events, floor), at_ms, floor, levels=LEVELS))


def _compare_counters(
    slot: int,
    known: int,
    actual: dict[str, dict[str, int]],
    right: dict[str, dict[str, int]],
    verdict: Verdict,
) -> None:
    def count(counters: dict[str, dict[str, int]], group: str) -> int:
        return sum(counters.get(group, {}).values())

    told = sum(count(actual, group) for group in ("accepted", "rejected", "lost", "gaps"))
    told += actual.get("ignored", {}).get("unknown_type", 0)
    if told != known:
        verdict.wrong.append(f"slot {slot}: {told} records accounted for, offsets say {known}")
    verdict.rejected += count(actual, "rejected")
    verdict.counted_lost += count(actual, "lost")
    for topic in SOURCES:
        missing = right.get("accepted", {}).get(topic, 0) - actual.get("accepted", {}).get(topic, 0)
        verdict.lost += max(0, missing)
        verdict.doubled += max(0, -missing)
        more = actual.get("unchanged", {}).get(topic, 0) - right.get("unchanged", {}).get(topic, 0)
        if missing == 0:
            verdict.doubled += max(0, more)
    if actual != right:
        verdict.wrong.append(f"slot {slot} counted {actual}, right is {right}")


def _different(found: Mapping[Any, object], right: Mapping[Any, object]) -> int:
    return sum(found.get(key) != right.get(key) for key in found.keys() | right.keys())
