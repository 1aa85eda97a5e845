"""The dashboards in, the files Grafana reads out, as text. Writes nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.generate.customers import customers
from grafana.generate.health import health
from grafana.generate.pipeline import pipeline
from grafana.generate.rep import rep
from grafana.generate.team import team
from grafana.generate.wall import wall

FOLDER: Final = Path(__file__).resolve().parent.parent
SHOWN_IN_TURN: Final = ("salesfloor-wall", "salesfloor-pipeline", "salesfloor-customers")
_TURN: Final = "30s"


def dashboards() -> tuple[model.Dashboard, ...]:
    return wall(), team(), rep(), pipeline(), customers(), health()


def files() -> Mapping[str, str]:
    """Return the text of every generated file by its path below grafana/."""
    made = {f"dashboards/{str(each.uid).removeprefix('salesfloor-')}.json": each for each in dashboards()}
    return {name: _text(each) for name, each in made.items()} | {"playlist.json": _text(_playlist())}


def _playlist() -> dict[str, object]:
    """What Grafana's HTTP interface takes: playlists are the one thing it does not read from files."""
    items = [{"type": "dashboard_by_uid", "value": uid} for uid in SHOWN_IN_TURN]
    return {"name": "Sales floor", "interval": _TURN, "items": items}


def _text(value: object) -> str:
    return json.dumps(value, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
