"""KPIs in, panels out: each says what its number means in the catalogue's own sentence. Places none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from grafana_foundation_sdk.models import dashboard as model

from grafana.generate.panels import (
    GOOD_ABOVE_ZERO,
    GOOD_BELOW_ZERO,
    Look,
    Panel,
    Query,
    bars,
    coloured_by,
    lines,
    number,
    rows,
    setting,
)
from grafana.generate.queries import CHOSEN, change, kpi, summed
from grafana.generate.wording import SHARE, decimals, heading, of_quantile, title, unit
from metrics.catalogue import BUILT_IN
from metrics.wall.better import better_of

Links = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scope:
    """Whose numbers a panel shows: a level and, of it, those that `where` matches."""

    level: str
    where: str = ""


BEFORE: Final = "vs. before"
"""What a small number says against the window just before; longer, it would shrink beside its number."""

FLOOR: Final = Scope("floor")
TEAM: Final = Scope("team", 'team="$team"')
REP: Final = Scope("rep", 'rep="$rep"')


def look_of(name: str, window: str, *, links: Links = ()) -> Look:
    over = None if BUILT_IN.is_level(BUILT_IN[name]) else window
    sentence = BUILT_IN[name].sentence
    return Look(title(name, over), sentence, unit(name), decimals(name), links=links)


def kpi_number(
    name: str,
    scope: Scope,
    width: int,
    *,
    window: str = CHOSEN,
    quantile: float | None = None,
    compared: bool = True,
) -> Panel:
    """Show a KPI, and how it stands against the window before where it has one."""
    now = Query(kpi(name, scope.level, scope.where, window=window, quantile=quantile), "now")
    look = look_of(name, window)
    if quantile is not None:
        look = replace(look, title=f"{look.title}, {of_quantile(quantile)}")
    if BUILT_IN.is_level(BUILT_IN[name]) or not compared:
        return number(name, width, look, now)
    better = GOOD_BELOW_ZERO if better_of(name) == "down" else GOOD_ABOVE_ZERO
    shown = unit(name) if unit(name) == "none" else SHARE
    before = Query(
        change(name, scope.level, scope.where, window=window, quantile=quantile),
        BEFORE,
        (setting("unit", shown), setting("decimals", 0 if shown == "none" else 1), *coloured_by(better)),
    )
    return number(name, width, look, now, before)


def kpi_lines(name: str, scope: Scope, width: int, *, by: str = "", window: str = CHOSEN) -> Panel:
    """Show how a KPI went; `by` is the label that tells its lines apart."""
    legend = f"{{{{{by}}}}}" if by else title(name)
    query = Query(kpi(name, scope.level, scope.where, window=window), legend)
    return lines(f"{name}/lines", width, look_of(name, window), query)


def kpi_bars(
    name: str, scope: Scope, width: int, *, by: str, top: int = 10, window: str = CHOSEN, links: Links = ()
) -> Panel:
    """Rank teams, reps or stages by a KPI."""
    value = kpi(name, scope.level, scope.where, window=window)
    if BUILT_IN.is_level(BUILT_IN[name]):
        value += " > 0"  # a stage where nothing can be open, such as won, is no bar
    best = f"sort_desc(topk({top}, {value}))"
    return bars(f"{name}/bars/{by}", width, look_of(name, window, links=links), Query(best, f"{{{{{by}}}}}"))


@dataclass(frozen=True)
class Column:
    """A KPI as a column of a table; `quantile` where it has some."""

    kpi: str
    window: str = CHOSEN
    quantile: float | None = None

    def query(self, scope: Scope, label: str) -> Query:
        expr = kpi(self.kpi, scope.level, scope.where, window=self.window, quantile=self.quantile)
        said = heading(self.kpi) + (f", {of_quantile(self.quantile)}" if self.quantile is not None else "")
        return Query(summed(expr, label), said, shown_as(unit(self.kpi), decimals(self.kpi)))


def shown_as(unit_name: str, digits: int | None = None) -> tuple[model.DynamicConfigValue, ...]:
    settings = (setting("unit", unit_name),)
    return settings if digits is None else (*settings, setting("decimals", digits))


def kpi_table(
    key: str,
    look: Look,
    scope: Scope,
    label: tuple[str, str],
    columns: Sequence[Column],
    *more: Query,
    width: int = 24,
    links: Links = (),
) -> Panel:
    """Show a line for each team, rep or stage, ranked by the first column; `links` are behind its name."""
    made = [column.query(scope, label[0]) for column in columns]
    return rows(key, width, look, label, *made, *more, sort_by=made[0].legend, links=links)


def steps_of(key: str, width: int, look: Look, scope: Scope, names: Sequence[str]) -> Panel:
    """Show KPIs below each other, such as the steps of a funnel or the kinds of activities."""
    return bars(
        key, width, look, *(Query(kpi(name, scope.level, scope.where), title(name)) for name in names)
    )


def quantile_lines(name: str, scope: Scope, width: int, *, window: str = CHOSEN) -> Panel:
    made = [
        Query(kpi(name, scope.level, scope.where, window=window, quantile=fraction), of_quantile(fraction))
        for fraction in BUILT_IN[name].quantiles
    ]
    return lines(f"{name}/lines", width, look_of(name, window), *made)
