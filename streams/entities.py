"""Entity state ⊕ event → entity state: per field the newest (event time, event id) wins. Pure.

The merge is commutative, associative and idempotent (a join of per-field maxima; of a deal's stages, the
union of all writes, cut to the newest), so duplicates need no ledger of event ids and the order of arrival
cannot matter. Never reads a clock, never contributes a number.
"""

from bisect import bisect_left
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from sys import intern
from typing import Final

from msgspec import UNSET, Struct

from metrics.reference import Reference
from streams.events import (
    AccountChanges,
    ActivityChanges,
    ActivityKind,
    Changes,
    DealChanges,
    DealStatus,
    EntityKind,
    Event,
    FeedbackChanges,
    FeedbackKind,
    FeedbackScale,
    LeadChanges,
    ReferenceChanges,
    SpendChanges,
)


class Stamp(Struct, array_like=True, frozen=True, order=True, gc=False):
    """An event's time and id: totally ordered."""

    time_ms: int
    event_id: str


_NEVER = 255  # no stamp: the field was never written

STAGE_WRITES_MAX: Final = 100
"""The newest of any set are the newest of its union with another, so a cut set still merges in any order."""


class StageWrite(Struct, array_like=True, frozen=True, order=True, gc=False):
    """One event's word on a deal's stage: "" where it was cleared."""

    time_ms: int
    event_id: str
    stage: str


class EntityState(Struct, array_like=True, kw_only=True, gc=False):
    """What every kind of entity keeps beside its fields.

    `stamps` holds the distinct stamps in use in their order, `stamp_of` one index into it per field (255:
    never written). Most entities have few events, so this costs a tenth of one stamp per field.
    """

    first_seen_ms: int
    """Smallest event time seen: when an entity without a creation time began."""
    last_seen_ms: int
    stamps: list[Stamp]
    stamp_of: bytearray
    deleted: bool | None = None
    rep_id: str | None = None
    team_id: str | None = None
    region: str | None = None


class DealState(EntityState, array_like=True, kw_only=True, gc=False):
    status: DealStatus | None = None
    stage: str | None = None
    pipeline: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    cost: Decimal | None = None
    probability: float | None = None
    account_id: str | None = None
    lead_id: str | None = None
    products: tuple[str, ...] | None = None
    source: str | None = None
    created_at_ms: int | None = None
    closed_at_ms: int | None = None
    expected_close_on: date | None = None
    merged_into: str | None = None
    stage_writes: list[StageWrite] = []
    """Every write of the stage, oldest first; the newest `STAGE_WRITES_MAX` of them."""


class LeadState(EntityState, array_like=True, kw_only=True, gc=False):
    source: str | None = None
    account_id: str | None = None
    deal_id: str | None = None
    created_at_ms: int | None = None
    qualified_at_ms: int | None = None
    converted_at_ms: int | None = None
    disqualified_at_ms: int | None = None
    merged_into: str | None = None


class ActivityState(EntityState, array_like=True, kw_only=True, gc=False):
    kind: ActivityKind | None = None
    deal_id: str | None = None
    lead_id: str | None = None
    account_id: str | None = None
    outcome: str | None = None
    duration_seconds: float | None = None
    scheduled_at_ms: int | None = None
    due_at_ms: int | None = None
    completed_at_ms: int | None = None
    booked_at_ms: int | None = None


class AccountState(EntityState, array_like=True, kw_only=True, gc=False):
    active_from_ms: int | None = None
    churned_at_ms: int | None = None
    products: tuple[str, ...] | None = None
    merged_into: str | None = None


class FeedbackState(EntityState, array_like=True, kw_only=True, gc=False):
    kind: FeedbackKind | None = None
    score: float | None = None
    scale: FeedbackScale | None = None
    account_id: str | None = None
    received_at_ms: int | None = None


class SpendState(EntityState, array_like=True, kw_only=True, gc=False):
    amount: Decimal | None = None
    currency: str | None = None
    category: str | None = None
    source: str | None = None
    from_on: date | None = None
    to_on: date | None = None
    recorded_at_ms: int | None = None


class ReferenceState(EntityState, array_like=True, kw_only=True, gc=False):
    record: Reference | None = None


State = DealState | LeadState | ActivityState | AccountState | FeedbackState | SpendState | ReferenceState

STATES: Final[dict[EntityKind, type[State]]] = {
    EntityKind.DEAL: DealState,
    EntityKind.LEAD: LeadState,
    EntityKind.ACTIVITY: ActivityState,
    EntityKind.ACCOUNT: AccountState,
    EntityKind.FEEDBACK: FeedbackState,
    EntityKind.SPEND: SpendState,
    EntityKind.REFERENCE: ReferenceState,
}
# Field order decides what an index in `stamp_of` means: a change is a new FOLD_VERSION.
FIELDS: Final[dict[EntityKind, tuple[str, ...]]] = {
    EntityKind.DEAL: DealChanges.__struct_fields__,
    EntityKind.LEAD: LeadChanges.__struct_fields__,
    EntityKind.ACTIVITY: ActivityChanges.__struct_fields__,
    EntityKind.ACCOUNT: AccountChanges.__struct_fields__,
    EntityKind.FEEDBACK: FeedbackChanges.__struct_fields__,
    EntityKind.SPEND: SpendChanges.__struct_fields__,
    EntityKind.REFERENCE: ReferenceChanges.__struct_fields__,
}
assert all(len(fields) < _NEVER for fields in FIELDS.values())
assert all(set(FIELDS[kind]) <= set(STATES[kind].__struct_fields__) for kind in EntityKind)


NOTHING_NEW, KEPT, COUNTS = 0, 1, 3
"""What a merge did: nothing; what is to be kept changed; what the entity contributes may have changed too."""

_UNWRITTEN: Final = {kind: bytes([_NEVER]) * len(fields) for kind, fields in FIELDS.items()}
# By the place of a new stamp among those held: what the indexes of those behind it become.
_MAKE_ROOM: Final = tuple(
    bytes((*range(place), *range(place + 1, _NEVER), _NEVER, _NEVER)) for place in range(_NEVER)
)


def new_state(event: Event) -> State:
    """Return the state after the first event of an entity."""
    kind, time_ms, stamp_of = event.kind, event.time_ms, bytearray(_UNWRITTEN[event.kind])
    state = STATES[kind](first_seen_ms=time_ms, last_seen_ms=time_ms, stamps=[], stamp_of=stamp_of)
    if _WRITE_NEWEST[kind](state, event.changes, stamp_of, 0):
        state.stamps.append(Stamp(time_ms, event.event_id))
        if type(state) is DealState:
            _append_stage(state, event)
    return state


def merge(state: State | None, event: Event) -> State:
    """Return state ⊕ event; changes `state` in place when there is one."""
    if state is None:
        return new_state(event)
    merge_into(state, event)
    return state


def merge_into(state: State, event: Event) -> int:
    """Change the state to state ⊕ event and say what that did.

    A copy of the state made before keeps its fields. What says when they were written it shares: it must not
    be asked for that any more.
    """
    time_ms, stamps = event.time_ms, state.stamps
    if time_ms <= state.last_seen_ms:
        return _merge_late(state, event)
    outcome = _WRITE_NEWEST[event.kind](state, event.changes, state.stamp_of, len(stamps))
    if outcome:
        state.last_seen_ms = time_ms
        stamps.append(Stamp(time_ms, event.event_id))
        if len(stamps) > len(state.stamp_of) // 2:
            _forget_unused(state)
        if type(state) is DealState:
            _append_stage(state, event)
    return outcome


def _merge_late(state: State, event: Event) -> int:
    """Merge an event that may be older than something held."""
    stamps, stamp = state.stamps, Stamp(event.time_ms, event.event_id)
    number = bisect_left(stamps, stamp)
    is_held = number < len(stamps) and stamps[number] == stamp
    stamp_of = state.stamp_of if is_held else state.stamp_of.translate(_MAKE_ROOM[number])
    outcome = _WRITE[event.kind](state, event.changes, stamp_of, number)
    if outcome and not is_held:
        stamps.insert(number, stamp)
        state.stamp_of = stamp_of
        if len(stamps) > len(stamp_of) // 2:
            _forget_unused(state)
    if event.time_ms < state.first_seen_ms:
        state.first_seen_ms = event.time_ms
        outcome = COUNTS
    if type(state) is DealState and _insert_stage(state, event):
        outcome |= KEPT
    return outcome


_SHARED: Final = frozenset(("rep_id", "team_id", "region", "source", "stage", "pipeline", "currency"))
"""Fields whose few values occur in many entities: one string for all saves memory, and time to compare."""
_Write = Callable[[State, Changes, bytearray, int], int]


def _writer_of(kind: EntityKind, *, newest: bool) -> _Write:
    """Return a function that writes every field which an event wins, whose stamp has this number among
    those held: for each field of the kind

        value = changes.FIELD
        if value is not UNSET:
            held = stamp_of[POSITION]
            if held < number or held == _NEVER or (held == number and _outranks(value, state.FIELD)):
                ... state.FIELD = value ...

    An event that is newer than all that is held wins every field, and is not asked what it wins against.
    Most events write few of a kind's twenty fields, and asking for each by a name in a variable is what a
    merge would spend its time on. So the lines are put together here, once, as `dataclasses` does.
    """
    lines = ["def write(state, changes, stamp_of, number):", " outcome = NOTHING_NEW"]
    for position, name in enumerate(FIELDS[kind]):
        lines += [f" value = changes.{name}", " if value is not UNSET:"]
        indent = "  "
        if not newest:
            wins = f"held < number or held == {_NEVER} or held == number and _outranks(value, state.{name})"
            lines += [f"  held = stamp_of[{position}]", f"  if {wins}:"]
            indent = "   "
        lines += [indent + line for line in _assignment_of(name)]
        lines.append(f"{indent}stamp_of[{position}] = number")
    made: dict[str, _Write] = {}
    exec("\n".join([*lines, " return outcome"]), globals(), made)  # noqa: S102  nothing from outside is in it
    return made["write"]


def _assignment_of(name: str) -> list[str]:
    if name == "status":
        # The time of a status write can be the closing time, so writing "won" again may move a contribution.
        return ["outcome = COUNTS", "state.status = value"]
    if name in _SHARED:
        return [
            f"if value == state.{name}:",
            " outcome |= KEPT",
            "else:",
            " outcome = COUNTS",
            f" state.{name} = intern(value) if type(value) is str else value",
        ]
    # Equal amounts may be written otherwise: what is newest is kept as it was written.
    return [f"outcome |= KEPT if value == state.{name} else COUNTS", f"state.{name} = value"]


def _append_stage(state: DealState, event: Event) -> None:
    """Keep the word on the stage of an event that is newer than all that is held, and is written already."""
    if event.changes.stage is not UNSET:  # type: ignore[union-attr]  # a deal's changes
        state.stage_writes.append(StageWrite(event.time_ms, event.event_id, state.stage or ""))
        if len(state.stage_writes) > STAGE_WRITES_MAX:
            del state.stage_writes[0]


def _insert_stage(state: DealState, event: Event) -> bool:
    """Keep an event's word on the stage; False when there is none, or nothing new in it."""
    changes, writes = event.changes, state.stage_writes
    assert type(changes) is DealChanges
    if changes.stage is UNSET:
        return False
    write = StageWrite(event.time_ms, event.event_id, intern(changes.stage or ""))
    place = bisect_left(writes, write)
    if place < len(writes) and writes[place] == write:
        return False
    if len(writes) == STAGE_WRITES_MAX:
        if place == 0:
            return False
        del writes[0]
        place -= 1
    writes.insert(place, write)
    return True


def _outranks(value: object, current: object) -> bool:
    """Order two values that carry the same stamp, so that even a reused event id has one answer."""
    return (value is not None, str(value)) > (current is not None, str(current))


def _forget_unused(state: State) -> None:
    """Forget the stamps that no field holds any more."""
    used = sorted(set(state.stamp_of) - {_NEVER})
    number_of = {old: new for new, old in enumerate(used)}
    number_of[_NEVER] = _NEVER
    state.stamps = [state.stamps[old] for old in used]
    state.stamp_of = bytearray(number_of[old] for old in state.stamp_of)


_WRITE: Final[dict[EntityKind, _Write]] = {kind: _writer_of(kind, newest=False) for kind in EntityKind}
_WRITE_NEWEST: Final[dict[EntityKind, _Write]] = {kind: _writer_of(kind, newest=True) for kind in EntityKind}
