"""What the roster, the calendar and the market put revenue and work in relation to: definitions only."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import DEALS, Kpi

_ROSTERED: Final = ("floor", "team", "region")

PEOPLE_KPIS: Final = (
    Kpi(
        "reps_on_roster", "Reps on the roster during the window, each by the share of it.",
        "rostered_time / window_time", KpiUnit.COUNT, _ROSTERED,
    ),
    Kpi(
        "revenue_per_rep", "Revenue per rep on the roster during the window.",
        "revenue / reps_on_roster", KpiUnit.MONEY, _ROSTERED,
    ),
    Kpi(
        "training_rate", "Trainings completed per rep on the roster during the window.",
        "trainings / reps_on_roster", KpiUnit.COUNT, _ROSTERED,
    ),
    Kpi(
        "rep_days", "Business days in the window, once per rep on the roster.",
        "rep_business_days", KpiUnit.COUNT, ("floor", "team", "rep", "region"),
    ),
    Kpi(
        "activities_per_rep_day", "Activities completed per rep and business day.",
        "activities / rep_days", KpiUnit.COUNT, ("floor", "team", "rep", "region"),
    ),
    Kpi(
        "market", "Size of the market over the window, as given for its period.",
        "market_size", KpiUnit.MONEY, ("floor",),
    ),
    Kpi(
        "market_share", "Revenue as a share of the market over the window.",
        "revenue / market", KpiUnit.RATIO, ("floor",),
    ),
    Kpi(
        "average_deal_size_growth", "Average deal size against the same window a year before.",
        "average_deal_size / average_deal_size@year_before - 1", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "pipeline_velocity",
        "What the open deals bring per day: their number times win rate and average deal size over the median"
        " sales cycle, all three of the last 90 days. An open deal counts as a qualified opportunity.",
        "open_deals * win_rate@90d * average_deal_size@90d / quantile(0.5, won_cycle)@90d",
        KpiUnit.MONEY_PER_DAY, DEALS,
    ),
)  # fmt: skip
