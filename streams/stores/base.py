"""The checkpoint contract every store keeps. Types only, no I/O.

A slot is the p-th partition of deals, leads and activities. Its checkpoint is two maps of bytes:
`board` (panes, cells, counters: what `metrics` reads) and `entities` (what only the owner reads),
with one `seq`, one owner and one offset per topic. A commit replaces values; it never increments.
Field names that begin with `@` are the store's own.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

STORE_FORMAT: Final = 1
"""How a store arranges what it keeps: names of keys, the store's own fields, what its steps compare.

Not what stands in the fields: that is `FOLD_VERSION`. Written beside everything stored and compared before
anything is read or changed, so it is the one thing whose place must never move. Absent means 1.
"""


class StoreUnavailable(Exception):
    """The store did not answer or refused to write (down, out of memory, read-only, loading).

    Nothing was half-applied. Keep the dirty state and try again with backoff.
    """


class StoreRefuses(StoreUnavailable):
    """The store answers and lets us not in: login, certificate or rights. The message names what to mend.

    Who starts gives up; who runs waits, for what refuses now may be mended meanwhile.
    """


class StoreMisconfigured(Exception):
    """The store answers but would lose state in normal operation. The message names the fix."""


class ForeignState(Exception):
    """The state in use was folded under another definition version; it is left as it is."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the state in Redis was folded by another release or under other settings (definition version "
            f"{version}); start that release with those settings, or run `salesfloor rebuild` with this one"
        )


class ForeignFormat(ForeignState):
    """What is stored is arranged as another release does it; it can neither be read nor written here."""

    def __init__(self, found: int) -> None:
        self.found = found
        whose = "a newer" if found > STORE_FORMAT else "another"
        Exception.__init__(
            self,
            f"the state in Redis is kept in format {found} by {whose} release of salesfloor; this release "
            f"knows format {STORE_FORMAT} and leaves it as it is. Start that release again, or give this one "
            "another redis.namespace, where it folds everything from the topics",
        )


class GenerationInUse(ForeignState):
    """What was folded beside the state in use is itself in use by now: only its owners write there."""

    def __init__(self, generation: int) -> None:
        Exception.__init__(
            self,
            f"generation {generation} is in use already: another rebuild was faster; there is nothing to do",
        )


class Claim(Struct, frozen=True):
    """Ownership of a slot plus the whole checkpoint as it stood when it was taken.

    `owner` is the fencing token: a growing epoch and a random part, so that even after the store
    lost its last second no two claims share it. `seq` is 0 and the maps are empty for a new slot,
    and also when one of its maps was lost (then `stale` is True: rebuild from the topics).
    """

    owner: str
    seq: int
    offsets: dict[str, int]  # topic -> next offset to read
    board: dict[bytes, bytes]
    entities: dict[bytes, bytes]
    stale: bool = False


class Commit(Struct, frozen=True):
    """One atomic step: from `seq` to `seq + 1`."""

    owner: str
    seq: int
    offsets: dict[str, int]
    board_set: dict[bytes, bytes]
    board_del: list[bytes]
    entities_set: dict[bytes, bytes]
    entities_del: list[bytes]


class Outcome(Enum):
    DONE = auto()
    ALREADY_DONE = auto()  # this very commit was applied before; a retry after a lost answer
    FENCED = auto()  # another claim owns the slot now
    ROLLED_BACK = auto()  # the store lost what was committed before; claim again and replay


class Mark(NamedTuple):
    """Names one image of a slot's board: equal marks mean equal boards, whatever was lost between.

    `seq` alone does not: after a rollback another owner writes other content under the same number.
    """

    owner: str
    seq: int


NO_MARK = Mark("", 0)


class Board(Struct, frozen=True):
    """A consistent image of one slot's board."""

    seq: int
    offsets: dict[str, int]
    fields: dict[bytes, bytes]
    version: str = ""
    owner: str = ""

    @property
    def mark(self) -> Mark:
        return Mark(self.owner, self.seq)


class SlotImage(Struct, frozen=True):
    """A slot's whole checkpoint as one commit left it, read without taking the slot."""

    board: Board
    entities: dict[bytes, bytes]


class BoardChange(Struct, frozen=True):
    """What one commit did to one slot's board. Apply it only on top of `follows`; else read the board."""

    slot: int
    seq: int
    offsets: dict[str, int]
    set: dict[bytes, bytes]
    delete: list[bytes]
    owner: str = ""

    @property
    def mark(self) -> Mark:
        return Mark(self.owner, self.seq)

    @property
    def follows(self) -> Mark:
        return Mark(self.owner, self.seq - 1)


class Shown(Struct, frozen=True):
    """Which state readers show: one value, written in one step, so that all slots switch at once."""

    slots: int
    version: str
    definition: str = ""
    """What the version stands for (streams.definition); "" when nobody wrote it down."""
    generation: int | None = None
    """None: of each slot the generation that its owner writes."""
    format: int = STORE_FORMAT


class SlotStore(Protocol):
    """Durable checkpoints by slot. Every method may raise `StoreUnavailable`."""

    async def claim(self, slot: int) -> Claim:
        """Take the slot from whoever owns it and load its checkpoint.

        Raises `ForeignState` or `ForeignFormat`, and takes nothing, when the slot holds state of another
        definition version or of a release that stores otherwise.
        """

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        """Apply the commit if `owner` still owns the slot and `seq` is the stored one."""

    async def read_board(self, slot: int) -> Board:
        """Read a slot's board in one atomic step; seq 0 and no fields when there is none."""

    async def read_mark(self, slot: int) -> Mark:
        """Read which image of the board is stored, cheaply; `NO_MARK` when there is none."""

    async def read_image(self, slot: int) -> SlotImage:
        """Read a slot's board and entities as one commit left them; empty when there is nothing."""

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[BoardChange]]:
        """Subscribe to the changes of all slots. Every commit made after entering is in the iterator,

        unless the store drops some: marks tell. `StoreUnavailable` ends it; enter again and compare marks.
        """


class StateStore(SlotStore, Protocol):
    """A store that keeps several generations of each slot and knows which of them is in use and shown."""

    def of_generation(self, generation: int | None, *, version: str) -> "StateStore":
        """Return a store that works on this generation; None: on the one in use.

        It claims and commits only while the generation is not in use: a rebuild that slept while another one
        switched must not write beside the owners.
        """

    async def active_generation(self, slot: int) -> int: ...

    async def active_generations(self, slots: int) -> list[int]: ...

    async def version_of(self, slot: int) -> str:
        """Return under which definition version the slot was folded; "" when there is nothing."""

    async def activate(self, slot: int, generation: int, left: Mark | None = None) -> bool:
        """Make this the generation in use; say whether it is. Whoever owned the slot is fenced and claims
        from it. Nothing changes where a later one is in use, or where `left` is not what stands in this one.
        """

    async def discard(self, slot: int, generation: int) -> bool:
        """Delete a generation, unless it is the one in use; say whether it is gone."""

    async def announce(self, shown: Shown, *, whatever: bool = False) -> str:
        """Tell readers how many slots there are and what is shown; return the version shown then.

        What is shown under another version stays, unless `whatever`. The generation stays in any case.
        Raises `ForeignFormat`, and changes nothing, when another release arranged what is stored.
        """

    async def show(self, shown: Shown) -> None:
        """Switch readers to this, in one step."""

    async def shown(self) -> Shown | None:
        """Return what readers are to show, of whatever format; None when no worker has ever started."""

    async def close(self) -> None: ...
