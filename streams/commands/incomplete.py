"""`incomplete`: the records known by their id only, listed; and some of them taken off the list."""

import asyncio
import json
from collections.abc import Mapping
from typing import NamedTuple

import click
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from streams.commands.frame import kafka_away
from streams.gateway.incomplete import Key
from streams.gateway.incomplete_list import forget, read_incomplete
from streams.gateway.model import Thin
from streams.rfc3339 import rfc3339
from streams.settings import Settings

_SHOWN_MAX = 100


class Which(NamedTuple):
    """Entries that are meant; None means any."""

    source: str | None = None
    object: str | None = None
    ids: tuple[str, ...] = ()
    all_of_a_kind: bool = False
    """Those that ask for all records of a kind, which have no id."""

    def fits(self, key: Key) -> bool:
        any_id = not self.ids and not self.all_of_a_kind
        if not (any_id or key.id in self.ids or (self.all_of_a_kind and not key.id)):
            return False
        return self.source in (None, key.source) and self.object in (None, key.object)


def incomplete(settings: Settings, action: str, which: Which, *, every: bool, as_json: bool) -> None:
    if action == "done" and which == Which() and not every:
        raise click.UsageError("say which with --source, --object, --id or --reconcile, or --all for all")
    try:
        found = asyncio.run(_work(settings, action, which))
    except (KafkaError, OSError) as error:
        raise kafka_away(settings.kafka.bootstrap, error) from error
    if as_json:
        entries = [_plain(key, thin) for key, thin in found.items()]
        click.echo(json.dumps({"done" if action == "done" else "incomplete": entries}))
    elif action == "done":
        click.echo(f"{len(found):,} taken off the list" if found else "nothing on the list fits")
    else:
        _print(found)


async def _work(settings: Settings, action: str, which: Which) -> Mapping[Key, Thin]:
    standing = await read_incomplete(settings)
    found = {key: standing[key] for key in sorted(standing, key=lambda one: standing[one].time_ms)}
    found = {key: thin for key, thin in found.items() if which.fits(key)}
    if action == "done" and found:
        await forget(settings, found.items())
    return found


def _plain(key: Key, thin: Thin) -> Mapping[str, str]:
    return {**key._asdict(), "kind": thin.kind, "op": thin.op, "time": rfc3339(thin.time_ms)}


def _print(found: Mapping[Key, Thin]) -> None:
    if not found:
        click.echo("nothing is incomplete")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("since", "source", "object", "id", "told"):
        table.add_column(column, overflow="fold")
    for key, thin in list(found.items())[:_SHOWN_MAX]:
        table.add_row(rfc3339(thin.time_ms), key.source, key.object, key.id or "all of them", thin.op)
    console = Console()
    console.print(table)
    if len(found) > _SHOWN_MAX:
        console.print(f"… and {len(found) - _SHOWN_MAX:,} more (--json lists all)", highlight=False)
    console.print(f"{len(found):,} incomplete; see docs/reconcile.md", highlight=False)
