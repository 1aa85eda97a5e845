"""`publish`, `topics`, `rebuild` and `check`: what goes into Kafka, and whether all is in its place."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click
from aiokafka.errors import KafkaError
from pydantic import BaseModel, SecretStr
from rich.console import Console
from rich.table import Table

from streams.admin import check_co_partitioning, describe_topics, describe_unfit, ensure_topics
from streams.commands.frame import Failed, kafka_away
from streams.gateway.apis import open_apis
from streams.gateway.avro_sources import open_schemas
from streams.gateway.sources import open_sources
from streams.metrics_role import open_store
from streams.publish import PublishReport, publish_file
from streams.settings import Settings, SettingsError
from streams.settings_services import in_the_clear
from streams.stores.base import STORE_FORMAT, StoreMisconfigured, StoreUnavailable
from streams.switching import why_not_ours
from streams.topics import SOURCES, TOLD

_REFUSED_SHOWN_MAX = 20


class Publishing(NamedTuple):
    file: str
    map: str | None
    shift_to_now: bool
    speed: float | None
    wait: bool


def publish(settings: Settings, asked: Publishing, *, as_json: bool) -> None:
    report = asyncio.run(
        publish_file(
            asked.file,
            settings=settings,
            map=asked.map,
            shift_to_now=asked.shift_to_now,
            speed=asked.speed,
            wait=asked.wait,
            progress=_progress if sys.stderr.isatty() and not as_json else None,
        )
    )
    if as_json:
        refused = [{"file": bad.file, "line": bad.line, "reason": bad.reason} for bad in report.refused]
        click.echo(
            json.dumps({"published": report.published, "refused": refused, "warnings": report.warnings})
        )
    else:
        _print_report(report, waited=asked.wait)
    if report.refused and not report.published:
        raise Failed("nothing was published: every line was refused")


def _progress(report: PublishReport) -> None:
    click.echo(f"\r{report.published:,} published, {len(report.refused):,} refused", err=True, nl=False)


def _print_report(report: PublishReport, *, waited: bool) -> None:
    if sys.stderr.isatty():
        click.echo("\r", err=True, nl=False)
    for bad in report.refused[:_REFUSED_SHOWN_MAX]:
        click.echo(f"{bad.file}:{bad.line}: {bad.reason}", err=True)
    if len(report.refused) > _REFUSED_SHOWN_MAX:
        click.echo(f"… and {len(report.refused) - _REFUSED_SHOWN_MAX:,} more (--json lists all)", err=True)
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    folded = ", all folded and committed" if waited else ""
    click.echo(f"{report.published:,} published, {len(report.refused):,} refused{folded}")


def topics(settings: Settings, action: str, *, as_json: bool) -> None:
    try:
        counts = asyncio.run((ensure_topics if action == "create" else describe_topics)(settings))
        warnings = asyncio.run(describe_unfit(settings)) if counts else []
    except (KafkaError, OSError) as error:
        raise kafka_away(settings.kafka.bootstrap, error) from error
    missing = [topic for topic in (*SOURCES, *TOLD) if topic not in counts]
    if as_json:
        click.echo(json.dumps({"partitions": counts, "missing": missing, "warnings": warnings}))
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("topic")
        table.add_column("partitions", justify="right")
        for topic in (*SOURCES, *TOLD):
            table.add_row(topic, str(counts.get(topic, "missing")))
        Console().print(table)
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)
    if action == "check":
        if missing:
            raise Failed(f"{', '.join(missing)} missing; create with `salesfloor topics create`")
        check_co_partitioning(counts)


def adopt(settings: Settings, topics: Sequence[str], *, as_json: bool) -> None:
    from streams.adopt import AdoptFailed
    from streams.adopt import adopt as run_adopt

    try:
        done = {topic: asyncio.run(run_adopt(settings, topic)) for topic in topics}
    except AdoptFailed as error:
        raise Failed(str(error)) from error
    if as_json:
        click.echo(json.dumps([{"topic": topic, "slots": each.slots} for topic, each in done.items()]))
        return
    for topic, each in done.items():
        click.echo(f"adopted: {each.slots} slots read {topic} again from its beginning; all numbers stay")


def spread(settings: Settings, *, as_json: bool) -> None:
    from streams.rebuild import RebuildFailed, RebuildProgress
    from streams.spread import SpreadFailed
    from streams.spread import spread as run_spread

    def copied(topic: str, count: int) -> None:
        click.echo(f"\r{topic}: {count:,} records written again", err=True, nl=False)

    def folded(now: RebuildProgress) -> None:
        click.echo(f"\r{now.slots_folded} of {now.slots} slots folded", err=True, nl=False)

    shown = sys.stderr.isatty() and not as_json
    try:
        done = asyncio.run(
            run_spread(settings, copied=copied, progress=folded) if shown else run_spread(settings)
        )
    except (SpreadFailed, RebuildFailed) as error:
        raise Failed(str(error)) from error
    finally:
        if shown:
            click.echo(err=True)
    if as_json:
        click.echo(json.dumps({"copied": done.copied, "slots": done.rebuilt.slots}))
    else:
        click.echo(
            f"spread: {done.copied:,} records lie where their keys belong, in {done.rebuilt.slots} "
            "partitions; the new state is in use"
        )


def rebuild(settings: Settings, *, allow_missing: bool) -> None:
    from streams.rebuild import RebuildFailed, RebuildProgress
    from streams.rebuild import rebuild as run_rebuild

    def show(now: RebuildProgress) -> None:
        done = f"{now.slots_folded} of {now.slots} slots folded, {now.slots_switched} in use"
        click.echo(f"\r{now.records:,} records, {done}", err=True, nl=False)

    shown = sys.stderr.isatty()
    try:
        report = asyncio.run(
            run_rebuild(
                settings, progress=show if shown else lambda _progress: None, allow_missing=allow_missing
            )
        )
    except RebuildFailed as error:
        raise Failed(str(error)) from error
    finally:
        if shown:
            click.echo(err=True)
    missing = f", {report.missing:,} no longer in the topics" if report.missing else ""
    click.echo(
        f"rebuilt: {report.records:,} records folded into {report.slots} slots "
        f"({report.refused:,} refused{missing}); the new state is in use"
    )


def check(settings: Settings, *, connect: bool, as_json: bool) -> None:
    try:
        open_sources(settings, os.environ)
        open_apis(settings, os.environ)
        open_schemas(settings, os.environ)
    except SettingsError as error:  # only the gateway needs the secrets, so elsewhere they may be missing
        click.echo(f"Warning: salesfloor gateway would not start: {error}", err=True)
    for warning in in_the_clear(settings.kafka, settings.redis):
        click.echo(f"Warning: {warning}", err=True)
    trouble = asyncio.run(_connect(settings)) if connect else []
    if as_json:
        shown = {"settings": _plain(settings), "definition_version": settings.definition_version}
        click.echo(json.dumps({**shown, "trouble": trouble}))
    else:
        click.echo("settings are fine" + ("" if not connect or trouble else "; Kafka and Redis answer"))
    if trouble:
        raise Failed("; ".join(trouble))


async def _connect(settings: Settings) -> list[str]:
    trouble: list[str] = []
    try:
        for warning in await describe_unfit(settings):
            click.echo(f"Warning: {warning}", err=True)
    except SettingsError as error:
        trouble.append(str(error))
    except (KafkaError, OSError) as error:
        trouble.append(kafka_away(settings.kafka.bootstrap, error).message)
    store = open_store(settings)
    try:
        for warning in await store.check(require_noeviction=settings.redis.require_noeviction):
            click.echo(f"Warning: {warning}", err=True)
        shown = await store.shown()
        if shown is not None and (shown.version, shown.format) != (settings.definition_version, STORE_FORMAT):
            click.echo(f"Warning: workers would wait: {why_not_ours(shown, settings)}", err=True)
    except (StoreUnavailable, StoreMisconfigured) as error:
        trouble.append(str(error))
    finally:
        await store.close()
    return trouble


def _plain(value: object) -> Any:
    """Return settings as JSON can hold them, secrets as stars."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, SecretStr):
        return "**********"
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
