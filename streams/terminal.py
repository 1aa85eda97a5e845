"""Snapshots in, a one-screen summary of the floor out: live on a terminal, a line now and then elsewhere.

Reads the running service; computes no KPI and decides nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from metrics.kpi_snapshot import KpiSnapshot, KpiValue
from metrics.service import SnapshotService
from streams.commands.show import ABSENT, shown_seconds, shown_value

REFRESH_SECONDS: Final = 1.0
LINE_SECONDS: Final = 5.0
_RATE_SECONDS: Final = 10.0

_ROWS: Final = (
    "revenue", "deals_won", "deals_lost", "win_rate", "average_deal_size", "open_deals", "pipeline_value",
    "weighted_pipeline", "leads_created", "calls", "meetings", "activities",
)  # fmt: skip
_WINDOWS: Final = ("1h", "today", "7d", "mtd")
_TEAM_COLUMNS: Final = ("revenue", "deals_won", "win_rate", "activities")
_TEAMS_MAX: Final = 6
_TEAM_WINDOW: Final = "today"


class Pace:
    """Events per second from the totals of the last seconds."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, total: int) -> float | None:
        now = self._seconds()
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        seconds = now - self._seen[0][0]
        return (total - self._seen[0][1]) / seconds if seconds > 0 else None


async def watch_live(console: Console, service: SnapshotService, stop: asyncio.Event, *, title: str) -> None:
    """Redraw the summary every second until `stop`; the last one stays on the screen."""
    pace = Pace()
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while not stop.is_set():
            live.update(screen(service.current, service.not_ready(), pace, title), refresh=True)
            await _wait(stop, REFRESH_SECONDS)


async def watch_lines(console: Console, service: SnapshotService, stop: asyncio.Event) -> None:
    """Print a line every few seconds, and as soon as it changes why there are no numbers."""
    pace, said = Pace(), ""
    while not stop.is_set():
        snapshot, reason = service.current, service.not_ready()
        if snapshot is not None and not reason:
            console.print(line(snapshot, pace), markup=False, highlight=False, soft_wrap=True)
        elif reason != said:
            console.print(f"not ready: {reason}", markup=False, highlight=False, soft_wrap=True)
        said = reason
        await _wait(stop, LINE_SECONDS if not reason else REFRESH_SECONDS)


def screen(snapshot: KpiSnapshot | None, reason: str, pace: Pace, title: str) -> RenderableType:
    head = Text(title, style="bold")
    if snapshot is None:
        return Group(head, Text(f"waiting: {reason}", style="yellow"))
    values = {_place(value): value for value in snapshot.values()}
    status = Text(_status(snapshot, pace))
    if reason:
        status = Text(f"stale: {reason}", style="bold yellow")
    elif snapshot.state.rebuilding:
        status.append("  ·  rebuilding, numbers are not complete", style="bold yellow")
    parts: list[RenderableType] = [head, status, _floor_table(snapshot, values)]
    if "team" in snapshot.keys and snapshot.keys["team"].labels:
        parts.append(_team_table(snapshot, values))
    return Group(*parts)


def line(snapshot: KpiSnapshot, pace: Pace) -> str:
    values = {_place(value): value for value in snapshot.values()}
    told = [
        f"{name.replace('_', ' ')} {window} {_shown(values, 'floor', 'all', name, window, snapshot)}"
        for name, window in (("revenue", "today"), ("deals_won", "today"), ("calls", "1h"))
    ]
    told.append(f"open deals {_shown(values, 'floor', 'all', 'open_deals', None, snapshot)}")
    return "  ·  ".join([*told, _status(snapshot, pace)])


_Place = tuple[str, str, str, str | None]


def _place(value: KpiValue) -> _Place:
    return (value.level, value.key.get(value.level, "all"), value.kpi.name, value.window)


def _shown(
    values: dict[_Place, KpiValue], level: str, key: str, kpi: str, window: str | None, snapshot: KpiSnapshot
) -> str:
    value = values.get((level, key, kpi, window))
    return ABSENT if value is None else shown_value(value, snapshot.reporting_currency)


def _status(snapshot: KpiSnapshot, pace: Pace) -> str:
    counters = snapshot.state.counters
    accepted = sum(counters.get("accepted", {}).values())
    rejected = sum(counters.get("rejected", {}).values())
    rate = pace.of(accepted + rejected)
    age = snapshot.data_age_seconds
    return "  ·  ".join(
        [
            f"data age {ABSENT if age is None else shown_seconds(age)}",
            f"{ABSENT if rate is None else f'{rate:,.1f}'} events/s",
            f"{accepted:,} events",
            f"{rejected:,} rejected",
        ]
    )


def _floor_table(snapshot: KpiSnapshot, values: dict[_Place, KpiValue]) -> Table:
    windows = [window for window in _WINDOWS if any(w.name == window for w in snapshot.windows)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"floor, {snapshot.reporting_currency}", min_width=20, no_wrap=True)
    for window in windows or ["now"]:
        table.add_column(window, justify="right", min_width=9, no_wrap=True)
    for name in _ROWS:
        now = ("floor", "all", name, None) in values
        cells = [
            _shown(values, "floor", "all", name, window, snapshot) for window in ([None] if now else windows)
        ]
        if any(cell != ABSENT for cell in cells):
            table.add_row(name.replace("_", " ") + (" now" if now else ""), *cells)
    return table


def _team_table(snapshot: KpiSnapshot, values: dict[_Place, KpiValue]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"teams, {_TEAM_WINDOW}", min_width=20, no_wrap=True)
    for name in _TEAM_COLUMNS:
        table.add_column(name.replace("_", " "), justify="right", min_width=9, no_wrap=True)
    for team in _best(snapshot, values):
        cells = [_shown(values, "team", team, name, _TEAM_WINDOW, snapshot) for name in _TEAM_COLUMNS]
        table.add_row(Text(team, overflow="ellipsis"), *cells)
    return table


def _best(snapshot: KpiSnapshot, values: dict[_Place, KpiValue]) -> Iterator[str]:
    def revenue(team: str) -> float:
        value = values.get(("team", team, "revenue", _TEAM_WINDOW))
        return 0 if value is None else -value.value

    yield from sorted(snapshot.keys["team"].labels, key=revenue)[:_TEAMS_MAX]


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
