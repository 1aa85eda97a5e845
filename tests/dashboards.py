"""Grafana's dashboards as Grafana reads them: panels, queries, variables, and what stands for a choice."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

GRAFANA = Path(__file__).resolve().parent.parent / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}

_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")


class Asked(NamedTuple):
    """A query of a panel; `unit` is what its numbers are shown in."""

    board: str
    panel: str
    ref: str
    expr: str
    instant: bool
    unit: str


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels that show something, rows left out."""
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def asked() -> Iterator[Asked]:
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel.get("targets", ()):
                yield Asked(
                    name, panel["title"], target["refId"], target["expr"], bool(target["instant"]),
                    _unit(panel, target["refId"]),
                )  # fmt: skip


def _unit(panel: Mapping[str, Any], ref: str) -> str:
    config = panel["fieldConfig"]
    unit = str(config["defaults"]["unit"])
    for override in config["overrides"]:
        if override["matcher"]["options"] in (ref, f"Value #{ref}"):
            unit = next((str(each["value"]) for each in override["properties"] if each["id"] == "unit"), unit)
    return unit


def variables(board: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in BOARDS[board]["templating"]["list"]}


def windows(board: str) -> tuple[str, ...]:
    """Return the windows to choose from, the one that is chosen at first in front."""
    variable = variables(board).get("window")
    if variable is None:
        return ()
    names = [choice.split(" : ")[1] for choice in variable["query"].split(", ")]
    chosen = variable["current"]["value"]
    assert chosen in names
    return (chosen, *(name for name in names if name != chosen))


def filled(text: str, choices: Mapping[str, str]) -> str:
    """Return the text with each variable's choice in its place; KeyError for a variable that is not there."""
    return _VARIABLE.sub(lambda found: choices[found[1] or found[2]], text)
