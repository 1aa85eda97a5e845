"""A lead with its deals and with what was done to reach it: won cohorts, response time, SLA. Pure."""

from collections.abc import Iterable

from metrics.business_hours import BusinessHours
from metrics.measures import BY_NAME, hindsight_key, histogram_key
from streams.events import EntityKind
from streams.facts import DealFact, LeadFact
from streams.joins.base import FactChange, Facts, Joined
from streams.joins.relations import Relation
from streams.touches import LEAD

LEADS_NEW_WON = BY_NAME["leads_new_won"].number
LEADS_REACHED_OUT_TO = BY_NAME["leads_reached_out_to"].number
LEAD_RESPONSE = BY_NAME["lead_response"]
SLA_DECIDED = BY_NAME["lead_sla_decided"].number
SLA_MET = BY_NAME["lead_sla_kept"].number


class LeadJoin:
    """A deal is its lead's when either names the other."""

    def __init__(self, hours: BusinessHours, *, sla_ms: int) -> None:
        self._hours = hours
        self._sla_ms = sla_ms
        self._deals_of = Relation()  # lead -> deals that name it
        self._named_by = Relation()  # deal -> leads that name it

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.DEAL:
            before, after = _lead_of(change.before), _lead_of(change.after)
            if before or after:
                self._deals_of.move(change.id, before, after)
                return {each for each in (before, after) if each} | self._named_by.of(change.id)
            return self._named_by.of(change.id)
        if change.kind is EntityKind.ACTIVITY:
            return (change.id.removeprefix(LEAD),) if change.id.startswith(LEAD) else ()
        if change.kind is EntityKind.LEAD:
            before, after = (
                fact.deal_id if type(fact) is LeadFact else "" for fact in (change.before, change.after)
            )
            self._named_by.move(change.id, before, after)
            return (change.id,)
        return ()

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        lead = facts.lead(joined_id)
        if lead is None or lead.merged_into or lead.created_at_ms is None:
            return []
        created_at_ms, cell = lead.created_at_ms, lead.cell
        joined = []
        deals = self._deals_of.of(joined_id) | {lead.deal_id}
        won_ms = [won for deal_id in deals if (won := _won_at_ms(deal_id, facts)) is not None]
        if won_ms:
            won_later = hindsight_key(LEADS_NEW_WON, min(won_ms) - created_at_ms)
            joined.append(Joined(cell, created_at_ms, {won_later: 1}))
        touches = facts.touches(LEAD + joined_id)
        reached_at_ms = None
        if touches is not None and touches.first_attempt_ms is not None:
            # Who was called before he became a lead waited for nobody.
            reached_at_ms = max(touches.first_attempt_ms, created_at_ms)
            response_ms = self._hours.between_ms(created_at_ms, reached_at_ms)
            values = {histogram_key(LEAD_RESPONSE, response_ms): 1, LEADS_REACHED_OUT_TO: 1}
            joined.append(Joined(cell, reached_at_ms, values))
        deadline_ms = self._hours.deadline_ms(created_at_ms, self._sla_ms)
        if deadline_ms is not None:
            if reached_at_ms is not None and reached_at_ms <= deadline_ms:
                joined.append(Joined(cell, reached_at_ms, {SLA_DECIDED: 1, SLA_MET: 1}))
            else:
                joined.append(Joined(cell, deadline_ms, {SLA_DECIDED: 1}))
        return joined


def _lead_of(fact: object) -> str:
    return fact.lead_id if type(fact) is DealFact else ""


def _won_at_ms(deal_id: str, facts: Facts) -> int | None:
    deal = facts.deal(deal_id)
    return None if deal is None or deal.merged_into or deal.status != "won" else deal.closed_at_ms
