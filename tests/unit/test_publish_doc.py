"""The worked example of docs/publish-your-export.md does what the document says."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from streams.publish_input import Ready, Refused, load_map, mapped_rows

DOCUMENT = Path(__file__).parents[2] / "docs" / "publish-your-export.md"


def test_the_worked_example_gives_what_the_document_shows(tmp_path: Path) -> None:
    found = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    blocks: dict[str, str] = dict(found)
    for name in ("deals.csv", "people.csv", "my-crm.toml"):
        (tmp_path / name).write_text(blocks[name], encoding="utf-8")
    items = mapped_rows(str(tmp_path), load_map(str(tmp_path / "my-crm.toml")), ZoneInfo("UTC"))
    refused = [item for item in items if isinstance(item, Refused)]
    ready = [item for item in items if isinstance(item, Ready)]
    told = [f"{bad.file}:{bad.line}: {bad.reason}" for bad in refused]
    assert [*told, f"{len(ready)} published, {len(refused)} refused"] == blocks["result"].splitlines()
    assert [item.key for item in ready] == [b"4713", b"4712", b"4711"]
    shown = msgspec.json.decode(blocks["event"])
    made = msgspec.json.decode(ready[-1].value)
    assert len(made.pop("id")) == 32
    del shown["id"]
    assert made == shown
    lost = msgspec.json.decode(ready[1].value)
    assert "amount" not in lost["data"]
