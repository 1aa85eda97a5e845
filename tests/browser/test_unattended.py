"""A wall that nobody looks after: lost and silent servers, a TV that slept, new releases, a week of ticks.

Time in the page is Playwright's: hours pass in an instant, the network stays real.
"""

import asyncio
import json
import re
from typing import Any

import pytest

from tests.browser.conftest import WAIT_MS, OpenPage, script
from tests.browser.fake_wall import FakeWall

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR = "01:00:00"
TICKS = 100_000  # more than a day; a whole week was measured once and grew by 0.1 MB


async def state_is(page: Any, state: str) -> None:
    # Asked from here: the page's own clock may stand still.
    async with asyncio.timeout(WAIT_MS / 1000):
        while await page.evaluate("() => document.getElementById('state').dataset.state") != state:
            await asyncio.sleep(0.02)


async def age_is(page: Any, pattern: str) -> None:
    """Wait for it: a stream is open, and its page live, before what it says has come."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while not re.fullmatch(pattern, await page.locator("#age").inner_text()):
            await asyncio.sleep(0.02)


async def passes(page: Any, milliseconds: int) -> None:
    """Let time pass as it does while somebody looks: every timer fires."""
    await page.clock.run_for(milliseconds)


async def with_clock(page: Any) -> None:
    await page.clock.install()
    await page.reload()
    await page.wait_for_selector("#board section")


async def test_a_lost_server_leaves_the_last_numbers_marked_stale_until_it_is_back(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        await with_clock(page)
        numbers = await page.locator(".kpi .value").all_inner_texts()
        await wall.stop()
        await state_is(page, "stale")
        assert "Stale since" in await page.locator("#state").inner_text()
        await page.clock.fast_forward(HOUR)
        await passes(page, 40_000)
        await state_is(page, "stale")
        assert await page.locator(".kpi .value").all_inner_texts() == numbers
        await wall.start()
        await page.evaluate("() => { document.querySelector('.kpi').sameNode = true; }")
        await passes(page, 40_000)
        await state_is(page, "live")
        assert await page.evaluate("() => document.querySelector('.kpi').sameNode"), (
            "the board was built anew"
        )


async def test_a_line_without_a_word_is_opened_again(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        await with_clock(page)
        before = wall.connections
        await passes(page, 14_000)
        assert wall.connections == before
        wall.connected.clear()
        await passes(page, 6_000)
        await wall.connected.wait()
        await state_is(page, "live")
        assert wall.connections == before + 1


async def test_after_sleep_the_page_asks_anew_and_shows_the_time_that_is(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        await with_clock(page)
        wall.connected.clear()
        wall.floor.now_ms += 8 * 3_600_000
        await page.clock.fast_forward("08:00:00")
        await passes(page, 1_500)
        await wall.connected.wait()
        await state_is(page, "live")
        await age_is(page, r"Newest data \W?\d+ sec\W? ago")


async def test_stale_and_catching_up_and_not_ready_are_told_apart(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        for change, state in (
            ({"catching_up": True}, "catching_up"),
            ({"stale": True}, "stale"),
            ({"not_ready": "0 of 4 slots are read"}, "stale"),
            ({}, "live"),
        ):
            wall.send("change", {**wall.floor.tick("floor"), **change})
            await state_is(page, state)


async def test_a_new_release_is_loaded_once_and_only_when_the_server_has_it(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        await page.evaluate("() => { window.same = true; }")
        for release in ("fake-2", "fake-3"):
            async with page.expect_response(f"{wall.address}/wall"):
                wall.send("hello", {**wall.hello(), "release": release})  # the page is still of fake-1
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        assert await page.evaluate("() => window.same")
        wall.release = "fake-4"
        async with page.expect_navigation():
            wall.send("hello", wall.hello())
        await page.wait_for_selector("#board section")
        loaded = wall.pages
        wall.send("hello", wall.hello())
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        assert wall.pages == loaded


async def test_boards_take_turns_but_only_those_of_today(wall: FakeWall, open_page: OpenPage) -> None:
    wall.floor.rotate = True
    wall.floor.boards = [
        {"name": "floor", "title": "A", "seconds": 10},
        {"name": "old", "title": "B", "seconds": 10, "from": "2020-01-01", "to": "2020-12-31"},
        {"name": "month", "title": "C", "seconds": 10, "from": "2020-01-01"},
    ]
    async with open_page(f"{wall.address}/wall") as page:
        await with_clock(page)
        for title in ("C", "A", "C"):
            await passes(page, 6_000)
            assert await page.locator("#board-title").inner_text() != title
            await passes(page, 5_000)
            while await page.locator("#board-title").inner_text() != title:
                await passes(page, 50)  # the other board comes over the network
        await page.keyboard.press("p")
        await passes(page, 14_000)
        assert await page.locator("#board-title").inner_text() == "C"


LINES = script("lines.js")

LONG = script("long_life.js")


async def sizes(page: Any) -> dict[str, float]:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    for _ in range(2):
        await session.send("HeapProfiler.collectGarbage")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    await session.detach()
    found = {each["name"]: each["value"] for each in metrics}
    return {name: found[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}


async def test_a_hundred_thousand_ticks_leave_no_memory_behind(wall: FakeWall, open_page: OpenPage) -> None:
    floor = wall.floor
    greeting = [["hello", json.dumps(wall.hello())], ["board", json.dumps(floor.board("floor"))]]
    before = f"{LINES}\nwindow.greeting = {json.dumps(greeting)};"
    messages = []
    for number in range(50):
        message = floor.tick("floor")
        changed = message["widgets"] if number % 10 == 0 else []
        messages.append(json.dumps({**message, "widgets": changed}))
    told = {
        "messages": messages,
        "wins": [json.dumps(floor.win()) for _ in range(8)],
        "alerts": [json.dumps(floor.alerts()), json.dumps({"alerts": []})],
    }
    async with open_page(f"{wall.address}/wall", before=before) as page:
        await page.evaluate(LONG, {**told, "ticks": TICKS // 5})
        start = await sizes(page)
        await page.evaluate(LONG, {**told, "ticks": TICKS})
        end = await sizes(page)
        assert end["JSEventListeners"] <= start["JSEventListeners"]
        assert end["Nodes"] <= start["Nodes"] + 60, (start, end)  # a row more in the feed, an alert
        assert end["JSHeapUsedSize"] <= start["JSHeapUsedSize"] + 200_000, (start, end)
