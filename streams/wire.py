"""The data of deals, leads, activities, accounts, feedback and spend as it is on the wire in, the
`…Changes` it means out. Pure; sees no bytes of the envelope. `TYPES` lists every event type.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from streams.events import (
    AccountChanges,
    ActivityChanges,
    ActivityKind,
    DealChanges,
    DealStatus,
    EntityKind,
    FeedbackChanges,
    FeedbackKind,
    FeedbackScale,
    LeadChanges,
    Reason,
    SpendChanges,
)
from streams.wire_form import (
    DURATION_SECONDS_MAX,
    SPEND_DAYS_MAX,
    EventType,
    OptDay,
    OptMoney,
    OptProducts,
    OptText,
    OptTime,
    Read,
    Refused,
    amount_of,
    business_ms,
    currency_of,
    day_of,
    form_of,
    latest_of,
    life,
    merged_of,
    products_of,
    types_of,
)
from streams.wire_reference import REFERENCE_TYPES


class DealData(Struct, gc=False):
    deal_id: str = ""
    status: DealStatus | None | UnsetType = UNSET
    stage: OptText = UNSET
    pipeline: OptText = UNSET
    amount: Decimal | None | UnsetType = UNSET
    currency: OptText = UNSET
    cost: Decimal | None | UnsetType = UNSET
    probability: Annotated[float, Meta(ge=0, le=1)] | None | UnsetType = UNSET
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    account_id: OptText = UNSET
    lead_id: OptText = UNSET
    products: OptProducts = UNSET
    source: OptText = UNSET
    region: OptText = UNSET
    created_at: OptTime = UNSET
    closed_at: OptTime = UNSET
    expected_close_on: date | None | UnsetType = UNSET
    merged_into: OptText = UNSET


class LeadData(Struct, gc=False):
    lead_id: str = ""
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    source: OptText = UNSET
    region: OptText = UNSET
    account_id: OptText = UNSET
    deal_id: OptText = UNSET
    created_at: OptTime = UNSET
    merged_into: OptText = UNSET


class ActivityData(Struct, gc=False):
    activity_id: str = ""
    kind: ActivityKind | None | UnsetType = UNSET
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    region: OptText = UNSET
    deal_id: OptText = UNSET
    lead_id: OptText = UNSET
    account_id: OptText = UNSET
    outcome: OptText = UNSET
    duration_seconds: Annotated[float, Meta(ge=0, le=DURATION_SECONDS_MAX)] | None | UnsetType = UNSET
    scheduled_at: OptTime = UNSET
    due_at: OptTime = UNSET
    completed_at: OptTime = UNSET


class AccountData(Struct, gc=False):
    account_id: str = ""
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    region: OptText = UNSET
    active_from: OptTime = UNSET
    churned_at: OptTime = UNSET
    products: OptProducts = UNSET
    merged_into: OptText = UNSET


class FeedbackData(Struct, gc=False):
    feedback_id: str = ""
    kind: FeedbackKind | None | UnsetType = UNSET
    score: float | None | UnsetType = UNSET
    scale: FeedbackScale | None | UnsetType = UNSET
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    region: OptText = UNSET
    account_id: OptText = UNSET


class SpendData(Struct, gc=False, rename={"from_on": "from", "to_on": "to"}):
    spend_id: str = ""
    amount: OptMoney = UNSET
    currency: OptText = UNSET
    category: OptText = UNSET
    rep_id: OptText = UNSET
    team_id: OptText = UNSET
    region: OptText = UNSET
    source: OptText = UNSET
    from_on: OptDay = UNSET
    to_on: OptDay = UNSET


# One of these runs for every event, so what they make is given by position: naming twenty fields costs four
# times as much. The order is the fields' in streams.events; a field that is absent is not looked at.


def _deal(data: DealData, action: str, time_ms: int) -> Read:
    status = data.status
    closed_at_ms = UNSET if data.closed_at is UNSET else business_ms(data.closed_at, "closed_at")
    created_at_ms = UNSET if data.created_at is UNSET else business_ms(data.created_at, "created_at")
    deleted: bool | UnsetType = UNSET
    merged_into = UNSET if data.merged_into is UNSET else merged_of(data.merged_into)
    if action == "created" and created_at_ms is UNSET:
        created_at_ms = time_ms
    elif action in ("won", "lost"):
        status = "won" if action == "won" else "lost"
        if closed_at_ms is UNSET:
            closed_at_ms = time_ms
    elif action == "reopened":
        status = "open"
        if closed_at_ms is UNSET:
            closed_at_ms = None
    elif action != "updated" or merged_into is not UNSET:
        deleted, merged_into = life(action, data.deal_id, merged_into)
    amount = amount_of(data.amount, data.currency, "amount")
    currency = currency_of(data.currency)
    changes = DealChanges(
        status,
        data.stage,
        data.pipeline,
        amount,
        currency,
        UNSET if data.cost is UNSET else amount_of(data.cost, data.currency, "cost"),
        data.probability,
        data.rep_id,
        data.team_id,
        data.account_id,
        data.lead_id,
        UNSET if data.products is UNSET else products_of(data.products),
        data.source,
        data.region,
        created_at_ms,
        closed_at_ms,
        UNSET if data.expected_close_on is UNSET else day_of(data.expected_close_on, "expected_close_on"),
        merged_into,
        deleted,
    )
    if data.closed_at is UNSET and data.created_at is UNSET:
        return data.deal_id, changes, time_ms
    return data.deal_id, changes, latest_of(time_ms, created_at_ms, closed_at_ms)


def _lead(data: LeadData, action: str, time_ms: int) -> Read:
    created_at_ms = business_ms(data.created_at, "created_at")
    if action == "created" and created_at_ms is UNSET:
        created_at_ms = time_ms
    deleted, merged_into = life(action, data.lead_id, merged_of(data.merged_into))
    changes = LeadChanges(
        data.rep_id,
        data.team_id,
        data.source,
        data.region,
        data.account_id,
        data.deal_id,
        created_at_ms,
        time_ms if action == "qualified" else UNSET,
        time_ms if action == "converted" else UNSET,
        time_ms if action == "disqualified" else UNSET,
        merged_into,
        deleted,
    )
    return data.lead_id, changes, latest_of(time_ms, created_at_ms)


def _activity(data: ActivityData, action: str, time_ms: int) -> Read:
    completed_at_ms = business_ms(data.completed_at, "completed_at")
    if action == "completed" and completed_at_ms is UNSET:
        completed_at_ms = time_ms
    deleted, _ = life(action, data.activity_id, UNSET)
    changes = ActivityChanges(
        data.kind,
        data.rep_id,
        data.team_id,
        data.region,
        data.deal_id,
        data.lead_id,
        data.account_id,
        data.outcome,
        data.duration_seconds,
        business_ms(data.scheduled_at, "scheduled_at"),
        business_ms(data.due_at, "due_at"),
        completed_at_ms,
        time_ms if action == "scheduled" else UNSET,
        deleted,
    )
    return data.activity_id, changes, latest_of(time_ms, completed_at_ms)


def _account(data: AccountData, action: str, time_ms: int) -> Read:
    churned_at_ms = business_ms(data.churned_at, "churned_at")
    if action == "churned" and churned_at_ms is UNSET:
        churned_at_ms = time_ms
    elif action == "reactivated" and churned_at_ms is UNSET:
        churned_at_ms = None
    deleted, merged_into = life(action, data.account_id, merged_of(data.merged_into))
    active_from_ms = business_ms(data.active_from, "active_from")
    changes = AccountChanges(
        data.rep_id,
        data.team_id,
        data.region,
        active_from_ms,
        churned_at_ms,
        products_of(data.products),
        merged_into,
        deleted,
    )
    return data.account_id, changes, latest_of(time_ms, active_from_ms, churned_at_ms)


_SCALE_OF_KIND: Final = {"csat": "1-5", "nps": "0-10", "enps": "0-10", "pulse": "1-5"}


def _feedback(data: FeedbackData, action: str, time_ms: int) -> Read:
    scale = data.scale if isinstance(data.scale, str) else _SCALE_OF_KIND.get(str(data.kind))
    if isinstance(data.score, float) and scale is not None:
        low, high = (int(end) for end in scale.split("-"))
        if not low <= data.score <= high:
            raise Refused(Reason.WRONG_TYPE, f"$.data.score is outside its scale {scale}")
    deleted, _ = life(action, data.feedback_id, UNSET)
    changes = FeedbackChanges(
        data.kind,
        data.score,
        data.scale,
        data.rep_id,
        data.team_id,
        data.region,
        data.account_id,
        time_ms if action == "received" else UNSET,
        deleted,
    )
    return data.feedback_id, changes, time_ms


def _spend(data: SpendData, action: str, time_ms: int) -> Read:
    from_on, to_on = day_of(data.from_on, "from"), day_of(data.to_on, "to")
    if isinstance(from_on, date) and isinstance(to_on, date):
        days = (to_on - from_on).days
        if not 0 < days <= SPEND_DAYS_MAX:
            raise Refused(Reason.BAD_TIME, f"$.data.to is not 1 to {SPEND_DAYS_MAX} days after $.data.from")
    deleted, _ = life(action, data.spend_id, UNSET)
    changes = SpendChanges(
        amount_of(data.amount, data.currency, "amount"),
        currency_of(data.currency),
        data.category,
        data.rep_id,
        data.team_id,
        data.region,
        data.source,
        from_on,
        to_on,
        time_ms if action == "recorded" else UNSET,
        deleted,
    )
    return data.spend_id, changes, time_ms


_DEAL = form_of(DealData, "deal_id", _deal)
_LEAD = form_of(LeadData, "lead_id", _lead)
_ACTIVITY = form_of(ActivityData, "activity_id", _activity)
_ACCOUNT = form_of(AccountData, "account_id", _account)
_FEEDBACK = form_of(FeedbackData, "feedback_id", _feedback)
_SPEND = form_of(SpendData, "spend_id", _spend)


TYPES: Final[dict[str, EventType]] = {
    **types_of(
        EntityKind.DEAL, _DEAL,
        "created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged",
    ),
    **types_of(
        EntityKind.LEAD, _LEAD,
        "created", "updated", "qualified", "converted", "disqualified", "deleted", "restored", "merged",
    ),
    **types_of(EntityKind.ACTIVITY, _ACTIVITY, "scheduled", "completed", "updated", "deleted"),
    **types_of(EntityKind.ACCOUNT, _ACCOUNT, "updated", "churned", "reactivated", "deleted", "merged"),
    **types_of(EntityKind.FEEDBACK, _FEEDBACK, "received", "deleted"),
    **types_of(EntityKind.SPEND, _SPEND, "recorded", "deleted"),
    **REFERENCE_TYPES,
}  # fmt: skip
