"""Nothing in, the dashboard of customers and cost out: who buys and stays, what it costs, what they say."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.kpi_panels import FLOOR, Column, Scope, kpi_bars, kpi_lines, kpi_number, kpi_table
from grafana.generate.links import ROW_TO_TEAM, TO_TEAM
from grafana.generate.panels import Look, Panel, Query, number
from grafana.generate.queries import kpi
from grafana.generate.wording import AMBER, GREEN, RED

_TEAMS = Scope("team")
_LONG = "90d"
"""For what takes so long to show, or is asked about so rarely, that a month to date says nothing."""


def _worth() -> Panel:
    """Show how often a customer's value covers what winning one costs."""
    ratio = f"{kpi('clv', 'floor')} / ({kpi('cac', 'floor')} > 0)"
    look = Look(
        "CLV per CAC, ${window:text}", "What an account brings over its life per what it costs to win one.",
        decimals=1, steps=((None, RED), (1.0, AMBER), (3.0, GREEN)),
    )  # fmt: skip
    return number("clv-per-cac", 4, look, Query(ratio, "now"))


def _by_team() -> Panel:
    columns = [
        Column(name)
        for name in (
            "new_customers", "customer_retention", "repeat_purchase_rate", "average_basket",
            "expansion_revenue", "cac", "clv", "gross_margin", "csat", "nps",
        )
    ]  # fmt: skip
    look = Look(
        "By team, ${window:text} (money in $currency)", "The same numbers, each from the team's own sums."
    )
    return kpi_table("teams", look, _TEAMS, ("team", "Team"), columns, links=ROW_TO_TEAM)


def customers() -> model.Dashboard:
    board = Board(
        "customers", "Customers and cost", "Who buys and stays, what it costs, and what they say.",
        since="now-24h", refresh="30s",
    )  # fmt: skip
    board.variables((variables.window("mtd"), variables.currency(), variables.source()))
    board.heading("Customers, ${window:text}").line(
        5,
        kpi_number("new_customers", FLOOR, 4),
        kpi_number("buying_customers", FLOOR, 4),
        kpi_number("customer_retention", FLOOR, 4),
        kpi_number("customer_churn", FLOOR, 4),
        kpi_number("repeat_purchase_rate", FLOOR, 4, window=_LONG, compared=False),
        kpi_number("active_customers", FLOOR, 4),
    )
    board.line(
        5,
        kpi_number("average_basket", FLOOR, 5),
        kpi_number("expansion_revenue", FLOOR, 5),
        kpi_number("deals_after_first_sale", FLOOR, 5),
        kpi_number("deals_per_customer_year", FLOOR, 5),
        kpi_number("products_per_customer", FLOOR, 4),
    )
    board.heading("Cost and worth, ${window:text}").line(
        5,
        kpi_number("spend", FLOOR, 4),
        kpi_number("cac", FLOOR, 4),
        kpi_number("clv", FLOOR, 4),
        _worth(),
        kpi_number("gross_profit", FLOOR, 4),
        kpi_number("gross_margin", FLOOR, 4),
    )
    board.line(
        8,
        kpi_lines("new_customers", _TEAMS, 8, by="team"),
        kpi_bars("cac", _TEAMS, 8, by="team", links=TO_TEAM),
        kpi_bars("gross_margin", _TEAMS, 8, by="team", links=TO_TEAM),
    )
    board.heading("What they say, ${window:text}").line(
        5,
        kpi_number("csat", FLOOR, 4),
        kpi_number("nps", FLOOR, 4),
        kpi_number("enps", FLOOR, 4, window=_LONG, compared=False),
        kpi_number("pulse", FLOOR, 4, window="30d"),
        kpi_number("csat_responses", FLOOR, 4),
        kpi_number("nps_responses", FLOOR, 4),
    )
    board.heading("Market and people, ${window:text}").line(
        5,
        kpi_number("market_share", FLOOR, 5),
        kpi_number("revenue_per_rep", FLOOR, 5),
        kpi_number("reps_on_roster", FLOOR, 4),
        kpi_number("activities_per_rep_day", FLOOR, 5, window="30d"),
        kpi_number("training_rate", FLOOR, 5),
    )
    board.line(8, _by_team())
    return board.build()
