"""A record and a level in, the key it counts for out; and which KPIs are not told at which level.

Written from the sentences that define the levels; shares no line with the product.
"""

from collections.abc import Sequence
from typing import Protocol

NOBODY = "unassigned"
PEOPLE = ("floor", "team", "rep")
LEVELS = (*PEOPLE, "stage")
CARRIED = ("product", "source", "region")
"""Levels that exist where the event carries them."""


class Placed(Protocol):
    """Whatever counts for somebody or something; each is empty where it says nothing."""

    @property
    def rep(self) -> str: ...
    @property
    def team(self) -> str: ...
    @property
    def product(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def region(self) -> str: ...


def key_of(member: Placed, level: str) -> str:
    return "" if level == "floor" else str(getattr(member, level)) or NOBODY


def product_of(products: Sequence[str]) -> str:
    """Return what a deal counts for at the level product: its one product, or that it has several."""
    distinct = set(products)
    return "several" if len(distinct) > 1 else "".join(distinct)


OF_LEADS = (
    *("leads_created", "leads_qualified", "leads_converted", "lead_conversion_period"),
    *("leads_created_converted", "lead_conversion", "leads_created_won", "lead_close_ratio"),
    *("leads_contacted", "lead_response_time", "lead_response_time_error_allowed"),
    *("lead_sla_due", "lead_sla_met", "lead_response_sla"),
)
OF_ACCOUNTS = (
    *("active_customers", "products_per_customer", "customers_at_start", "customers_retained"),
    *("customers_lost", "customer_retention", "customer_churn", "spend", "cac"),
    *("deals_per_customer_year", "customer_lifetime_years", "clv"),
)
OF_WORK = (
    *("calls", "calls_connected", "talk_time", "emails", "meetings", "meetings_held", "conversations"),
    *("demos", "demos_booked", "demos_due", "demos_held", "demo_completion", "conversation_to_demo"),
    *("proposals", "appointments_set", "appointment_rate", "one_on_ones", "trainings", "activities"),
    *("follow_ups_due", "follow_ups_on_time", "follow_up_on_time", "calls_per_opportunity"),
    *("rep_days", "activities_per_rep_day"),
)
OF_ANSWERS = (
    *("csat_responses", "csat_satisfied", "csat", "nps_responses", "nps", "enps_responses", "enps"),
    *("pulse_responses", "pulse_total", "pulse"),
)
# Leads, accounts and spend know no product; activities and answers know no source either.
SILENT = {
    "product": frozenset((*OF_LEADS, *OF_ACCOUNTS, *OF_WORK, *OF_ANSWERS)),
    "source": frozenset((*OF_WORK, *OF_ANSWERS)),
}


def is_told(kpi: str, level: str) -> bool:
    return kpi not in SILENT.get(level, ())
