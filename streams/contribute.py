"""Entity state in, its contributions out: the only translation from business fact to number. Pure.

A contribution is (cell, event time, {measure key: value}). The set depends on the entity's state alone,
never on how it came about, so taking the old set back and adding the new one is always exact.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from metrics.measures import BY_NAME, hindsight_key, histogram_key
from metrics.panes import Cell
from streams.entities import ActivityState, DealState, FeedbackState, LeadState, SpendState, State
from streams.facts import DealFact, Fact, LeadFact, cell_of, fact_of, minor_of
from streams.rules import FoldRules
from streams.wire_form import SPEND_DAYS_MAX

_MILLION: Final = 1_000_000
CONVERSION_MS: Final = 30 * 86_400_000
"""A lead converted so long after its creation, or sooner, is a converted one of its cohort."""

CREATED = BY_NAME["created"].number
CREATED_WON = BY_NAME["created_won"].number
WON = BY_NAME["won"].number
LOST = BY_NAME["lost"].number
WON_AMOUNT = BY_NAME["won_amount"].number
LOST_AMOUNT = BY_NAME["lost_amount"].number
WON_WITHOUT_AMOUNT = BY_NAME["won_without_amount"].number
WON_AMOUNT_WITH_COST = BY_NAME["won_amount_with_cost"].number
WON_COST = BY_NAME["won_cost"].number
WON_CYCLE_TOTAL = BY_NAME["won_cycle_total"].number
WON_CYCLE_COUNT = BY_NAME["won_cycle_count"].number
WON_CYCLE = BY_NAME["won_cycle"]
OPEN = BY_NAME["open"].number
OPEN_AMOUNT = BY_NAME["open_amount"].number
OPEN_WEIGHTED = BY_NAME["open_weighted"].number
OPEN_UNRATED = BY_NAME["open_unrated"].number
OPEN_WEIGHTED_MILLIONTHS = BY_NAME["open_weighted_millionths"].number
LEADS_NEW = BY_NAME["leads_new"].number
LEADS_QUALIFIED = BY_NAME["leads_qualified_total"].number
LEADS_CONVERTED = BY_NAME["leads_converted_total"].number
CALLS_WITH_CONVERSATION = BY_NAME["calls_with_conversation"].number
TALK_DURATION = BY_NAME["talk_duration"].number
ACTIVITIES_DONE = BY_NAME["activities_done"].number
OVERDUE = BY_NAME["overdue"].number
OVERDUE_AMOUNT = BY_NAME["overdue_amount"].number
SPEND = BY_NAME["spend_amount"].number
CSAT_GOOD = BY_NAME["csat_good"].number
PULSE_PARTS = BY_NAME["pulse_parts"].number
_ANSWERS: Final = {kind: BY_NAME[f"{kind}_answers"].number for kind in ("csat", "nps", "enps", "pulse")}
_PROMOTERS: Final = {kind: BY_NAME[f"{kind}_promoters"].number for kind in ("nps", "enps")}
_DETRACTORS: Final = {kind: BY_NAME[f"{kind}_detractors"].number for kind in ("nps", "enps")}
LEADS_NEW_CONVERTED = BY_NAME["leads_new_converted"].number
LEADS_DECIDED = BY_NAME["leads_decided"].number
LEADS_DECIDED_CONVERTED = BY_NAME["leads_decided_converted"].number
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


Contribution = tuple[Cell, int, dict[int, int]]
"""Cell, event time in ms, {measure key: value}."""
Contributions = list[Contribution]


def contribute(state: State, rules: FoldRules, fact: Fact | None = None) -> Contributions:
    """Return what the entity adds to the panes; an empty list when it counts nowhere.

    `fact` is the state's own, where the caller has it already: what both say is then made once.
    """
    if state.deleted:
        return []
    if type(state) is DealState or type(state) is LeadState:
        if state.merged_into is not None:
            return []
        fact = fact or fact_of(state, rules)
        if type(fact) is DealFact and type(state) is DealState:
            return _deal(state, fact, rules)
        assert type(fact) is LeadFact
        return _lead(fact)
    if type(state) is ActivityState:
        return _activity(state)
    if type(state) is FeedbackState:
        return _feedback(state)
    if type(state) is SpendState:
        return _spend(state, rules)
    return []  # accounts and reference records say something about others


def _deal(deal: DealState, fact: DealFact, rules: FoldRules) -> Contributions:
    cell, amount_minor = fact.cell, fact.amount_minor
    created_at_ms, closed_ms = fact.created_at_ms, fact.closed_at_ms
    contributions = _open_interval(deal, fact, rules)
    if created_at_ms is not None:
        cohort = {CREATED: 1}
        if deal.status == "won" and closed_ms is not None:
            cohort[hindsight_key(CREATED_WON, closed_ms - created_at_ms)] = 1
        contributions.append((cell, created_at_ms, cohort))
    if closed_ms is None:
        return contributions
    if deal.status == "lost":
        values = {LOST: 1, LOST_AMOUNT: amount_minor}
    else:
        values = {WON: 1, WON_AMOUNT: amount_minor}
        if not amount_minor:
            values[WON_WITHOUT_AMOUNT] = 1
        if deal.cost is not None:
            values[WON_COST] = minor_of(deal.cost, cell.currency)
            values[WON_AMOUNT_WITH_COST] = amount_minor
        if created_at_ms is not None:
            cycle_ms = closed_ms - created_at_ms
            values[WON_CYCLE_TOTAL] = cycle_ms
            values[WON_CYCLE_COUNT] = 1
            values[histogram_key(WON_CYCLE, cycle_ms)] = 1
    contributions.append((cell, closed_ms, values))
    return contributions


def _open_interval(deal: DealState, fact: DealFact, rules: FoldRules) -> Contributions:
    """Return +x where the deal opens and -x where it closes: open in [opened, closed)."""
    cell, amount_minor = fact.cell, fact.amount_minor
    opened_at_ms, closed_at_ms = fact.opened_at_ms, fact.closed_at_ms
    if closed_at_ms is not None and closed_at_ms <= opened_at_ms:
        return []
    overdue_at_ms = None if deal.expected_close_on is None else _overdue_at_ms(deal, opened_at_ms, rules)
    open_cell = cell_of(*cell[:-1], deal.stage) if deal.stage else cell
    values = {OPEN: 1}
    if amount_minor:
        values[OPEN_AMOUNT] = amount_minor
        if deal.probability is None:
            values[OPEN_UNRATED] = amount_minor
        else:
            whole, millionths = divmod(amount_minor * round(deal.probability * _MILLION), _MILLION)
            if whole:
                values[OPEN_WEIGHTED] = whole
            if millionths:
                values[OPEN_WEIGHTED_MILLIONTHS] = millionths
    contributions: Contributions = [(open_cell, opened_at_ms, values)]
    if overdue_at_ms is not None and (closed_at_ms is None or overdue_at_ms < closed_at_ms):
        overdue = {OVERDUE: 1, OVERDUE_AMOUNT: amount_minor}
        if overdue_at_ms == opened_at_ms:
            values |= overdue
        else:
            contributions.append((open_cell, overdue_at_ms, overdue))
            values = values | overdue
    if closed_at_ms is not None:
        contributions.append((open_cell, closed_at_ms, {key: -value for key, value in values.items()}))
    return contributions


def _overdue_at_ms(deal: DealState, opened_at_ms: int, rules: FoldRules) -> int | None:
    """Return when an open deal's expected close is past: once that local day is over."""
    if deal.expected_close_on is None:
        return None
    return max(opened_at_ms, rules.calendar.instant_ms(deal.expected_close_on + timedelta(days=1)))


def _lead(lead: LeadFact) -> Contributions:
    cell = lead.cell
    moments = (
        (lead.qualified_at_ms, LEADS_QUALIFIED),
        (lead.converted_at_ms, LEADS_CONVERTED),
    )
    contributions = [(cell, time_ms, {key: 1}) for time_ms, key in moments if time_ms is not None]
    if lead.created_at_ms is not None:
        values = {LEADS_NEW: 1}
        decided_at_ms, decided = lead.created_at_ms + CONVERSION_MS, {LEADS_DECIDED: 1}
        if lead.converted_at_ms is not None and lead.converted_at_ms <= decided_at_ms:
            values[hindsight_key(LEADS_NEW_CONVERTED, lead.converted_at_ms - lead.created_at_ms)] = 1
            decided_at_ms, decided = lead.converted_at_ms, {LEADS_DECIDED: 1, LEADS_DECIDED_CONVERTED: 1}
        contributions.append((cell, lead.created_at_ms, values))
        contributions.append((cell, decided_at_ms, decided))
    return contributions


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
