"""A record, a level and a time in, the key it counts for out; and which KPIs are not told at which level.

Written from the sentences that define the levels; shares no line with the product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Spell:
    """A rep's team and region over [start, end)."""

    team: str
    region: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Roster:
    spells: Mapping[str, Sequence[Spell]] = field(default_factory=dict)

    def at(self, rep: str, time_ms: int) -> Spell | None:
        held = [each for each in self.spells.get(rep, ()) if each.start_ms <= time_ms < each.end_ms]
        return held[0] if held else None


NO_ROSTER = Roster()


def key_of(member: Placed, level: str, time_ms: int = 0, roster: Roster = NO_ROSTER) -> str:
    """Return what the record says itself, else the team or region its rep was in at that time."""
    if level == "floor":
        return ""
    own = str(getattr(member, level))
    if not own and level in ("team", "region"):
        spell = roster.at(member.rep, time_ms)
        own = "" if spell is None else spell.team if level == "team" else spell.region
    return own or NOBODY


Moments = Mapping[str, int | None]
Here = frozenset[str] | None
"""Which of a record's moments count for a key; None is all of them."""


def places_of(member: Placed, moments: Moments, level: str, roster: Roster) -> Mapping[str, Here]:
    """Return the keys a record counts for, and which of its moments count for each."""
    if level not in ("team", "region") or member.rep not in roster.spells or getattr(member, level):
        return {key_of(member, level): None}
    found: dict[str, set[str]] = {}
    for name, time_ms in moments.items():
        if time_ms is not None:
            found.setdefault(key_of(member, level, time_ms, roster), set()).add(name)
    return {key: frozenset(names) for key, names in found.items()}


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
