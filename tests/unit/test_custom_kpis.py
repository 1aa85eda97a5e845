"""KPIs of a floor's own: settings in, numbers, gauges and descriptions like the built-in ones out."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from metrics.catalogue import BUILT_IN
from metrics.exposition import LabelText, kpi_lines
from metrics.gauges import kpi_gauges
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.snapshot import take_snapshot
from streams.cli import cli
from streams.settings import SettingsError, catalogue_of, load_settings, snapshot_config_of
from tests.panes import FakeReader, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "custom-kpis.md"
AS_OF_MS = 1_795_000_000_000
ANN = Cell("Ann", "North")
ANNS_USD = Cell("Ann", "North", currency="USD")

CALLS_PER_WIN = (
    '[[kpis]]\nname = "calls_per_win"\nsentence = "Calls per win."\nformula = "{}"\nunit = "count"\n'
)


def block(name: str) -> str:
    found = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    blocks: dict[str, str] = dict(found)
    return blocks[name]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "salesfloor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def snapshot_under(path: Path) -> KpiSnapshot:
    rows = [Row(AS_OF_MS - 1, ANN, "calls_done", 12), Row(AS_OF_MS - 1, ANN, "won", 3)]
    rows += [Row(AS_OF_MS - 1, ANNS_USD, "won_amount", amount) for amount in (100_000, 200_000, 300_000)]
    rows += [Row(AS_OF_MS - 1, ANN, "won_cycle", of=of) for of in (60_000, 120_000, 180_000)]
    return take_snapshot(FakeReader(rows), AS_OF_MS, snapshot_config_of(load_settings(path, {})))


def gauge_lines(snapshot: KpiSnapshot) -> list[str]:
    return kpi_lines(tuple(kpi_gauges(snapshot)), LabelText(), openmetrics=False).decode().splitlines()


def test_the_documents_example_gives_the_gauges_it_shows(tmp_path: Path) -> None:
    snapshot = snapshot_under(written(tmp_path, block("salesfloor.toml")))
    told = gauge_lines(snapshot)
    for shown in block("gauges").splitlines():
        assert shown in told
    quartile = snapshot.value("cycle_quartiles", "rep", "Ann", "1h", quantile=0.75)
    assert quartile == pytest.approx(150, rel=0.01)
    assert snapshot.value("revenue_per_call", "team", "North", "1h") == 500
    assert not any(
        series.level == "rep" for series in snapshot.series if series.kpi.name == "revenue_per_call"
    )


def test_own_kpis_are_listed_beside_the_built_in_ones(tmp_path: Path) -> None:
    path = written(tmp_path, block("salesfloor.toml"))
    told = json.loads(CliRunner().invoke(cli, ["kpis", "--json", "--config", str(path)]).output)
    own = {"calls_per_win", "revenue_per_call", "cycle_quartiles"}
    assert own <= {kpi["name"] for kpi in told}
    assert own.isdisjoint(kpi.name for kpi in BUILT_IN)
    text = CliRunner().invoke(cli, ["kpis", "--config", str(path)]).output
    for part in ("Revenue per call completed.", "= revenue / calls", "salesfloor_team_revenue_per_call"):
        assert part in text


def test_what_the_document_calls_wrong_is_said_so(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `([^`]+)` (?:with [^|]*)?\| ([^|]+?)(?: …\?)? \|$", DOCUMENT.read_text(), re.M)
    faults = [(formula, said) for formula, said in rows if re.match("unknown|unit|the formula|'", said)]
    assert len(faults) == 4
    for formula, said in faults:
        with pytest.raises(SettingsError, match=re.escape(said)):
            load_settings(written(tmp_path, CALLS_PER_WIN.format(formula)), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CALLS_PER_WIN.format("calls / deal_won"),
            "[[kpis]]: KPI 'calls_per_win', formula = 'calls / deal_won': unknown name 'deal_won'; did you",
        ),
        (
            CALLS_PER_WIN.format("calls_per_win + 1"),
            "refers to itself: calls_per_win → calls_per_win",
        ),
        (CALLS_PER_WIN.format("__import__('os').abort()"), "is not part of the language"),
        (CALLS_PER_WIN.format("calls") * 2, "[[kpis]]: KPI 'calls_per_win' is defined twice; rename one"),
        (
            CALLS_PER_WIN.format("calls").replace("count", "euros"),
            "[[kpis]] 'calls_per_win' unit = 'euros': input should be 'count', 'money', 'seconds' or 'ratio'",
        ),
        (
            CALLS_PER_WIN.format("calls") + 'level = "floor"\n',
            "[[kpis]] 'calls_per_win' level: no such key; did you mean levels?",
        ),
        ('[[kpis]]\nsentence = "X."\n', "[[kpis]] number 1 name: is missing; give it (lower-case letters"),
        ("kpis = [3]\n", "[[kpis]] number 1: input should be a valid dictionary"),
    ],
)
def test_a_fault_names_the_kpi_the_value_and_the_fix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(written(tmp_path, text), {})
    assert message in str(caught.value)


def test_own_kpis_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    kpi = {"name": "mine", "sentence": "Mine.", "formula": "calls", "unit": "count"}
    monkeypatch.setenv("SALESFLOOR_KPIS", json.dumps([kpi]))
    settings = load_settings()
    assert "mine" in catalogue_of(settings)
    assert settings.definition_version == type(settings)().definition_version
    monkeypatch.setenv("SALESFLOOR_KPIS", json.dumps([{**kpi, "formula": "call"}]))
    with pytest.raises(SettingsError, match=r"^SALESFLOOR_KPIS: KPI 'mine', formula = 'call': unk"):
        load_settings()
