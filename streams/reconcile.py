"""A full export and the live state in, the drift between them and the events that end it out. Pure.

An export holds for the moment it was made, the as-of time. What the live state learned later stays; what it
learned before and tells otherwise is corrected at that time. Fields that the export does not tell are not
looked at. Whether a correction wins is not guessed: it is merged into a copy of the live state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from streams import layout
from streams.entities import FIELDS, State, merge
from streams.events import EntityKind, Event
from streams.reconcile_events import Fixed, corrections, deleted_at, stamp_of
from streams.routing import Routed, route

Entity = tuple[EntityKind, str]
RECONCILED: Final = frozenset(EntityKind) - {EntityKind.REFERENCE}
"""Reference records are replaced whole: publishing them again is their reconcile."""


class Finding(StrEnum):
    """What became of one entity in the comparison."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"  # the export has it, the live state has not
    EXTRA = "extra"  # the live state has it, the export has not
    LATER = "later"  # what differs was learned after the export was made
    STUCK = "stuck"  # differs, and no event of the contract would mend it
    TOO_OLD = "too_old"  # past what workers keep: not compared


class Difference(NamedTuple):
    live: object
    export: object


@dataclass(slots=True)
class Drift:
    """One entity that is not the same on both sides."""

    finding: Finding
    kind: EntityKind
    id: str
    fields: Mapping[str, Difference] = field(default_factory=dict)
    events: Sequence[bytes] = ()
    """CloudEvents that end it; empty where nothing is to be done, or nothing can."""


@dataclass(slots=True)
class Exported:
    """What an export tells of one entity."""

    state: State
    values: list[bytes]
    """Its events as they are published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a comparison goes by. Times in ms."""

    as_of_ms: int
    oldest_ms: int
    """Events before it are dead letters."""
    oldest_activity_ms: int
    """The same for activities, by any time they tell."""
    delete_missing: bool = False


Live = Mapping[Entity, bytes]
"""Packed states, by entity."""


def add(exported: dict[Entity, Exported], value: bytes, event: Event) -> None:
    """Take one event of the export in."""
    entity = event.kind, event.entity_id
    known = exported.get(entity)
    if known is None:
        exported[entity] = Exported(merge(None, event), [value])
    else:
        known.state = merge(known.state, event)
        known.values.append(value)


def compared(exported: Mapping[Entity, Exported], live: Live, terms: Terms) -> Iterator[Drift]:
    """Yield every entity of the export, then those of its kinds that only the live state has."""
    for entity, told in exported.items():
        packed = live.get(entity)
        yield _missing(entity, told, terms) if packed is None else _of_both(entity, told, packed, terms)
    kinds = {kind for kind, _ in exported}
    for (kind, entity_id), packed in live.items():
        if kind in kinds and (kind, entity_id) not in exported:
            yield from _extra(kind, entity_id, layout.unpack_entity(kind, packed), terms)


def _missing(entity: Entity, told: Exported, terms: Terms) -> Drift:
    kind, entity_id = entity
    state = told.state
    if state.deleted:
        return Drift(Finding.SAME, kind, entity_id)
    settled = kind is EntityKind.ACTIVITY and _oldest_told_ms(state) < terms.oldest_activity_ms
    if settled or state.last_seen_ms < terms.oldest_ms:
        return Drift(Finding.TOO_OLD, kind, entity_id)
    told_fields = ((name, value) for name, value in _told(kind, state) if name != "deleted")
    fields = {name: Difference(None, value) for name, value in told_fields if value is not None}
    return Drift(Finding.MISSING, kind, entity_id, fields, told.values)


def _oldest_told_ms(state: State) -> int:
    moments = (getattr(state, name, None) for name in ("completed_at_ms", "due_at_ms", "scheduled_at_ms"))
    return min((state.first_seen_ms, *(moment for moment in moments if isinstance(moment, int))))


def _of_both(entity: Entity, told: Exported, packed: bytes, terms: Terms) -> Drift:
    kind, entity_id = entity
    live = layout.unpack_entity(kind, packed)
    differing = _differences(kind, live, told.state)
    if not differing:
        return Drift(Finding.SAME, kind, entity_id)
    due = {name: one for name, one in differing.items() if not _is_later(kind, live, name, terms.as_of_ms)}
    if not due:
        return Drift(Finding.LATER, kind, entity_id, differing)
    events = _that_mend(
        kind, entity_id, packed, told.state, Fixed(live, told.state, set(due), terms.as_of_ms)
    )
    if not events:
        return Drift(Finding.STUCK, kind, entity_id, due)
    return Drift(Finding.DIFFERS, kind, entity_id, due, events)


def _told(kind: EntityKind, state: State) -> Iterator[tuple[str, object]]:
    """Yield name and value of the fields that an export tells. That it is there at all is one of them."""
    for position, name in enumerate(FIELDS[kind]):
        if name == "deleted":
            yield name, bool(state.deleted)
        elif stamp_of(state, position) is not None:
            yield name, getattr(state, name)


def _differences(kind: EntityKind, live: State, export: State) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for name, value in _told(kind, export):
        known = getattr(live, name)
        if (bool(known) if name == "deleted" else known) != value:
            found[name] = Difference(known, value)
    return found


def _is_later(kind: EntityKind, live: State, name: str, as_of_ms: int) -> bool:
    stamp = stamp_of(live, FIELDS[kind].index(name))
    return stamp is not None and stamp > as_of_ms


def _that_mend(
    kind: EntityKind, entity_id: str, packed: bytes, export: State, fixed: Fixed
) -> Sequence[bytes]:
    """Return the corrections that change something; merged into a copy, as a worker will."""
    state = layout.unpack_entity(kind, packed)
    kept = []
    for value in corrections(kind, entity_id, fixed):
        routed = route(value)
        if not isinstance(routed, Routed):
            continue
        before = _differences(kind, state, export).keys()
        state = merge(state, routed.event)
        if before - _differences(kind, state, export).keys():
            kept.append(value)
    return kept


def _extra(kind: EntityKind, entity_id: str, live: State, terms: Terms) -> Iterator[Drift]:
    if live.deleted or getattr(live, "merged_into", None):
        return
    if live.last_seen_ms > terms.as_of_ms:
        yield Drift(Finding.LATER, kind, entity_id)
        return
    if live.last_seen_ms < terms.oldest_ms:
        yield Drift(Finding.TOO_OLD, kind, entity_id)
        return
    events = [deleted_at(kind, entity_id, terms.as_of_ms)] if terms.delete_missing else []
    yield Drift(Finding.EXTRA, kind, entity_id, events=events)


# --- counted ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Counts:
    """Entities by kind and what became of them, and how many of each field differ."""

    findings: dict[EntityKind, dict[Finding, int]] = field(default_factory=dict)
    fields: dict[tuple[EntityKind, str], int] = field(default_factory=dict)

    def count(self, drift: Drift) -> None:
        of_kind = self.findings.setdefault(drift.kind, {})
        of_kind[drift.finding] = of_kind.get(drift.finding, 0) + 1
        if drift.finding in (Finding.DIFFERS, Finding.STUCK):
            for name in drift.fields:
                self.fields[drift.kind, name] = self.fields.get((drift.kind, name), 0) + 1

    def of(self, finding: Finding) -> int:
        return sum(found.get(finding, 0) for found in self.findings.values())


def filled_by(
    exported: Mapping[Entity, Exported], drifts: Iterable[Drift]
) -> Callable[[EntityKind, str], bool]:
    """Return what says of an entity whether its values are known now; of "" whether all of its kind are."""
    kinds = {kind for kind, _ in exported}
    gone = {(one.kind, one.id) for one in drifts if one.finding is Finding.EXTRA and one.events}
    stuck = {(one.kind, one.id) for one in drifts if one.finding is Finding.STUCK}

    def is_filled(kind: EntityKind, entity_id: str) -> bool:
        if not entity_id:
            return kind in kinds
        entity = kind, entity_id
        return entity in gone or (entity in exported and entity not in stuck)

    return is_filled
