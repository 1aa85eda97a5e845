"""One slot's board as last seen: images and changes in, the differences they make out. Reads no store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Final, NamedTuple

from msgspec.structs import force_setattr

from metrics.listed import EVERY_NAME, Listed
from metrics.panes import Cell
from metrics.reference import Reference, Stage
from streams import layout
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact, Fact, LeadFact
from streams.joins.base import FactChange
from streams.pane_log import Rows
from streams.stores.base import NO_MARK, Board, BoardChange, Mark

_NOTHING: layout.PaneValues = {}
_WITH_CELL: Final = (DealFact, LeadFact, AccountFact)


@dataclass(slots=True)
class CellIndex:
    """Numbers cells across all slots. A number keeps its meaning until everything is numbered anew."""

    cells: list[Cell] = field(default_factory=list)
    listed: Listed = EVERY_NAME
    """Which names count for themselves. Whoever changes it takes everything back before and adds it after."""
    _numbers: dict[Cell, int] = field(default_factory=dict)
    _shared: dict[Cell, Cell] = field(default_factory=dict)

    def number_of(self, cell: Cell) -> int:
        cell = self.listed.cell(cell)
        number = self._numbers.get(cell)
        if number is None:
            cell = self.shared(cell)
            number = self._numbers[cell] = len(self.cells)
            self.cells.append(cell)
            self._shared.pop(cell, None)
        return number

    def shared(self, cell: Cell) -> Cell:
        """Return the one copy of the cell it counts in, which facts share: there are many facts to a cell."""
        cell = self.listed.cell(cell)
        number = self._numbers.get(cell)
        if number is not None:
            return self.cells[number]
        known = self._shared.get(cell)
        if known is None:
            known = self._shared[cell] = Cell(*map(intern, cell))
        return known

    def keep(self, used: Iterable[int]) -> dict[int, int]:
        """Forget all cells but these; return the new number of each. A list handed out before stays."""
        number_of = {old: new for new, old in enumerate(sorted(used))}
        self.cells = [self.cells[old] for old in number_of]
        self._numbers = {cell: number for number, cell in enumerate(self.cells)}
        self._shared = {}
        return number_of


class Difference(NamedTuple):
    """What an image or a change made of the board: rows for the log, and facts that changed."""

    rows: Rows
    facts: list[FactChange]


@dataclass(slots=True)
class SlotBoard:
    """A board of another definition version is known by its mark only and contributes nothing."""

    index: CellIndex
    version: str
    mark: Mark = NO_MARK
    loaded: bool = False
    fallen: bool = False
    """The store has lost what was held, and nothing was committed since: not an empty floor."""
    offsets: dict[str, int] = field(default_factory=dict)
    facts: layout.SlotFacts = field(default_factory=layout.SlotFacts)
    references: dict[str, Reference] = field(default_factory=dict)
    """Reference records by their id."""
    references_seen: int = 0
    """Grows whenever they may have changed: by records learned, and by those that a rollback took."""
    _cells: dict[int, int] = field(default_factory=dict)  # the slot's cell number -> the number in the index
    _panes: dict[bytes, bytes] = field(default_factory=dict)
    _facts: dict[bytes, Fact] = field(default_factory=dict)

    @property
    def rebuilding(self) -> bool:
        behind = (self.offsets.get(topic, 0) < until for topic, until in self.facts.rebuild_until.items())
        return self.fallen or any(behind)

    @property
    def cells(self) -> Iterable[int]:
        """Return the numbers in the index of all cells that panes here may be of."""
        return self._cells.values()

    def renumber(self, number_of: Mapping[int, int]) -> None:
        self._cells = {own: number_of[number] for own, number in self._cells.items()}

    def replace(self, board: Board) -> Difference:
        """Take over an image whatever was held before; return what that changes."""
        self.loaded = board.version == self.version
        self.fallen = board.seq == 0 and (self.fallen or self.mark.seq > 0)
        fields = board.fields if self.loaded else {}
        cells = {
            layout.cell_number(name): self.index.number_of(layout.unpack_cell(value))
            for name, value in fields.items()
            if layout.is_cell(name)
        }
        panes = {name: value for name, value in fields.items() if layout.is_pane(name)}
        rows = Rows()
        for name, packed in self._panes.items():
            key = layout.pane_key(name)
            # After a rollback the same number may have been given to another cell.
            if panes.get(name) != packed or cells[key.cell] != self._cells[key.cell]:
                rows.add(key.start_ms, self._cells[key.cell], layout.unpack_pane(packed), _NOTHING)
        for name, packed in panes.items():
            key = layout.pane_key(name)
            if self._panes.get(name) != packed or cells[key.cell] != self._cells[key.cell]:
                rows.add(key.start_ms, cells[key.cell], _NOTHING, layout.unpack_pane(packed))
        self._cells, self._panes = cells, panes
        changes: list[FactChange] = []
        for name in [name for name in self._facts if name not in fields]:
            self._set_fact(changes, name, None)
        for name, packed in fields.items():
            if layout.is_fact(name):
                self._set_fact(changes, name, packed)
        references, self.references = self.references, {}
        self.references_seen += len(references)
        self._take_references(fields)
        changes += _stage_changes(references, self.references)
        facts = fields.get(layout.FACTS_FIELD)
        self.facts = layout.SlotFacts() if facts is None else layout.unpack_facts(facts)
        self.mark, self.offsets = board.mark, board.offsets if self.loaded else {}
        return Difference(rows, changes)

    def apply(self, change: BoardChange) -> Difference | None:
        """Apply the change that follows what is held; None when only a new image can tell what it means."""
        assert self.loaded
        assert change.follows == self.mark
        if not self._take_cells(change):
            return None
        rows, changes = Rows(), list[FactChange]()
        # Most of what a floor in full flow commits is panes and facts: one look at each name is all they get.
        for name, packed in change.set.items():
            if name[0] == layout.FACT:
                self._set_fact(changes, name, packed)
            elif name[0] == layout.PANE:
                self._set_pane(rows, name, packed)
        for name in change.delete:
            if layout.is_pane(name):
                self._set_pane(rows, name, None)
            elif layout.is_fact(name):
                self._set_fact(changes, name, None)
        if any(name[0] == layout.REFERENCE_RECORD for name in change.set):
            references = dict(self.references)
            self._take_references(change.set)
            changes += _stage_changes(references, self.references)
        facts = change.set.get(layout.FACTS_FIELD)
        if facts is not None:
            self.facts = layout.unpack_facts(facts)
        for name in change.delete:
            if layout.is_cell(name):  # no pane is of it any more
                self._cells.pop(layout.cell_number(name), None)
        self.mark, self.offsets, self.fallen = change.mark, change.offsets, False
        return Difference(rows, changes)

    def _take_cells(self, change: BoardChange) -> bool:
        """Learn new cells. One that changes its meaning may move panes the change does not name."""
        for name in [name for name in change.set if name[0] == layout.CELL]:
            number = self.index.number_of(layout.unpack_cell(change.set[name]))
            if self._cells.setdefault(layout.cell_number(name), number) != number:
                return False
        return True

    def _take_references(self, fields: Mapping[bytes, bytes]) -> None:
        """Learn reference records. They are replaced, never deleted."""
        for name, packed in fields.items():
            if layout.is_reference(name):
                record = layout.unpack_reference(packed)
                self.references[record.id] = record
                self.references_seen += 1

    def _set_pane(self, rows: Rows, name: bytes, packed: bytes | None) -> None:
        _, number, start_ms, _ = layout.split_pane(name)
        before = self._panes.get(name)
        if packed is not None:
            self._panes[name] = packed
        elif before is not None:
            del self._panes[name]
        rows.add(
            start_ms,
            self._cells[number],
            _NOTHING if before is None else layout.unpack_pane(before),
            _NOTHING if packed is None else layout.unpack_pane(packed),
        )

    def _set_fact(self, changes: list[FactChange], name: bytes, packed: bytes | None) -> None:
        kind, entity_id = layout.fact_owner(name)
        before = self._facts.get(name)
        after = None if packed is None else layout.unpack_fact(kind, packed)
        if after is not None:
            if isinstance(after, _WITH_CELL):
                force_setattr(after, "cell", self.index.shared(after.cell))
            self._facts[name] = after
        elif before is not None:
            del self._facts[name]
        if before != after:
            changes.append(FactChange(kind, entity_id, before, after))


def _stage_changes(before: Mapping[str, Reference], after: Mapping[str, Reference]) -> list[FactChange]:
    """Return the stages that changed: what deals have passed depends on the order of stages."""
    was = {name: record for name, record in before.items() if type(record) is Stage}
    now = {name: record for name, record in after.items() if type(record) is Stage}
    return [
        FactChange(EntityKind.REFERENCE, name, was.get(name), now.get(name))
        for name in was.keys() | now.keys()
        if was.get(name) != now.get(name)
    ]
