"""Ticks in, server-sent events for every connected page out: each board computed once, however many watch.

A page that reads too slowly is never waited for: what waits for it is dropped and it gets the whole board
anew. So memory is bounded by the number of screens, whatever they do. Knows no HTTP.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final, Protocol

import numpy as np

from metrics.beside import BesideReport
from metrics.gauges import Gauge, GaugeBlock
from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import label_value
from metrics.money import exponent_of
from metrics.snapshot import PaneImage, SnapshotConfig
from metrics.wall.alerts import AlertSource, FiringAlert, NoAlerts
from metrics.wall.boards import Board, WallRules
from metrics.wall.build import BoardBuilder
from metrics.wall.condition import condition_of
from metrics.wall.numbers import Json
from metrics.wall.wins import NoTurns, TurnSource, Win, Wins

log = logging.getLogger(__name__)

WAITING_MAX: Final = 32
"""Messages that wait for one page; beyond it the page gets the whole board instead."""
TICK_SECONDS_MAX: Final = 1.0
RETRY_MS: Final = 2000
SCREENS_GAUGE: Final = "salesfloor_wall_screens"


class WallSource(Protocol):
    @property
    def config(self) -> SnapshotConfig: ...
    @property
    def current(self) -> KpiSnapshot | None: ...
    @property
    def beside(self) -> BesideReport | None: ...
    def image(self) -> PaneImage: ...
    def not_ready(self) -> str: ...
    async def next_tick(self) -> None: ...


class Screen:
    """One connected page: what waits to be sent to it."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.behind = True
        self._waiting: deque[bytes] = deque()
        self._something = asyncio.Event()

    def put(self, message: bytes) -> None:
        if self.behind:
            return
        if len(self._waiting) >= WAITING_MAX:
            self.fall_behind()
        else:
            self._waiting.append(message)
            self._something.set()

    def fall_behind(self) -> None:
        """Drop what waits: the page gets everything anew, once there is something whole to send."""
        self._waiting.clear()
        self.behind = True

    def wake(self) -> None:
        self._something.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to send, but not longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            pass
        self._something.clear()

    def take(self) -> bytes:
        """Return everything that waits."""
        messages = b"".join(self._waiting)
        self._waiting.clear()
        return messages


class WallStream:
    """Runs beside the ticks; screens join and leave."""

    def __init__(
        self,
        source: WallSource,
        rules: WallRules,
        *,
        floor: str,
        release: str,
        now_ms: Callable[[], int],
        turns: TurnSource | None = None,
        alerts: AlertSource | None = None,
    ) -> None:
        self._source = source
        self.rules = rules
        self._floor = floor
        self._release = release
        self._now_ms = now_ms
        self._turns: TurnSource = turns or NoTurns()
        self._alerts_of: AlertSource = alerts or NoAlerts()
        self._wins = Wins(rules.wins)
        self._builder: BoardBuilder | None = None
        self._widgets: dict[str, list[Json]] = {}
        self._condition = condition_of(None, now_ms(), "starting", rules)
        self._alerts: Sequence[FiringAlert] = ()
        self._screens: set[Screen] = set()
        self._number = 0
        self._wake = asyncio.Event()
        self.closed = False

    # --- screens

    @property
    def screens(self) -> int:
        return len(self._screens)

    def gauges(self) -> Iterator[Gauge]:
        """Yield what a scrape tells of the wall."""
        block = GaugeBlock(((),), np.array([float(self.screens)]))
        yield Gauge(SCREENS_GAUGE, "Pages of the wall that are connected.", "", (block,))

    @property
    def is_full(self) -> bool:
        return len(self._screens) >= self.rules.screens_max

    def join(self, board: Board) -> Screen:
        screen = Screen(board)
        self._screens.add(screen)
        self._wake.set()
        return screen

    def leave(self, screen: Screen) -> None:
        self._screens.discard(screen)

    async def next_for(self, screen: Screen, seconds: float) -> bytes:
        """Return the next bytes for a page: a comment after so long a silence, b"" at the end."""
        if not screen.behind:
            await screen.wait(seconds)
        elif screen.board.name not in self._widgets:
            await screen.wait(seconds)  # its board is being built
        if self.closed:
            return b""
        if screen.behind and screen.board.name in self._widgets:
            screen.take()
            screen.behind = False
            return b"".join(self._everything(screen.board))
        return screen.take() or b": still here\n\n"

    def close(self) -> None:
        """Let every page's answer end."""
        self.closed = True
        for screen in self._screens:
            screen.wake()

    # --- ticks

    async def run(self) -> None:
        """Send what changed with every tick, until cancelled."""
        said = ""
        while True:
            await self._wait()
            try:
                await self.tick()
                said = ""
            except Exception as error:
                # The pages keep their last numbers and call them old; the next tick may do better.
                if repr(error) != said:  # else it fails every second, and once is told is enough
                    log.exception("wall tick failed")
                said = repr(error)

    async def _wait(self) -> None:
        """Wait for the next tick, for a new screen, or a second."""
        works = [asyncio.ensure_future(self._source.next_tick()), asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(works, timeout=TICK_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        self._wake.clear()

    async def tick(self) -> None:
        """Look once: at the numbers, the deals and the alerts."""
        now_ms = self._now_ms()
        snapshot, beside = self._source.current, self._source.beside
        self._condition = condition_of(snapshot, now_ms, self._source.not_ready(), self.rules)
        boards = {screen.board.name: screen.board for screen in self._screens}
        widgets: dict[str, list[Json]] = {name: [] for name in boards}
        if snapshot is not None and beside is not None and boards:
            builder, image = self._builder_of(self._source.config), self._source.image()
            widgets = await asyncio.to_thread(builder.build, boards.values(), image, snapshot, beside)
        self._show(boards, widgets)
        self._tell_wins(now_ms, snapshot)
        self._tell_alerts()

    def _builder_of(self, config: SnapshotConfig) -> BoardBuilder:
        if self._builder is None or self._builder.config is not config:
            self._builder = BoardBuilder(config)
            for screen in self._screens:
                screen.fall_behind()  # another currency or zone: the page must learn of it first
        return self._builder

    def _show(self, boards: Mapping[str, Board], widgets: Mapping[str, list[Json]]) -> None:
        before, self._widgets = self._widgets, {**widgets}
        for name in boards:
            was, now = before.get(name), widgets[name]
            if was is None or [each["id"] for each in was] != [each["id"] for each in now]:
                message = self._message("board", self._board_data(name, now))
            else:
                changed = [each for each, old in zip(now, was, strict=True) if each != old]
                message = self._message("change", self._board_data(name, changed))
            for screen in self._screens:
                if screen.board.name == name:
                    screen.put(message)
        for screen in self._screens:
            if screen.behind:
                screen.wake()  # there is something whole to send now

    def _tell_wins(self, now_ms: int, snapshot: KpiSnapshot | None) -> None:
        condition = self._condition
        caught_up = snapshot is not None and not condition.not_ready and not condition.catching_up
        quiet = self.rules.wins.is_quiet(self._minute(now_ms))
        due = self._wins.step(self._turns.take(), now_ms=now_ms, caught_up=caught_up, quiet=quiet)
        if not due:
            return
        names = {} if snapshot is None else snapshot.names.get("rep", {})
        teams = _teams(snapshot)
        for win in due:
            if win.reverted:
                self._broadcast("win_reverted", {"id": win.deal.deal_id})
                continue
            data = self._win_data(win, names, teams)
            self._broadcast("win", data, team=str(data["team"]))

    def _minute(self, now_ms: int) -> int:
        wall_time = self._source.config.calendar.wall_time_of(now_ms)
        return wall_time.hour * 60 + wall_time.minute

    def _win_data(self, win: Win, names: Mapping[str, str], teams: Mapping[str, str]) -> Json:
        deal = win.deal
        rep = label_value(deal.rep) if deal.rep else ""
        team = teams.get(rep) or (label_value(deal.team) if deal.team else "")
        return {
            "id": deal.deal_id,
            "rep": rep,
            "rep_name": names.get(rep, rep),
            "team": team,
            "amount_minor": deal.amount_minor or None,
            "currency": deal.currency,
            "currency_exponent": exponent_of(deal.currency),
            "deal_id": deal.deal_id,
            "closed_ms": deal.closed_ms,
            "picture": self.rules.pictures.get(deal.rep),
        }

    def _tell_alerts(self) -> None:
        alerts = tuple(self._alerts_of.firing())
        if alerts != self._alerts:
            self._alerts = alerts
            self._broadcast("alerts", self._alerts_data())

    def _broadcast(self, event: str, data: Json, *, team: str = "") -> None:
        message = self._message(event, data)
        for screen in self._screens:
            own = label_value(screen.board.team) if screen.board.team else ""
            if not team or not own or own == team:
                screen.put(message)

    # --- messages

    def _everything(self, board: Board) -> Iterator[bytes]:
        yield f"retry: {RETRY_MS}\n".encode()
        yield self._message("hello", self._hello(board))
        yield self._message("board", self._board_data(board.name, self._widgets[board.name]))
        yield self._message("alerts", self._alerts_data())

    def _hello(self, board: Board) -> Json:
        config, rules = self._source.config, self.rules
        return {
            "release": self._release,
            "floor": self._floor,
            "zone": config.calendar.zone.key,
            "currency": config.currency,
            "currency_exponent": config.exponent,
            "language": rules.language,
            "theme": rules.theme,
            "now_ms": self._condition.now_ms,
            "board": board.name,
            "boards": [_board_head(each) for each in rules.boards],
            "rotate": len(rules.boards) > 1,
            "quiet_hours": None if rules.wins.quiet is None else [_hh_mm(each) for each in rules.wins.quiet],
            "win": {"seconds": rules.wins.seconds, "sound": rules.wins.sound},
        }

    def _board_data(self, name: str, widgets: Sequence[Json]) -> Json:
        return {"board": name, **self._condition.wire(), "widgets": [*widgets]}

    def _alerts_data(self) -> Json:
        return {"alerts": [{**asdict(alert), "labels": {**alert.labels}} for alert in self._alerts]}

    def _message(self, event: str, data: Json) -> bytes:
        self._number += 1
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f"id: {self._number}\nevent: {event}\ndata: {text}\n\n".encode()


def _teams(snapshot: KpiSnapshot | None) -> Mapping[str, str]:
    keys = None if snapshot is None else snapshot.keys.get("rep")
    if keys is None or keys.teams is None:
        return {}
    return dict(zip(keys.labels, keys.teams, strict=True))


def _board_head(board: Board) -> Json:
    head: Json = {"name": board.name, "title": board.title, "seconds": board.seconds}
    if board.since is not None:
        head["from"] = board.since.isoformat()
    if board.until is not None:
        head["to"] = board.until.isoformat()
    return head


def _hh_mm(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
