"""Slots in one process for the tests: events in, the product's own fold in between, what it adds up to out.
No store.

A log per topic and slot gives every event an offset, as a broker would; commits are applied to plain
dicts, and a slot can be reloaded from them at any moment.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from metrics.panes import EXACT, Cell
from streams import layout
from streams.fact_contributions import contribute_fact
from streams.facts import Fact
from streams.rules import FoldRules
from streams.stores.base import Claim, Commit
from streams.table import SlotTable
from tests.histories import Event, delivery


class LogRecord(NamedTuple):
    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


Panes = dict[tuple[Cell, int, int], dict[int, int]]
"""(cell, start, tier) -> {measure key: value}: what a slot's panes say, however its cells are numbered."""


class Checkpoint:
    """What a store would hold of one slot."""

    def __init__(self) -> None:
        self.seq = 0
        self.offsets: dict[str, int] = {}
        self.board: dict[bytes, bytes] = {}
        self.entities: dict[bytes, bytes] = {}

    @classmethod
    def of(cls, claim: Claim) -> Self:
        checkpoint = cls()
        checkpoint.seq, checkpoint.offsets = claim.seq, dict(claim.offsets)
        checkpoint.board, checkpoint.entities = dict(claim.board), dict(claim.entities)
        return checkpoint

    def apply(self, commit: Commit) -> None:
        assert commit.seq == self.seq
        self.seq += 1
        self.offsets = dict(commit.offsets)
        self.board.update(commit.board_set)
        self.entities.update(commit.entities_set)
        for name in commit.board_del:
            self.board.pop(name, None)
        for name in commit.entities_del:
            self.entities.pop(name, None)

    def claim(self) -> Claim:
        return Claim("owner", self.seq, dict(self.offsets), dict(self.board), dict(self.entities))

    def panes(self) -> Panes:
        cells = {
            layout.cell_number(name): layout.unpack_cell(value)
            for name, value in self.board.items()
            if layout.is_cell(name)
        }
        panes: Panes = {}
        for name, value in self.board.items():
            if layout.is_pane(name):
                key = layout.pane_key(name)
                panes[cells[key.cell], key.start_ms, key.tier] = layout.unpack_pane(value)
        return panes

    def facts(self) -> dict[bytes, Fact]:
        """Return by field what the slot tells of its deals, leads and accounts, and of who touched whom."""
        return {
            name: layout.unpack_fact(layout.fact_owner(name)[0], value)
            for name, value in self.board.items()
            if layout.is_fact(name)
        }


class Slots:
    """Some slots of a floor, their logs and their checkpoints."""

    def __init__(self, rules: FoldRules, *, now_ms: int, slots: int = 1) -> None:
        self.rules = rules
        self.now_ms = now_ms
        self.slots = slots
        self.logs: dict[tuple[str, int], list[LogRecord]] = {}
        self.checkpoints = [Checkpoint() for _ in range(slots)]
        self.tables = [SlotTable(slot, rules, self.checkpoints[slot].claim()) for slot in range(slots)]

    def arrive(self, events: Iterable[Event]) -> None:
        """Append the events to the logs and fold them as one batch per topic and slot."""
        batches: dict[tuple[str, int], list[LogRecord]] = {}
        for event in events:
            topic, slot, value = delivery(event, slots=self.slots)
            log = self.logs.setdefault((topic, slot), [])
            log.append(LogRecord(topic, slot, len(log), value))
            batches.setdefault((topic, slot), []).append(log[-1])
        for (topic, slot), batch in batches.items():
            dead = self.tables[slot].fold(topic, batch, now_ms=self.now_ms)
            assert not dead, dead

    def redeliver_everything(self) -> None:
        for (topic, slot), log in self.logs.items():
            assert not self.tables[slot].fold(topic, log, now_ms=self.now_ms)

    def commit(self) -> None:
        for table, checkpoint in zip(self.tables, self.checkpoints, strict=True):
            commit = table.take_commit()
            if commit is not None:
                checkpoint.apply(commit)
                table.committed()

    def reload(self) -> None:
        """Forget the memory and load what was committed, as a new owner does."""
        self.tables = [
            SlotTable(slot, self.rules, checkpoint.claim())
            for slot, checkpoint in enumerate(self.checkpoints)
        ]

    def panes(self) -> Panes:
        """Commit, and return the panes of all slots with what facts add; what comes to zero is gone."""
        self.commit()
        sums: Counter[tuple[tuple[Cell, int, int], int]] = Counter()
        for checkpoint in self.checkpoints:
            for place, values in checkpoint.panes().items():
                sums.update({(place, key): value for key, value in values.items()})
            for fact in checkpoint.facts().values():
                for cell, time_ms, values in contribute_fact(fact, self.rules.calendar):
                    sums.update({((cell, time_ms, EXACT), key): value for key, value in values.items()})
        total: Panes = {}
        for (place, key), value in sums.items():
            if value:
                total.setdefault(place, {})[key] = value
        return total

    def facts(self) -> dict[tuple[int, bytes], Fact]:
        """Commit, and return what the slots tell for joins, by slot and field."""
        self.commit()
        return {
            (slot, name): fact
            for slot, checkpoint in enumerate(self.checkpoints)
            for name, fact in checkpoint.facts().items()
        }
