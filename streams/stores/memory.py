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
from typing import Literal

from streams.stores.base import (
    NO_MARK,
    Board,
    BoardChange,
    Claim,
    Commit,
    ForeignState,
    Mark,
    Outcome,
    SlotImage,
    StoreUnavailable,
)

FailWhen = Literal["before", "after"]
Notices = Callable[[BoardChange], Iterable[BoardChange]]

# How far back `roll_back` can go, in claims and commits of one slot.
_UNDO_MAX = 1000


@dataclass(slots=True)
class _Slot:
    owner: str = ""
    epoch: int = 0
    version: str = ""
    seq: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    board: dict[bytes, bytes] = field(default_factory=dict)
    entities: dict[bytes, bytes] = field(default_factory=dict)
    entities_seq: int = 0
    undo: "deque[_Undo]" = field(default_factory=lambda: deque(maxlen=_UNDO_MAX))

    @property
    def mark(self) -> Mark:
        return Mark(self.owner, self.seq) if self.owner else NO_MARK


@dataclass(slots=True)
class _Undo:
    """What one claim or commit replaced. `committed` is the seq a commit made, None for a claim."""

    committed: int | None
    owner: str
    epoch: int
    version: str
    seq: int
    entities_seq: int
    offsets: dict[str, int]
    board: dict[bytes, bytes | None]
    entities: dict[bytes, bytes | None]


@dataclass(slots=True)
class _Shared:
    """What all stores that look at the same memory see."""

    rng: random.Random
    slots: dict[int, _Slot] = field(default_factory=dict)
    followers: list["asyncio.Queue[BoardChange | None]"] = field(default_factory=list)
    failures: deque[FailWhen] = field(default_factory=deque)
    down: bool = False
    notices: Notices = lambda change: (change,)


class MemoryStore:
    """A `SlotStore` in this process's memory."""

    def __init__(
        self, *, version: str, rng: random.Random | None = None, shared: _Shared | None = None
    ) -> None:
        self._version = version
        self._shared = shared or _Shared(rng or random.Random())

    def with_version(self, version: str) -> "MemoryStore":
        """Return a store on the same memory, as a worker of another definition version sees it."""
        return MemoryStore(version=version, shared=self._shared)

    async def claim(self, slot: int) -> Claim:
        self._fail("before")
        state = self._shared.slots.setdefault(slot, _Slot())
        if state.seq and state.version != self._version:
            raise ForeignState(state.version)
        stale = state.seq != state.entities_seq
        lost = (state.board, state.entities) if stale else ((), ())
        self._remember(state, None, board=lost[0], entities=lost[1])
        if stale or not state.seq:
            state.seq = state.entities_seq = 0
            state.offsets, state.board, state.entities = {}, {}, {}
            state.version = self._version
        state.epoch += 1
        state.owner = f"{state.epoch}-{self._shared.rng.getrandbits(64):016x}"
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
        state = self._shared.slots.get(slot)
        if state is None or not state.owner:
            return Outcome.ROLLED_BACK
        if state.owner != commit.owner:
            return Outcome.FENCED
        if state.seq != state.entities_seq:
            return Outcome.ROLLED_BACK
        if state.seq == commit.seq + 1:
            return Outcome.ALREADY_DONE
        if state.seq != commit.seq:
            return Outcome.ROLLED_BACK
        self._remember(
            state,
            commit.seq + 1,
            board=(*commit.board_set, *commit.board_del),
            entities=(*commit.entities_set, *commit.entities_del),
        )
        _write(state.board, commit.board_set, commit.board_del)
        _write(state.entities, commit.entities_set, commit.entities_del)
        state.seq = state.entities_seq = commit.seq + 1
        state.offsets = dict(commit.offsets)
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

    async def read_board(self, slot: int) -> Board:
        self._fail("before")
        state = self._shared.slots.get(slot) or _Slot()
        return Board(
            seq=state.seq,
            offsets=dict(state.offsets),
            fields=dict(state.board),
            version=state.version,
            owner=state.owner,
        )

    async def read_mark(self, slot: int) -> Mark:
        self._fail("before")
        state = self._shared.slots.get(slot)
        return NO_MARK if state is None else state.mark

    async def read_image(self, slot: int) -> SlotImage:
        board = await self.read_board(slot)
        state = self._shared.slots.get(slot) or _Slot()
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

    # Faults

    def fail_next(self, when: FailWhen, times: int = 1) -> None:
        """Let the next calls raise `StoreUnavailable`, before applying anything or after applying it all.

        "after" is the lost answer: claims and commits have happened, their callers cannot know.
        """
        self._shared.failures.extend([when] * times)

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
        """Return to the image right after commit `seq`, claims made later forgotten too; 0: to nothing."""
        state = self._shared.slots.get(slot, _Slot())
        while state.undo and state.undo[-1].committed != seq:
            _undo(state, state.undo.pop())

    def lose_all(self) -> None:
        self._shared.slots.clear()

    def lose_entities(self, slot: int) -> None:
        """Evict one of a slot's two maps, as a misconfigured store might."""
        state = self._shared.slots[slot]
        state.entities, state.entities_seq = {}, -1

    def start_over(self, slot: int) -> None:
        """Put another, empty generation in the slot's place, as a rebuild does; its last owner is fenced."""
        state = self._shared.slots.setdefault(slot, _Slot())
        self._remember(state, None, board=state.board, entities=state.entities)
        state.seq = state.entities_seq = 0
        state.epoch += 1
        state.version, state.owner = "", f"{state.epoch}-{self._shared.rng.getrandbits(64):016x}"
        state.offsets, state.board, state.entities = {}, {}, {}

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

    @staticmethod
    def _remember(
        state: _Slot, committed: int | None, *, board: Iterable[bytes], entities: Iterable[bytes]
    ) -> None:
        state.undo.append(
            _Undo(
                committed=committed,
                owner=state.owner,
                epoch=state.epoch,
                version=state.version,
                seq=state.seq,
                entities_seq=state.entities_seq,
                offsets=state.offsets,
                board={name: state.board.get(name) for name in board},
                entities={name: state.entities.get(name) for name in entities},
            )
        )


def _write(fields: dict[bytes, bytes], changed: dict[bytes, bytes], deleted: Iterable[bytes]) -> None:
    fields.update(changed)
    for name in deleted:
        fields.pop(name, None)


def _undo(state: _Slot, undo: _Undo) -> None:
    state.owner, state.epoch, state.version = undo.owner, undo.epoch, undo.version
    state.seq, state.entities_seq, state.offsets = undo.seq, undo.entities_seq, undo.offsets
    for fields, earlier in ((state.board, undo.board), (state.entities, undo.entities)):
        for name, value in earlier.items():
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value


async def _until_broken(queue: "asyncio.Queue[BoardChange | None]") -> AsyncIterator[BoardChange]:
    while (change := await queue.get()) is not None:
        yield change
    raise StoreUnavailable("the subscription was interrupted")
