"""The checkpoint contract every store keeps. Types only, no I/O.

A slot is the p-th partition of deals, leads and activities. Its checkpoint is two maps of bytes:
`board` (panes, cells, counters: what `metrics` reads) and `entities` (what only the owner reads),
with one `seq`, one owner and one offset per topic. A commit replaces values; it never increments.
"""

from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import Protocol

from msgspec import Struct


class StoreUnavailable(Exception):
    """The store did not answer or refused to write (down, out of memory, read-only, loading).

    Nothing was half-applied. Keep the dirty state and try again with backoff.
    """


class Claim(Struct, frozen=True):
    """Ownership of a slot plus the whole checkpoint as it stood when it was taken.

    `owner` is the fencing token: a growing epoch and a random part, so that even after the store
    lost its last second no two claims share it. `seq` is 0 and the maps are empty for a new slot,
    and also when the stored `version` is another one (then `stale` is True: rebuild from the topics).
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


class Board(Struct, frozen=True):
    """A consistent image of one slot's board."""

    seq: int
    offsets: dict[str, int]
    fields: dict[bytes, bytes]
    version: str = ""


class BoardChange(Struct, frozen=True):
    """What one commit did to one slot's board. Apply it only on top of `seq - 1`; else read the board anew."""

    slot: int
    seq: int
    offsets: dict[str, int]
    set: dict[bytes, bytes]
    delete: list[bytes]


class SlotStore(Protocol):
    """Durable checkpoints by slot. Every method may raise `StoreUnavailable`."""

    async def claim(self, slot: int) -> Claim:
        """Take the slot from whoever owns it and load its checkpoint."""

    async def commit(self, slot: int, commit: Commit) -> Outcome:
        """Apply the commit if `owner` still owns the slot and `seq` is the stored one."""

    async def read_board(self, slot: int) -> Board:
        """Read a slot's board in one atomic step; seq 0 and no fields when there is none."""

    def follow(self) -> AsyncIterator[BoardChange]:
        """Yield board changes as they are committed. May miss some: `seq` tells."""
