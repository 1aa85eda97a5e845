"""A snapshot in, its running targets as a table for people out, and what is wrong with the others."""

from collections.abc import Iterator

from rich.table import Table

from metrics.formula import KpiUnit
from metrics.kpi_snapshot import KpiSnapshot
from metrics.targets import TargetStanding
from streams.commands.show import shown_number

_COLUMNS = ("target", "actual", "% of target", "pace", "ahead", "per day left", "forecast")
_FIGURES = (
    "quota", "quota_actual", "quota_attainment", "pace_expected", "pace_delta", "required_per_day",
    "forecast_pace",
)  # fmt: skip


def target_table(taken: KpiSnapshot) -> Table | None:
    """Return a line per running target; None when there is none."""
    if not taken.targets:
        return None
    table = Table(title="targets", title_justify="left", title_style="bold")
    table.add_column("of", overflow="fold")
    table.add_column("KPI", no_wrap=True)
    table.add_column("period", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for standing in taken.targets:
        target = standing.target
        whose = f"{target.record.level} {target.label}".strip()
        table.add_row(whose, target.kpi.name, target.period.name, *_cells(standing, taken.reporting_currency))
    return table


def _cells(standing: TargetStanding, currency: str) -> Iterator[str]:
    for name in _FIGURES:
        unit = KpiUnit.RATIO if name == "quota_attainment" else standing.target.kpi.unit
        shown = shown_number(standing.figures.get(name), unit, currency)
        yield f"+{shown}" if name == "pace_delta" and standing.figures.get(name, 0) > 0 else shown


def problem_lines(taken: KpiSnapshot) -> Iterator[str]:
    for problem in taken.reference_problems:
        yield f"{problem.record} is not used: {problem.problem}"
