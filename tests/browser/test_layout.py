"""What a wall looks like, measured: nothing overlaps, leaves the screen or is cut off, and all of it can be read."""

from typing import Any

import pytest

from metrics.catalogue import BUILT_IN
from tests.browser.conftest import SCREENS, OpenPage
from tests.browser.fake_floor import conversion, floor_widgets, funnel, kpi, month_widgets, pipeline, ranking
from tests.browser.fake_wall import FakeWall
from tests.browser.test_page import LANGUAGES

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALLEST_SHARE_OF_HEIGHT = 0.02
AA_TEXT, AA_LARGE_TEXT = 4.5, 3.0

# What is meant to be cut: names of people and stages end in …, words without room leave as a whole.
MEASURE = """() => {
  const problems = [], seen = node => node.offsetParent !== null && !node.closest('.unseen, [hidden], .trend');
  const name = node => `${node.tagName}.${node.className} "${node.textContent.slice(0, 40)}"`;
  const inside = (inner, outer) => inner.left >= outer.left - 1.5 && inner.right <= outer.right + 1.5
    && inner.top >= outer.top - 1.5 && inner.bottom <= outer.bottom + 1.5;
  const screen = { left: 0, top: 0, right: document.documentElement.clientWidth, bottom: document.documentElement.scrollHeight };
  const boxes = [...document.querySelectorAll('.kpi, .panel, #alerts .alert, header > *')].filter(seen);
  boxes.forEach((one, place) => {
    const a = one.getBoundingClientRect();
    if (!inside(a, screen)) problems.push(`${name(one)} leaves the screen`);
    for (const other of boxes.slice(place + 1)) {
      const b = other.getBoundingClientRect();
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        problems.push(`${name(one)} lies on ${name(other)}`);
    }
  });
  for (const node of document.querySelectorAll('h1, h2, p, bdi, span, td, th, a, button, time')) {
    if (!seen(node) || !node.textContent.trim() || node.children.length > 0) continue;
    const line = node.closest('.delta, .target p');
    if (line && !inside(node.getBoundingClientRect(), line.getBoundingClientRect())) continue;
    const box = node.getBoundingClientRect(), frame = node.closest('.kpi, .panel, .alert, header');
    if (frame && !inside(box, frame.getBoundingClientRect())) problems.push(`${name(node)} leaves its frame`);
    for (let cut = node; cut && cut !== frame; cut = cut.parentElement) {
      const style = getComputedStyle(cut);
      if (style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis' && cut.scrollWidth > cut.clientWidth + 1)
        problems.push(`${name(cut)} is cut off`);
    }
  }
  for (const list of document.querySelectorAll('.fitted')) {
    if (list.scrollHeight > list.clientHeight + 2) problems.push(`${name(list)} has half a row`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) problems.push('the page scrolls sideways');
  return problems;
}"""

LEFT_OUT = """() => [...document.querySelectorAll('.delta, .target p')]
  .filter(line => line.offsetParent && line.scrollHeight > line.clientHeight * 1.5).map(line => line.textContent)"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"


async def problems(page: Any) -> list[str]:
    await page.evaluate(SETTLED)
    found: list[str] = await page.evaluate(MEASURE)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("screen", SCREENS)
async def test_nothing_overlaps_or_is_cut_off(wall: FakeWall, open_page: OpenPage, language: str, screen: str) -> None:
    async with open_page(f"{wall.address}/wall?lang={language}", screen) as page:
        assert await problems(page) == []
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        assert await problems(page) == []
        assert await page.evaluate(LEFT_OUT) == []
        await page.goto(f"{wall.address}/wall/month?lang={language}")
        await page.wait_for_selector("#board section")
        assert await problems(page) == []
        assert await page.evaluate(LEFT_OUT) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_kpis_label_fits_the_narrowest_card(wall: FakeWall, open_page: OpenPage, language: str) -> None:
    kpis = list(BUILT_IN)
    async with open_page(f"{wall.address}/wall?lang={language}") as page:
        for first in range(0, len(kpis), 12):
            cards = [
                {**kpi(number, each.name, {"unit": "count", "value": 9}), "title_key": f"kpi.{each.name}"}
                for number, each in enumerate(kpis[first : first + 12])
            ]
            wall.send("board", {**wall.floor.board("floor"), "board": f"page {first}", "widgets": cards})
            await page.wait_for_function(
                "label => document.querySelector('.kpi h2').textContent === label",
                arg=await page.evaluate(
                    "async name => (await (await fetch(`/wall/assets/fake-1/text/${document.documentElement.lang}.json`))"
                    ".json()).kpi[name]", cards[0]["kpi"],
                ),
            )  # fmt: skip
            await page.evaluate(SETTLED)
            cut = await page.evaluate(
                "() => [...document.querySelectorAll('.kpi h2')].filter(title => title.scrollHeight > title.clientHeight + 2)"
                ".map(title => title.textContent)"
            )
            assert cut == []


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 12])
async def test_boards_of_any_size_fill_the_screen(wall: FakeWall, open_page: OpenPage, count: int) -> None:
    cards = [{**each, "id": f"{each['id']}-{turn}"} for turn in range(3) for each in floor_widgets(wall.floor)[:5]]
    panels = [ranking(wall.floor, 0), pipeline(wall.floor), funnel(), conversion(), *month_widgets(wall.floor)[5:6]]
    async with open_page(f"{wall.address}/wall") as page:
        for widgets in (cards[:count], panels[:count], [*cards[:count], *panels[: count % 5 + 1]]):
            board = {**wall.floor.board("floor"), "board": f"{len(widgets)} {widgets[-1]['id']}", "widgets": widgets}
            wall.send("board", board)
            await page.wait_for_function(
                "count => document.querySelectorAll('#board section').length === count", arg=len(widgets)
            )
            assert await problems(page) == []
            bottom = await page.evaluate(
                "() => Math.max(...[...document.querySelectorAll('#board section')].map(box => box.getBoundingClientRect().bottom))"
            )
            assert bottom > 0.97 * SCREENS["1080p"][1]


@pytest.mark.parametrize("screen", ["1080p", "4K"])
async def test_the_smallest_text_can_be_read_at_five_metres(wall: FakeWall, open_page: OpenPage, screen: str) -> None:
    async with open_page(f"{wall.address}/wall", screen) as page:
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
        smallest = await page.evaluate(
            """() => Math.min(...[...document.querySelectorAll('body *')]
                .filter(node => node.offsetParent && !node.closest('.unseen, #boards, button')
                    && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
                .map(node => parseFloat(getComputedStyle(node).fontSize)))"""
        )
        assert smallest >= SMALLEST_SHARE_OF_HEIGHT * SCREENS[screen][1]


CONTRAST = """() => {
  const channels = color => (color.match(/[\\d.]+/g) || []).map(Number);
  const bright = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const color = channels(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    if (!node.offsetParent && !node.closest('#win, dialog') || node.closest('.unseen, [hidden]')) continue;
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    const [a, b] = [bright(channels(style.color)), bright(ground(node))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), large, `${node.className || node.id} ${style.color} on ${ground(node)}`]);
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(wall: FakeWall, open_page: OpenPage, theme: str) -> None:
    """WCAG AA, of what is really drawn: alerts of each kind, stale numbers, a win and the help as well."""
    async with open_page(f"{wall.address}/wall/month?theme={theme}", reduced_motion="reduce") as page:
        alert = wall.floor.alerts()["alerts"][0]
        pairs = []
        for severity in ("page", "ticket", "info"):
            wall.send("alerts", {"alerts": [{**alert, "severity": severity}]})
            wall.send("change", {**wall.floor.tick("month"), "stale": severity == "info"})
            await page.locator(f".alert.{ {'page': 'critical', 'ticket': 'warning', 'info': 'info'}[severity]}").wait_for()
            pairs += await page.evaluate(CONTRAST)
        assert await page.locator("#state").get_attribute("data-state") == "stale"
        await page.keyboard.press("?")
        wall.send("win", wall.floor.win())
        await page.locator("#win").wait_for(state="visible")
        pairs += await page.evaluate(CONTRAST)
        weak = sorted({(round(ratio, 2), what) for ratio, large, what in pairs if ratio < (AA_LARGE_TEXT if large else AA_TEXT)})
        assert weak == []
        assert len(pairs) > 300
