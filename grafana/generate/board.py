"""Panels line by line in, one of Grafana's dashboards out: places, ids, variables, links. Knows no KPI.

The grid has 24 columns. A line's panels fill it, so nothing overlaps and nothing is left open.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.generate.panels import Panel

COLUMNS: Final = 24
TAG: Final = "salesfloor"
_IDS: Final = 1_000_000


class _Built(Builder[model.Panel]):
    def __init__(self, panel: model.Panel) -> None:
        self._panel = panel

    def build(self) -> model.Panel:
        return self._panel


class Board:
    """A dashboard being put together, from top to bottom."""

    def __init__(self, slug: str, title: str, description: str, *, since: str, refresh: str) -> None:
        self.uid = f"salesfloor-{slug}"
        self._y = 0
        self._ids: dict[int, str] = {}
        self._said: tuple[str, ...] = ()
        self._made = (
            dashboard.Dashboard(title)
            .uid(self.uid)
            .description(description)
            .tags([TAG])
            .timezone("browser")
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time(since, "now")
            .refresh(refresh)
        )
        others = dashboard.DashboardLink("Sales floor").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
        self._made.link(others.as_dropdown(False).include_vars(True).keep_time(False))

    def variables(self, variables: Sequence[Builder[model.VariableModel]]) -> "Board":
        for variable in variables:
            self._made.with_variable(variable)
        return self

    def heading(self, title: str) -> "Board":
        """Start a part; what its title says after a comma, its panels' titles leave out: they are narrow."""
        self._said = tuple(title.split(", ")[1:])
        row = dashboard.Row(title).id(self._id(f"heading/{title}"))
        self._made.with_row(row.grid_pos(model.GridPos(x=0, y=self._y, w=COLUMNS, h=1)))
        self._y += 1
        return self

    def line(self, height: int, *panels: Panel) -> "Board":
        """Place panels side by side; ValueError unless they fill the line."""
        if sum(panel.width for panel in panels) != COLUMNS:
            raise ValueError(f"{[panel.key for panel in panels]} of {self.uid} do not fill {COLUMNS} columns")
        x = 0
        for panel in panels:
            panel.built.id_val = self._id(panel.key)
            panel.built.title = self._unsaid(panel.built.title or "")
            panel.built.grid_pos = model.GridPos(x=x, y=self._y, w=panel.width, h=height)
            self._made.with_panel(_Built(panel.built))
            x += panel.width
        self._y += height
        return self

    def build(self) -> model.Dashboard:
        return self._made.build()

    def _unsaid(self, title: str) -> str:
        return ", ".join(part for part in title.split(", ") if part not in self._said)

    def _id(self, key: str) -> int:
        """Return an id that stays when panels are added, moved or renamed: links to panels hold it."""
        found = 1 + zlib.crc32(f"{self.uid}/{key}".encode()) % _IDS
        if found in self._ids:
            raise ValueError(f"{self.uid}: {key!r} gets the id of {self._ids[found]!r}; rename one")
        self._ids[found] = key
        return found
