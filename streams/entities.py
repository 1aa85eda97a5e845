"""Entity state ⊕ event → entity state: per field the newest (event time, event id) wins. Pure.

The merge is commutative, associative and idempotent (a join of per-field maxima; of a deal's stages, the
union of all writes, cut to the newest), so duplicates need no ledger of event ids and the order of arrival
cannot matter. Never reads a clock, never contributes a number.
"""

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

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


class StageWrite(NamedTuple):
    """One event's word on a deal's stage; "" where it was cleared. Ordered by time, then event id."""

    time_ms: int
    event_id: str
    stage: str


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


class Write(NamedTuple):
    """One field that an event wins: its position in `FIELDS`, and the value."""

    position: int
    value: object


class MergePlan(NamedTuple):
    """What merging an event would do to a state; empty `writes` and False mean "nothing new"."""

    writes: list[Write]
    moves_first_seen: bool
    changes_value: bool
    """Whether any field gets another value, so whether contributions can differ."""
    stage_write: StageWrite | None = None

    @property
    def is_empty(self) -> bool:
        return not self.writes and not self.moves_first_seen and self.stage_write is None


def new_state(event: Event) -> State:
    """Return the state after the first event of an entity."""
    values: dict[str, object] = {}
    stamp_of = bytearray()
    for name in FIELDS[event.kind]:
        value = getattr(event.changes, name)
        if value is UNSET:
            stamp_of.append(_NEVER)
        else:
            stamp_of.append(0)
            values[name] = value
    stage_write = _stage_write(event)
    if stage_write is not None:
        values["stage_writes"] = (stage_write,)
    return STATES[event.kind](
        first_seen_ms=event.time_ms,
        last_seen_ms=event.time_ms,
        stamps=[(event.time_ms, event.event_id)],
        stamp_of=bytes(stamp_of),
        **values,  # type: ignore[arg-type]  # names and types come from the Changes struct of the same kind
    )


def plan_merge(state: State, event: Event) -> MergePlan:
    """Return which fields of the event win over the state. Changes nothing."""
    stamp = (event.time_ms, event.event_id)
    changes: Changes = event.changes
    stamps, stamp_of = state.stamps, state.stamp_of
    writes: list[Write] = []
    changes_value = False
    for position, name in enumerate(FIELDS[event.kind]):
        value = getattr(changes, name)
        if value is UNSET:
            continue
        current = getattr(state, name)
        held = stamp_of[position]
        if held != _NEVER:
            held_stamp = stamps[held]
            if stamp < held_stamp or (stamp == held_stamp and not _outranks(value, current)):
                continue
        writes.append(Write(position, value))
        # The time of a status write can be the closing time, so writing "won" again may move a contribution.
        if value != current or name == "status":
            changes_value = True
    moves_first_seen = event.time_ms < state.first_seen_ms
    stage_write = _stage_write(event)
    if stage_write is not None:
        assert type(state) is DealState
        known = state.stage_writes
        is_too_old = len(known) == STAGE_WRITES_MAX and stage_write < known[0]
        if is_too_old or stage_write in known:
            stage_write = None
    return MergePlan(writes, moves_first_seen, changes_value or moves_first_seen, stage_write)


def apply_merge(state: State, event: Event, plan: MergePlan) -> None:
    """Carry out a plan made against this very state."""
    if event.time_ms < state.first_seen_ms:
        state.first_seen_ms = event.time_ms
    if event.time_ms > state.last_seen_ms:
        state.last_seen_ms = event.time_ms
    if plan.stage_write is not None:
        assert type(state) is DealState
        state.stage_writes = tuple(sorted((*state.stage_writes, plan.stage_write)))[-STAGE_WRITES_MAX:]
    if not plan.writes:
        return
    names = FIELDS[event.kind]
    stamp_of = bytearray(state.stamp_of)
    stamps = state.stamps
    stamp = (event.time_ms, event.event_id)
    number = stamps.index(stamp) if stamp in stamps else len(stamps)
    if number == len(stamps):
        stamps.append(stamp)
    for position, value in plan.writes:
        setattr(state, names[position], value)
        stamp_of[position] = number
    if len(stamps) > len(names) // 2:
        stamps, stamp_of = _without_unused(stamps, stamp_of)
    state.stamps, state.stamp_of = stamps, bytes(stamp_of)


def merge(state: State | None, event: Event) -> State:
    """Return state ⊕ event; changes `state` in place when there is one."""
    if state is None:
        return new_state(event)
    apply_merge(state, event, plan_merge(state, event))
    return state


def _stage_write(event: Event) -> StageWrite | None:
    changes = event.changes
    if type(changes) is not DealChanges or changes.stage is UNSET:
        return None
    return StageWrite(event.time_ms, event.event_id, changes.stage or "")


def _outranks(value: object, current: object) -> bool:
    """Order two values that carry the same stamp, so that even a reused event id has one answer."""
    return (value is not None, str(value)) > (current is not None, str(current))


def _without_unused(stamps: list[Stamp], stamp_of: bytearray) -> tuple[list[Stamp], bytearray]:
    used = sorted(set(stamp_of) - {_NEVER})
    number_of = {old: new for new, old in enumerate(used)}
    number_of[_NEVER] = _NEVER
    return [stamps[old] for old in used], bytearray(number_of[old] for old in stamp_of)
