"""What changed in a slot's parts in, the fields one commit writes and deletes out. Decides nothing of itself.

Each method empties what its part has collected: what is in the draft is in no later one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams import layout
from streams.entities import ReferenceState, State
from streams.events import EntityKind
from streams.facts import OF_ENTITY, Fact
from streams.pane_store import PaneStore
from streams.touches import TouchIndex


@dataclass(slots=True)
class CommitDraft:
    """Fields of the board, which readers follow, and of the entities, which only the slot's owner reads."""

    board_set: dict[bytes, bytes] = field(default_factory=dict)
    board_del: list[bytes] = field(default_factory=list)
    entities_set: dict[bytes, bytes] = field(default_factory=dict)
    entities_del: list[bytes] = field(default_factory=list)

    def take_entities(
        self, kind: EntityKind, changed: Iterable[tuple[str, State | None, Fact | None]]
    ) -> None:
        """Take ids, states (None where the entity is forgotten) and facts (None where there is none)."""
        board_set, entities_set, has_fact = self.board_set, self.entities_set, kind in OF_ENTITY
        prefix, pack_entity, pack_fact = layout.entity_prefix(kind), layout.pack_entity, layout.pack_fact
        for entity_id, state, fact in changed:
            name = prefix + entity_id.encode()
            if state is None:
                self.entities_del.append(name)
            else:
                entities_set[name] = pack_entity(state)
                if type(state) is ReferenceState and state.record is not None:
                    # Readers of the board need the record itself; it contributes to no pane.
                    board_set[layout.reference_field(entity_id)] = layout.pack_reference(state.record)
            if fact is not None:
                board_set[layout.fact_field_of(name)] = pack_fact(fact)
            elif has_fact:
                self.board_del.append(layout.fact_field_of(name))

    def take_touches(self, touches: TouchIndex) -> None:
        for concern in touches.changed_settled:
            settled = touches.settled(concern)
            if settled is None:
                self.entities_del.append(layout.touches_field(concern))
            else:
                self.entities_set[layout.touches_field(concern)] = layout.pack_touches(settled)
        for concern in touches.changed:
            every = touches.all_of(concern)
            if every is None:
                self.board_del.append(layout.fact_field(EntityKind.ACTIVITY, concern))
            else:
                self.board_set[layout.fact_field(EntityKind.ACTIVITY, concern)] = layout.pack_fact(every)
        touches.changed_settled.clear()
        touches.changed.clear()

    def take_panes(self, panes: PaneStore) -> None:
        for number, cell in panes.new_cells:
            self.board_set[layout.cell_field(number)] = layout.pack_cell(cell)
        for key in panes.changed:
            pane = panes.panes.get(key)
            if pane is None:
                self.board_del.append(layout.pane_field(key))
            else:
                self.board_set[layout.pane_field(key)] = layout.pack_pane(pane)
        self.board_del += map(layout.cell_field, panes.gone_cells)
        panes.new_cells.clear()
        panes.gone_cells.clear()
        panes.changed.clear()

    def take_rows(
        self, rows: Mapping[str, Mapping[bytes, bytes]], changed: Iterable[tuple[str, bytes]]
    ) -> None:
        """Take the rows of Faust tables: (table, key) each."""
        for table, key in changed:
            row = rows.get(table, {}).get(key)
            if row is None:
                self.entities_del.append(layout.row_field(table, key))
            else:
                self.entities_set[layout.row_field(table, key)] = row
