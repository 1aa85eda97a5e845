"""Targets, forecasts and the conversion alert's figures in, panels out. Places none."""

from collections.abc import Iterator
from typing import Final

from grafana.generate.kpi_panels import Links, Scope, shown_as
from grafana.generate.panels import (
    GOOD_ABOVE_ZERO,
    ONE_COLOUR,
    Look,
    Panel,
    Query,
    Steps,
    bars,
    coloured_by,
    lines,
    number,
    setting,
)
from grafana.generate.queries import figure, kpi, on_pace, once, summed
from grafana.generate.wording import AMBER, GREEN, GREY, RED, SHARE, title
from metrics.targets import FIGURES

PACE: Final[Steps] = ((None, RED), (0.9, AMBER), (1.0, GREEN))
NO_TARGET: Final = "no target set"
REACHED: Final = "target reached, or none set"

_SENTENCE: Final = {each.name: each.sentence for each in FIGURES}
_MONEY: Final = " ($currency), $period"


def attainment(scope: Scope, width: int) -> Panel:
    """Show the share of the target that is reached; its colour says whether that is on time."""
    reached = Query(figure("quota_attainment", scope.level, scope.where), "reached", coloured_by(ONE_COLOUR))
    pace = Query(on_pace(scope.level, scope.where), "of what is due", coloured_by(PACE))
    look = Look("Revenue target, $period", _SENTENCE["quota_attainment"], SHARE, 0, PACE, NO_TARGET)
    return number("quota_attainment", width, look, reached, pace)


def wins_attainment(scope: Scope, width: int) -> Panel:
    """The same of the target for deals won."""
    reached = figure("quota_attainment", scope.level, scope.where, of="deals_won")
    pace = on_pace(scope.level, scope.where, of="deals_won")
    look = Look("Wins target, $period", _SENTENCE["quota_attainment"], SHARE, 0, PACE, NO_TARGET)
    queries = (
        Query(reached, "reached", coloured_by(ONE_COLOUR)),
        Query(pace, "of what is due", coloured_by(PACE)),
    )
    return number("quota_attainment/wins", width, look, *queries)


def figure_number(
    name: str, scope: Scope, width: int, *, steps: Steps = ONE_COLOUR, empty: str = NO_TARGET
) -> Panel:
    share = next(each.unit is not None for each in FIGURES if each.name == name)
    look = Look(
        title(name) + (", $period" if share else _MONEY),
        _SENTENCE[name],
        SHARE if share else "short",
        0 if share else None,
        steps,
        empty,
    )
    return number(name, width, look, Query(figure(name, scope.level, scope.where)))


def target_numbers(scope: Scope) -> Iterator[Panel]:
    """Yield a line of what stands around the revenue target."""
    yield attainment(scope, 4)
    yield wins_attainment(scope, 4)
    yield figure_number("pace_delta", scope, 4, steps=GOOD_ABOVE_ZERO)
    yield figure_number("required_per_day", scope, 4, empty=REACHED)
    yield figure_number("forecast_weighted", scope, 4)
    yield figure_number(
        "pipeline_coverage", scope, 4, steps=((None, RED), (1.0, AMBER), (3.0, GREEN)), empty=REACHED
    )


def target_lines(scope: Scope, width: int) -> Panel:
    """Show what is reached beside what should be by now, and the target."""
    look = Look("Revenue against target" + _MONEY, _SENTENCE["quota_actual"], empty=NO_TARGET)
    dashed = setting("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})
    plain = setting("custom.fillOpacity", 0)
    queries = (
        Query(figure("quota_actual", scope.level, scope.where), "reached"),
        Query(figure("pace_expected", scope.level, scope.where), "due by now", (dashed, plain)),
        Query(figure("quota", scope.level, scope.where), "target", (plain,)),
    )
    return lines("target/lines", width, look, *queries)


def forecasts(scope: Scope, width: int) -> Panel:
    names = {
        "quota_actual": "so far", "forecast_commit": "commit", "forecast_weighted": "weighted pipeline",
        "forecast_best_case": "best case", "forecast_pace": "at this pace", "quota": "target",
    }  # fmt: skip
    look = Look(
        "Where the period ends" + _MONEY, " ".join(_SENTENCE[name] for name in names), empty=NO_TARGET
    )
    queries = [Query(figure(name, scope.level, scope.where), said) for name, said in names.items()]
    return bars("forecasts", width, look, *queries)


def pace_bars(scope: Scope, width: int, *, by: str, links: Links = ()) -> Panel:
    look = Look(
        "Revenue per what is due, $period",
        "100 % is on time; measured over business days.",
        SHARE,
        0,
        PACE,
        NO_TARGET,
        links,
    )
    best = f"sort_desc({on_pace(scope.level, scope.where)})"
    return bars(f"pace/bars/{by}", width, look, Query(best, f"{{{{{by}}}}}"), scale=(0.0, 1.5))


def pace_column(people: Scope) -> Query:
    """Return a table's column for reps; targets do not say which team somebody is in, their numbers do."""
    among = kpi("open_deals", people.level, people.where)
    return Query(
        summed(f"{on_pace(people.level)} and on (rep) {among}", "rep"),
        "Revenue per what is due",
        (*shown_as(SHARE, 0), *coloured_by(PACE), setting("custom.cellOptions", {"type": "color-text"})),
    )


def conversion_band(scope: Scope, width: int, *, funnel: str, said: str) -> Panel:
    """Show a rate with the range it may truly have, beside its usual value: inside is noise."""
    matchers = ", ".join(part for part in (scope.where, f'funnel="{funnel}"', 'window="5bd"') if part)
    stem = f"salesfloor_{scope.level}_conversion"
    bound = f'{matchers}, z="2.326"'
    quiet = (setting("custom.lineWidth", 0), setting("color", {"mode": "fixed", "fixedColor": GREY}))
    range_ = (*quiet, setting("custom.fillBelowTo", "at least"), setting("custom.fillOpacity", 20))
    plain = setting("custom.fillOpacity", 0)
    dashed = setting("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})
    queries = (
        Query(once(f"{stem}_rate_ratio{{{matchers}}}"), "now", (plain,)),
        Query(
            once(f"{stem}_baseline_rate_ratio{{{matchers}}}"), "usual, of the weeks before", (plain, dashed)
        ),
        Query(once(f"{stem}_wilson_lower_ratio{{{bound}}}"), "at least", (*quiet, plain)),
        Query(once(f"{stem}_wilson_upper_ratio{{{bound}}}"), "at most", range_),
    )
    description = (
        "The rate of the last five business days with Wilson's 98 % interval: few trials make a wide band. "
        "While the usual rate lies within it, a low rate may be chance."
    )
    return lines(f"conversion/{funnel}", width, Look(said, description, SHARE, 0), *queries)
