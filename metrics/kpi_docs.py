"""The catalogue in, its page for readers out: `python -m metrics.kpi_docs > docs/kpis.md`. Adds no fact."""

import sys
from collections.abc import Iterable

from metrics.catalogue import BUILT_IN
from metrics.given import GIVEN, Given
from metrics.kpi import Catalogue, Kpi
from metrics.measures import MEASURES, Kind, Measure
from metrics.targets import FIGURES, FigureKind

_HEAD = """\
# KPIs

*Written by `python -m metrics.kpi_docs` from the catalogue in `metrics/catalogue/`; change that, not this.*

A formula speaks of sums over the window `[start, end)`, by the event's own time; a quotient is the sum of
the numerators over the sum of the denominators, at every level. **Empty** says what a team or rep that
exists but did nothing shows: `0`, or *absent*, which is no sample at all. **Now** marks what is open at
the instant, whatever the window; it has no `window` label and no previous twin.

A window tells what had happened before its end, in the events' own time, however long ago that is. So a
number of a past instant, and a previous twin, tells what was so *then*. What became of the deals, leads,
demos and first purchases of a window counts if it came about before the window's end: a deal is won when it
closed, a lead is converted when it converted. A twin thus sets a cohort beside one of the same age. A
correction restates the past: what the records now say of a time is what counts for that time.

Gauges are called `salesfloor_<level>_…` with the level in place of `*`. Every windowed gauge has a twin
for the window just before: the same name with `_previous` before the unit, such as
`salesfloor_team_win_rate_previous_ratio`. Labels: `window`, the level's own (`team="…"`), for reps also
their latest `team`, for money `currency`, for quantiles `quantile`.
"""

_TARGETS_HEAD = """\
## Targets

Figures of every running target; [reference data](reference-data.md) says how targets are set. Labels:
`kpi`, `period`, the level's own, and `currency` where the figure is money.
"""

_MEASURES_HEAD = """\
## Measures

What formulas are made of. A *flow* counts in the window that holds its time, a *level* adds up over all
time before the instant, a *histogram* answers `quantile(0.9, …)` within 1 %.
"""


_GIVEN_HEAD = """\
## Given by calendar, roster and market, or by when a window began

Names for formulas that are no sum of what events say. `name@90d` is the value of any name over that window,
whatever window is asked for; `name@year_before` is that of the same window a year before.
"""


def page(catalogue: Catalogue = BUILT_IN) -> str:
    kpis = _table(
        ("KPI", "Meaning", "Formula", "Unit", "Levels", "Empty", "Gauge"),
        (_kpi_line(kpi, catalogue) for kpi in catalogue),
    )
    measures = _table(("Measure", "Unit", "Kind"), (_measure_line(measure) for measure in MEASURES))
    targets = _table(
        ("Figure", "Meaning", "Formula", "Unit", "Gauge"), (_figure_line(figure) for figure in FIGURES)
    )
    given = _table(("Name", "Unit", "Meaning"), (_given_line(each) for each in GIVEN.values()))
    parts = (_HEAD, kpis, _TARGETS_HEAD, targets, _MEASURES_HEAD, measures, _GIVEN_HEAD, given)
    return "\n".join(parts)


def _given_line(given: Given) -> tuple[str, ...]:
    return f"`{given.name}`", given.unit.value, given.sentence


def _kpi_line(kpi: Kpi, catalogue: Catalogue) -> tuple[str, ...]:
    quantiles = f" for q = {', '.join(f'{q:g}' for q in kpi.quantiles)}" if kpi.quantiles else ""
    now = "**Now.** " if catalogue.is_level(kpi) else ""
    return (
        f"`{kpi.name}`",
        now + kpi.sentence,
        f"`{kpi.formula}`{quantiles}",
        kpi.unit.value,
        ", ".join(kpi.levels),
        "*absent*" if kpi.when_empty == "absent" else kpi.when_empty,
        f"`{kpi.gauge_name('*')}`",
    )


def _figure_line(figure: FigureKind) -> tuple[str, ...]:
    unit = "as the KPI" if figure.unit is None else figure.unit.value
    return f"`{figure.name}`", figure.sentence, figure.formula, unit, f"`{figure.gauge_name('*')}`"


def _measure_line(measure: Measure) -> tuple[str, ...]:
    shown_in = {"duration": "milliseconds", "money": "money, minor units"}
    kind = "histogram" if measure.kind is Kind.HISTOGRAM else measure.kind.value
    return f"`{measure.name}`", shown_in.get(measure.unit, measure.unit.value), kind


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(page())
