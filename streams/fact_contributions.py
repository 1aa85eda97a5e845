"""A deal's or a lead's fact in, what it adds to the panes out. Pure: a function of the fact and the calendar.

Whoever follows the boards has the facts, and makes these contributions of them: written into panes as well,
each deal would be said twice. Contributions of what has no fact are made in the fold (streams.contribute).
"""

from datetime import date
from typing import Final

from metrics.calendar import Calendar
from metrics.measures import BY_NAME, hindsight_key, histogram_key
from metrics.panes import Cell
from streams.facts import DealFact, Fact, LeadFact, cell_of

Contribution = tuple[Cell, int, dict[int, int]]
"""Cell, event time in ms, {measure key: value}."""
Contributions = list[Contribution]

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
OVERDUE = BY_NAME["overdue"].number
OVERDUE_AMOUNT = BY_NAME["overdue_amount"].number
LEADS_NEW = BY_NAME["leads_new"].number
LEADS_QUALIFIED = BY_NAME["leads_qualified_total"].number
LEADS_CONVERTED = BY_NAME["leads_converted_total"].number
LEADS_NEW_CONVERTED = BY_NAME["leads_new_converted"].number
LEADS_DECIDED = BY_NAME["leads_decided"].number
LEADS_DECIDED_CONVERTED = BY_NAME["leads_decided_converted"].number


def contribute_fact(fact: Fact | None, calendar: Calendar) -> Contributions:
    """Return what the entity adds to the panes; an empty list when it counts nowhere."""
    if type(fact) is DealFact:
        return [] if fact.merged_into else _deal(fact, calendar)
    if type(fact) is LeadFact:
        return [] if fact.merged_into else _lead(fact)
    return []  # accounts, stages and touches say something about others


def _deal(deal: DealFact, calendar: Calendar) -> Contributions:
    cell, created_at_ms, closed_at_ms = deal.cell, deal.created_at_ms, deal.closed_at_ms
    contributions = _open_interval(deal, calendar)
    if created_at_ms is not None:
        cohort = {CREATED: 1}
        if closed_at_ms is not None and deal.status == "won":
            cohort[hindsight_key(CREATED_WON, closed_at_ms - created_at_ms)] = 1
        contributions.append((cell, created_at_ms, cohort))
    if closed_at_ms is not None:
        values = {LOST: 1, LOST_AMOUNT: deal.amount_minor}
        if deal.status == "won":
            values = _won(deal, closed_at_ms)
        contributions.append((cell, closed_at_ms, values))
    return contributions


def _won(deal: DealFact, closed_at_ms: int) -> dict[int, int]:
    values = {WON: 1, WON_AMOUNT: deal.amount_minor}
    if not deal.amount_minor:
        values[WON_WITHOUT_AMOUNT] = 1
    if deal.cost_minor is not None:
        values[WON_COST] = deal.cost_minor
        values[WON_AMOUNT_WITH_COST] = deal.amount_minor
    if deal.created_at_ms is not None:
        cycle_ms = closed_at_ms - deal.created_at_ms
        values[WON_CYCLE_TOTAL] = cycle_ms
        values[WON_CYCLE_COUNT] = 1
        values[histogram_key(WON_CYCLE, cycle_ms)] = 1
    return values


def _open_interval(deal: DealFact, calendar: Calendar) -> Contributions:
    """Return +x where the deal opens and -x where it closes: open in [opened, closed)."""
    opened_at_ms, closed_at_ms = deal.opened_at_ms, deal.closed_at_ms
    if closed_at_ms is not None and closed_at_ms <= opened_at_ms:
        return []
    cell = cell_of(*deal.cell[:-1], deal.stage) if deal.stage else deal.cell
    values = _open_values(deal)
    contributions: Contributions = [(cell, opened_at_ms, values)]
    overdue_at_ms = _overdue_at_ms(deal, calendar) if deal.due_on else None
    if overdue_at_ms is not None and (closed_at_ms is None or overdue_at_ms < closed_at_ms):
        overdue = {OVERDUE: 1, OVERDUE_AMOUNT: deal.amount_minor}
        if overdue_at_ms == opened_at_ms:
            values |= overdue
        else:
            contributions.append((cell, overdue_at_ms, overdue))
            values = values | overdue
    if closed_at_ms is not None:
        contributions.append((cell, closed_at_ms, {key: -value for key, value in values.items()}))
    return contributions


def _open_values(deal: DealFact) -> dict[int, int]:
    amount_minor = deal.amount_minor
    if not amount_minor:
        return {OPEN: 1}
    if deal.probability is None:
        return {OPEN: 1, OPEN_AMOUNT: amount_minor, OPEN_UNRATED: amount_minor}
    values = {OPEN: 1, OPEN_AMOUNT: amount_minor}
    whole, millionths = divmod(amount_minor * round(deal.probability * _MILLION), _MILLION)
    if whole:
        values[OPEN_WEIGHTED] = whole
    if millionths:
        values[OPEN_WEIGHTED_MILLIONTHS] = millionths
    return values


def _overdue_at_ms(deal: DealFact, calendar: Calendar) -> int:
    """Return when an open deal's expected close is past: once that local day is over."""
    return max(deal.opened_at_ms, calendar.instant_ms(date.fromordinal(deal.due_on + 1)))


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
