"""What a wall looks like, measured: nothing overlaps or is cut off, and all of it can be read."""

from typing import Any

import pytest

from metrics.catalogue import BUILT_IN
from tests.browser.conftest import SCREENS, OpenPage, script
from tests.browser.fake_floor import (
    conversion,
    feed,
    floor_widgets,
    funnel,
    kpi,
    month_widgets,
    pipeline,
    ranking,
)
from tests.browser.fake_wall import FakeWall
from tests.browser.test_page import LANGUAGES, texts

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("fonts")]

SMALLEST_SHARE_OF_HEIGHT = 0.02
AA_TEXT, AA_LARGE_TEXT = 4.5, 3.0

MEASURE = script("problems.js")

LEFT_OUT = script("left_out.js")
SETTLED = "async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame); }"


async def problems(page: Any) -> list[str]:
    await page.evaluate(SETTLED)
    found: list[str] = await page.evaluate(MEASURE)
    return found


# A 4K wall is a 1080p one with more pixels: one language of each direction is enough to prove it.
ON_SCREENS = [
    (screen, each)
    for screen in SCREENS
    for each in (("en", "fa") if screen in ("4K", "upright") else LANGUAGES)
]


@pytest.mark.parametrize(("screen", "language"), ON_SCREENS)
async def test_nothing_overlaps_or_is_cut_off(
    wall: FakeWall, open_page: OpenPage, language: str, screen: str
) -> None:
    async with open_page(f"{wall.address}/wall?lang={language}", screen) as page:
        assert await problems(page) == []
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        assert await problems(page) == []
        wall.send("change", {**wall.floor.tick("floor"), "records_lost": 12_345})
        await page.locator("#lost").wait_for()
        assert await problems(page) == []
        assert await page.evaluate(LEFT_OUT) == []
        await page.goto(f"{wall.address}/wall/month?lang={language}")
        await page.wait_for_selector("#board section")
        assert await problems(page) == []
        assert await page.evaluate(LEFT_OUT) == []


async def test_news_come_in_at_the_top_and_the_oldest_go(wall: FakeWall, open_page: OpenPage) -> None:
    async with open_page(f"{wall.address}/wall", reduced_motion="reduce") as page:
        await page.evaluate(SETTLED)
        rows = page.locator(".events li:visible")
        shown, widget = await rows.count(), feed(wall.floor)
        for number in range(3):
            news = {**widget["items"][0], "id": f"news-{number}", "rep_name": f"News {number}"}
            widget["items"] = [news, *widget["items"][:-1]]
            wall.send("change", {**wall.floor.tick("floor"), "widgets": [widget]})
            await rows.first.filter(has_text=f"News {number}").wait_for()
            assert await rows.count() == shown
            assert await problems(page) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_kpis_label_fits_the_narrowest_card(
    wall: FakeWall, open_page: OpenPage, language: str
) -> None:
    kpis, labels = list(BUILT_IN), texts(language)["kpi"]
    async with open_page(f"{wall.address}/wall?lang={language}") as page:
        for first in range(0, len(kpis), 12):
            cards = [
                {**kpi(number, each.name, {"unit": "count", "value": 9}), "title_key": f"kpi.{each.name}"}
                for number, each in enumerate(kpis[first : first + 12])
            ]
            wall.send("board", {**wall.floor.board("floor"), "board": f"page {first}", "widgets": cards})
            await page.locator(".kpi h2", has_text=labels[cards[0]["kpi"]]).first.wait_for()
            await page.evaluate(SETTLED)
            assert await page.evaluate(script("cut_labels.js")) == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 12])
async def test_boards_of_any_size_fill_the_screen(wall: FakeWall, open_page: OpenPage, count: int) -> None:
    cards = [
        {**each, "id": f"{each['id']}-{turn}"} for turn in range(3) for each in floor_widgets(wall.floor)[:5]
    ]
    panels = [
        ranking(wall.floor, 0),
        pipeline(wall.floor),
        funnel(),
        conversion(),
        *month_widgets(wall.floor)[5:6],
    ]
    async with open_page(f"{wall.address}/wall") as page:
        for widgets in (cards[:count], panels[:count], [*cards[:count], *panels[: count % 5 + 1]]):
            board = {
                **wall.floor.board("floor"),
                "board": f"{len(widgets)} {widgets[-1]['id']}",
                "widgets": widgets,
            }
            wall.send("board", board)
            await page.wait_for_function(
                "count => document.querySelectorAll('#board section').length === count", arg=len(widgets)
            )
            assert await problems(page) == []
            boxes = [await box.bounding_box() for box in await page.locator("#board section").all()]
            assert max(box["y"] + box["height"] for box in boxes if box) > 0.97 * SCREENS["1080p"][1]


@pytest.mark.parametrize("screen", ["1080p", "4K"])
async def test_the_smallest_text_can_be_read_at_five_metres(
    wall: FakeWall, open_page: OpenPage, screen: str
) -> None:
    async with open_page(f"{wall.address}/wall", screen) as page:
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        smallest = await page.evaluate(script("smallest.js"))
        assert smallest >= SMALLEST_SHARE_OF_HEIGHT * SCREENS[screen][1]


CONTRAST = script("contrast.js")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(wall: FakeWall, open_page: OpenPage, theme: str) -> None:
    """WCAG AA, of what is really drawn: alerts of each kind, stale numbers, a win and the help as well."""
    async with open_page(f"{wall.address}/wall/month?theme={theme}", reduced_motion="reduce") as page:
        alert = wall.floor.alerts()["alerts"][0]
        pairs = []
        for severity, shown in (("page", "critical"), ("ticket", "warning"), ("info", "info")):
            wall.send("alerts", {"alerts": [{**alert, "severity": severity}]})
            wall.send("change", {**wall.floor.tick("month"), "stale": severity == "info"})
            await page.locator(f".alert.{shown}").wait_for()
            pairs += await page.evaluate(CONTRAST)
        assert await page.locator("#state").get_attribute("data-state") == "stale"
        await page.keyboard.press("?")
        wall.send("win", wall.floor.win())
        await page.locator("#win").wait_for(state="visible")
        pairs += await page.evaluate(CONTRAST)
        least = {True: AA_LARGE_TEXT, False: AA_TEXT}
        assert sorted({(round(ratio, 2), what) for ratio, large, what in pairs if ratio < least[large]}) == []
        assert len(pairs) > 300
