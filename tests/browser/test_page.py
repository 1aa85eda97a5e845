"""The wall's page against a stream whose messages the test decides: wins, alerts, keys, rotation, words."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenPage, script
from tests.browser.fake_floor import feed, floor_widgets
from tests.browser.fake_wall import FakeWall

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = Path(__file__).parent.parent.parent / "metrics" / "wall" / "text"
LANGUAGES = ("en", "ms", "id", "zh-Hant", "zh-Hans", "fa")


def texts(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TEXT / f"{language}.json").read_text(encoding="utf-8"))
    return found


async def until(page: Any, claim: str, argument: object = None) -> None:
    await page.wait_for_function(claim, arg=argument)


def said(text: str) -> str:
    """JavaScript that says whether the live region holds the text, isolates aside."""
    shown = "document.getElementById('said').textContent.replace(/[\\u2066-\\u2069]/g, '')"
    return f"() => {shown}.includes({json.dumps(text)})"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_speaks_its_language(wall: FakeWall, open_page: OpenPage, language: str) -> None:
    words = texts(language)
    async with open_page(f"{wall.address}/wall?lang={language}") as page:
        html = page.locator("html")
        assert (await html.get_attribute("lang"), await html.get_attribute("dir")) == (
            language, words["language"]["dir"],
        )  # fmt: skip
        titles = await page.locator("#board h2").all_inner_texts()
        assert titles[:2] == [words["kpi"]["revenue"], words["kpi"]["deals_won"]]
        assert await page.locator("#state").inner_text() == words["ui"]["live"]
        digits = await page.locator(".kpi .value").first.inner_text()
        assert ("۱" in digits) == (language == "fa")
        assert (
            await page.evaluate("() => document.body.innerText.match(/undefined|NaN|\\[object|\\{\\w+\\}/g)")
            is None
        )


async def test_a_win_interrupts_is_spoken_and_ends(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        win = page.locator("#win")
        assert await win.is_hidden()
        wall.send("win", wall.floor.win(rep_name="Ana Costa", amount_minor=1_250_000))
        await win.wait_for(state="visible")
        assert "Ana Costa" in await win.inner_text()
        assert "€12,500" in await win.inner_text()
        await until(page, said("Deal won: Ana Costa, €12,500"))
        await win.wait_for(state="hidden")


async def test_a_win_told_twice_is_celebrated_once_and_a_reverted_one_ends(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        win = wall.floor.win(rep_name="Ana Costa")
        await page.evaluate(script("count_wins.js"))
        for _ in range(3):
            wall.send("win", win)
        await page.locator("#win >> text=Ana Costa").wait_for()
        await page.locator("#win").wait_for(state="hidden")
        reverted = wall.floor.win(rep_name="Chen Wei")
        wall.send("win", reverted)
        wall.send("win", wall.floor.win(rep_name="Bo Lindqvist"))
        await page.locator("#win >> text=Chen Wei").wait_for()
        wall.send("win_reverted", {"id": reverted["id"]})
        await page.locator("#win >> text=Bo Lindqvist").wait_for()
        await page.keyboard.press("Escape")
        await page.locator("#win").wait_for(state="hidden")
        assert await page.evaluate("() => window.begun") == 3


@pytest.mark.parametrize(("address", "tones"), [("/wall", 0), ("/wall?sound=1", 4)])
async def test_a_win_sounds_only_where_the_address_asks_for_it(
    wall: FakeWall, open_page: OpenPage, address: str, tones: int
) -> None:
    async with open_page(f"{wall.address}{address}", before=script("sound.js")) as page:
        wall.send("win", wall.floor.win())
        await page.locator("#win").wait_for(state="visible")
        await page.locator("#win").wait_for(state="hidden")
        assert await page.evaluate("() => window.tones") == tones


async def test_in_quiet_hours_nothing_interrupts(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        wall.send("hello", {**wall.hello(), "quiet_hours": ["00:00", "24:00"]})
        wall.send("win", wall.floor.win())
        wall.send("hello", {**wall.hello(), "win": {"seconds": 0, "sound": False}})
        wall.send("win", wall.floor.win())
        wall.send("alerts", wall.floor.alerts())  # comes after: the wins were looked at
        await page.locator("#alerts .alert").wait_for()
        assert await page.locator("#win").is_hidden()


async def test_reduced_motion_is_honoured(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall", reduced_motion="reduce") as page:
        wall.send("win", wall.floor.win())
        await page.locator("#win").wait_for(state="visible")
        assert await page.locator(".sparks").is_hidden()
        wall.send("change", wall.floor.tick("floor"))
        assert await page.evaluate("() => document.getAnimations().length") == 0


async def test_an_alert_stands_above_the_board_in_the_pages_language(
    wall: FakeWall, open_page: OpenPage
) -> None:
    async with open_page(f"{wall.address}/wall?lang=ms") as page:
        wall.send("alerts", wall.floor.alerts())
        line = page.locator("#alerts .alert")
        await line.wait_for()
        assert texts("ms")["alert"]["ConversionFallingFast"] in await line.inner_text()
        assert "South" in await line.inner_text()
        await until(page, said("South"))
        wall.send("alerts", {"alerts": []})
        await line.wait_for(state="detached")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_records_lost_unread_stand_above_the_board_in_the_pages_language_without_an_alertmanager(
    wall: FakeWall, open_page: OpenPage, language: str
) -> None:
    async with open_page(f"{wall.address}/wall?lang={language}") as page:
        line = page.locator("#lost")
        assert await line.is_hidden()
        wall.send("change", {**wall.floor.tick("floor"), "records_lost": 7})
        await line.wait_for()
        words = texts(language)["ui"]["records_lost"]["other"].replace(
            "{n}", "۷" if language == "fa" else "7"
        )
        shown = re.sub("[\u2066-\u2069]", "", await line.inner_text())
        assert words in shown
        wall.send("change", wall.floor.tick("floor"))
        await line.wait_for(state="hidden")


async def test_ticks_are_not_spoken(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        before = await page.locator(".kpi .value").first.inner_text()
        for _ in range(10):
            wall.send("change", wall.floor.tick("floor"))
        await until(page, "before => document.querySelector('.kpi .value').innerText !== before", before)
        assert await page.locator("#said").inner_text() == ""
        live = await page.evaluate(
            "() => document.querySelectorAll('main [aria-live], main [role=status]').length"
        )
        assert live == 0


async def test_text_of_others_stays_text(wall: FakeWall, open_page: OpenPage) -> None:
    evil = "<img src=x onerror=alert(1)>"
    async with open_page(f"{wall.address}/wall") as page:
        widget = feed(wall.floor)
        widget["items"][0] |= {"id": "feed-evil", "rep_name": evil}
        wall.send("change", {**wall.floor.tick("floor"), "widgets": [widget]})
        await page.locator(".events .name", has_text=evil).wait_for()
        wall.send("win", wall.floor.win(rep_name=evil))
        await page.locator("#win .who", has_text=evil).wait_for()
        assert await page.locator("main img").count() == 0


async def test_what_has_no_value_says_so(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        empty = {"value": None, "why_null": "no_data", "trend": None, "target": None, "previous": None}
        widgets = [
            {**widget, **empty} if widget["kind"] == "kpi" else widget for widget in floor_widgets(wall.floor)
        ]
        for widget in widgets:
            widget |= {name: [] for name in ("rows", "items", "stages") if name in widget}
        wall.send("change", {**wall.floor.tick("floor"), "widgets": widgets})
        await page.locator(".kpi.unknown").first.wait_for()
        assert await page.locator(".kpi .value").first.inner_text() == "–"
        assert texts("en")["ui"]["nobody_yet"] in await page.locator(".leaderboard").inner_text()
        assert texts("en")["ui"]["nothing_yet"] in await page.locator(".panel.feed").inner_text()


async def test_keys_change_boards_pause_and_explain_themselves(wall: FakeWall, open_page: OpenPage) -> None:
    wall.floor.rotate = True
    async with open_page(f"{wall.address}/wall") as page:
        await page.keyboard.press("ArrowRight")
        await page.locator("#board-title", has_text="This month").wait_for()
        await page.keyboard.press("ArrowLeft")
        await page.locator("#board-title", has_text="Today").wait_for()
        await page.keyboard.press("p")
        assert await page.locator("#pause").get_attribute("aria-pressed") == "true"
        await page.keyboard.press("?")
        await page.get_by_role("dialog").wait_for()
        assert (
            await page.get_by_role("link", name="فارسی").get_attribute("href")
            == f"{wall.address}/wall?lang=fa"
        )
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="detached")
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "() => [document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert focused[0] in ("A", "BUTTON")
        assert focused[1] == "solid"


async def test_in_persian_the_arrow_to_the_left_leads_forward(wall: FakeWall, open_page: OpenPage) -> None:
    wall.floor.boards = [{"name": name, "title": name, "seconds": 99} for name in ("floor", "month", "third")]
    async with open_page(f"{wall.address}/wall?lang=fa") as page:
        await page.keyboard.press("ArrowLeft")
        await page.locator("#board-title", has_text="month").wait_for()


async def test_a_screen_reader_finds_landmarks_tables_and_names(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall") as page:
        tree = await page.locator("body").aria_snapshot()
        for part in ("banner", "main", "navigation", 'heading "Nordwind Sales" [level=1]', 'table "Revenue"'):
            assert part in tree, tree
        header = ["Rank", "Change", "Name", "Value", "Share of target"]
        assert [await cell.inner_text() for cell in await page.get_by_role("columnheader").all()] == header
        row = await page.get_by_role("row").nth(1).inner_text()
        assert "up 1 place" in row.replace("\u2068", "").replace("\u2069", "")
