"""`snapshot` and `kpis`: numbers at an instant read from Redis, and what each means. Changes nothing."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from metrics.edges import LeftOut
from metrics.kpi import Catalogue
from metrics.kpi_snapshot import KpiSnapshot, KpiValue
from metrics.snapshot import Filters, take_snapshot
from metrics.web.answers import described
from metrics.web.query import BadAsk, instant_ms
from streams.clock import SystemClock
from streams.commands.show import shown_seconds, shown_value
from streams.commands.state import stored
from streams.commands.target_table import problem_lines, target_table
from streams.settings import Settings, catalogue_of, snapshot_config_of


class Question(NamedTuple):
    at: str | None
    levels: Sequence[str]
    kpis: Sequence[str]
    windows: Sequence[str]


def asked_of(settings: Settings, question: Question) -> tuple[int | None, Filters]:
    """Return the instant, None for now, and what is wanted of it; names that do not exist end the command."""
    filters = Filters(
        levels=tuple(question.levels) or None,
        kpis=tuple(question.kpis) or None,
        windows=tuple(question.windows) or None,
    )
    try:
        at_ms = instant_ms(question.at) if question.at is not None else None
        filters.check(catalogue_of(settings))
    except BadAsk as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return at_ms, filters


def snapshot(settings: Settings, question: Question, *, as_json: bool) -> None:
    at_ms, filters = asked_of(settings, question)
    taken = asyncio.run(_take(settings, at_ms, filters))
    if as_json:
        click.echo(json.dumps(taken.to_json_obj(), ensure_ascii=False))
    else:
        _print_tables(taken)


async def _take(settings: Settings, at_ms: int | None, filters: Filters) -> KpiSnapshot:
    async with stored(settings) as state:
        follower, under = state.follower, state.under
    now_ms = SystemClock().now_ms()
    if at_ms is None:
        newest_ms = follower.state().newest_event_ms
        # The end of a window is not in it: to show the newest event too, look one millisecond later.
        at_ms = now_ms if under.clock == "wall" or newest_ms is None else newest_ms + 1
    return take_snapshot(
        follower, at_ms, snapshot_config_of(under), filters=filters, strict=True, now_ms=now_ms
    )


def _print_tables(taken: KpiSnapshot) -> None:
    console = Console()
    values = list(taken.values())
    for level in dict.fromkeys(value.level for value in values):
        console.print(_table(level, [value for value in values if value.level == level], taken))
    if (targets := target_table(taken)) is not None:
        console.print(targets)
    summary = taken.to_json_obj()
    console.print(f"as of {summary['as_of']}, money in {taken.reporting_currency}", highlight=False)
    if taken.data_age_seconds is not None:
        console.print(f"newest event {shown_seconds(taken.data_age_seconds)} ago", highlight=False)
    if taken.state.rebuilding:
        console.print("state is being rebuilt: numbers are not complete yet", style="bold")
    for currency, count in taken.missing_rates.items():
        console.print(f"no rate for {currency}: {count} amounts are left out", style="bold")
    for problem in problem_lines(taken):
        console.print(problem, style="bold", highlight=False, markup=False)
    for left_out in taken.left_out:
        console.print(_said(left_out), highlight=False)


def _said(left_out: LeftOut) -> str:
    if left_out.window is None:
        return f"what is open now is left out: {left_out.reason}"
    if left_out.previous_only:
        return f"{left_out.window} is shown without its previous twin: {left_out.reason}"
    return f"{left_out.window} is left out: {left_out.reason}"


def _table(level: str, values: list[KpiValue], taken: KpiSnapshot) -> Table:
    """Return one level: KPIs down, windows across; a line per team or rep and KPI."""
    windows = list(dict.fromkeys(value.window for value in values if value.window is not None))
    table = Table(title=level, title_justify="left", title_style="bold")
    if level != "floor":
        table.add_column(level, overflow="fold")
    table.add_column("KPI", no_wrap=True)
    for window in windows or ["now"]:
        table.add_column(window, justify="right")
    lines: dict[tuple[str, str, float | None], dict[str | None, KpiValue]] = {}
    for value in values:
        key = (value.key.get(level, ""), value.kpi.name, value.quantile)
        lines.setdefault(key, {})[value.window] = value
    for (key_label, name, quantile), by_window in lines.items():
        named = name if quantile is None else f"{name} p{quantile * 100:g}"
        cells = _cells(by_window, windows, taken.reporting_currency)
        table.add_row(*([key_label] if level != "floor" else []), named, *cells)
    return table


def _cells(by_window: dict[str | None, KpiValue], windows: list[str], currency: str) -> Iterable[str]:
    if None in by_window:  # what is open now has no window
        return [shown_value(by_window[None], currency)]
    return [shown_value(by_window[window], currency) if window in by_window else "" for window in windows]


def kpis(catalogue: Catalogue, *, as_json: bool) -> None:
    everything = described(catalogue)
    if as_json:
        click.echo(json.dumps(everything, ensure_ascii=False))
        return
    console = Console()
    for each in everything:
        console.print(f"[bold]{each['name']}[/bold]  ({each['unit']})", highlight=False)
        console.print(f"  {each['sentence']}", highlight=False, markup=False)
        console.print(f"  = {each['formula']}", highlight=False, markup=False)
        gauges = each["gauges"]
        assert isinstance(gauges, list)
        console.print(f"  {', '.join(map(str, gauges))}", highlight=False, soft_wrap=True)
