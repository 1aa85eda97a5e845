"""Grafana's files: what the generator writes, laid out without overlap, asking only for what is exported."""

import json
import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generate.board import COLUMNS, Board
from grafana.generate.files import FOLDER, files
from grafana.generate.panels import Look, Query, number
from grafana.generate.queries import WINDOWS, kpi
from streams.gateway.fetching import FetchMetrics
from streams.gateway.ledger import Fate, Ledger, Line
from streams.worker_metrics import worker_metric_labels
from tests.dashboards import BOARDS, Asked, asked, filled, panels, variables, windows
from tests.tidy import catalogue
from tests.tidy.catalogue import selectors, wrong_with
from tests.tidy.repository import ROOT

UIDS = {
    "wall": "salesfloor-wall", "team": "salesfloor-team", "rep": "salesfloor-rep",
    "pipeline": "salesfloor-pipeline", "customers": "salesfloor-customers", "health": "salesfloor-health",
}  # fmt: skip
"""Addresses that people keep: never changed."""

UNITS = {"_seconds": "s", "_ratio": "percentunit"}
# What Prometheus says of itself, and its client of the process.
FOREIGN = {
    "up", "scrape_samples_scraped", "scrape_duration_seconds", "ALERTS",
    "process_resident_memory_bytes", "process_cpu_seconds_total",
}  # fmt: skip
# What other panels of the same board say in other words.
TOLD_OTHERWISE = {
    "salesfloor_worker_gap_records_total",  # salesfloor_offset_gaps_total, of all workers together
    "salesfloor_worker_lost_records_total",  # salesfloor_records_lost_total, likewise
}
CHOICES = {"__rate_interval": "1m", "currency": "USD", "period": "2026-11", "team": "North", "rep": "Amira"}

QUERIES = list(asked())


def _gateway_metrics() -> dict[str, set[str]]:
    ledger = Ledger()
    ledger.note(Line(0, "crm", Fate.ACCEPTED))
    ledger.answered("crm", 200, 0.1)
    ledger.behind("crm", 1)
    fetching = FetchMetrics(ledger.registry)
    fetching.fetched.labels("crm")
    fetching.failures.labels("crm", "server")
    fetching.given_up.labels("crm", "missing")
    fetching.waiting.labels("crm")
    return {
        sample.name: set(sample.labels) for family in ledger.registry.collect() for sample in family.samples
    }


@pytest.fixture(autouse=True)
def _gateway_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "GAUGES", catalogue.GAUGES | _gateway_metrics())


def test_health_shows_every_metric_of_the_pipeline_itself() -> None:
    own = {*catalogue.BESIDE, *catalogue.OF_THE_WALL, *worker_metric_labels(), *_gateway_metrics()}
    own = {
        re.sub(r"_(bucket|sum|count)$", "_bucket", name)
        for name in own
        if name.startswith("salesfloor_") and not name.endswith("_created")
    }
    health = [each.expr for each in QUERIES if each.board == "health"]
    shown = {selector.name for expr in health for selector in selectors(expr)}
    assert own - shown - TOLD_OTHERWISE == set()
    assert own - shown >= TOLD_OTHERWISE


def test_the_files_are_what_the_generator_writes() -> None:
    written = files()
    there = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / "dashboards").glob("*")}
    assert there == {name for name in written if name.startswith("dashboards/")}
    stale = [name for name, text in written.items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert stale == [], "out of date: make dashboards"


def test_a_changed_catalogue_changes_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files()
    monkeypatch.setitem(__import__("grafana.generate.wording").generate.wording.WINDOW, "mtd", "the month")
    assert before["dashboards/team.json"] != files()["dashboards/team.json"]


@pytest.mark.parametrize("board", BOARDS)
def test_panels_lie_on_the_grid_without_overlap(board: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in BOARDS[board]["panels"]]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS, title
        assert place["y"] >= 0, title
        assert place["h"] > 0, title
    assert [(one, other) for (one, a), (other, b) in combinations(places, 2) if _overlap(a, b)] == []


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    down = one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]
    return across and down


def test_the_wall_fits_on_a_screen_without_scrolling() -> None:
    # A row of the grid and its gap are 38 pixels; kiosk mode shows the choices above, 66 pixels high.
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in BOARDS["wall"]["panels"])
    assert 66 + 38 * rows <= 1080


def test_ids_are_unique_and_addresses_stay() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == UIDS
    for board in BOARDS.values():
        assert max(Counter(panel["id"] for panel in board["panels"]).values()) == 1


def test_a_panel_keeps_its_id_when_others_come_and_go() -> None:
    def ids(*keys: str) -> dict[str, Any]:
        board = Board("test", "Test", "A test.", since="now-1h", refresh="1m")
        for key in keys:
            board.line(4, number(key, 24, Look(key, "A number."), Query("up")))
        return {str(panel.title): panel.id_val for panel in board.build().panels or []}

    assert ids("a", "b")["b"] == ids("b")["b"] == ids("c", "b", "a")["b"]
    with pytest.raises(ValueError, match="rename one"):
        ids("a", "a")


@pytest.mark.parametrize("board", BOARDS)
def test_grafanas_own_models_read_the_file_and_write_it_again(board: str) -> None:
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(BOARDS[board]), cls=JSONEncoder))
    assert again == BOARDS[board]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.board}-{query.panel}-{query.ref}")
def test_a_query_asks_for_gauges_that_are_exported_in_the_unit_they_are_in(query: Asked) -> None:
    for window in windows(query.board) or ("",):
        expr = filled(query.expr, {**CHOICES, "window": window})
        asked_for = [problem for problem in wrong_with(expr) if not _twin_left_out(problem, query, window)]
        assert asked_for == []
    bare = re.sub(r'"[^"]*"', "", query.expr)
    names = [selector.name for selector in selectors(query.expr)]
    assert names or FOREIGN & set(re.findall(r"\w+", bare))
    if re.fullmatch(r"(?:sort_desc\(topk\(\d+, )?max without \(instance\) \([^()]*\)\)*", query.expr):
        expected = next((unit for end, unit in UNITS.items() if names[0].endswith(end)), None)
        assert query.unit == expected if expected else query.unit in ("short", "none")


def _twin_left_out(problem: str, query: Asked, window: str) -> bool:
    """Say whether it is only a previous twin, over another window than the one chosen at first."""
    return (
        "_previous" in problem and problem.endswith("of which window?") and window != windows(query.board)[0]
    )


def test_only_what_is_exported_can_be_asked_for() -> None:
    assert "5m" not in WINDOWS
    with pytest.raises(ValueError, match="not known by stage"):
        kpi("calls", "stage")
    with pytest.raises(ValueError, match="no gauge by default"):
        kpi("calls", "rep", window="5m")
    with pytest.raises(ValueError, match="no gauge by default"):
        kpi("calls", "rep", window="today", previous=True)


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_has_the_variables_it_uses_and_no_other(board: str) -> None:
    text = json.dumps(
        [{**BOARDS[board], "templating": None}, [v["query"] for v in variables(board).values()]]
    )
    used = {found[0] or found[1] for found in re.findall(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)", text)}
    assert used - {"__rate_interval", "__field", "__data", "__all"} == variables(board).keys()


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_says_what_it_shows(board: str) -> None:
    for panel in panels(BOARDS[board]):
        assert panel["title"]
        assert panel["description"].endswith(".")
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_links_and_playlist_lead_to_dashboards_that_are_there() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    for name, board in BOARDS.items():
        linked = set(re.findall(r"/d/([\w-]+)", json.dumps(board)))
        assert linked <= uids
        assert [link["tags"] for link in board["links"]] == [["salesfloor"]]
        assert "salesfloor" in board["tags"], name
    playlist = json.loads((FOLDER / "playlist.json").read_text(encoding="utf-8"))
    assert {item["value"] for item in playlist["items"]} <= uids


def test_grafana_is_given_what_the_dashboards_need() -> None:
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    (provider,) = _provisioned("dashboards/salesfloor.yml")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    for what in ("datasources", "dashboards"):
        assert mounts[f"./grafana/provisioning/{what}"] == f"/etc/grafana/provisioning/{what}"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(provider["options"]["path"] + "/").removesuffix(".json") in BOARDS
    sources = {each["type"]: each for each in _provisioned("datasources/salesfloor.yml")["datasources"]}
    assert sources["prometheus"]["isDefault"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for source in sources.values():
        host, port = source["url"].removeprefix("http://").split(":")
        assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"grafana/grafana:{_sdk_version()}" == grafana["image"], "the builders are of another Grafana"


def _provisioned(name: str) -> Any:
    return yaml.safe_load((FOLDER / "provisioning" / name).read_text(encoding="utf-8"))


def _sdk_version() -> str:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(r"^grafana[-_]foundation[-_]sdk==\d+!([\d.]+)$", constraints, re.MULTILINE)
    assert found
    return found[1]
