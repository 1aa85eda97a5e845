"""A snapshot in, its running targets as a table for people out, and what is wrong with the others."""

from collections.abc import Iterator

from rich.table import Table

from metrics.formula import KpiUnit
from metrics.kpi_snapshot import KpiSnapshot
from metrics.targets import TargetStanding
from streams.commands.show import shown_number

_FIGURES = {
    "target": "quota",
    "actual": "quota_actual",
    "share": "quota_attainment",
    "ahead": "pace_delta",
    "per day": "required_per_day",
    "forecast": "forecast_pace",
}
# From here on cents tell people nothing, and seven columns have to fit on eighty characters.
_WHOLE_FROM = 1000


def target_table(taken: KpiSnapshot) -> Table | None:
    """Return a line per running target; None when there is none."""
    if not taken.targets:
        return None
    table = Table(
        title="targets",
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("KPI", overflow="fold", min_width=8)
    table.add_column("period", no_wrap=True)
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for standing in taken.targets:
        target = standing.target
        whose = f"{target.record.level} {target.label}".strip()
        cells = _cells(standing, taken.reporting_currency)
        table.add_row(f"{target.kpi.name} {whose}", target.period.name, *cells)
    return table


def _cells(standing: TargetStanding, currency: str) -> Iterator[str]:
    for name in _FIGURES.values():
        figure = standing.figures.get(name)
        unit = KpiUnit.RATIO if name == "quota_attainment" else standing.target.kpi.unit
        if figure is not None and unit is KpiUnit.MONEY and abs(figure) >= _WHOLE_FROM:
            shown = f"{figure:,.0f}"
        else:
            shown = shown_number(figure, unit, currency)
        yield f"+{shown}" if name == "pace_delta" and figure is not None and figure > 0 else shown


def problem_lines(taken: KpiSnapshot) -> Iterator[str]:
    for problem in taken.reference_problems:
        yield f"{problem.record} is not used: {problem.problem}"
