"""The worked examples of docs/reference-data.md do what the document says."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from metrics.reference import Reference
from metrics.snapshot import Filters, take_snapshot
from streams.events import ReferenceChanges
from streams.publish_input import Ready, Refused, json_lines, load_map, mapped_rows
from streams.routing import Routed, route
from streams.settings import Settings, load_settings, snapshot_config_of
from tests.panes import FakeReader

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference-data.md"
BLOCKS: dict[str, str] = dict(
    re.findall(r"^```\w+ (\S+)\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
)
NOON_MS = 1_794_999_600_000  # 18 November 2026, noon in Berlin


def records_of(items: list[Ready | Refused]) -> list[Reference]:
    found = []
    for item in items:
        if isinstance(item, Ready):
            routed = route(item.value)
            assert isinstance(routed, Routed)
            assert isinstance(routed.event.changes, ReferenceChanges)
            assert (item.topic, item.key.decode()) == ("sales.reference", routed.event.changes.record.id)
            found.append(routed.event.changes.record)
    return found


def test_the_tables_give_what_the_document_shows(tmp_path: Path) -> None:
    for name in ("targets.csv", "roster.csv", "rates.csv", "reference.toml"):
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    items = mapped_rows(str(tmp_path), load_map(str(tmp_path / "reference.toml")), ZoneInfo("Europe/Berlin"))
    refused = [item for item in items if isinstance(item, Refused)]
    records = records_of(items)
    told = [f"{bad.file}:{bad.line}: {bad.reason}" for bad in refused]
    assert [*told, f"{len(records)} published, {len(refused)} refused"] == BLOCKS["result"].splitlines()
    assert {record.id for record in records} == {
        "target:revenue:floor::2026-Q4",
        "target:revenue:team:Nord:2026-11",
        "target:calls:rep:R-9:2026-W47",
        "rep:R-9:2024-02-01",
        "rep:R-9:2026-10-01",
        "rep:R-12:2026-11-01",
        "rate:USD:2026-11-01",
        "rate:USD:2026-11-02",
        "rate:GBP:2026-11-01",
        "rate:GBP:2026-11-02",
    }
    snapshot = take_snapshot(
        FakeReader(references=records),
        NOON_MS,
        snapshot_config_of(settings(tmp_path)),
        filters=Filters(windows=()),
    )
    assert snapshot.reference_problems == ()
    quotas = {(each.target.kpi.name, each.target.label): each.figures["quota"] for each in snapshot.targets}
    assert set(quotas) == {("revenue", "Nord"), ("calls", "R-9"), ("revenue", ""), ("win_rate", "Nord")}


def settings(tmp_path: Path) -> Settings:
    (tmp_path / "salesfloor.toml").write_text(BLOCKS["salesfloor.toml"], encoding="utf-8")
    return load_settings(tmp_path / "salesfloor.toml")


def test_the_events_give_what_the_document_says(tmp_path: Path) -> None:
    path = tmp_path / "reference.jsonl"
    path.write_text(BLOCKS["reference.jsonl"], encoding="utf-8")
    with path.open("rb") as opened:
        records = records_of(list(json_lines(opened, "reference.jsonl")))
    assert [record.id for record in records] == [
        "target:revenue:team:Nord:2026-11",
        "rep:R-12:2026-11-01",
        "rate:USD:2026-11-02",
        "target:calls:rep:R-9:2026-W47",
    ]
    assert msgspec.to_builtins(records[-1])["value"] is None


def test_the_settings_of_the_document_are_read(tmp_path: Path) -> None:
    config = snapshot_config_of(settings(tmp_path))
    assert [(target.kpi, target.period) for target in config.targets] == [
        ("revenue", "2026"),
        ("win_rate", "2026-Q4"),
    ]
    assert config.pacing.ramp_months == 3
