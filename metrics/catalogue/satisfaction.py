"""KPIs of what customers and staff answer when asked. Definitions only; computes no number."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import ACTIVITIES, Kpi


def _answers(kind: str, name: str) -> Kpi:
    return Kpi(
        f"{kind}_responses", f"{name} answers received in the window.", f"{kind}_answers",
        KpiUnit.COUNT, ACTIVITIES,
    )  # fmt: skip


SATISFACTION_KPIS: Final = (
    _answers("csat", "Customer-satisfaction"),
    Kpi(
        "csat_satisfied", "Customer-satisfaction answers received in the window that say 4 or 5 of 5.",
        "csat_good", KpiUnit.COUNT, ACTIVITIES,
    ),
    Kpi(
        "csat", "Share of the customer-satisfaction answers that say 4 or 5 of 5.",
        "csat_satisfied / csat_responses", KpiUnit.RATIO, ACTIVITIES,
    ),
    _answers("nps", "Net-promoter"),
    Kpi(
        "nps",
        "Share of the net-promoter answers that say 9 or 10 less the share of 0 to 6, from -100 to 100; 7 and"
        " 8 count as answers. Of a scale that begins with 1, 1 to 6 count against.",
        "100 * (nps_promoters - nps_detractors) / nps_responses", KpiUnit.POINTS, ACTIVITIES,
    ),
    _answers("enps", "Employees' net-promoter"),
    Kpi(
        "enps", "The same of employees; hidden below 5 answers.",
        "at_least(5, enps_responses, 100 * (enps_promoters - enps_detractors) / enps_responses)",
        KpiUnit.POINTS, ACTIVITIES,
    ),
    _answers("pulse", "Pulse"),
    Kpi(
        "pulse_total", "Sum of the pulse answers, each put on a scale from 0 to 1; hidden below 5 answers.",
        "at_least(5, pulse_responses, pulse_parts / 180000000)", KpiUnit.COUNT, ACTIVITIES,
    ),
    Kpi(
        "pulse", "Mean of the pulse answers, each put on a scale from 0 to 1; hidden below 5 answers.",
        "pulse_total / pulse_responses", KpiUnit.RATIO, ACTIVITIES,
    ),
)  # fmt: skip
