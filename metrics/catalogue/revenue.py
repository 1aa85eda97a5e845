"""Revenue and closed deals: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import DEALS, Kpi

REVENUE: Final = (
    Kpi("revenue", "Amount of the deals won in the window.", "won_amount", KpiUnit.MONEY, DEALS),
    Kpi("deals_won", "Distinct deals won in the window.", "won", KpiUnit.COUNT, DEALS),
    Kpi("deals_lost", "Distinct deals lost in the window.", "lost", KpiUnit.COUNT, DEALS),
    Kpi(
        "deals_closed", "Distinct deals won or lost in the window.", "deals_won + deals_lost",
        KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "closed_amount", "Amount of the deals won or lost in the window.", "won_amount + lost_amount",
        KpiUnit.MONEY, DEALS,
    ),
    Kpi("deals_created", "Distinct deals created in the window.", "created", KpiUnit.COUNT, DEALS),
    Kpi(
        "deals_won_without_amount", "Of the deals won in the window, those that carry no amount or zero.",
        "won_without_amount", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "average_deal_size", "Revenue per deal won in the window; deals without an amount count too.",
        "revenue / deals_won", KpiUnit.MONEY, DEALS,
    ),
    Kpi(
        "win_rate", "Share won of the deals closed in the window.",
        "deals_won / deals_closed", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "deals_created_won", "Distinct deals created in the window and won before its end.",
        "created_won", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "win_rate_cohort",
        "Share won before the window's end of the deals created in it; open ones count as not won yet, so a"
        " young cohort says little: win_rate_cohort_age tells how old it is.",
        "deals_created_won / deals_created", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "win_rate_cohort_age",
        "Mean age, at the window's end, of the deals created in the window: how mature win_rate_cohort is.",
        "created_age / deals_created", KpiUnit.SECONDS, DEALS,
    ),
    Kpi(
        "win_rate_value", "Amount won of the amount closed in the window.",
        "revenue / closed_amount", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "sales_cycle", "Time from creation to win of the deals won in the window: quantiles, within 1 %.",
        "quantile(q, won_cycle)", KpiUnit.SECONDS, DEALS, quantiles=(0.5, 0.9),
    ),
    Kpi(
        "sales_cycle_mean", "Mean time from creation to win of the deals won in the window.",
        "won_cycle_total / won_cycle_count", KpiUnit.SECONDS, DEALS,
    ),
)  # fmt: skip
