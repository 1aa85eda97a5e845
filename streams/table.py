"""A slot's entities and panes in memory: folds batches of records, tracks what is dirty, expires.

Comes in: records of one partition. Goes out: dead letters, and commits that carry the whole change
with the offsets it came from. Never awaits, never reads a clock, knows no store and no Kafka.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from metrics.panes import DayStart
from streams.events import Rejected
from streams.stores.base import Claim, Commit


class Record(Protocol):
    """What the fold needs of a consumed record; aiokafka's `ConsumerRecord` is one."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class FoldRules:
    """Everything from the settings that decides what the panes hold."""

    day_start: DayStart
    currency: str = "USD"
    stage_probability: dict[str, float] = field(default_factory=dict)
    retention_ms: int = 800 * 86_400_000
    activity_horizon_ms: int = 35 * 86_400_000
    panes_max: int = 200_000
    clock: Literal["wall", "event"] = "wall"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    record: Record
    rejected: Rejected


class SlotTable:
    """State of one slot. Drop it and claim again whenever in doubt: it holds nothing that is not replayed."""

    def __init__(self, slot: int, rules: FoldRules, claim: Claim) -> None:
        raise NotImplementedError

    slot: int
    next_offset: dict[str, int]
    """Topic -> offset of the next record to fold."""

    def fold(self, topic: str, records: Sequence[Record], *, now_ms: int) -> list[DeadLetter]:
        """Fold a contiguous batch whose first offset is at most `next_offset`; skip what was seen."""
        raise NotImplementedError

    def skip_to(self, topic: str, offset: int, *, lost: bool) -> None:
        """Move past offsets that hold no record (gap) or whose records are gone (lost); counted."""
        raise NotImplementedError

    def begin_rebuild(self, until: dict[str, int]) -> None:
        """Flag the slot as rebuilding until every topic has reached its offset."""
        raise NotImplementedError

    @property
    def dirty_keys(self) -> int:
        """Number of fields the next commit writes or deletes."""
        raise NotImplementedError

    def take_commit(self) -> Commit | None:
        """Return the commit in flight, else one with everything dirty, else None when nothing changed.

        The same commit is returned until `committed` is called, so a retry after a lost answer is
        byte for byte the same.
        """
        raise NotImplementedError

    def committed(self) -> None:
        """Tell that the commit in flight is durable."""
        raise NotImplementedError

    def expire(self, *, now_ms: int) -> None:
        """Forget entities and panes past their horizons; coarsen panes when there are too many."""
        raise NotImplementedError

    def rows(self, table: str) -> dict[bytes, bytes]:
        """Return the rows of a Faust table kept in this slot."""
        raise NotImplementedError

    def set_row(self, table: str, key: bytes, value: bytes | None) -> None:
        """Set or delete (None) a row of a Faust table; part of the next commit."""
        raise NotImplementedError
