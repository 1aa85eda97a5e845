"""Entity state in, its contributions out: of activities, feedback and spend; of all else by its fact. Pure.

A contribution is (cell, event time, {measure key: value}). The set depends on the entity's state alone,
never on how it came about, so taking the old set back and adding the new one is always exact.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from metrics.measures import BY_NAME, hindsight_key
from metrics.panes import Cell
from streams.entities import ActivityState, FeedbackState, SpendState, State
from streams.events import EntityKind
from streams.fact_contributions import Contributions, contribute_fact
from streams.facts import fact_of, minor_of
from streams.rules import FoldRules
from streams.wire_form import SPEND_DAYS_MAX

IN_PANES: Final = frozenset((EntityKind.ACTIVITY, EntityKind.FEEDBACK, EntityKind.SPEND))
"""Kinds whose contributions the fold adds to panes: they have no facts that readers could make them of."""

CALLS_WITH_CONVERSATION = BY_NAME["calls_with_conversation"].number
TALK_DURATION = BY_NAME["talk_duration"].number
ACTIVITIES_DONE = BY_NAME["activities_done"].number
SPEND = BY_NAME["spend_amount"].number
CSAT_GOOD = BY_NAME["csat_good"].number
PULSE_PARTS = BY_NAME["pulse_parts"].number
_ANSWERS: Final = {kind: BY_NAME[f"{kind}_answers"].number for kind in ("csat", "nps", "enps", "pulse")}
_PROMOTERS: Final = {kind: BY_NAME[f"{kind}_promoters"].number for kind in ("nps", "enps")}
_DETRACTORS: Final = {kind: BY_NAME[f"{kind}_detractors"].number for kind in ("nps", "enps")}
MEETINGS_TOOK_PLACE = BY_NAME["meetings_took_place"].number
DEMOS_BOOKED = BY_NAME["demos_put_in_calendar"].number
DEMOS_PLANNED = BY_NAME["demos_planned"].number
DEMOS_HELD = BY_NAME["demos_planned_and_held"].number
FOLLOW_UPS_PLANNED = BY_NAME["follow_ups_planned"].number
FOLLOW_UPS_IN_TIME = BY_NAME["follow_ups_in_time"].number
_DONE_BY_KIND: Final[dict[str, int]] = {
    "call": BY_NAME["calls_done"].number,
    "email": BY_NAME["emails_done"].number,
    "meeting": BY_NAME["meetings_done"].number,
    "demo": BY_NAME["demos_done"].number,
    "proposal": BY_NAME["proposals_done"].number,
    "appointment": BY_NAME["appointments_done"].number,
    "follow_up": BY_NAME["follow_ups_done"].number,
    "one_on_one": BY_NAME["one_on_ones_done"].number,
    "training": BY_NAME["trainings_done"].number,
}


def contribute(state: State, rules: FoldRules) -> Contributions:
    """Return what the entity adds to the panes; an empty list when it counts nowhere."""
    if state.deleted:
        return []
    if type(state) is ActivityState:
        return _activity(state)
    if type(state) is FeedbackState:
        return _feedback(state)
    if type(state) is SpendState:
        return _spend(state, rules)
    return contribute_fact(fact_of(state, rules), rules.calendar)


def _activity(activity: ActivityState) -> Contributions:
    cell = Cell(rep=activity.rep_id or "", team=activity.team_id or "", region=activity.region or "")
    contributions = [(cell, time_ms, values) for time_ms, values in _plans(activity)]
    if activity.completed_at_ms is None:
        return contributions
    values = {ACTIVITIES_DONE: 1}
    if activity.kind is not None:
        values[_DONE_BY_KIND[activity.kind]] = 1
    if activity.kind == "call":
        if activity.outcome == "connected":
            values[CALLS_WITH_CONVERSATION] = 1
        if activity.duration_seconds:
            values[TALK_DURATION] = round(activity.duration_seconds * 1000)
    elif activity.kind == "meeting" and took_place(activity):
        values[MEETINGS_TOOK_PLACE] = 1
    contributions.append((cell, activity.completed_at_ms, values))
    return contributions


_DID_NOT_TAKE_PLACE: Final = frozenset(("no_show", "cancelled", "canceled"))


def took_place(activity: ActivityState) -> bool:
    return activity.completed_at_ms is not None and activity.outcome not in _DID_NOT_TAKE_PLACE


def _plans(activity: ActivityState) -> Iterator[tuple[int, dict[int, int]]]:
    """Tell what was planned, at the time it was planned for: a miss then shows without any event."""
    if activity.kind == "demo":
        if activity.booked_at_ms is not None:
            yield activity.booked_at_ms, {DEMOS_BOOKED: 1}
        if activity.scheduled_at_ms is not None:
            values = {DEMOS_PLANNED: 1}
            if activity.completed_at_ms is not None and took_place(activity):
                values[hindsight_key(DEMOS_HELD, activity.completed_at_ms - activity.scheduled_at_ms)] = 1
            yield activity.scheduled_at_ms, values
    elif activity.kind == "follow_up" and activity.due_at_ms is not None:
        done_ms = activity.completed_at_ms
        in_time = done_ms is not None and done_ms <= activity.due_at_ms
        yield activity.due_at_ms, {FOLLOW_UPS_PLANNED: 1, **({FOLLOW_UPS_IN_TIME: 1} if in_time else {})}


# What a detractor and a promoter answer is the same on both scales; only 0 is missing from 1-10.
_DETRACTOR_MAX, _PROMOTER_MIN = 6, 9
_CSAT_GOOD_MIN = 4
_PULSE_PARTS: Final = 180_000_000  # quarters, ninths and tenths of it are whole, of scores with decimals too
_ENDS_OF_SCALE: Final = {"0-10": (0, 10), "1-10": (1, 10), "1-5": (1, 5)}


def _feedback(feedback: FeedbackState) -> Contributions:
    if feedback.received_at_ms is None or feedback.kind is None or feedback.score is None:
        return []
    score, kind = feedback.score, feedback.kind
    values = {_ANSWERS[kind]: 1}
    if kind == "csat" and score >= _CSAT_GOOD_MIN:
        values[CSAT_GOOD] = 1
    elif kind == "pulse":
        low, high = _ENDS_OF_SCALE[feedback.scale or "1-5"]
        values[PULSE_PARTS] = round((Decimal(repr(score)) - low) * _PULSE_PARTS / (high - low))
    elif kind in _PROMOTERS:
        if score >= _PROMOTER_MIN:
            values[_PROMOTERS[kind]] = 1
        elif score <= _DETRACTOR_MAX:
            values[_DETRACTORS[kind]] = 1
    cell = Cell(rep=feedback.rep_id or "", team=feedback.team_id or "", region=feedback.region or "")
    return [(cell, feedback.received_at_ms, values)]


def _spend(spend: SpendState, rules: FoldRules) -> Contributions:
    """Spread the amount evenly over its local days; the first days carry the minor units left over."""
    currency = spend.currency or rules.currency
    amount_minor = 0 if spend.amount is None else minor_of(spend.amount, currency)
    if not amount_minor:
        return []
    cell = Cell(
        rep=spend.rep_id or "",
        team=spend.team_id or "",
        source=spend.source or "",
        region=spend.region or "",
        currency=currency,
    )
    if spend.from_on is None or spend.to_on is None or spend.from_on >= spend.to_on:
        at_ms = spend.recorded_at_ms
        if spend.from_on is not None:
            at_ms = rules.calendar.instant_ms(spend.from_on)
        return [] if at_ms is None else [(cell, at_ms, {SPEND: amount_minor})]
    days = min((spend.to_on - spend.from_on).days, SPEND_DAYS_MAX)
    share, left_over = divmod(amount_minor, days)
    return [
        (cell, rules.calendar.instant_ms(spend.from_on + timedelta(days=day)), {SPEND: minor})
        for day in range(days)
        if (minor := share + (day < left_over))
    ]
