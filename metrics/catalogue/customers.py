"""KPIs of customers and what they cost and bring. Definitions only; computes no number."""

from typing import Final

from metrics.formula import KpiUnit
from metrics.kpi import DEALS, LEADS, Kpi

_THEN: Final = (
    "for the team or region they belonged to when the window began, wherever their rep is at its end"
)

CUSTOMER_KPIS: Final = (
    Kpi(
        "new_customers",
        "Accounts whose first won deal falls in the window; it counts for who won that deal. A merged"
        " account is the one it went into; deals without an account and deleted accounts make no"
        " customers.",
        "customers_new", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "buying_customers", "Distinct accounts with a deal won in the window.",
        "accounts_buying", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "average_basket", "Revenue per distinct account that bought in the window.",
        "revenue / buying_customers", KpiUnit.MONEY, DEALS,
    ),
    Kpi(
        "deals_after_first_sale", "Deals won in the window with accounts that had bought before.",
        "won_after_first", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "repeat_customers",
        "Of the accounts first won in the window, those that won again before its end, at most 90 days (of 24"
        " hours) after the first.",
        "customers_new_repeating", KpiUnit.COUNT, DEALS,
    ),
    Kpi(
        "repeat_purchase_rate",
        "Of the accounts first won in the window, the share that won again within 90 days and before its"
        " end.",
        "repeat_customers / new_customers", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "active_customers",
        "Accounts that are active now: from their active_from, else their first won deal, until they"
        " churned; a churn at or before that start is of an earlier life and does not count. They count"
        " for the rep or team their own record names, else for who won the first deal.",
        "accounts_active", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "customers_at_start",
        "Accounts that were active when the window began, for the team or region they belonged to then.",
        "accounts_at_start", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "customers_retained",
        f"Accounts that were active when the window began and still are at its end, {_THEN}.",
        "customers_at_start - customers_lost", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "customer_retention",
        "Share of the accounts active at the start of the window that still are at its end; who came in"
        f" between is new and does not count, whether still there or not. They count {_THEN}.",
        "customers_retained / customers_at_start", KpiUnit.RATIO, LEADS,
    ),
    Kpi(
        "customers_lost",
        f"Accounts that were active when the window began and no more at its end, {_THEN}.",
        "accounts_left", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "customer_churn",
        "Share of the accounts active at the start of the window that are not at its end. They count"
        f" {_THEN}.",
        "customers_lost / customers_at_start", KpiUnit.RATIO, LEADS,
    ),
    Kpi(
        "expansion_revenue",
        "Amount of the deals won in the window with accounts that had bought before, where the deal has a"
        " product the account had not bought yet, or more volume: a greater amount than its last deal in"
        " that currency.",
        "expansion_amount", KpiUnit.MONEY, DEALS,
    ),
    Kpi(
        "products_per_customer",
        "Distinct products of each active account, as its record lists them, else as it bought them, per"
        " active account.",
        "products_adopted / accounts_active", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "spend", "Sales and marketing spend of the window, spread evenly over the local days it is for.",
        "spend_amount", KpiUnit.MONEY, LEADS,
    ),
    Kpi(
        "cac", "Sales and marketing spend of the window per customer new in it.",
        "spend / new_customers", KpiUnit.MONEY, LEADS,
    ),
    Kpi(
        "revenue_with_cost", "Amount of the deals won in the window that carry a cost.",
        "won_amount_with_cost", KpiUnit.MONEY, DEALS,
    ),
    Kpi(
        "gross_profit", "Amount less cost of the deals won in the window that carry a cost.",
        "revenue_with_cost - won_cost", KpiUnit.MONEY, DEALS,
    ),
    Kpi(
        "gross_margin", "Amount less cost, per amount, of the deals won in the window that carry a cost.",
        "gross_profit / revenue_with_cost", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "gross_margin_coverage", "Share of the revenue whose deals carry a cost.",
        "revenue_with_cost / revenue", KpiUnit.RATIO, DEALS,
    ),
    Kpi(
        "deals_per_customer_year",
        "Deals won with accounts in the 90 days up to the window's end per active account, put to a year"
        " of 365 days.",
        "(new_customers@90d + deals_after_first_sale@90d) / active_customers@90d * 365 / 90",
        KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "customer_lifetime_years",
        "How long an account stays at the churn of the 90 days up to the window's end, put to a year of"
        " 365 days; at most 10 years.",
        "1 / max(customer_churn@90d * 365 / 90, 0.1)", KpiUnit.COUNT, LEADS,
    ),
    Kpi(
        "clv",
        "What an account brings over its life: average deal, times deals per account and year, times gross"
        " margin, times expected years; all of them of the 90 days up to the window's end.",
        "average_deal_size@90d * deals_per_customer_year * gross_margin@90d * customer_lifetime_years",
        KpiUnit.MONEY, LEADS,
    ),
)  # fmt: skip
