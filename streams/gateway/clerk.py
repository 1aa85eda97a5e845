"""Outcomes of a delivery in, what Kafka holds of them out. Knows no HTTP; the doors and the fetchers use it.

All records of a delivery are acknowledged, or nothing is promised about any of them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.clock import Clock
from streams.gateway.incomplete import record_of, tombstone_of
from streams.gateway.ledger import Fate, Ledger, Line
from streams.gateway.model import (
    AsIs,
    Canonical,
    Delivery,
    Outcome,
    Outgoing,
    Skipped,
    Source,
    Taken,
    Thin,
    Unusable,
)
from streams.gateway.placing import Placed, dead_letter, place
from streams.gateway.sender import KafkaAway, Sender

FOR_EVER_MS = 1 << 62

Fetch = Callable[[Source, Thin], None]
"""Asked for the values of a record; must return at once and do its work later."""


class RefusedWhole(Exception):
    """A strict sender's delivery holds something unusable. Nothing of it was produced."""

    def __init__(self, wrong: list[tuple[int, Unusable]], of: int) -> None:
        super().__init__(f"{len(wrong)} of {of}")
        self.wrong = wrong
        self.of = of


@dataclass(slots=True)
class _Sorted:
    """A delivery's outcomes by what is to be done with them."""

    placed: list[Placed] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    thin: list[Thin] = field(default_factory=list)
    wrong: list[tuple[int, Unusable]] = field(default_factory=list)


@dataclass(slots=True)
class Clerk:
    """Places outcomes, has them produced, and writes into the ledger what became of them."""

    sender: Sender
    clock: Clock
    ledger: Ledger
    retention_ms: int = FOR_EVER_MS
    fetches: dict[str, Fetch] = field(default_factory=dict)
    """By source name; a source without one keeps its thin events as incomplete."""
    _on_its_way: Counter[bytes] = field(default_factory=Counter, init=False)
    """Keys of incomplete records that are being produced."""

    async def take(
        self,
        outcomes: Sequence[Outcome],
        source: Source,
        *,
        strict: bool = False,
        original: Delivery | None = None,
        limit_seconds: float | None = None,
    ) -> Taken:
        """Return once Kafka holds all there is to hold. Raises `KafkaAway`, and `RefusedWhole` when strict.
        `original` is kept as a dead letter when a part of it cannot be used."""
        found = self._sort(outcomes, source)
        if strict and found.wrong:
            raise RefusedWhole(found.wrong, len(outcomes))
        records = [placed.outgoing for placed in found.placed]
        if found.wrong and original is not None:
            records.append(_letter(found.wrong, len(outcomes), source, original))
        told = {record.key or b"": record for record in (record_of(source.name, thin) for thin in found.thin)}
        self._on_its_way.update(told.keys())
        try:
            await self._send([*records, *told.values()], limit_seconds)
        finally:
            self._on_its_way -= Counter(told.keys())
        self._write(found, source)
        return Taken(len(found.placed), len(found.skipped), len(found.thin), len(found.wrong))

    async def complete(self, source: Source, thin: Thin) -> None:
        """Have Kafka forget that the record is incomplete, unless it is being told of anew at this moment:
        then it is for the next fetch to do. Raises `KafkaAway`."""
        tombstone = tombstone_of(source.name, thin)
        if not self._on_its_way[tombstone.key or b""]:
            await self._send([tombstone], None)

    async def keep(
        self, original: Delivery, source: Source, why: Unusable, limit_seconds: float | None
    ) -> None:
        """Keep a whole body that cannot be read; the caller says what became of it. Raises `KafkaAway`."""
        letter = dead_letter(original, source.name, why)
        await self._send([letter], limit_seconds)

    def note(
        self, source: Source, fate: Fate, reason: str = "", *, type: str = "", id: str = "", detail: str = ""
    ) -> None:
        self.ledger.note(Line(self.clock.now_ms(), source.name, fate, reason, type, id, detail))

    def _sort(self, outcomes: Sequence[Outcome], source: Source) -> _Sorted:
        found = _Sorted()
        for index, outcome in enumerate(outcomes):
            event: Outcome | None = outcome
            if isinstance(outcome, Thin):
                found.thin.append(outcome)
                event = outcome.mark
            if isinstance(event, Canonical | AsIs):
                now_ms = self.clock.now_ms()
                placed = place(event, source, now_ms=now_ms, oldest_ms=now_ms - self.retention_ms)
                if isinstance(placed, Placed):
                    found.placed.append(placed)
                else:
                    found.wrong.append((index, placed))
            elif isinstance(event, Unusable):
                found.wrong.append((index, event))
            elif isinstance(event, Skipped):
                found.skipped.append(event)
        return found

    async def _send(self, records: Sequence[Outgoing], limit_seconds: float | None) -> None:
        if not records:
            return
        try:
            async with asyncio.timeout(limit_seconds):
                await self.sender.send(records)
        except TimeoutError:
            raise KafkaAway(f"no acknowledgement within {limit_seconds} s") from None

    def _write(self, found: _Sorted, source: Source) -> None:
        for placed in found.placed:
            self.note(source, Fate.ACCEPTED, type=placed.type, id=placed.entity_id)
        for skipped in found.skipped:
            self.note(source, Fate.SKIPPED, skipped.reason)
        for _index, wrong in found.wrong:
            self.note(source, Fate.DEAD_LETTER, wrong.reason, detail=wrong.detail)
        for thin in found.thin:
            self.note(source, Fate.INCOMPLETE, thin.op, type=thin.object, id=thin.entity_id)
            self.ledger.wait_for(source.name, thin)
            if (fetch := self.fetches.get(source.name)) is not None:
                fetch(source, thin)


def _letter(wrong: list[tuple[int, Unusable]], of: int, source: Source, original: Delivery) -> Outgoing:
    first = wrong[0][1]
    detail = first.detail if of == 1 else f"{len(wrong)} of {of} parts: {first.detail}"
    why = Unusable(first.reason, detail)
    return dead_letter(original, source.name, why)
