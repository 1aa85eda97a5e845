"""Nothing in, the dashboard of one rep out: own numbers, own target, own pipeline, place among the others."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.kpi_panels import REP, kpi_lines, kpi_number, steps_of
from grafana.generate.panels import Look, Panel, Query, number
from grafana.generate.queries import kpi
from grafana.generate.target_panels import forecasts, target_lines, target_numbers
from grafana.generate.team import KINDS


def _place() -> Panel:
    """Show the rep's place; ties share one, as on the leaderboards."""
    own = kpi("revenue", "rep", REP.where)
    better = f"count({kpi('revenue', 'rep')} > on() group_left() {own}) or on() vector(0)"
    look = Look(
        "Place by revenue, ${window:text}", "1 is the best; reps with the same revenue share a place."
    )
    return number("place", 3, look, Query(f"({better}) + 1", "place"), sparkline=False)


def rep() -> model.Dashboard:
    board = Board(
        "rep", "Rep", "One rep: numbers, target, pipeline, and the place among all.",
        since="now-24h", refresh="30s",
    )  # fmt: skip
    board.variables(
        (
            variables.team(all_of_them=True), variables.rep(), variables.window("mtd"), variables.period(),
            variables.currency(), variables.source(),
        )
    )  # fmt: skip
    board.heading("$rep, ${window:text}").line(
        5,
        kpi_number("revenue", REP, 5),
        kpi_number("deals_won", REP, 4),
        kpi_number("win_rate", REP, 4),
        kpi_number("average_deal_size", REP, 4),
        kpi_number("calls", REP, 4),
        _place(),
    )
    board.heading("Target, $period").line(5, *target_numbers(REP))
    board.line(9, target_lines(REP, 14), forecasts(REP, 10))
    board.heading("Pipeline now").line(
        4,
        kpi_number("open_deals", REP, 4),
        kpi_number("pipeline_value", REP, 4),
        kpi_number("weighted_pipeline", REP, 4),
        kpi_number("pipeline_velocity", REP, 4),
        kpi_number("deals_overdue", REP, 4),
        kpi_number("stalled_deals", REP, 4),
    )
    board.heading("Work, ${window:text}").line(
        9,
        steps_of("activities", 8, Look("Done, ${window:text}", "Completed activities by kind."), REP, KINDS),
        kpi_lines("calls", REP, 8, window="today"),
        kpi_lines("revenue", REP, 8, window="today"),
    )
    board.line(
        4,
        kpi_number("talk_time", REP, 4),
        kpi_number("conversations", REP, 4),
        kpi_number("conversation_to_demo", REP, 4),
        kpi_number("demo_completion", REP, 4),
        kpi_number("meetings_held", REP, 4),
        kpi_number("lead_response_sla", REP, 4),
    )
    return board.build()
