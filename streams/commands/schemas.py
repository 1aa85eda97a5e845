"""`schemas`: JSON Schemas of the events, printed or written as files."""

import json
from pathlib import Path

import click

from streams.commands.files import written
from streams.event_schemas import event_schemas


def texts() -> dict[str, str]:
    """Return each schema as its file has it."""
    return {name: f"{json.dumps(schema, indent=1)}\n" for name, schema in event_schemas().items()}


def schemas(output: Path | None) -> None:
    if output is None:
        click.echo(json.dumps(event_schemas(), indent=1))
        return
    for path in written(texts(), output):
        click.echo(f"wrote {path}")
