"""The joins that salesfloor makes, in one list. Makes none itself."""

from metrics.business_hours import BusinessHours
from streams.joins import Joins
from streams.joins.customers import Customers
from streams.joins.deals import DealJoin
from streams.joins.due import DueJoin
from streams.joins.leads import LeadJoin
from streams.joins.stages import StageJoin
from streams.rules import FoldRules


def standard_joins(rules: FoldRules) -> Joins:
    """Return all joins, with nothing learned yet. Every follower needs its own."""
    hours = BusinessHours(rules.calendar, rules.joins.hours)
    return Joins(
        [
            Customers(),
            LeadJoin(hours, sla_ms=rules.joins.response_sla_ms),
            DealJoin(stalled_after_ms=rules.joins.stalled_after_ms),
            StageJoin(),
            DueJoin(rules),
        ],
        rules.calendar,
    )
