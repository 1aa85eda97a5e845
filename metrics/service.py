"""A `PaneReader` in, the current snapshot and its rendered gauges out, tick by tick. Serves no HTTP.

A tick reads the panes in one step (no await between), computes in a thread, and swaps the result in.
Ticks come every `tick_ms`, and in between as soon as panes changed, where computing is cheap enough
(metrics.pace).
A scrape shows the newest snapshot, rendered once for all who ask for it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, Literal

from metrics.beside import BesideReport, BesideRules, BesideTaker
from metrics.contest import ContestStanding
from metrics.gauge_windows import GaugeWindows
from metrics.gauges import Gauge, GaugeLabels, kpi_gauges
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.pace import Pace
from metrics.panes import FeedState, PaneReader
from metrics.rewards import CommissionEstimate, RewardTaker, to_be_kept
from metrics.scrapes import Rendered, Scrapes
from metrics.snapshot import EVERYTHING, Filters, PaneImage, SnapshotConfig, Snapshotter
from metrics.target_gauges import target_gauges

_MS_PER_SECOND: Final = 1000
_LOOK_SECONDS: Final = 0.02
"""So often is looked at panes that tell nobody when they change."""
NOTHING_BESIDE: Final = BesideRules()


class _View:
    """How panes of one definition are looked at: one taker each for ticks and for questions."""

    def __init__(self, config: SnapshotConfig, clock: Literal["wall", "event"], beside: BesideRules) -> None:
        self.config = config
        self.clock = clock
        self.present = Snapshotter(config, follows=True)
        self.history = Snapshotter(config)
        self.beside = BesideTaker(config, beside)
        self.rewards = RewardTaker(config, beside.rewards)


class SnapshotService:
    """Keeps the newest snapshot. `now_ms` is the wall clock; with `clock="event"` it only tells data age."""

    def __init__(
        self,
        reader: PaneReader,
        *,
        now_ms: Callable[[], int],
        clock: Literal["wall", "event"] = "wall",
        config: SnapshotConfig,
        beside: BesideRules = NOTHING_BESIDE,
        tick_ms: int = 1000,
    ) -> None:
        self._reader = reader
        self._now_ms = now_ms
        self._pace = Pace(tick_ms / _MS_PER_SECOND)
        self._noted: tuple[bool, int] | None = None
        self._change = asyncio.Event()
        self._view = _View(config, clock, beside)
        self._views: dict[str, _View] = {}
        self._labels = GaugeLabels()
        self._scrapes = Scrapes()
        self._current: KpiSnapshot | None = None
        self._beside: BesideReport | None = None
        self._kept: dict[str, Mapping[str, JsonValue]] = {}
        self._ticked_for: tuple[int, int] | None = None
        self._next_tick = asyncio.Event()
        self._scraping = asyncio.Lock()
        self._more_gauges: Callable[[], Iterable[Gauge]] = tuple
        # A tick and `at` may run in two threads; each keeps caches that must not be shared half-made.
        self._history_lock = threading.Lock()

    @property
    def config(self) -> SnapshotConfig:
        return self._view.config

    def use(
        self,
        config: SnapshotConfig,
        clock: Literal["wall", "event"],
        *,
        version: str,
        beside: BesideRules = NOTHING_BESIDE,
    ) -> None:
        """Look at panes of this definition version this way from now on, in the step that brings them.

        Panes read before are still looked at the way they were read for.
        """
        before = self._view
        self._view = _View(config, clock, beside)
        self._views = {**{name: view for name, view in self._views.items() if view is before}}
        self._views[version] = self._view
        self._ticked_for = None

    def also_show(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        """Let a part that runs beside this one have its gauges in every scrape."""
        self._more_gauges = gauges

    @property
    def current(self) -> KpiSnapshot | None:
        """Return the newest snapshot; None before the first tick."""
        return self._current

    @property
    def beside(self) -> BesideReport | None:
        """Return what stands beside the newest snapshot; None before the first tick."""
        return self._beside

    def keep(self, results: Mapping[str, Mapping[str, JsonValue]]) -> None:
        """Take over results that are written down: from the next tick on they are the contests' standing."""
        self._kept = {**self._kept, **results}
        self._ticked_for = None

    def to_be_kept(self) -> tuple[ContestStanding, ...]:
        """Return the contests whose result is due and not written down; none while numbers may be missing,
        nor before the first event: history may be on its way to a new floor."""
        report, snapshot = self._beside, self._current
        if report is None or report.alert_state.replay_in_progress or not self.ready:
            return ()
        if snapshot is None or snapshot.state.newest_event_ms is None:
            return ()
        return tuple(each for each in to_be_kept(report.rewards) if each.contest.id not in self._kept)

    def tick(self) -> KpiSnapshot:
        """Compute and render the present; return the snapshot that is there if nothing can have changed."""
        wanted = self._wanted()
        if wanted is not None:
            self._finish(*wanted)
        assert self._current is not None, "the first tick always computes"
        return self._current

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set; computing happens in a thread, so the event loop stays free."""
        async with _Beside(self._pace) as beside:
            while not stop.is_set():
                spent = 0.0
                self._pace.begins(time.monotonic())
                wanted = self._wanted()
                self._noted = self._state_noted()
                if wanted is not None:
                    spent = await asyncio.to_thread(_cpu_seconds, partial(self._finish, *wanted))
                    self._next_tick.set()
                    self._next_tick = asyncio.Event()
                    beside.begin(wanted[0].present.prepare)
                self.note_changes()
                self._pace.ended(time.monotonic(), spent)
                await self._rest(stop)

    async def _rest(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and (left := self._pace.seconds_left(time.monotonic())) > 0:
            self._change.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await self._change.wait()
            self.note_changes()

    def note_changes(self) -> None:
        """See whether the panes changed. Who calls it when they do spares `run` the time until it looks."""
        noted = self._state_noted()
        if noted != self._noted:
            self._noted = noted
            self._pace.changed(time.monotonic())
            self._change.set()

    def _state_noted(self) -> tuple[bool, int]:
        return self._ticked_for is None, self._reader.version()

    async def next_tick(self) -> None:
        """Wait until `run` has computed anew."""
        await self._next_tick.wait()

    def at(self, as_of_ms: int, filters: Filters = EVERYTHING) -> KpiSnapshot:
        """Return the snapshot of any instant, exact or left out; ValueError for an unknown name."""
        return self.at_image(self.image(), as_of_ms, filters)

    def image(self) -> PaneImage:
        """Read the panes as they are now; not while the reader may change them in another thread."""
        return PaneImage.of(self._reader)

    def at_image(self, image: PaneImage, as_of_ms: int, filters: Filters = EVERYTHING) -> KpiSnapshot:
        """Do `at` for panes read before, so that it may run in a thread."""
        with self._history_lock:
            view = self._views.get(image.state.definition_version, self._view)
            return view.history.take(image, as_of_ms, filters=filters, strict=True, now_ms=self._now_ms())

    def commissions(self, image: PaneImage, as_of_ms: int) -> tuple[CommissionEstimate, ...]:
        """Return the estimates of every plan, also of those that are for the rep alone; in a thread too."""
        with self._history_lock:
            view = self._views.get(image.state.definition_version, self._view)
            return view.rewards.commissions(image, as_of_ms)

    # --- readiness

    @property
    def ready(self) -> bool:
        return not self.not_ready()

    def not_ready(self) -> str:
        """Return why the numbers cannot be relied on, "" when they can."""
        state = self._reader.state()
        if state.slots_expected == 0:
            return "no partitions are known yet; is Kafka or Redis reachable, and has a worker run?"
        if not state.ready:
            return f"{state.slots_loaded} of {state.slots_expected} slots are read"
        if self._current is None:
            return "the first snapshot is being computed"
        return ""

    # --- scrapes

    def exposition(self, *, openmetrics: bool) -> Rendered:
        """Return the newest snapshot as a scrape; before the first tick, the pipeline's own metrics only."""
        return self._scrapes.answer(self._reader.state(), openmetrics=openmetrics)

    async def scrape(self, *, openmetrics: bool, gzipped: bool) -> Rendered:
        """Do `exposition`, and compress it where that is asked for, in a thread; one scrape after another."""

        def made(state: FeedState) -> Rendered:
            rendered = self._scrapes.answer(state, openmetrics=openmetrics)
            if gzipped:
                rendered.gzipped  # noqa: B018  compressed here, not on the event loop
            return rendered

        async with self._scraping:
            return await asyncio.to_thread(made, self._reader.state())

    # --- a tick

    def _wanted(self) -> "tuple[_View, PaneImage, int, int] | None":
        """Read the panes, how to look at them and the clock in one step; None when nothing is new."""
        now_ms = self._now_ms()
        wanted_for = (self._reader.version(), now_ms // _MS_PER_SECOND)
        if wanted_for == self._ticked_for:
            return None
        self._ticked_for = wanted_for
        image = self.image()
        newest_ms = image.state.newest_event_ms
        view = self._view
        if view.clock == "wall" or newest_ms is None:
            return view, image, now_ms, now_ms
        # The end of a window is not in it: to show the newest event too, look one millisecond later.
        return view, image, newest_ms + 1, now_ms

    def _finish(self, view: "_View", image: PaneImage, as_of_ms: int, now_ms: int) -> None:
        snapshot = view.present.take(image, as_of_ms, now_ms=now_ms)
        beside = view.beside.take(image, snapshot, self._kept)
        self._current, self._beside = snapshot, beside
        self._scrapes.show(snapshot, partial(self._gauges, snapshot, beside, view.config.gauge_windows))

    def _gauges(
        self, snapshot: KpiSnapshot, beside: BesideReport, windows: GaugeWindows
    ) -> tuple[Gauge, ...]:
        of_kpis = kpi_gauges(snapshot, self._labels, windows)
        return (*of_kpis, *target_gauges(snapshot), *beside.gauges(), *self._more_gauges())


class _Beside:
    """Work in a thread beside the snapshots, one at a time; what it costs, they rest for."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._running: asyncio.Task[float] | None = None

    async def __aenter__(self) -> "_Beside":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            await self._running

    def begin(self, work: Callable[[], None]) -> None:
        """Begin it, unless the last one runs or is not rested for; raise what the last one raised."""
        if self._running is not None and self._running.done():
            self._pace.spent_beside(self._running.result())
            self._running = None
        if self._running is None and not self._pace.owes:
            self._running = asyncio.create_task(asyncio.to_thread(_cpu_seconds, work))


def _cpu_seconds(work: Callable[[], None]) -> float:
    """Do the work; return the processor time that this thread spent on it."""
    began = time.thread_time()
    work()
    return time.thread_time() - began
