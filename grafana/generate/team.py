"""Nothing in, the dashboard of one team out: its numbers, its target, its people."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.kpi_panels import (
    BEFORE,
    TEAM,
    Column,
    Scope,
    kpi_lines,
    kpi_number,
    kpi_table,
    shown_as,
    steps_of,
)
from grafana.generate.links import ROW_TO_REP
from grafana.generate.panels import Look, Panel, Query
from grafana.generate.queries import change, summed
from grafana.generate.target_panels import (
    conversion_band,
    forecasts,
    pace_column,
    target_lines,
    target_numbers,
)
from grafana.generate.wording import SHARE

_PEOPLE = Scope("rep", 'team="$team"')

KINDS = (
    "calls", "emails", "meetings_held", "demos_held", "proposals", "appointments_set", "follow_ups_on_time",
    "one_on_ones", "trainings",
)  # fmt: skip


def _people() -> Panel:
    columns = [
        Column(name)
        for name in (
            "revenue", "deals_won", "win_rate", "average_deal_size", "calls", "conversation_to_demo",
            "lead_response_sla", "open_deals", "pipeline_value",
        )
    ]  # fmt: skip
    gained = summed(change("revenue", "rep", _PEOPLE.where), "rep")
    look = Look(
        "People, ${window:text} (money in $currency)",
        "Every rep whose latest team this is; a name leads to the rep's own dashboard.",
    )
    more = Query(gained, f"Revenue {BEFORE}", shown_as(SHARE, 0))
    return kpi_table(
        "people", look, _PEOPLE, ("rep", "Rep"), columns, more, pace_column(_PEOPLE), links=ROW_TO_REP
    )


def team() -> model.Dashboard:
    board = Board(
        "team", "Team", "One team: its numbers, its target, its people.", since="now-24h", refresh="30s"
    )
    board.variables(
        (
            variables.team(), variables.window("mtd"), variables.period(), variables.currency(),
            variables.source(),
        )
    )  # fmt: skip
    board.heading("$team, ${window:text}").line(
        5,
        kpi_number("revenue", TEAM, 5),
        kpi_number("deals_won", TEAM, 4),
        kpi_number("win_rate", TEAM, 4),
        kpi_number("average_deal_size", TEAM, 4),
        kpi_number("calls", TEAM, 4),
        kpi_number("open_deals", TEAM, 3),
    )
    board.heading("Target, $period").line(5, *target_numbers(TEAM))
    board.line(9, target_lines(TEAM, 14), forecasts(TEAM, 10))
    board.heading("People").line(10, _people())
    board.heading("How it goes").line(
        9,
        conversion_band(TEAM, 8, funnel="deal_win", said="Win rate"),
        steps_of("activities", 8, Look("Done, ${window:text}", "Completed activities by kind."), TEAM, KINDS),
        kpi_lines("revenue", TEAM, 8, window="today"),
    )
    return board.build()
