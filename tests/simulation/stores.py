"""The shared store as one process reaches it: a step before each call and one before its answer."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from streams.stores.base import (
    Board,
    BoardChange,
    Claim,
    Commit,
    ForeignState,
    Mark,
    Outcome,
    Shown,
    SlotImage,
)
from streams.stores.memory import MemoryStore
from tests.simulation.outside import Outside

_SEEN_OUTCOMES = {
    Outcome.FENCED: "zombie's commit",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.ALREADY_DONE: "already done",
}


class SlowStore:
    """A `StateStore`. `who` is put before the names of steps; a worker has none."""

    def __init__(self, store: MemoryStore, outside: Outside, hits: Counter[str], *, who: str = "") -> None:
        self._store = store
        self._outside = outside
        self._hits = hits
        self._who = who

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[BoardChange]]:
        return self._store.follow()

    async def claim(self, slot: int) -> Claim:
        await self._outside.step(f"{self._who}claim")
        try:
            claim = await self._store.claim(slot)
        except ForeignState:
            self._hits["foreign state"] += 1
            raise
        self._hits["stale"] += claim.stale
        await self._outside.step(f"{self._who}claimed")
        return claim

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        await self._outside.step(f"{self._who}commit")
        outcome = await self._store.commit(slot, commit)
        if outcome is not Outcome.DONE:
            self._hits[_SEEN_OUTCOMES[outcome]] += 1
        await self._outside.step(f"{self._who}committed")
        return outcome

    async def read_board(self, slot: int) -> Board:
        return await self._store.read_board(slot)

    async def read_mark(self, slot: int) -> Mark:
        await self._outside.step("compare")
        return await self._store.read_mark(slot)

    async def read_image(self, slot: int) -> SlotImage:
        return await self._store.read_image(slot)

    def of_generation(self, generation: int | None, *, version: str) -> "SlowStore":
        store = self._store.of_generation(generation, version=version)
        return SlowStore(store, self._outside, self._hits, who=self._who)

    async def active_generation(self, slot: int) -> int:
        return await self._store.active_generation(slot)

    async def active_generations(self, slots: int) -> list[int]:
        return await self._store.active_generations(slots)

    async def version_of(self, slot: int) -> str:
        return await self._store.version_of(slot)

    async def activate(self, slot: int, generation: int, left: Mark | None = None) -> bool:
        await self._outside.step(f"{self._who}switch")
        return await self._store.activate(slot, generation, left)

    async def discard(self, slot: int, generation: int) -> bool:
        await self._outside.step(f"{self._who}discard")
        return await self._store.discard(slot, generation)

    async def announce(self, shown: Shown, *, whatever: bool = False) -> str:
        await self._outside.step("announce")
        return await self._store.announce(shown, whatever=whatever)

    async def show(self, shown: Shown) -> None:
        await self._outside.step(f"{self._who}switch")
        await self._store.show(shown)
        await self._outside.step(f"{self._who}switched")

    async def shown(self) -> Shown | None:
        return await self._store.shown()

    async def close(self) -> None:
        """Nothing is open."""
