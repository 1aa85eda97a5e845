"""The service computes once per tick, keeps scrapes ready, and says when it cannot be relied on."""

import asyncio
import gzip

import pytest

from metrics import scrapes
from metrics.panes import Cell, FeedState
from metrics.service import SnapshotService
from metrics.snapshot import Filters, SnapshotConfig
from tests.panes import FakeReader, Row

NOW_MS = 1_790_000_000_000
ANN = Cell(rep="Ann", team="Nord")


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

    def calls_line(self) -> str:
        body, _, _ = self.service.rendered()
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
    body = floor.service.rendered()[0]
    floor.reader.put([])
    floor.now_ms += 5000
    assert floor.service.rendered()[0] is body
    floor.service.tick()
    assert floor.calls_line() == "0.0"


def test_a_format_once_asked_for_is_rendered_by_the_tick() -> None:
    floor = Floor()
    floor.service.tick()
    floor.service.rendered(accept_encoding="gzip")
    floor.now_ms += 1000
    floor.service.tick()
    assert floor.service.exposition(openmetrics=False).was_gzipped
    assert not floor.service.exposition(openmetrics=True).was_gzipped


def test_a_format_nobody_asks_for_any_more_is_rendered_no_longer_and_answers_afresh_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scrapes, "_UNASKED_MAX", 3)
    floor = Floor()
    floor.service.tick()
    old = floor.service.rendered()[0]
    for _ in range(5):
        floor.now_ms += 1000
        floor.service.tick()
    assert not floor.service._scrapes._formats
    new = floor.service.rendered()[0]
    assert new != old
    assert f"salesfloor_as_of_timestamp_seconds {(NOW_MS + 5000) / 1000 / 1e9!r}e+09" in new.decode()


@pytest.mark.parametrize(
    ("accept", "encoding", "content_type"),
    [
        ("", "", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain", "gzip, deflate", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "gzip",
         "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)  # fmt: skip
def test_a_scrape_gets_the_format_and_encoding_it_asks_for(
    accept: str, encoding: str, content_type: str
) -> None:
    floor = Floor()
    floor.service.tick()
    body, answered, encoded = floor.service.rendered(accept, encoding)
    plain = floor.service.rendered(accept)[0]
    assert answered == content_type
    assert (gzip.decompress(body) if encoded == "gzip" else body) == plain
    assert plain.endswith(b"# EOF\n") == ("openmetrics" in accept)


def test_before_the_first_tick_a_scrape_tells_of_the_pipeline_only() -> None:
    floor = Floor(state=FeedState(slots_expected=4, slots_loaded=1))
    body = floor.service.rendered()[0].decode()
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


async def test_scrapes_stay_the_same_between_the_times_of_ticks_though_a_change_was_computed() -> None:
    floor, stop = Floor(tick_ms=3_600_000), asyncio.Event()
    running = asyncio.create_task(floor.service.run(stop))
    bodies = []
    async with asyncio.timeout(10):
        await floor.service.next_tick()  # rendered right after it
        for _ in range(2):
            floor.reader.put([Row(NOW_MS - 1, ANN, "calls_done")])
            await floor.service.next_tick()
            bodies.append(floor.service.rendered()[0])
        assert bodies[0] == bodies[1]
        stop.set()
        await running
