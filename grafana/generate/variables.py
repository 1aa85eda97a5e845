"""What a reader may choose in, Grafana's variables out. Their queries ask for gauges that every floor has."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from grafana.generate.panels import SOURCE
from grafana.generate.queries import WINDOWS
from grafana.generate.wording import WINDOW

# How Grafana's editor for Prometheus variables numbers its kinds of queries.
_LABEL_VALUES: Final = 1
_QUERY_RESULT: Final = 3
_REF: Final = "PrometheusVariableQueryEditor-VariableQuery"


def source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def window(chosen: str) -> dashboard.CustomVariable:
    choices = ", ".join(f"{WINDOW[name]} : {name}" for name in WINDOWS)
    current = model.VariableOption(selected=True, text=WINDOW[chosen], value=chosen)
    return dashboard.CustomVariable("window").label("Window").values(choices).current(current)


def currency() -> dashboard.QueryVariable:
    """The reporting currency; two while numbers from before a change of it are still shown."""
    return _labels("currency", "Currency", "salesfloor_floor_revenue")


def period() -> dashboard.QueryVariable:
    """Periods with a running target; asked as of now, so that one that ended is gone."""
    query = _query("period", "Target period", "query_result(salesfloor_floor_quota)", _QUERY_RESULT)
    return query.regex('/period="([^"]+)"/')


def team(*, all_of_them: bool = False) -> dashboard.QueryVariable:
    query = _labels("team", "Team", "salesfloor_team_open_deals")
    return query.include_all(True).all_value(".*") if all_of_them else query


def rep() -> dashboard.QueryVariable:
    return _labels("rep", "Rep", 'salesfloor_rep_open_deals{team=~"$team"}')


def _labels(name: str, label: str, gauge: str) -> dashboard.QueryVariable:
    return _query(name, label, f"label_values({gauge}, {name})", _LABEL_VALUES)


def _query(name: str, label: str, query: str, kind: int) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"qryType": kind, "query": query, "refId": _REF})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
