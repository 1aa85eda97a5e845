"""What is open now, by stage too: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import PIPELINE, Kpi

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
)  # fmt: skip
