"""A slot's entities and panes in memory: folds batches of records, tracks what is dirty, expires.

Comes in: records of one partition. Goes out: dead letters, and commits that carry the whole change
with the offsets it came from. Never awaits, never reads a clock, knows no store and no Kafka.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from metrics.panes import Resolution
from streams import layout
from streams.commit_draft import CommitDraft
from streams.contribute import IN_PANES, contribute
from streams.decode import DECODERS, FUTURE_MAX_MS, Headers, check_times
from streams.entities import ActivityState, State
from streams.entity_store import EntityStore
from streams.events import ActivityChanges, EntityKind, Event, Ignored, Reason, Rejected
from streams.fact_contributions import Contributions
from streams.facts import OF_ENTITY, Fact, fact_of
from streams.pane_store import PaneStore
from streams.rules import FoldRules
from streams.settled import is_settled, moments
from streams.stores.base import Claim, Commit
from streams.topics import ACTIVITIES, KIND_OF_TOPIC, SOURCES
from streams.touches import Concern, Touch, TouchIndex, touched_by

_RETAINED = (
    EntityKind.DEAL,
    EntityKind.LEAD,
    EntityKind.ACCOUNT,
    EntityKind.FEEDBACK,
    EntityKind.SPEND,
)
"""Forgotten with all they contributed once nothing was heard of them for the retention time."""
_UNKNOWN_TYPE, _UNKNOWN_FIELD = "unknown_type", "unknown_field"
_BEGINNING_OF_TIME_MS = -(1 << 62)
_PANES_OF_ENTITY = 2
"""So many panes change with an entity, more or less; it is known only once they are updated."""


class Record(Protocol):
    """What the fold needs of a consumed record; aiokafka's `ConsumerRecord` is one, and what its C code reads
    (streams.plain_records)."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    topic: str
    partition: int
    record: Record
    rejected: Rejected


class SlotTable:
    """State of one slot. Drop it and claim again whenever in doubt: it holds nothing that is not replayed."""

    def __init__(self, slot: int, rules: FoldRules, claim: Claim) -> None:
        self.slot = slot
        self._rules = rules
        self._owner = claim.owner
        self._seq = claim.seq
        self.next_offset: dict[str, int] = {topic: claim.offsets.get(topic, 0) for topic in SOURCES}
        """Topic -> offset of the next record to fold."""
        facts = claim.board.get(layout.FACTS_FIELD)
        self.facts = layout.SlotFacts() if facts is None else layout.unpack_facts(facts)
        self._panes = PaneStore(
            day_start=rules.calendar.day_start_ms,
            panes_max=rules.panes_max,
            resolution=layout.resolution_of(self.facts),
        )
        self._entities = {kind: EntityStore(kind) for kind in EntityKind}
        self._touches = TouchIndex()
        self._rows: dict[str, dict[bytes, bytes]] = {}
        self._dirty_rows: set[tuple[str, bytes]] = set()
        self._facts_dirty = False
        self._clock_ms = _BEGINNING_OF_TIME_MS
        """When the last batch was folded, by the clock that panes age by."""
        self._in_flight: Commit | None = None
        self._load(claim)

    def _load(self, claim: Claim) -> None:
        for name, value in claim.board.items():
            if layout.is_pane(name):
                self._panes.panes[layout.pane_key(name)] = layout.unpack_pane(value)
            elif layout.is_cell(name):
                self._panes.load_cell(layout.cell_number(name), layout.unpack_cell(value))
        for name, value in claim.entities.items():
            entity = layout.entity_of_field(name)
            if layout.is_touches(name):
                self._touches.load_settled(layout.touches_owner(name), layout.unpack_touches(value))
            elif entity is None:
                table, key = layout.row_of_field(name)
                self._rows.setdefault(table, {})[key] = value
            else:
                kind, entity_id = entity
                state = self._entities[kind].states[entity_id] = layout.unpack_entity(kind, value)
                if type(state) is ActivityState:
                    self._touches.load_live(entity_id, state)

    # Folding

    def fold(self, topic: str, records: Sequence[Record], *, now_ms: int) -> list[DeadLetter]:
        """Fold a contiguous batch whose first offset is at most `next_offset`; skip what was seen."""
        dead: list[DeadLetter] = []
        kind, before = KIND_OF_TOPIC[topic], self.next_offset[topic]
        fresh = records
        if records and records[0].offset < before:
            fresh = [record for record in records if record.offset >= before]
        newest_ms = self.facts.newest_ms.get(topic, _BEGINNING_OF_TIME_MS)
        by_event_time = self._rules.clock == "event"
        oldest_ms = (newest_ms if by_event_time else now_ms) - self._rules.retention_ms
        latest_ms = now_ms + FUTURE_MAX_MS
        ignored = unchanged = 0
        decode, fold = DECODERS[kind], self._entities[kind].fold
        is_activity = kind is EntityKind.ACTIVITY  # looking a member up takes its time
        for record in fresh:
            decoded = decode(record.value, record.headers)
            if type(decoded) is Event:
                if decoded.unknown_fields:
                    self._count("ignored", _UNKNOWN_FIELD, decoded.unknown_fields)
                refused = None
                if decoded.time_ms < oldest_ms or decoded.latest_ms > latest_ms:
                    refused = check_times(decoded, now_ms=now_ms, oldest_ms=oldest_ms)
                if is_activity and refused is None:
                    refused = self._refuse_activity(decoded, newest_ms - self._rules.activity_horizon_ms)
                if refused is None:
                    if decoded.time_ms > newest_ms:
                        newest_ms = self.facts.newest_ms[topic] = decoded.time_ms
                        if by_event_time:
                            oldest_ms = newest_ms - self._rules.retention_ms
                    if not fold(decoded):
                        unchanged += 1
                    continue
                decoded = refused
            if type(decoded) is Ignored:
                ignored += 1
                continue
            assert type(decoded) is Rejected
            self._count("rejected", decoded.reason)
            dead.append(DeadLetter(topic, self.slot, record, decoded))
        if fresh:
            next_offset = self.next_offset[topic] = fresh[-1].offset + 1
            self._facts_dirty = True
            self._count("gaps", topic, next_offset - before - len(fresh))
            self._count("ignored", _UNKNOWN_TYPE, ignored)
            self._count("accepted", topic, len(fresh) - ignored - len(dead))
            self._count("unchanged", topic, unchanged)
        self._clock_ms = self._horizon_clock_ms(topic, now_ms)
        return dead

    def _refuse_activity(self, event: Event, horizon_ms: int) -> Rejected | None:
        """Refuse an activity that may have been counted and forgotten.

        The horizon is measured from the newest activity of the partition, not from the wall clock,
        so a rebuild from the topic comes to the same answer.
        """
        state = self._entities[EntityKind.ACTIVITY].states.get(event.entity_id)
        if state is not None:
            if not is_settled(state, horizon_ms):
                return None
            self._settle(event.entity_id)
        assert type(event.changes) is ActivityChanges
        if min((event.time_ms, *moments(event.changes))) < horizon_ms:
            return Rejected(Reason.TOO_OLD, "the activity is past the horizon of its topic")
        return None

    def _update_panes(self) -> None:
        """Move the contributions of whatever changed since the last time, once per entity.

        Contributions are a function of the state, so those in between would be taken back again anyway.
        """
        for entities in self._entities.values():
            known, entities.told = entities.told, {}
            for entity_id in entities.before:
                state = entities.states[entity_id]
                self._move(entities, entity_id, state, known)
            entities.before.clear()
        if self._panes.is_crowded:
            self._coarsen(self._clock_ms)

    def _move(
        self,
        entities: EntityStore,
        entity_id: str,
        state: State,
        known: dict[str, Contributions],
    ) -> None:
        """Take back what a changed entity was counted for, and count what it stands for now."""
        before = entities.before[entity_id]
        told = known.get(entity_id)
        if told is None:
            told = [] if before is None else contribute(before, self._rules)
        entities.told[entity_id] = tells = contribute(state, self._rules)
        self._panes.move(told, tells)
        if type(state) is ActivityState:
            self._touches.move(entity_id, _touched_by(before), touched_by(state))

    def _count(self, group: str, name: str, count: int = 1) -> None:
        if count:
            totals = self.facts.counters.setdefault(group, {})
            totals[name] = totals.get(name, 0) + count
            self._facts_dirty = True

    # Offsets

    def gaps(self, topic: str) -> int:
        """Return how many offsets without a record were passed so far."""
        return self.facts.counters.get("gaps", {}).get(topic, 0)

    def skip_to(self, topic: str, offset: int, *, lost: bool) -> None:
        """Move past offsets that hold no record (gap) or whose records are gone (lost); counted."""
        missed = offset - self.next_offset[topic]
        assert missed > 0, "offsets only rise"
        self.next_offset[topic] = offset
        self._count("lost" if lost else "gaps", topic, missed)

    def begin_rebuild(self, until: dict[str, int]) -> None:
        """Flag the slot as rebuilding until every topic has reached its offset."""
        self.facts.rebuild_until = dict(until)
        self._facts_dirty = True

    @property
    def rebuilding(self) -> bool:
        return any(self.next_offset[topic] < until for topic, until in self.facts.rebuild_until.items())

    # Committing

    def note_behind(self, behind: dict[str, int]) -> None:
        """Note how many records of each topic wait: readers tell history from news by it.

        How many there are is told with the next commit; that there are some, or none any more, makes one.
        """
        if bool(behind) != bool(self.facts.behind):
            self._facts_dirty = True
        self.facts.behind = behind

    @property
    def state_size(self) -> tuple[int, int]:
        """Return how many entities and panes are held."""
        return sum(len(each.states) for each in self._entities.values()), len(self._panes.panes)

    @property
    def dirty_keys(self) -> int:
        """About how many fields the next commit writes or deletes."""
        touches = len(self._touches.changed) + len(self._touches.changed_settled)
        entities = sum(
            len(each.changed) * (2 if each.kind in OF_ENTITY else 1) + len(each.before) * _PANES_OF_ENTITY
            for each in self._entities.values()
        )
        panes = len(self._panes.changed) + len(self._panes.gone_cells)
        return panes + entities + len(self._dirty_rows) + touches

    def take_commit(self) -> Commit | None:
        """Return the commit in flight, else one with everything dirty, else None when nothing changed.

        The same commit is returned until `committed` is called, so a retry after a lost answer is
        byte for byte the same.
        """
        if self._in_flight is None and (self._facts_dirty or self.dirty_keys):
            self._in_flight = self._pack_dirty()
        return self._in_flight

    def _pack_dirty(self) -> Commit:
        draft = CommitDraft()
        for entities in self._entities.values():
            draft.take_entities(entities.kind, self._moved(entities))
        if self._panes.is_crowded:
            self._coarsen(self._clock_ms)
        self.facts.resolution = self._panes.resolution.since_ms
        draft.board_set[layout.FACTS_FIELD] = layout.pack_facts(self.facts)
        draft.take_panes(self._panes)
        draft.take_touches(self._touches)
        draft.take_rows(self._rows, self._dirty_rows)
        self._dirty_rows.clear()
        self._facts_dirty = False
        return Commit(
            self._owner,
            self._seq,
            dict(self.next_offset),
            draft.board_set,
            draft.board_del,
            draft.entities_set,
            draft.entities_del,
        )

    def _moved(self, entities: EntityStore) -> Iterator[tuple[str, State | None, Fact | None]]:
        """Move the contributions of what changed, and say at once what else is to be said of the state, while
        it is near: later it would have to be fetched from memory again, which costs as much.
        """
        before = entities.before
        known, entities.told = entities.told, {}
        for entity_id in entities.changed:
            state = entities.states.get(entity_id)
            fact = None
            if state is not None:
                fact = fact_of(state, self._rules)
                if entity_id in before:
                    self._move(entities, entity_id, state, known)
            yield entity_id, state, fact
        before.clear()
        entities.changed.clear()

    def committed(self) -> None:
        """Tell that the commit in flight is durable."""
        assert self._in_flight is not None
        self._in_flight = None
        self._seq += 1

    # Ageing

    def expire(self, *, now_ms: int) -> None:
        """Forget entities and panes past their horizons; coarsen panes when there are too many.

        An entity past retention, none of whose facts lies within it, takes its contributions along; an
        activity past its horizon leaves its contributions in the panes and can no longer change them.
        """
        self._update_panes()
        activity_newest_ms = self.facts.newest_ms.get(ACTIVITIES, _BEGINNING_OF_TIME_MS)
        horizon_ms = activity_newest_ms - self._rules.activity_horizon_ms
        activities = self._entities[EntityKind.ACTIVITY].states
        for entity_id in [each for each, state in activities.items() if is_settled(state, horizon_ms)]:
            self._settle(entity_id)
        newest_ms = self.facts.newest_event_ms
        if newest_ms is None:
            return  # nothing is held, and a history may be about to come
        # A clock that runs ahead must not make the state of today look old.
        base_ms = min(now_ms, newest_ms) if self._rules.clock == "wall" else newest_ms
        oldest_ms = base_ms - self._rules.retention_ms
        for kind in _RETAINED:
            entities = self._entities[kind]
            for entity_id in [
                each for each, state in entities.states.items() if state.last_seen_ms < oldest_ms
            ]:
                contributions = contribute(entities.states[entity_id], self._rules)
                if all(time_ms < oldest_ms for _, time_ms, _ in contributions):
                    if kind in IN_PANES:
                        self._panes.retract(contributions)
                    entities.drop(entity_id)
        self._touches.expire(oldest_ms)
        before = self._panes.resolution
        self._panes.forget_before(oldest_ms)
        if self._panes.is_aged(base_ms):
            self._panes.coarsen(now_ms=base_ms)
        self._panes.forget_cells()
        self._note_resolution(before)

    def _coarsen(self, now_ms: int) -> None:
        before = self._panes.resolution
        self._panes.coarsen(now_ms=now_ms)
        self._note_resolution(before)

    def _note_resolution(self, before: Resolution) -> None:
        """Readers must learn what panes no longer tell, also when no pane changed with it."""
        if self._panes.resolution != before:
            self._facts_dirty = True

    def _horizon_clock_ms(self, topic: str, now_ms: int) -> int:
        newest_ms = self.facts.newest_ms.get(topic, now_ms)
        return min(now_ms, newest_ms) if self._rules.clock == "wall" else newest_ms

    def _settle(self, activity_id: str) -> None:
        activities = self._entities[EntityKind.ACTIVITY]
        if activity_id in activities.before:
            self._update_panes()
        state = activities.states[activity_id]
        assert type(state) is ActivityState
        self._touches.settle(activity_id, state)
        activities.drop(activity_id)

    # Faust tables

    def rows(self, table: str) -> dict[bytes, bytes]:
        """Return the rows of a Faust table kept in this slot."""
        return self._rows.setdefault(table, {})

    def set_row(self, table: str, key: bytes, value: bytes | None) -> None:
        """Set or delete (None) a row of a Faust table; part of the next commit."""
        rows = self.rows(table)
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
        self._dirty_rows.add((table, key))


def _touched_by(state: State | None) -> dict[Concern, Touch]:
    assert state is None or type(state) is ActivityState
    return touched_by(state)
