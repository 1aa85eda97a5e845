"""What a join is: facts of several entities in, contributions of the entity they form together out. Pure.

A join never sees a change coming: it says which joined entities a fact touches and what one of them
contributes, given all facts as they are. `streams.joins.Joins` turns that into differences.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from metrics.panes import Cell
from metrics.reference import Stage
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact, Fact, LeadFact
from streams.touches import Concern, Touches, together


class FactChange(NamedTuple):
    """None stands for "there is none"."""

    kind: EntityKind
    id: str
    before: Fact | None
    after: Fact | None


class Joined(NamedTuple):
    """A contribution of a joined entity: as a slot's, and like it a function of the present state."""

    cell: Cell
    time_ms: int
    values: dict[int, int]


class FactTable:
    """The facts of one kind by entity id. If two slots hold the same entity, the lower slot's one is seen."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Fact]] = {}
        self._hidden: dict[str, dict[int, Fact]] = {}

    def get(self, entity_id: str) -> Fact | None:
        seen = self._seen.get(entity_id)
        return None if seen is None else seen[1]

    def all(self, entity_id: str) -> list[Fact]:
        """Return what every slot says, in the order of the slots."""
        seen = self._seen.get(entity_id)
        if seen is None:
            return []
        hidden = self._hidden.get(entity_id)
        return [seen[1]] if hidden is None else [seen[1], *(fact for _, fact in sorted(hidden.items()))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def put(self, slot: int, entity_id: str, fact: Fact | None) -> tuple[Fact | None, Fact | None] | None:
        """Take over what a slot says; return what is seen then and now, None if no slot says anything new."""
        seen = self._seen.get(entity_id)
        if (seen is None or seen[0] == slot) and entity_id not in self._hidden:
            # Of nearly all entities one slot alone knows.
            if fact is not None:
                self._seen[entity_id] = (slot, fact)
            elif seen is not None:
                del self._seen[entity_id]
            before = None if seen is None else seen[1]
            return None if before == fact else (before, fact)
        said = self.all(entity_id)
        self._put_beside_others(slot, entity_id, fact)
        now = self.all(entity_id)
        return None if said == now else (said[0] if said else None, now[0] if now else None)

    def _put_beside_others(self, slot: int, entity_id: str, fact: Fact | None) -> None:
        seen = self._seen.pop(entity_id, None)
        held = self._hidden.pop(entity_id, {})
        if seen is not None:
            held[seen[0]] = seen[1]
        held.pop(slot, None)
        if fact is not None:
            held[slot] = fact
        if held:
            lowest = min(held)
            self._seen[entity_id] = (lowest, held.pop(lowest))
        if held:
            self._hidden[entity_id] = held


class Facts:
    """All facts of all slots, as joins see them."""

    def __init__(self, tables: dict[EntityKind, FactTable]) -> None:
        self._tables = tables

    def deal(self, deal_id: str) -> DealFact | None:
        fact = self._tables[EntityKind.DEAL].get(deal_id)
        return fact if type(fact) is DealFact else None

    def lead(self, lead_id: str) -> LeadFact | None:
        fact = self._tables[EntityKind.LEAD].get(lead_id)
        return fact if type(fact) is LeadFact else None

    def account(self, account_id: str) -> AccountFact | None:
        fact = self._tables[EntityKind.ACCOUNT].get(account_id)
        return fact if type(fact) is AccountFact else None

    def touches(self, concern: Concern) -> Touches | None:
        """Return what all slots know of the activities for a lead or deal."""
        said = self._tables[EntityKind.ACTIVITY].all(concern)
        return together([fact for fact in said if type(fact) is Touches]) if said else None

    def stage(self, pipeline: str, stage: str) -> Stage | None:
        """Return the reference record of a stage: its pipeline's own, else the one for all."""
        table = self._tables[EntityKind.REFERENCE]
        fact = table.get(Stage(stage, pipeline).id) or table.get(Stage(stage).id)
        return fact if type(fact) is Stage else None


class Join(Protocol):
    """One kind of joined entity. May keep indexes of its own, updated by `learn`."""

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        """Take note of a change that `facts` already shows; return the ids of joined entities it touches,
        those it touched as it was before and those it touches now."""
        ...

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        """Return what the joined entity contributes now; an empty list when it is none any more."""
        ...
