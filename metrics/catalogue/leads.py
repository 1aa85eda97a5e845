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
        "leads_created_converted", "Of the leads created in the window, those converted within 30 days.",
        "leads_new_converted", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "lead_conversion", "Of the leads created in the window, the share converted within 30 days.",
        "leads_created_converted / leads_created", KpiUnit.RATIO, LEADS,
    ),
)  # fmt: skip
