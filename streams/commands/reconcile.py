"""`publish --reconcile`: a full export in, corrections published, the drift printed and written out."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streams.commands.frame import Failed
from streams.publish import PublishReport
from streams.reconcile import Drift, Finding
from streams.reconcile_events import wire_name, wire_value
from streams.reconcile_run import Reconcile, ReconcileReport
from streams.reconcile_run import reconcile as run_reconcile
from streams.rfc3339 import rfc3339, to_ms
from streams.settings import Settings

_REFUSED_SHOWN_MAX = 20
_FIELDS_SHOWN_MAX = 12


def as_of_ms(text: str | None) -> int | None:
    """Read --as-of; raise `UsageError` for what is no time with a zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.UsageError("--as-of is no time with a zone; write it as 2026-11-21T09:30:00Z")
    return to_ms(moment)


def reconcile(settings: Settings, asked: Reconcile, *, drift: Path | None, as_json: bool) -> None:
    if drift is not None:
        _write(drift, [])  # rather than find out when the corrections are published that it cannot be
    progress = _progress if sys.stderr.isatty() and not as_json else None
    report = asyncio.run(run_reconcile(asked, settings, progress=progress))
    if drift is not None:
        _write(drift, report.drifts)
    if as_json:
        click.echo(json.dumps(_summary(asked, report)))
    else:
        _print(asked, report, drift)


def _progress(report: PublishReport) -> None:
    click.echo(f"\r{report.published:,} corrections", err=True, nl=False)


def _write(path: Path, drifts: Sequence[Drift]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            for one in drifts:
                file.write(f"{json.dumps(_line(one), ensure_ascii=False)}\n")
    except OSError as error:
        raise Failed(f"--drift {path}: {error.strerror}; name a file that can be written") from None


def _line(one: Drift) -> Mapping[str, Any]:
    fields = {
        wire_name(one.kind, name): {
            "live": wire_value(name, value.live),
            "export": wire_value(name, value.export),
        }
        for name, value in one.fields.items()
    }
    return {
        "finding": one.finding,
        "kind": one.kind,
        "id": one.id,
        "corrections": len(one.events),
        "fields": fields,
    }


def _summary(asked: Reconcile, report: ReconcileReport) -> Mapping[str, Any]:
    return {
        "as_of": rfc3339(report.as_of_ms),
        "dry_run": asked.dry_run,
        "findings": {kind: dict(found) for kind, found in report.counts.findings.items()},
        "fields": {
            f"{kind}.{wire_name(kind, name)}": count for (kind, name), count in report.counts.fields.items()
        },
        "published": report.published,
        "completed": [list(key) for key in report.completed],
        "still_incomplete": report.still_incomplete,
        "refused": [{"file": bad.file, "line": bad.line, "reason": bad.reason} for bad in report.refused],
        "warnings": report.warnings,
    }


def _print(asked: Reconcile, report: ReconcileReport, drift: Path | None) -> None:
    for bad in report.refused[:_REFUSED_SHOWN_MAX]:
        click.echo(f"{bad.file}:{bad.line}: {bad.reason}", err=True)
    if len(report.refused) > _REFUSED_SHOWN_MAX:
        click.echo(f"… and {len(report.refused) - _REFUSED_SHOWN_MAX:,} more (--json lists all)", err=True)
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    console = Console()
    console.print(f"compared with the live state, as of {rfc3339(report.as_of_ms)}", highlight=False)
    console.print(_table(report))
    fields = sorted(report.counts.fields.items(), key=lambda each: -each[1])
    if fields:
        named = [f"{kind}.{wire_name(kind, name)} {count:,}" for (kind, name), count in fields]
        more = f" and {len(named) - _FIELDS_SHOWN_MAX} more" if len(named) > _FIELDS_SHOWN_MAX else ""
        console.print(f"fields that differ: {', '.join(named[:_FIELDS_SHOWN_MAX])}{more}", highlight=False)
    _print_outcome(asked, report, drift)


def _print_outcome(asked: Reconcile, report: ReconcileReport, drift: Path | None) -> None:
    corrections = sum(len(one.events) for one in report.drifts)
    if asked.dry_run:
        click.echo(f"{corrections:,} corrections would be published; nothing was, for --dry-run")
    else:
        folded = ", all folded and committed" if asked.wait and report.published else ""
        click.echo(f"{report.published:,} corrections published{folded}")
    if report.counts.of(Finding.EXTRA) and not asked.delete_missing:
        click.echo("extra records stay: the export may be a part; --delete-missing deletes them")
    if report.counts.of(Finding.LATER) and asked.as_of_ms is None:
        click.echo("later facts stay; if the export was made after them, say when with --as-of")
    if report.completed or report.still_incomplete:
        verb = "would be" if asked.dry_run else "are"
        left = report.still_incomplete
        click.echo(f"{len(report.completed):,} records {verb} complete now, {left:,} still are not")
    if drift is not None:
        click.echo(f"wrote {drift}: {len(report.drifts):,} lines")


def _table(report: ReconcileReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("kind")
    shown = [one for one in Finding if one is Finding.SAME or report.counts.of(one)]
    for finding in shown:
        table.add_column(finding.replace("_", " "), justify="right")
    for kind, found in sorted(report.counts.findings.items()):
        table.add_row(kind, *(f"{found.get(finding, 0):,}" for finding in shown))
    return table
