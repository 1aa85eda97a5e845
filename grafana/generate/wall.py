"""Nothing in, the dashboard for a screen on the wall out: few big numbers, made for kiosk mode."""

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate import variables
from grafana.generate.board import Board
from grafana.generate.health import age_number
from grafana.generate.kpi_panels import FLOOR, Scope, kpi_bars, kpi_number
from grafana.generate.links import TO_REP, TO_TEAM
from grafana.generate.panels import alerts
from grafana.generate.target_panels import attainment, conversion_band, pace_bars, target_lines


def wall() -> model.Dashboard:
    board = Board(
        "wall", "Sales floor – wall", "The floor at a glance, for a screen everybody sees.",
        since="now-12h", refresh="10s",
    )  # fmt: skip
    board.variables((variables.window("today"), variables.period(), variables.currency(), variables.source()))
    board.line(
        5,
        kpi_number("revenue", FLOOR, 6),
        kpi_number("deals_won", FLOOR, 4),
        kpi_number("win_rate", FLOOR, 4, window="30d"),
        attainment(FLOOR, 4),
        kpi_number("calls", FLOOR, 3),
        age_number(3),
    )
    board.line(
        11,
        target_lines(FLOOR, 10),
        kpi_bars("revenue", Scope("rep"), 7, by="rep", links=TO_REP),
        pace_bars(Scope("team"), 7, by="team", links=TO_TEAM),
    )
    board.line(
        10,
        kpi_bars("pipeline_value", Scope("stage"), 8, by="stage"),
        conversion_band(FLOOR, 8, funnel="deal_win", said="Win rate"),
        alerts("alerts", 8, "Alerts", "Firing and pending alerts of Prometheus and Grafana."),
    )
    return board.build()
