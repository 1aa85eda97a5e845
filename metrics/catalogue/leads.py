"""Leads from creation to conversion: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import LEADS, Kpi

LEAD_KPIS: Final = (
    Kpi("leads_created", "Distinct leads created in the window.", "leads_new", KpiUnit.COUNT, LEADS),
    Kpi(
        "leads_qualified", "Distinct leads qualified in the window.", "leads_qualified_total",
        KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "leads_converted", "Distinct leads converted in the window.", "leads_converted_total",
        KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_conversion_period", "Leads converted in the window per lead created in it.",
        "leads_converted / leads_created", KpiUnit.RATIO, LEADS,
    ),
    Kpi(
        "leads_created_converted",
        "Of the leads created in the window, those converted within 30 days and before its end.",
        "leads_new_converted", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_conversion",
        "Of the leads created in the window, the share converted within 30 days and before its end.",
        "leads_created_converted / leads_created", KpiUnit.RATIO, LEADS,
    ),
    Kpi(
        "leads_created_won", "Of the leads created in the window, those whose deal was won before its end.",
        "leads_new_won", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_close_ratio",
        "Of the leads created in the window, the share whose deal was won before its end.",
        "leads_created_won / leads_created", KpiUnit.RATIO, LEADS,
    ),
    Kpi(
        "leads_contacted", "Leads that someone first tried to reach in the window.", "leads_reached_out_to",
        KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_response_time",
        "Business time from creation to the first attempt, of the leads first contacted in the window:"
        " quantiles, within 1 %.",
        "quantile(q, lead_response)", KpiUnit.SECONDS, LEADS, quantiles=(0.5, 0.9),
    ),
    Kpi(
        "lead_sla_due", "Leads whose time to be contacted ran out in the window, or was met in it.",
        "lead_sla_decided", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_sla_met", "Of them, those contacted in time.", "lead_sla_kept", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_response_sla",
        "Share contacted in time of the leads whose time ran out or was met in the window.",
        "lead_sla_met / lead_sla_due", KpiUnit.RATIO, LEADS,
    ),
)  # fmt: skip
