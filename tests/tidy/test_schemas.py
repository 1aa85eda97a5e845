"""docs/schemas is what `salesfloor schemas` gives: valid JSON Schemas of what the workers read."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from streams.cli import cli
from streams.commands.frame import run
from streams.commands.schemas import texts
from streams.event_schemas import DIALECT, EVENT, event_schemas
from tests.tidy.repository import ROOT

SCHEMAS = event_schemas()
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
DEAL = {
    "specversion": "1.0", "id": "e-1", "source": "/mine", "type": "sales.deal.won",
    "time": "2026-11-21T09:30:00Z",
    "data": {"deal_id": "D-1", "amount": 12.5, "rep_id": None, "colour": "red"},
}  # fmt: skip


def validate(event: object) -> None:
    Draft202012Validator(SCHEMAS[EVENT], registry=REGISTRY).validate(event)


def test_files_are_those_that_the_command_writes() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/schemas").iterdir()}
    assert shipped == texts(), "renew them: salesfloor schemas --output docs/schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_of_its_dialect(name: str) -> None:
    assert SCHEMAS[name]["$schema"] == DIALECT
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_an_event_is_valid_with_fields_the_contract_does_not_know() -> None:
    validate(DEAL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"type": "sales.deal.sold"},
        {"type": "sales.lead.created"},
        {"id": ""},
        {"data": {}},
        {"data": {"deal_id": "D-1", "amount": True}},
        {"data": {"deal_id": "D-1", "status": "perhaps"}},
        {"data": {"deal_id": "D-1", "probability": 2}},
    ],
)
def test_what_no_worker_takes_is_not_valid(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        validate(DEAL | wrong)


def test_the_command_prints_or_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, ["schemas"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS
    assert run(cli, ["schemas", "--output", str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == SCHEMAS.keys()
    (tmp_path / "file").write_text("")
    assert run(cli, ["schemas", "--output", str(tmp_path / "file" / "below")]) == 1
    assert "name another --output" in capsys.readouterr().err
