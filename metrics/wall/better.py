"""Which way a KPI is better, for those that are better low. Definitions only."""

from typing import Final

from metrics.wall.boards import Better

_BETTER_LOW: Final = frozenset(
    {
        "deals_lost", "deals_won_without_amount", "sales_cycle", "sales_cycle_mean", "deals_overdue",
        "pipeline_overdue", "stalled_deals", "calls_per_closed_deal", "calls_per_opportunity",
        "lead_response_time", "customers_lost", "customer_churn", "cac", "spend",
    }
)  # fmt: skip


def better_of(kpi: str) -> Better:
    return "down" if kpi in _BETTER_LOW else "up"
