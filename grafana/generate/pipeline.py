"""Nothing in, the dashboard of pipeline and leads out: what is open, how it closes, where leads are lost."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.kpi_panels import (
    FLOOR,
    Column,
    Scope,
    kpi_bars,
    kpi_number,
    kpi_table,
    look_of,
    quantile_lines,
    shown_as,
    steps_of,
)
from grafana.generate.links import ROW_TO_TEAM, TO_TEAM
from grafana.generate.panels import Look, Panel, Query, number
from grafana.generate.queries import kpi
from grafana.generate.target_panels import conversion_band

_STAGES, _TEAMS = Scope("stage"), Scope("team")


def _cohort() -> Panel:
    """Show the share won of the deals created, and how old they are: a young cohort has had no time."""
    won = Query(kpi("win_rate_cohort", "floor", window="90d"), "won so far")
    age = Query(kpi("win_rate_cohort_age", "floor", window="90d"), "mean age", shown_as("s", 0))
    return number("win_rate_cohort", 4, look_of("win_rate_cohort", "90d"), won, age)


def _by_stage() -> Panel:
    columns = [
        Column(name)
        for name in (
            "open_deals", "pipeline_value", "weighted_pipeline", "pipeline_overdue", "stalled_deals",
            "stage_entries", "stage_conversion",
        )
    ]  # fmt: skip
    look = Look(
        "By stage (money in $currency)",
        "What is open now; entries and conversion of ${window:text}. Names are your CRM's.",
    )
    return kpi_table("stages", look, _STAGES, ("stage", "Stage"), columns, width=15)


def _by_team() -> Panel:
    columns = [
        Column("pipeline_value"), Column("open_deals"), Column("win_rate"),
        Column("sales_cycle", quantile=0.5), Column("leads_created"), Column("lead_conversion"),
        Column("lead_response_sla"),
        Column("lead_response_time", quantile=0.5), Column("conversation_to_demo"),
    ]  # fmt: skip
    look = Look(
        "By team (money in $currency)", "Pipeline is what is open now; the rest is of ${window:text}."
    )
    return kpi_table("teams", look, _TEAMS, ("team", "Team"), columns, links=ROW_TO_TEAM)


def pipeline() -> model.Dashboard:
    board = Board(
        "pipeline", "Pipeline and leads", "What is open, how it closes, and where leads are lost.",
        since="now-24h", refresh="30s",
    )  # fmt: skip
    board.variables((variables.window("mtd"), variables.currency(), variables.source()))
    board.heading("Open now").line(
        4,
        kpi_number("open_deals", FLOOR, 4),
        kpi_number("pipeline_value", FLOOR, 4),
        kpi_number("weighted_pipeline", FLOOR, 4),
        kpi_number("pipeline_velocity", FLOOR, 4),
        kpi_number("pipeline_overdue", FLOOR, 4),
        kpi_number("stalled_deals", FLOOR, 4),
    )
    board.line(9, _by_stage(), kpi_bars("pipeline_value", _TEAMS, 9, by="team", links=TO_TEAM))
    board.heading("Closing, ${window:text}").line(
        5,
        kpi_number("win_rate", FLOOR, 4),
        kpi_number("win_rate_value", FLOOR, 4),
        _cohort(),
        kpi_number("average_deal_size", FLOOR, 4),
        kpi_number("sales_cycle", FLOOR, 4, quantile=0.5),
        kpi_number("calls_per_opportunity", FLOOR, 4),
    )
    board.line(
        8,
        conversion_band(FLOOR, 8, funnel="deal_win", said="Win rate"),
        conversion_band(FLOOR, 8, funnel="lead_conversion", said="Lead conversion"),
        conversion_band(FLOOR, 8, funnel="conversation_to_demo", said="Conversation to demo"),
    )
    board.heading("Leads, ${window:text}").line(
        5,
        kpi_number("leads_created", FLOOR, 4),
        kpi_number("leads_converted", FLOOR, 4),
        kpi_number("lead_conversion", FLOOR, 4),
        kpi_number("lead_close_ratio", FLOOR, 4),
        kpi_number("lead_response_sla", FLOOR, 4),
        kpi_number("demo_completion", FLOOR, 4),
    )
    funnel = Look(
        "From lead to deal, ${window:text}",
        "Leads created in the window, and how many of them were converted and won by now.",
    )
    board.line(
        8,
        steps_of(
            "funnel", 8, funnel, FLOOR, ("leads_created", "leads_created_converted", "leads_created_won")
        ),
        quantile_lines("lead_response_time", FLOOR, 8),
        kpi_bars("lead_response_sla", _TEAMS, 8, by="team", links=TO_TEAM),
    )
    board.line(8, _by_team())
    return board.build()
