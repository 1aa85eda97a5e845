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

Stamp = tuple[int, str]
"""(event time in ms, event id): totally ordered."""

_NEVER = 255  # no stamp: the field was never written

STAGE_WRITES_MAX: Final = 100
"""The newest of any set are the newest of its union with another, so a cut set still merges in any order."""


StageWrite = tuple[int, str, str]
"""One event's word on a deal's stage: its time in ms, its id, the stage or "" where it was cleared."""


class EntityState(Struct, array_like=True, kw_only=True, gc=False):
    """What every kind of entity keeps beside its fields.

    `stamps` holds the distinct stamps in use, `stamp_of` one index into it per field (255: never
    written). Most entities have few events, so this costs a tenth of one stamp per field.
    """

    first_seen_ms: int
    """Smallest event time seen: when an entity without a creation time began."""
    last_seen_ms: int
    stamps: list[Stamp]
    stamp_of: bytes
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
    stage_writes: tuple[StageWrite, ...] = ()
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
# By number of the stamp a field holds: whether an event's write is older, newer or as old.
_LOSES, _WINS, _TIES = 0, 1, 2
_WINS_OVER_ALL: Final = bytes([_WINS]) * 256


def new_state(event: Event) -> State:
    """Return the state after the first event of an entity."""
    kind, time_ms = event.kind, event.time_ms
    stamp_of = bytearray(_UNWRITTEN[kind])
    state = STATES[kind](first_seen_ms=time_ms, last_seen_ms=time_ms, stamps=[], stamp_of=b"")
    if _WRITE_NEWEST[kind](state, event.changes, stamp_of, 0):
        state.stamps.append((time_ms, event.event_id))
    state.stamp_of = bytes(stamp_of)
    if type(state) is DealState:
        _remember_stage(state, event)
    return state


def merge(state: State | None, event: Event) -> State:
    """Return state ⊕ event; changes `state` in place when there is one."""
    if state is None:
        return new_state(event)
    merge_into(state, event)
    return state


def merge_into(state: State, event: Event) -> int:
    """Change the state to state ⊕ event and say what that did.

    A copy of the state made before stays as it was: what both hold is never changed but replaced, and of
    `stamps` only the end grows.
    """
    time_ms, stamps = event.time_ms, state.stamps
    stamp = (time_ms, event.event_id)
    number, stamp_of = len(stamps), bytearray(state.stamp_of)
    if time_ms > state.last_seen_ms:  # no stamp held can be newer
        outcome = _WRITE_NEWEST[event.kind](state, event.changes, stamp_of, number)
    else:
        against = bytearray(_WINS_OVER_ALL)
        for held, other in enumerate(stamps):
            if other == stamp:
                against[held], number = _TIES, held
            elif other > stamp:
                against[held] = _LOSES
        outcome = _WRITE[event.kind](state, event.changes, stamp_of, number, against)
    if outcome:
        if number == len(stamps):
            stamps.append(stamp)
        if len(stamps) > len(stamp_of) // 2:
            state.stamps, stamp_of = _without_unused(stamps, stamp_of)
        state.stamp_of = bytes(stamp_of)
    if time_ms < state.first_seen_ms:
        state.first_seen_ms = time_ms
        outcome = COUNTS
    if type(state) is DealState and _remember_stage(state, event):
        outcome |= KEPT
    if outcome and time_ms > state.last_seen_ms:
        state.last_seen_ms = time_ms
    return outcome


_SHARED: Final = frozenset(("rep_id", "team_id", "region", "source", "stage", "pipeline", "currency"))
"""Fields whose few values occur in many entities: one string for all saves memory, and time to compare."""
_WriteNewest = Callable[[State, Changes, bytearray, int], int]
_Write = Callable[[State, Changes, bytearray, int, bytearray], int]


def _writer_of(kind: EntityKind, *, newest: bool) -> Callable[..., int]:
    """Return a function that writes every field which an event wins: for each field of the kind

        value = changes.FIELD
        if value is not UNSET:
            against_held = against[stamp_of[POSITION]]
            if against_held == _WINS or (against_held == _TIES and _outranks(value, state.FIELD)):
                ... state.FIELD = value ...

    An event that is newer than all that is held wins every field, and is not asked what it wins against.
    Most events write few of a kind's twenty fields, and asking for each by a name in a variable is what a
    merge would spend its time on. So the lines are put together here, once, as `dataclasses` does.
    """
    parameters = "state, changes, stamp_of, number" if newest else "state, changes, stamp_of, number, against"
    lines = [f"def write({parameters}):", " outcome = NOTHING_NEW"]
    for position, name in enumerate(FIELDS[kind]):
        lines += [f" value = changes.{name}", " if value is not UNSET:"]
        indent = "  "
        if not newest:
            wins = f"against_held == {_WINS} or against_held == {_TIES} and _outranks(value, state.{name})"
            lines += [f"  against_held = against[stamp_of[{position}]]", f"  if {wins}:"]
            indent = "   "
        lines += [indent + line for line in _assignment_of(name)]
        lines.append(f"{indent}stamp_of[{position}] = number")
    made: dict[str, Callable[..., int]] = {}
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


def _remember_stage(state: DealState, event: Event) -> bool:
    """Keep the event's word on the stage; False when there is none, or nothing new in it."""
    changes = event.changes
    assert type(changes) is DealChanges
    if changes.stage is UNSET:
        return False
    write, known = (event.time_ms, event.event_id, intern(changes.stage or "")), state.stage_writes
    if not known:
        state.stage_writes = (write,)
        return True
    place = len(known) if write > known[-1] else bisect_left(known, write)
    if place < len(known) and known[place] == write:
        return False
    if len(known) == STAGE_WRITES_MAX:
        if place == 0:
            return False
        known, place = known[1:], place - 1
    state.stage_writes = (*known[:place], write, *known[place:])
    return True


def _outranks(value: object, current: object) -> bool:
    """Order two values that carry the same stamp, so that even a reused event id has one answer."""
    return (value is not None, str(value)) > (current is not None, str(current))


def _without_unused(stamps: list[Stamp], stamp_of: bytearray) -> tuple[list[Stamp], bytearray]:
    used = sorted(set(stamp_of) - {_NEVER})
    number_of = {old: new for new, old in enumerate(used)}
    number_of[_NEVER] = _NEVER
    return [stamps[old] for old in used], bytearray(number_of[old] for old in stamp_of)


_WRITE: Final[dict[EntityKind, _Write]] = {kind: _writer_of(kind, newest=False) for kind in EntityKind}
_WRITE_NEWEST: Final[dict[EntityKind, _WriteNewest]] = {
    kind: _writer_of(kind, newest=True) for kind in EntityKind
}
