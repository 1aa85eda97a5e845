"""A stand-in for the owner of a slot: commits made-up panes and cells. And what a board adds up to."""

from collections import Counter
from dataclasses import dataclass, field

from metrics.panes import Cell, PaneReader
from streams import layout
from streams.layout import PaneKey, PaneValues, SlotFacts
from streams.stores.base import Board, Claim, Commit, Outcome, SlotStore
from tests.keys import rows_of_log

Sums = dict[tuple[Cell, int, int], int]
"""(cell, start, measure) -> value; what is zero is left out."""


@dataclass
class Writer:
    """Owns a slot and gives its cells numbers as they come, as the slot's table does."""

    store: SlotStore
    slot: int
    claim: Claim
    seq: int
    numbers: dict[Cell, int] = field(default_factory=dict)
    panes: set[PaneKey] = field(default_factory=set)
    next_number: int = 0

    @classmethod
    async def of(cls, store: SlotStore, slot: int) -> "Writer":
        claim = await store.claim(slot)
        writer = cls(store, slot, claim, claim.seq)
        for name, value in claim.board.items():
            if layout.is_cell(name):
                writer.numbers[layout.unpack_cell(value)] = layout.cell_number(name)
            elif layout.is_pane(name):
                writer.panes.add(layout.pane_key(name))
        writer.next_number = max(writer.numbers.values(), default=-1) + 1
        return writer

    async def commit(
        self,
        offset: int,
        panes: dict[tuple[Cell, int], PaneValues] | None = None,
        *,
        delete: int = 0,
        facts: SlotFacts | None = None,
        more: dict[bytes, bytes] | None = None,
    ) -> Outcome:
        """Set panes, delete some that were there and the cells that no pane is of then, in one commit."""
        board_set = {layout.FACTS_FIELD: layout.pack_facts(facts or SlotFacts()), **(more or {})}
        deleted = sorted(self.panes)[:delete]
        self.panes.difference_update(deleted)
        for (cell, start_ms), values in (panes or {}).items():
            if cell not in self.numbers:
                self.numbers[cell] = self.next_number
                self.next_number += 1
                board_set[layout.cell_field(self.numbers[cell])] = layout.pack_cell(cell)
            key = PaneKey(self.numbers[cell], start_ms, 0)
            self.panes.add(key)
            board_set[layout.pane_field(key)] = layout.pack_pane(values)
        used = {key.cell for key in self.panes}
        gone = [number for number in self.numbers.values() if number not in used] if delete else []
        self.numbers = {cell: number for cell, number in self.numbers.items() if number not in gone}
        commit = Commit(
            owner=self.claim.owner,
            seq=self.seq,
            offsets={"sales.deals": offset},
            board_set=board_set,
            board_del=[
                *(name for key in deleted if (name := layout.pane_field(key)) not in board_set),
                *map(layout.cell_field, gone),
            ],
            entities_set={},
            entities_del=[],
        )
        outcome = await self.store.commit(self.slot, commit)
        if outcome is Outcome.DONE:
            self.seq += 1
        return outcome


def sums_of_boards(boards: list[Board], *, version: str) -> Sums:
    sums: Counter[tuple[Cell, int, int]] = Counter()
    for board in boards:
        if board.version != version:
            continue
        cells = {
            layout.cell_number(name): layout.unpack_cell(value)
            for name, value in board.fields.items()
            if layout.is_cell(name)
        }
        for name, packed in board.fields.items():
            if layout.is_pane(name):
                key = layout.pane_key(name)
                for measure, value in layout.unpack_pane(packed).items():
                    sums[cells[key.cell], key.start_ms, measure] += value
    return {where: value for where, value in sums.items() if value}


def sums_of_log(reader: PaneReader) -> Sums:
    sums: Counter[tuple[Cell, int, int]] = Counter()
    cells, log = reader.cells(), reader.log()
    for start_ms, cell, key, value in rows_of_log(log):
        sums[cells[cell], start_ms, key] += value
    return {where: value for where, value in sums.items() if value}
