"""`salesfloor publish` and `salesfloor incomplete`: parse, call, print. No logic, as in `streams.cli`."""

from pathlib import Path
from typing import Any

import click

from streams.cli_options import CLOCK, JSON, options
from streams.commands.frame import Load, example, with_settings

RECONCILING = (
    click.option("--reconcile", is_flag=True, help="FILE is a full export: publish only what differs."),
    click.option("--as-of", metavar="RFC3339", help="When the export was made; the newest time in it."),
    click.option(
        "--drift",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write what differs there, a JSON line for each record.",
    ),
    click.option("--delete-missing", is_flag=True, help="Delete records that the export lacks."),
    click.option("--source", help="The [[sources]] name whose incomplete records the export completes."),
    click.option("--dry-run", is_flag=True, help="Only compare: publish nothing."),
)


@click.command(
    epilog=example(
        "salesfloor publish events.jsonl.gz --wait\n"
        "salesfloor publish opportunities.csv --map my-crm.toml --shift-to-now\n"
        "zcat events.gz | salesfloor publish - --speed 60\n"
        "salesfloor publish all-deals.csv --map my-crm.toml --reconcile --drift drift.jsonl --dry-run"
    )["epilog"]
)
@click.argument("file")
@click.option("--map", metavar="MAP", help="Column map for tables: a file, or the name of a shipped one.")
@click.option("--shift-to-now", is_flag=True, help="Move all times so that the newest event is now.")
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), help="Replay N times as fast as it was."
)
@click.option("--wait", is_flag=True, help="Return when the workers have folded and committed it.")
@options(*RECONCILING)
@CLOCK
@JSON
@with_settings
def publish(load: Load, clock: str | None, as_json: bool, reconcile: bool, **asked: Any) -> None:
    """Publish FILE: CloudEvents as JSON lines (also .gz, or - for standard input), or tables with --map.

    Publishing the same twice changes no number. A bad line is reported and does not stop the rest.

    With --reconcile FILE is a full export: it is compared with the live state, and only what differs is
    published, as of the time of the export. What was learned later stays.
    """
    own = {name: asked.pop(name) for name in ("as_of", "drift", "delete_missing", "source", "dry_run")}
    if reconcile:
        _reconcile(load(clock=clock), own, as_json=as_json, **asked)
        return
    if any(own.values()):
        raise click.UsageError(
            "--as-of, --drift, --delete-missing, --source and --dry-run belong to --reconcile"
        )
    from streams.commands import records

    records.publish(load(clock=clock), records.Publishing(**asked), as_json=as_json)


def _reconcile(
    settings: Any,
    own: dict[str, Any],
    *,
    as_json: bool,
    shift_to_now: bool,
    speed: float | None,
    **asked: Any,
) -> None:
    from streams.commands import reconcile
    from streams.reconcile_run import Reconcile

    if shift_to_now or speed:
        raise click.UsageError("--shift-to-now and --speed do not go with --reconcile")
    drift, as_of_ms = own.pop("drift"), reconcile.as_of_ms(own.pop("as_of"))
    whole = Reconcile(as_of_ms=as_of_ms, **own, **asked)
    reconcile.reconcile(settings, whole, drift=drift, as_json=as_json)


@click.command(
    epilog=example(
        "salesfloor incomplete\n"
        "salesfloor incomplete done --source hubspot --object deal --id 77\n"
        "salesfloor incomplete done --source salesforce --reconcile"
    )["epilog"]
)
@click.argument("action", type=click.Choice(["list", "done"]), default="list")
@click.option("--source", help="Only entries of this source.")
@click.option("--object", "object_", help="Only entries of this kind, by the vendor's word: deal, Task, …")
@click.option("--id", "ids", multiple=True, help="Only this record; may be given again.")
@click.option("--reconcile", is_flag=True, help="Only those that ask for all records of a kind.")
@click.option("--all", "every", is_flag=True, help="With done: all that are listed.")
@JSON
@with_settings
def incomplete(
    load: Load,
    action: str,
    source: str | None,
    object_: str | None,
    ids: tuple[str, ...],
    reconcile: bool,
    every: bool,
    as_json: bool,
) -> None:
    """List the records that the CRM told of by their id only, or take some off the list.

    \b
    list  what waits for its values, the oldest first
    done  take off what has its values by now, or what nobody will give any more
    """
    from streams.commands import incomplete as listing

    which = listing.Which(source, object_, ids, reconcile)
    listing.incomplete(load(), action, which, every=every, as_json=as_json)
