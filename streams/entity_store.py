"""A slot's entities of one kind in memory: events in, which entities changed and what they were before out.

Knows no pane and no store, counts nothing: what an entity contributes is asked for once per commit, however
many of its events came since the last one.
"""

from msgspec.structs import replace

from streams.contribute import IN_PANES
from streams.entities import COUNTS, NOTHING_NEW, State, merge_into, new_state
from streams.events import EntityKind, Event
from streams.fact_contributions import Contributions


class EntityStore:
    def __init__(self, kind: EntityKind) -> None:
        self.kind = kind
        self._in_panes = kind in IN_PANES
        self.states: dict[str, State] = {}
        """By entity id."""
        self.changed: dict[str, None] = {}
        """Ids of entities that the next commit writes or deletes, in the order of their events: what was made
        together lies together in memory, and a set's order would fetch it piece by piece."""
        self.before: dict[str, State | None] = {}
        """Id -> the state that the panes still tell of, of entities whose contributions may have moved. Empty
        where readers make them of facts."""
        self.told: dict[str, Contributions] = {}
        """Id -> what the panes tell of, of entities in the last commit: what is busy changes again soon."""

    def fold(self, event: Event) -> bool:
        """Merge one event; False when it changed nothing."""
        entity_id = event.entity_id
        state = self.states.get(entity_id)
        if state is None:
            self.states[entity_id] = new_state(event)
            if self._in_panes:
                self.before[entity_id] = None
        elif not self._in_panes or entity_id in self.before:
            if merge_into(state, event) == NOTHING_NEW:
                return False
        else:
            before = replace(state)
            outcome = merge_into(state, event)
            if outcome == NOTHING_NEW:
                return False
            if outcome == COUNTS:
                self.before[entity_id] = before
        self.changed[entity_id] = None
        return True

    def drop(self, entity_id: str) -> None:
        """Forget an entity whose contributions the panes tell of as they are."""
        assert entity_id not in self.before
        self.told.pop(entity_id, None)
        del self.states[entity_id]
        self.changed[entity_id] = None
