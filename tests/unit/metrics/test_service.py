"""The service computes once per tick, renders for those who ask, and says when it cannot be relied on."""

import asyncio
import gzip
import threading

import pytest

from metrics import scrapes
from metrics.panes import Cell, FeedState
from metrics.scrapes import Rendered, Scrapes
from metrics.service import SnapshotService
from metrics.snapshot import Filters, SnapshotConfig, Snapshotter
from tests.panes import FakeReader, Row

NOW_MS = 1_790_000_000_000
ANN = Cell(rep="Ann", team="Nord")


@pytest.fixture(autouse=True)
def _no_rest_after_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine shall not decide which scrape is shown."""
    monkeypatch.setattr(scrapes, "_LONG_SECONDS", float("inf"))


class Floor:
    """A service over hand-made panes and a hand-moved clock."""

    def __init__(
        self, *rows: Row, clock: str = "wall", state: FeedState | None = None, tick_ms: int = 50
    ) -> None:
        self.now_ms = NOW_MS
        self.reader = FakeReader(rows)
        if state is not None:
            self.reader.feed = state
        self.service = SnapshotService(
            self.reader,
            now_ms=lambda: self.now_ms,
            clock="event" if clock == "event" else "wall",
            config=SnapshotConfig(),
            tick_ms=tick_ms,
        )

    def body(self) -> bytes:
        return self.service.exposition(openmetrics=False).body

    def calls_line(self) -> str:
        body = self.body()
        (line,) = (
            line
            for line in body.decode().splitlines()
            if line.startswith('salesfloor_floor_calls{window="5m"}')
        )
        return line.rpartition(" ")[2]


def test_a_tick_computes_only_when_the_panes_or_the_second_changed() -> None:
    floor = Floor()
    first = floor.service.tick()
    floor.now_ms += 999
    assert floor.service.tick() is first
    floor.reader.put([Row(NOW_MS, ANN, "calls_done")])
    second = floor.service.tick()
    assert second is not first
    assert second.value("calls", window="5m") == 1
    floor.now_ms += 1
    assert floor.service.tick() is not second


def test_scrapes_between_two_ticks_get_the_very_same_bytes() -> None:
    floor = Floor(Row(NOW_MS - 1, ANN, "calls_done"))
    floor.service.tick()
    body = floor.body()
    floor.reader.put([])
    floor.now_ms += 5000
    assert floor.body() is body
    floor.service.tick()
    assert floor.calls_line() == "0.0"


def test_long_rendering_takes_at_most_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "_LONG_SECONDS", 0.1)
    clock = iter([0.0, 3.0, 5.9, 6.0, 6.0, 7.0])
    shows = Scrapes(lambda: next(clock))
    snapshots = [Floor().service.tick() for _ in range(3)]

    def answered(number: int) -> Rendered:
        shows.show(snapshots[number], tuple)
        return shows.answer(FeedState(), openmetrics=False)

    first = answered(0)  # from 0 to 3
    assert answered(1) is first  # at 5.9
    assert answered(2) is not first  # at 6.0


@pytest.mark.parametrize("openmetrics", [False, True])
async def test_a_scrape_is_the_exposition_in_the_format_asked_for_and_compressed_the_same(
    openmetrics: bool,
) -> None:
    floor = Floor()
    floor.service.tick()
    scraped = await floor.service.scrape(openmetrics=openmetrics, gzipped=True)
    assert gzip.decompress(scraped.gzipped) == scraped.body
    assert scraped is floor.service.exposition(openmetrics=openmetrics)
    assert scraped.body.endswith(b"# EOF\n") == openmetrics


async def test_scrapes_at_once_share_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    floor, made = Floor(), []

    def counted(*_: object, **__: object) -> Rendered:
        made.append(1)
        return Rendered("text/plain", b"")

    monkeypatch.setattr(scrapes, "_rendered", counted)
    floor.service.tick()
    asked = [floor.service.scrape(openmetrics=False, gzipped=False) for _ in range(20)]
    answers = await asyncio.gather(*asked)
    assert len(made) == 1
    assert len({id(answer) for answer in answers}) == 1


def test_before_the_first_tick_a_scrape_tells_of_the_pipeline_only() -> None:
    floor = Floor(state=FeedState(slots_expected=4, slots_loaded=1))
    body = floor.body().decode()
    assert "salesfloor_slots_loaded 1.0" in body
    assert "salesfloor_floor_" not in body


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (FeedState(), "no partitions are known yet"),
        (FeedState(slots_expected=4, slots_loaded=1), "1 of 4 slots are read"),
        (FeedState(slots_expected=4, slots_loaded=4), "the first snapshot is being computed"),
    ],
)
def test_not_ready_says_what_is_waited_for(state: FeedState, reason: str) -> None:
    floor = Floor(state=state)
    assert not floor.service.ready
    assert reason in floor.service.not_ready()


def test_ready_once_all_slots_are_read_and_a_snapshot_is_there() -> None:
    floor = Floor()
    floor.service.tick()
    assert floor.service.ready


def test_with_the_event_clock_now_is_just_after_the_newest_event() -> None:
    newest_ms = NOW_MS - 30 * 86_400_000
    floor = Floor(
        Row(newest_ms, ANN, "calls_done"),
        clock="event",
        state=FeedState(newest_event_ms=newest_ms, slots_expected=1, slots_loaded=1),
    )
    snapshot = floor.service.tick()
    assert snapshot.as_of_ms == newest_ms + 1
    assert snapshot.value("calls", window="5m") == 1
    assert snapshot.data_age_seconds == 30 * 86_400


def test_any_instant_can_be_asked_for() -> None:
    floor = Floor(Row(NOW_MS - 86_400_000, ANN, "calls_done"))
    then = floor.service.at(NOW_MS - 86_400_000 + 1, Filters(kpis=("calls",), windows=("5m",)))
    assert then.value("calls", "rep", "Ann", "5m") == 1
    assert {value.kpi.name for value in then.values()} == {"calls"}


async def test_run_ticks_until_it_is_told_to_stop() -> None:
    floor, stop = Floor(), asyncio.Event()
    running = asyncio.create_task(floor.service.run(stop))
    async with asyncio.timeout(10):
        while floor.service.current is None:
            await asyncio.sleep(0)
        floor.reader.put([Row(NOW_MS - 1, ANN, "calls_done")])
        while floor.service.current.value("calls", window="5m") != 1:
            await asyncio.sleep(0)
        stop.set()
        await running


async def test_a_change_is_computed_without_waiting_for_the_time_of_the_next_tick() -> None:
    floor, stop = Floor(tick_ms=3_600_000), asyncio.Event()
    running = asyncio.create_task(floor.service.run(stop))
    async with asyncio.timeout(10):
        await floor.service.next_tick()
        floor.reader.put([Row(NOW_MS - 1, ANN, "calls_done")])
        await floor.service.next_tick()
        assert floor.service.current is not None
        assert floor.service.current.value("calls", window="5m") == 1
        stop.set()
        await running


async def test_a_change_between_the_times_of_ticks_is_in_the_next_scrape() -> None:
    floor, stop = Floor(tick_ms=3_600_000), asyncio.Event()
    running = asyncio.create_task(floor.service.run(stop))
    async with asyncio.timeout(10):
        await floor.service.next_tick()
        floor.reader.put([Row(NOW_MS - 1, ANN, "calls_done")])
        await floor.service.next_tick()
        assert floor.calls_line() == "1.0"
        stop.set()
        await running


async def test_what_is_prepared_for_later_holds_no_snapshot_up_and_ends_with_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[Snapshotter] = []
    released = threading.Event()

    def prepare(self: Snapshotter) -> None:
        begun.append(self)
        assert released.wait(10)

    monkeypatch.setattr(Snapshotter, "prepare", prepare)
    floor, stop = Floor(tick_ms=3_600_000), asyncio.Event()
    running = asyncio.create_task(floor.service.run(stop))
    async with asyncio.timeout(10):
        await floor.service.next_tick()
        for calls in range(1, 4):
            floor.reader.put([Row(NOW_MS - 1, ANN, "calls_done", calls)])
            await floor.service.next_tick()
            assert floor.calls_line() == f"{calls}.0"
        assert len(begun) == 1
        stop.set()
        await asyncio.sleep(0.05)
        assert not running.done()
        released.set()
        await running


async def test_what_fails_beside_the_snapshots_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(self: Snapshotter) -> None:
        raise ArithmeticError("broken")

    monkeypatch.setattr(Snapshotter, "prepare", prepare)
    with pytest.raises(ArithmeticError, match="broken"):
        async with asyncio.timeout(10):
            await Floor().service.run(asyncio.Event())
