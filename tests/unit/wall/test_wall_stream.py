"""The stream over real HTTP: what a page gets when, what it never gets, and that nothing grows."""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from metrics.leaderboard import Leaderboard
from metrics.wall import wins
from metrics.wall.alerts import FiringAlert
from metrics.wall.boards import Board, RankingWidget
from metrics.wall.wins import DealTurn
from metrics.web.wall_stream import WAITING_MAX, Screen
from tests.panes import READY
from tests.unit.wall.floors import ANN, BOB, HOUR_MS, NOW_MS, ROWS, SPRINT, won
from tests.unit.wall.screens import BOARDS, NARROW, RULES, Floor, Page, watched


async def test_a_page_is_greeted_with_everything_it_needs() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        headers = page.response.headers
        assert (page.response.status, headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert headers["Cache-Control"] == "no-store"
        assert (await page.response.content.readline()) == b"retry: 2000\n"
        told = await page.all_of(3)
    assert list(told) == ["hello", "board", "alerts"]
    assert told["hello"] == {
        "release": "1-abc", "floor": "Main & floor", "zone": "UTC", "currency": "USD", "currency_exponent": 2,
        "language": "en", "theme": "auto", "now_ms": floor.now_ms, "board": "floor",
        "boards": [
            {"name": "floor", "title": "Floor", "seconds": 20}, {"name": "south", "title": "", "seconds": 7},
        ],
        "rotate": True, "quiet_hours": ["20:00", "08:00"], "win": {"seconds": 9, "sound": True},
    }  # fmt: skip
    board = told["board"]
    assert [widget["id"] for widget in board["widgets"]] == ["floor-0", "floor-1", "floor-2"]
    assert {name: board[name] for name in ("stale", "not_ready", "catching_up", "records_lost")} == {
        "stale": False, "not_ready": "", "catching_up": False, "records_lost": 0,
    }  # fmt: skip
    assert board["newest_event_ms"] == NOW_MS
    assert told["alerts"] == {"alerts": []}
    assert page.ids == sorted(set(page.ids))


async def test_a_tick_tells_what_changed_and_nothing_else() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        await floor.tick()
        event, data = await page.next()
        assert (event, data["widgets"], data["now_ms"]) == ("change", [], floor.now_ms)
        await floor.tick((*ROWS, *won(ANN, NOW_MS, 1_000_00)))
        event, data = await page.next()
        assert [widget["id"] for widget in data["widgets"]] == ["floor-0", "floor-2"]
        assert data["widgets"][0]["value"] == 2200_00


async def test_without_a_snapshot_a_page_learns_why() -> None:
    floor = Floor()
    floor.reader.feed = replace(READY, slots_loaded=0)
    async with floor.opened() as client:
        asking = asyncio.create_task(client.get("/wall/stream"))
        while not floor.stream.screens:
            await asyncio.sleep(0)
        await floor.stream.tick()
        async with await asking as response:
            told = await Page(response).all_of(2)
            assert (told["board"]["widgets"], told["board"]["not_ready"]) == ([], "0 of 1 slots are read")
            floor.reader.feed = READY
            await floor.tick()
            told = await Page(response).all_of(3)  # what was left of before, and everything anew
            assert (list(told), len(told["board"]["widgets"])) == (["alerts", "hello", "board"], 3)


async def test_the_first_board_is_shown_unless_another_is_named() -> None:
    floor = Floor()
    async with floor.opened() as client:
        async with watched(floor, client, "") as page:
            assert (await page.next())[1]["board"] == "floor"
        async with watched(floor, client, "?board=south") as page:
            assert (await page.next())[1]["board"] == "south"


@pytest.mark.parametrize("path", ["/wall/stream?board=nort", "/wall/nort"])
async def test_a_board_that_is_not_there_is_refused_with_those_that_are(path: str) -> None:
    async with Floor().opened() as client, client.get(path) as response:
        assert response.status == 404
        assert await response.text() == "there is no board 'nort'; there is floor, south\n"


async def test_silence_is_broken_by_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.web.wall.HEARTBEAT_SECONDS", 0.01)
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        assert await page.response.content.readline() == b": still here\n"


async def test_as_many_screens_as_the_settings_allow() -> None:
    floor = Floor(replace(RULES, screens_max=1))
    async with floor.opened() as client:
        async with watched(floor, client), client.get("/wall/stream") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
            assert "raise it" in await refused.text()
        while floor.stream.screens:
            await floor.tick()  # a write to a page that is gone finds out
            await asyncio.sleep(0)
        async with watched(floor, client) as page:
            assert page.response.status == 200


async def test_each_board_is_computed_once_however_many_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor()
    built: list[list[str]] = []
    async with (
        floor.opened() as client,
        watched(floor, client),
        watched(floor, client),
        watched(floor, client, "?board=south"),
    ):
        builder = floor.stream._builder
        assert builder is not None
        build = builder.build

        def counting(boards: Iterable[Board], *rest: Any) -> Any:
            built.append([board.name for board in boards])
            return build(BOARDS, *rest)

        monkeypatch.setattr(builder, "build", counting)
        await floor.tick()
    assert [sorted(names) for names in built] == [["floor", "south"]]


async def test_the_stream_ends_with_the_server() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        await client.server.app.shutdown()  # type: ignore[attr-defined]
        assert await page.response.content.read() == b""
        async with client.get("/wall/stream") as response:
            assert response.status == 503


# --- wins and alerts


def win(deal: str = "D-1", *, rep: str = "bob", team: str = "north", closed_ms: int = NOW_MS) -> DealTurn:
    return DealTurn("won", deal, rep, team, 500_00, "USD", closed_ms)


async def test_a_win_reaches_every_page_but_those_of_other_teams() -> None:
    floor = Floor(replace(RULES, pictures={"bob": "https://pictures.example/bob.jpg"}))
    async with (
        floor.opened() as client,
        watched(floor, client) as everybody,
        watched(floor, client, "?board=south") as south,
    ):
        await everybody.all_of(4)
        await south.all_of(3)
        floor.turns.waiting = [win(), win("D-2", rep="cat", team="south")]
        await floor.tick()
        told = [await everybody.next() for _ in range(3)]
        assert told[1] == (
            "win",
            {
                "id": "D-1", "rep": "bob", "rep_name": "Bob Becker", "team": "north", "amount_minor": 500_00,
                "currency": "USD", "currency_exponent": 2, "deal_id": "D-1", "closed_ms": NOW_MS,
                "picture": "https://pictures.example/bob.jpg",
            },
        )  # fmt: skip
        assert (told[2][1]["deal_id"], told[2][1]["picture"]) == ("D-2", None)
        assert [(await south.next())[0] for _ in range(2)] == ["change", "win"]
        floor.turns.waiting = [DealTurn("reverted", "D-1")]
        await floor.tick()
        assert [await everybody.next() for _ in range(2)][1] == ("win_reverted", {"id": "D-1"})


async def test_a_page_that_connects_after_a_win_does_not_celebrate_it() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client):
        floor.turns.waiting = [win()]
        await floor.tick()
        async with watched(floor, client) as late:
            await floor.tick()
            assert "win" not in [(await late.next())[0] for _ in range(4)]


@pytest.mark.parametrize("trouble", ["not ready", "catching up", "night"])
async def test_no_win_is_told_in_trouble_or_at_night(trouble: str) -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        if trouble == "night":
            await floor.tick(after_ms=9 * HOUR_MS)  # 21:00
            await page.next()
        elif trouble == "not ready":
            floor.reader.feed = replace(floor.reader.feed, slots_loaded=0)
        else:
            floor.reader.feed = replace(floor.reader.feed, behind_event_ms=NOW_MS - HOUR_MS)
        floor.turns.waiting = [win(closed_ms=floor.now_ms)]
        await floor.tick()
        await floor.tick()
        assert [(await page.next())[0] for _ in range(2)] == ["change", "change"]


async def test_alerts_are_told_whole_when_they_change() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        floor.alerts.now = [FiringAlert("Fell", "warning", "It fell", "More", {"team": "north"}, NOW_MS)]
        await floor.tick()
        await floor.tick()
        assert (await page.next())[0] == "change"
        assert await page.next() == (
            "alerts",
            {
                "alerts": [
                    {
                        "name": "Fell", "severity": "warning", "summary": "It fell", "description": "More",
                        "labels": {"team": "north"}, "since_ms": NOW_MS,
                    }
                ]
            },
        )  # fmt: skip
        assert (await page.next())[0] == "change"
        async with watched(floor, client) as other:
            assert (await other.all_of(3))["alerts"]["alerts"][0]["name"] == "Fell"


async def test_another_currency_is_told_before_the_numbers_in_it() -> None:
    floor = Floor()
    async with floor.opened() as client, watched(floor, client) as page:
        await page.all_of(3)
        floor.service.use(replace(NARROW, currency="JPY"), "wall", version="test")
        await floor.tick()
        told = await page.all_of(2)
        assert told["hello"]["currency_exponent"] == 0
        assert told["board"]["widgets"][0]["exponent"] == 0


async def test_a_tick_that_fails_is_followed_by_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    floor = Floor()
    ticks = asyncio.Event()
    failures = iter([ValueError("made up")])

    async def tick() -> None:
        if (error := next(failures, None)) is not None:
            raise error
        ticks.set()

    monkeypatch.setattr(floor.stream, "tick", tick)
    running = asyncio.create_task(floor.stream.run())
    for _ in range(2):
        floor.stream._wake.set()
        await asyncio.sleep(0.01)
    await asyncio.wait_for(ticks.wait(), 10)
    running.cancel()
    assert "wall tick failed" in caplog.text


# --- memory


def test_what_waits_for_a_slow_page_is_bounded_and_then_dropped() -> None:
    screen = Screen(BOARDS[0])
    screen.behind = False
    for number in range(WAITING_MAX):
        screen.put(b"%d" % number)
    assert (len(screen._waiting), screen.behind) == (WAITING_MAX, False)
    for number in range(1000):
        screen.put(b"%d" % number)
    assert (len(screen._waiting), screen.behind) == (0, True)


async def test_a_page_that_fell_behind_gets_the_whole_board_and_goes_on_from_there() -> None:
    floor = Floor()
    screen = floor.stream.join(BOARDS[0])
    await floor.tick()
    assert b"event: hello" in await floor.stream.next_for(screen, 1)
    for number in range(3 * WAITING_MAX):
        await floor.tick((*ROWS, *won(BOB, NOW_MS, number)))
    whole = await floor.stream.next_for(screen, 1)
    assert whole.count(b"event: board") == 1
    assert b"event: change" not in whole
    await floor.tick()
    assert (await floor.stream.next_for(screen, 1)).count(b"event: change") == 1


async def test_the_third_week_of_ticks_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick every three hours, with new deals, wins, alerts, and screens that come and go. In the first two
    weeks what is kept on purpose fills up: lines of points, days of the calendar."""
    monkeypatch.setattr(wins, "KNOWN_MAX", 8)
    week = 7 * 8
    widgets = (*BOARDS[0].widgets, RankingWidget(Leaderboard("month", SPRINT.kpi, "mtd")))
    floor = Floor(replace(RULES, boards=(Board("floor", widgets), BOARDS[1])))
    slow = floor.stream.join(floor.stream.rules.boards[0])
    kept: dict[int, int] = {}
    tracemalloc.start()
    try:
        for step in range(3 * week):
            reading = floor.stream.join(floor.stream.rules.boards[step % 2])
            deal = f"D-{step}"
            closed_ms = floor.now_ms + 3 * HOUR_MS
            floor.turns.waiting = [win(f"{deal}-{each}", closed_ms=closed_ms) for each in range(20)]
            floor.turns.waiting.append(DealTurn("reverted", f"D-{step - 1}-0"))
            floor.alerts.now = [FiringAlert("Fell", "warning", deal, "", {}, step)] if step % 3 else []
            await floor.tick((*ROWS, *won(ANN, floor.now_ms, 100 + step)), after_ms=3 * HOUR_MS)
            await floor.stream.next_for(reading, 0)
            floor.stream.leave(reading)
            if step in (2 * week - 1, 3 * week - 1):
                gc.collect()
                # Ours alone: pytest's own threads allocate too.
                ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/metrics/*")])
                kept[step] = sum(trace.size for trace in ours.traces)
    finally:
        tracemalloc.stop()
    assert len(slow._waiting) <= WAITING_MAX
    assert floor.stream.screens == 1
    first, last = kept.values()
    assert last - first < 24 * 1000, f"grew by {last - first} bytes"
