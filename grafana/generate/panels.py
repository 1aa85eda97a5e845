"""Queries and words in, Grafana panels by the SDK's builders out. Places none of them; knows no KPI."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

from grafana.generate.wording import BLUE, GREEN, RED

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first value is None, for everything below."""

NAME_PIXELS: Final = 16
NUMBER_PIXELS: Final = 36
COLUMN_PIXELS: Final = 90
"""So narrow that a table of twelve columns fits beside Grafana's menu."""

ONE_COLOUR: Final[Steps] = ((None, BLUE),)
GOOD_ABOVE_ZERO: Final[Steps] = ((None, RED), (0.0, GREEN))
GOOD_BELOW_ZERO: Final[Steps] = ((None, GREEN), (0.0, RED))
BAD_IF_ANY: Final[Steps] = ((None, GREEN), (0.000001, RED))
GOOD_FROM_ONE: Final[Steps] = ((None, RED), (0.000001, GREEN))


@dataclass(frozen=True)
class Panel:
    """`key` names the panel within its dashboard for ever: its id is made of it."""

    key: str
    width: int
    built: model.Panel


@dataclass(frozen=True)
class Query:
    """`legend` names its values, `properties` override how they are shown."""

    expr: str
    legend: str = "__auto"
    properties: tuple[model.DynamicConfigValue, ...] = ()


@dataclass(frozen=True)
class Look:
    """What every kind of panel has around its numbers; `links` are (title, address) behind a number."""

    title: str
    description: str
    unit: str = "short"
    decimals: int | None = None
    steps: Steps = ONE_COLOUR
    empty: str = "no data"
    links: tuple[tuple[str, str], ...] = ()


_Kind = TypeVar("_Kind", stat.Panel, timeseries.Panel, bargauge.Panel, table.Panel)


def setting(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


_WRAPPED: Final = setting("custom.wrapHeaderText", True)
"""A column's name on two lines; a Grafana that does not know how cuts it."""


def coloured_by(steps: Steps) -> tuple[model.DynamicConfigValue, ...]:
    return setting("thresholds", _thresholds(steps).build()), setting("color", {"mode": "thresholds"})


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    made = [model.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(made)


def _dressed(panel: _Kind, look: Look) -> _Kind:
    panel.title(look.title).description(look.description).datasource(SOURCE).unit(look.unit)
    panel.thresholds(_thresholds(look.steps)).no_value(look.empty)
    if look.decimals is not None:
        panel.decimals(look.decimals)
    if look.links:
        panel.data_links([dashboard.DashboardLink(title).url(address) for title, address in look.links])
    return panel


def _target(ref: str, query: Query, *, instant: bool, as_table: bool) -> prometheus.Dataquery:
    made = (
        prometheus.Dataquery()
        .ref_id(ref)
        .datasource(SOURCE)
        .editor_mode(QueryEditorMode.CODE)
        .expr(query.expr)
        .legend_format(query.legend)
        .format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)
    )
    return made.instant() if instant else made.range()


def _asking(panel: _Kind, queries: Sequence[Query], *, instant: bool, as_table: bool = False) -> _Kind:
    query: Query
    shown: list[model.DynamicConfigValue]  # said, because mypy reads the loop once for each kind of panel
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(_target(ref, query, instant=instant, as_table=as_table))
        if as_table:
            shown = [setting("displayName", query.legend), _WRAPPED, *query.properties]
            panel.override_by_name(f"Value #{ref}", shown)
        elif query.properties:
            panel.override_by_query(ref, list(query.properties))
    return panel


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def number(key: str, width: int, look: Look, *queries: Query, sparkline: bool = True) -> Panel:
    """Show one big number with how it went, or several below each other: lines would cross them."""
    drawn = sparkline and len(queries) == 1
    panel = (
        stat.Panel()
        .reduce_options(_last())
        .graph_mode(options.BigValueGraphMode.AREA if drawn else options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.VALUE)
        .text_mode(
            options.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else options.BigValueTextMode.VALUE
        )
        .orientation(options.VizOrientation.HORIZONTAL)
    )
    if len(queries) > 1:
        # Left to itself, Grafana draws numbers smaller than their names, and in every panel another size.
        panel.text(common.VizTextDisplayOptions().title_size(NAME_PIXELS).value_size(NUMBER_PIXELS))
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    return Panel(key, width, _asking(_dressed(panel, look), queries, instant=False).build())


def lines(key: str, width: int, look: Look, *queries: Query, filled: int = 8, stacked: bool = False) -> Panel:
    """Show how numbers went."""
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
    )
    tooltip = (
        common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)
    )
    panel = (
        timeseries.Panel()
        .draw_style(options.GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(filled)
        .show_points(options.VisibilityMode.NEVER)
        .legend(legend)
        .tooltip(tooltip)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    return Panel(key, width, _asking(_dressed(panel, look), queries, instant=False).build())


def bars(
    key: str, width: int, look: Look, *queries: Query, scale: tuple[float, float] | None = None
) -> Panel:
    """Compare numbers as they are now, one bar each."""
    panel = (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .value_mode(options.BarGaugeValueMode.COLOR)
        .min(0.0 if scale is None else scale[0])
    )
    if scale is not None:
        panel.max(scale[1])
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    return Panel(key, width, _asking(_dressed(panel, look), queries, instant=True).build())


def rows(
    key: str,
    width: int,
    look: Look,
    label: tuple[str, str],
    *queries: Query,
    sort_by: str = "",
    links: Sequence[tuple[str, str]] = (),
) -> Panel:
    """Show a table: a line for each value of one label, (its name, its heading), and a column per query."""
    name, heading = label
    panel = table.Panel().show_header(True).align(options.FieldTextAlignment.AUTO).min_width(COLUMN_PIXELS)
    if sort_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])
    dressed = _asking(_dressed(panel, look), queries, instant=True, as_table=True)
    behind = [setting("links", [{"title": said, "url": address} for said, address in links])] if links else []
    dressed.override_by_name(name, [setting("displayName", heading), *behind])
    # Every column comes with the instant it is of; they are all the same.
    dressed.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    hidden = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {}}
    dressed.with_transformation(model.DataTransformerConfig(id_val="organize", options=hidden))
    return Panel(key, width, dressed.build())


def alerts(key: str, width: int, title: str, description: str) -> Panel:
    """List firing and pending alerts of every data source; the SDK has no builder for this kind."""
    panel = dashboard.Panel().type("alertlist").title(title).description(description)
    panel.options({
        "viewMode": "list",
        "groupMode": "default",
        "groupBy": [],
        "maxItems": 20,
        "sortOrder": 3,
        "dashboardAlerts": False,
        "alertName": "",
        "alertInstanceLabelFilter": "",
        "datasource": "",
        "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True},
    })  # fmt: skip
    return Panel(key, width, panel.build())
