"""What is open now, by stage too: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import DEALS, PIPELINE, Kpi

STAGES: Final = ("stage",)

PIPELINE_KPIS: Final = (
    Kpi("open_deals", "Deals that are open now.", "open", KpiUnit.COUNT, PIPELINE),
    Kpi("pipeline_value", "Amount of the deals that are open now.", "open_amount", KpiUnit.MONEY, PIPELINE),
    Kpi(
        "weighted_pipeline",
        "Amount of the deals open now, each times its probability (its own, else its stage's).",
        "open_weighted + open_weighted_millionths / 1000000", KpiUnit.MONEY, PIPELINE,
    ),
    Kpi(
        "deals_overdue", "Deals that are open now although the day they were expected to close is over.",
        "overdue", KpiUnit.COUNT, PIPELINE,
    ),
    Kpi(
        "pipeline_overdue", "Amount of the deals that are open now although their expected close is past.",
        "overdue_amount", KpiUnit.MONEY, PIPELINE,
    ),
    Kpi(
        "stalled_deals", "Deals that are open now and for which nothing was done for long.", "stalled",
        KpiUnit.COUNT, PIPELINE,
    ),
    Kpi(
        "stage_entries", "Deals that came into the stage in the window, each for the first time.",
        "stage_entered", KpiUnit.COUNT, STAGES,
    ),
    Kpi(
        "stage_entries_advanced", "Of them, those that went further, or were won, before its end.",
        "stage_passed", KpiUnit.COUNT, STAGES,
    ),
    Kpi(
        "stage_conversion",
        "Of the deals that came into the stage in the window, the share that went further before its end.",
        "stage_entries_advanced / stage_entries", KpiUnit.RATIO, STAGES,
    ),
    Kpi(
        "calls_on_closed", "Calls made, at any time, even later, for the deals closed in the window.",
        "calls_on_closed_deals", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "calls_per_closed_deal", "Calls made for the deals closed in the window, per deal.",
        "calls_on_closed / deals_closed", KpiUnit.COUNT, DEALS,
    ),
)  # fmt: skip
