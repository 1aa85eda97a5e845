"""The reference store: checkpoints in plain dicts, with faults on request. Nothing outlives the process.

Simulation trusts it because it passes the same contract tests as the Redis store. It makes every
failure a real store can have happen on command: see `MemoryStore`'s methods under "Faults".
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from msgspec.structs import replace

from streams.stores.base import (
    NO_MARK,
    STORE_FORMAT,
    Board,
    BoardChange,
    Claim,
    Commit,
    ForeignFormat,
    ForeignState,
    GenerationInUse,
    Mark,
    Outcome,
    Shown,
    SlotImage,
    StoreUnavailable,
)

FailWhen = Literal["before", "after"]
Notices = Callable[[BoardChange], Iterable[BoardChange]]
Watch = Callable[[int, int, "SlotState"], None]
"""Told of slot, generation and what is stored then, after each claim and commit."""

# How far back `roll_back` can go, in steps of the whole store.
_UNDO_MAX = 4000


@dataclass(slots=True)
class SlotState:
    """One generation of one slot."""

    owner: str = ""
    epoch: int = 0
    version: str = ""
    format: int = STORE_FORMAT
    seq: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    board: dict[bytes, bytes] = field(default_factory=dict)
    entities: dict[bytes, bytes] = field(default_factory=dict)
    entities_seq: int = 0
    tag: object = None
    """For whoever watches the store: it goes where this state goes, back, too."""

    @property
    def mark(self) -> Mark:
        return Mark(self.owner, self.seq) if self.owner else NO_MARK

    def shallow(self) -> "SlotState":
        return SlotState(
            self.owner, self.epoch, self.version, self.format, self.seq,
            self.offsets, self.board, self.entities, self.entities_seq, self.tag,
        )  # fmt: skip


class _Step(NamedTuple):
    """One step of the store, and how it is taken back. `committed` is the seq a commit made, else None."""

    slot: int
    committed: int | None
    undo: Callable[[], None]


@dataclass(slots=True)
class _Shared:
    """What all stores that look at the same memory see."""

    rng: random.Random
    slots: dict[tuple[int, int], SlotState] = field(default_factory=dict)
    """(slot, generation) -> its state."""
    active: dict[int, int] = field(default_factory=dict)
    shown: Shown | None = None
    journal: deque[_Step] = field(default_factory=lambda: deque(maxlen=_UNDO_MAX))
    followers: list["asyncio.Queue[BoardChange | None]"] = field(default_factory=list)
    failures: deque[FailWhen] = field(default_factory=deque)
    down: bool = False
    notices: Notices = lambda change: (change,)
    watch: Watch = lambda _slot, _generation, _state: None


class MemoryStore:
    """A `StateStore` in this process's memory."""

    def __init__(
        self,
        *,
        version: str,
        rng: random.Random | None = None,
        shared: _Shared | None = None,
        generation: int | None = None,
    ) -> None:
        self._version = version
        self._generation = generation
        self._shared = shared or _Shared(rng or random.Random())
        self._seen: dict[int, int] = {}  # slot -> generation that was active when last claimed

    def with_version(self, version: str) -> "MemoryStore":
        """Return a store on the same memory, as a worker of another definition version sees it."""
        return MemoryStore(version=version, shared=self._shared)

    def of_generation(self, generation: int | None, *, version: str) -> "MemoryStore":
        return MemoryStore(version=version, shared=self._shared, generation=generation)

    def generation_in_use(self, slot: int) -> int:
        return self._current(slot)

    def watched_by(self, watch: Watch) -> None:
        self._shared.watch = watch

    def held(self, slot: int) -> SlotState | None:
        """Return what is stored of a slot, past every fault; None when there is nothing."""
        return self._shared.slots.get((slot, self._current(slot)))

    async def claim(self, slot: int) -> Claim:
        self._fail("before")
        generation = self._seen[slot] = self._current(slot)
        if self._is_in_use(slot):
            raise GenerationInUse(generation)
        place = slot, generation
        state = self._shared.slots.get(place)
        if state is not None and state.format != STORE_FORMAT:
            raise ForeignFormat(state.format)
        if state is not None and state.seq and state.version != self._version:
            raise ForeignState(state.version)
        self._remember(slot, place)
        if state is None:
            state = self._shared.slots[place] = SlotState()
        stale = state.seq != state.entities_seq
        if stale or not state.seq:
            state.seq = state.entities_seq = 0
            state.offsets, state.board, state.entities, state.tag = {}, {}, {}, None
            state.version = self._version
        state.epoch += 1
        state.owner = f"{state.epoch}-{self._shared.rng.getrandbits(64):016x}"
        self._shared.watch(slot, generation, state)
        claim = Claim(
            owner=state.owner,
            seq=state.seq,
            offsets=dict(state.offsets),
            board=dict(state.board),
            entities=dict(state.entities),
            stale=stale,
        )
        self._fail("after")
        return claim

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        self._fail("before")
        outcome = self._commit(slot, commit)
        self._fail("after")
        return outcome

    def _commit(self, slot: int, commit: Commit) -> Outcome:
        generation = self._current(slot)
        if self._seen.setdefault(slot, generation) != generation or self._is_in_use(slot):
            return Outcome.FENCED
        state = self._shared.slots.get((slot, generation))
        if state is None or not state.owner:
            return Outcome.ROLLED_BACK
        if not self._is_ours(state, commit):
            return Outcome.FENCED
        if state.seq != state.entities_seq:
            return Outcome.ROLLED_BACK
        if state.seq == commit.seq + 1:
            return Outcome.ALREADY_DONE
        if state.seq != commit.seq:
            return Outcome.ROLLED_BACK
        self._write(slot, generation, state, commit)
        if self._shared.active.get(slot, 0) == generation:
            self._publish(
                BoardChange(
                    slot=slot,
                    seq=state.seq,
                    offsets=dict(commit.offsets),
                    set=dict(commit.board_set),
                    delete=list(commit.board_del),
                    owner=commit.owner,
                )
            )
        return Outcome.DONE

    def _is_ours(self, state: SlotState, commit: Commit) -> bool:
        ours = state.format == STORE_FORMAT and state.version == self._version
        return ours and state.owner == commit.owner

    def _write(self, slot: int, generation: int, state: SlotState, commit: Commit) -> None:
        self._remember(
            slot,
            (slot, generation),
            committed=commit.seq + 1,
            board=(*commit.board_set, *commit.board_del),
            entities=(*commit.entities_set, *commit.entities_del),
        )
        _apply(state.board, commit.board_set, commit.board_del)
        _apply(state.entities, commit.entities_set, commit.entities_del)
        state.seq = state.entities_seq = commit.seq + 1
        state.offsets = dict(commit.offsets)
        self._shared.watch(slot, generation, state)

    async def read_board(self, slot: int) -> Board:
        self._fail("before")
        state = self.held(slot) or SlotState()
        return Board(
            seq=state.seq,
            offsets=dict(state.offsets),
            fields=dict(state.board),
            version=state.version,
            owner=state.owner,
        )

    async def read_mark(self, slot: int) -> Mark:
        self._fail("before")
        state = self.held(slot)
        return NO_MARK if state is None else state.mark

    async def read_image(self, slot: int) -> SlotImage:
        board = await self.read_board(slot)
        state = self.held(slot) or SlotState()
        return SlotImage(board, dict(state.entities))

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[BoardChange]]:
        if self._shared.down:
            raise StoreUnavailable("the memory store is down")
        queue: asyncio.Queue[BoardChange | None] = asyncio.Queue()
        self._shared.followers.append(queue)
        try:
            yield _until_broken(queue)
        finally:
            # By identity: another follower's queue is another object, whatever it holds.
            self._shared.followers[:] = [other for other in self._shared.followers if other is not queue]

    async def check(self, *, require_noeviction: bool = True) -> list[str]:
        self._fail("before")
        return []

    async def close(self) -> None:
        """Nothing is open."""

    # Generations, and which of them is shown

    async def active_generation(self, slot: int) -> int:
        self._fail("before")
        return self._shared.active.get(slot, 0)

    async def active_generations(self, slots: int) -> list[int]:
        return [await self.active_generation(slot) for slot in range(slots)]

    async def version_of(self, slot: int) -> str:
        self._fail("before")
        state = self.held(slot)
        return "" if state is None else state.version

    async def activate(self, slot: int, generation: int, left: Mark | None = None) -> bool:
        self._fail("before")
        active = self._shared.active.get(slot, 0)
        if active < generation:
            state = self._shared.slots.get((slot, generation))
            if left is not None and left != (NO_MARK if state is None else state.mark):
                return False
            self._set_active(slot, generation)
        self._fail("after")
        return active <= generation

    def _set_active(self, slot: int, generation: int) -> None:
        active, before = self._shared.active, self._shared.active.get(slot, 0)
        self._shared.journal.append(_Step(slot, None, lambda: active.__setitem__(slot, before)))
        active[slot] = generation

    async def discard(self, slot: int, generation: int) -> bool:
        self._fail("before")
        if self._shared.active.get(slot, 0) == generation:
            return False
        self._remember(slot, (slot, generation))
        self._shared.slots.pop((slot, generation), None)
        self._fail("after")
        return True

    async def announce(self, shown: Shown, *, whatever: bool = False) -> str:
        self._fail("before")
        there = self._shared.shown
        if there is not None and there.format != shown.format:
            raise ForeignFormat(there.format)
        if there is not None and there.version != shown.version and not whatever:
            return there.version
        told = replace(shown, generation=None if there is None else there.generation)
        if told != there:
            self._show(told)
        return shown.version

    async def show(self, shown: Shown) -> None:
        self._fail("before")
        self._show(shown)
        self._fail("after")

    def _show(self, shown: Shown) -> None:
        shared, before = self._shared, self._shared.shown
        shared.journal.append(_Step(-1, None, lambda: setattr(shared, "shown", before)))
        shared.shown = shown

    async def shown(self) -> Shown | None:
        self._fail("before")
        return self._shared.shown

    def _is_in_use(self, slot: int) -> bool:
        return self._generation is not None and self._shared.active.get(slot, 0) == self._generation

    def _current(self, slot: int) -> int:
        return self._shared.active.get(slot, 0) if self._generation is None else self._generation

    # Faults

    def fail_next(self, when: FailWhen, times: int = 1) -> None:
        """Let the next calls raise `StoreUnavailable`, before applying anything or after applying it all.

        "after" is the lost answer: claims and commits have happened, their callers cannot know.
        """
        self._shared.failures.extend([when] * times)

    def clear_failures(self) -> None:
        self._shared.failures.clear()

    def go_down(self) -> None:
        """Refuse every call and end every subscription until `come_back`. What is stored stays."""
        self._shared.down = True
        self.break_subscriptions()

    def come_back(self) -> None:
        self._shared.down = False

    def break_subscriptions(self) -> None:
        for queue in self._shared.followers:
            queue.put_nowait(None)

    def spoil_notices(self, notices: Notices) -> None:
        """Choose what followers are told for each change: nothing, the change, or it several times."""
        self._shared.notices = notices

    def roll_back(self, slot: int, seq: int) -> None:
        """Return to the image right after the slot's commit `seq`, everything later forgotten, of other
        slots too; 0: to nothing."""
        journal = self._shared.journal
        while journal and not (journal[-1].slot == slot and journal[-1].committed == seq):
            journal.pop().undo()

    def forget_last(self, steps: int) -> None:
        """Lose the last steps, as a store does whose last second was not on disk."""
        for _ in range(min(steps, len(self._shared.journal))):
            self._shared.journal.pop().undo()

    def lose_all(self) -> None:
        self._shared.slots.clear()
        self._shared.active.clear()
        self._shared.shown = None
        self._shared.journal.clear()

    def lose_entities(self, slot: int) -> None:
        """Evict one of a slot's two maps, as a misconfigured store might."""
        state = self._shared.slots[slot, self._current(slot)]
        state.entities, state.entities_seq = {}, 0
        self._shared.journal.clear()

    def start_over(self, slot: int) -> None:
        """Put another, empty generation in the slot's place, as a rebuild does; its last owner is fenced."""
        taken = [number for at, number in self._shared.slots if at == slot]
        self._set_active(slot, 1 + max(taken, default=0))

    def _fail(self, when: FailWhen) -> None:
        if self._shared.down:
            raise StoreUnavailable("the memory store is down")
        if self._shared.failures and self._shared.failures[0] == when:
            self._shared.failures.popleft()
            raise StoreUnavailable(f"the memory store failed {when} applying, as told")

    def _publish(self, change: BoardChange) -> None:
        for notice in self._shared.notices(change):
            for queue in self._shared.followers:
                queue.put_nowait(notice)

    def _remember(
        self,
        slot: int,
        place: tuple[int, int],
        *,
        committed: int | None = None,
        board: Iterable[bytes] = (),
        entities: Iterable[bytes] = (),
    ) -> None:
        """Note how what is about to change now can be taken back: these fields, and all but fields."""
        slots, state = self._shared.slots, self._shared.slots.get(place)
        before = None if state is None else state.shallow()
        fields = {name: before.board.get(name) for name in board} if before else {}
        more = {name: before.entities.get(name) for name in entities} if before else {}

        def undo() -> None:
            if before is None:
                slots.pop(place, None)
                return
            slots[place] = before
            _restore(before.board, fields)
            _restore(before.entities, more)

        self._shared.journal.append(_Step(slot, committed, undo))


def _apply(fields: dict[bytes, bytes], changed: dict[bytes, bytes], deleted: Iterable[bytes]) -> None:
    fields.update(changed)
    for name in deleted:
        fields.pop(name, None)


def _restore(fields: dict[bytes, bytes], earlier: dict[bytes, bytes | None]) -> None:
    for name, value in earlier.items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = value


async def _until_broken(queue: "asyncio.Queue[BoardChange | None]") -> AsyncIterator[BoardChange]:
    while (change := await queue.get()) is not None:
        yield change
    raise StoreUnavailable("the subscription was interrupted")
