"""`snapshot --explain`: one number in, the records that make it up printed. Changes nothing."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

from metrics.kpi_snapshot import JsonValue
from metrics.web.answers import NoSnapshot
from metrics.web.explain import ExplainAsk, explain_ask_of
from metrics.web.query import BadAsk
from streams.clock import SystemClock
from streams.commands.frame import Failed
from streams.explain_source import StoredExplainer
from streams.metrics_role import open_store
from streams.settings import Settings, catalogue_of

_COLUMNS_MAX = 3
"""More measures than this stand in one column, each beside its number."""


def explain(
    settings: Settings, question: Mapping[str, str | int | Sequence[str] | None], *, as_json: bool
) -> None:
    names = {"levels": "level", "kpis": "kpi", "windows": "window"}
    query: dict[str, Sequence[str]] = {}
    for name, given in question.items():
        values = list(given) if isinstance(given, list | tuple) else [str(given)]
        if given is not None and values:
            query[names.get(name, name)] = values
    try:
        answer = asyncio.run(_ask(settings, explain_ask_of(query, catalogue_of(settings))))
    except BadAsk as error:
        raise click.UsageError(str(error)) from None
    except NoSnapshot as error:
        raise Failed(str(error)) from None
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        print_answer(answer)


async def _ask(settings: Settings, ask: ExplainAsk) -> dict[str, JsonValue]:
    store = open_store(settings)
    try:
        return await StoredExplainer(settings, store, SystemClock().now_ms).explain(ask)
    finally:
        await store.close()


def print_answer(answer: Mapping[str, JsonValue]) -> None:
    console = Console()
    value = answer.get("value", answer.get("quantiles"))
    console.print(f"{answer['kpi']} = {value}  ({answer['unit']})  as of {answer['as_of']}", highlight=False)
    console.print(f"  = {answer['formula']}", highlight=False, markup=False)
    parts, records = answer["parts"], answer["records"]
    assert isinstance(parts, list)
    assert isinstance(records, list)
    measures: list[str] = []
    for part in parts:
        assert isinstance(part, dict)
        measures.append(str(part["measure"]))
        sides = part["of"]
        said = f"  {'/'.join(map(str, sides)) if isinstance(sides, list) else ''}: {part['measure']}"
        said += f" {part['value']}" if "value" in part else ""
        if part.get("no_longer_listed"):
            said += f" (older records, no longer listed: {part['no_longer_listed']})"
        console.print(said, highlight=False, markup=False)
    if answer["without_a_rate"]:
        console.print(f"  without a rate, not in it: {answer['without_a_rate']}", highlight=False)
    windows = answer["other_windows"]
    for window in windows if isinstance(windows, list) else ():
        assert isinstance(window, dict)
        edges = (
            f"{window['start']} to {window['end']}" if "start" in window else "cannot be told from the panes"
        )
        console.print(f"  @{window['name']}: {edges}", highlight=False, markup=False)
    console.print(_table(records, measures))
    console.print(
        f"{answer['records_total']} records, page {answer['page']} of {answer['pages']}", highlight=False
    )


def _table(records: Sequence[JsonValue], measures: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("time", "kind", "id", "rep", "team"):
        table.add_column(column, overflow="fold")
    beside = len(measures) <= _COLUMNS_MAX
    for column in measures if beside else ("adds",):
        table.add_column(column, justify="right" if beside else "left")
    for record in records:
        assert isinstance(record, dict)
        given = record["contributions"]
        assert isinstance(given, dict)
        cells = [str(record.get(name, "")) for name in ("time", "kind", "id", "rep", "team")]
        added = [f"{measure} {given[measure]}" for measure in measures if measure in given]
        each = [str(given.get(measure, "")) for measure in measures]
        table.add_row(*cells, *(each if beside else (", ".join(added),)))
    return table
