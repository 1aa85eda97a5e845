"""Takes the pictures of the wall that the documentation shows, of a made-up floor:
python -m tests.browser.pictures
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.browser.conftest import SCREENS, launched
from tests.browser.fake_floor import PEOPLE, FakeFloor
from tests.browser.fake_wall import FakeWall, fake_wall

DOCS = Path(__file__).parent.parent.parent / "docs"
BYTES_MAX = 200_000
# Of a wide screen fewer pixels: sharp enough on a page, and light.
WIDE, TALL = 0.6, 1.5
PERSIAN = ("آرش رضایی", "مریم احمدی", "سارا کریمی", "رضا موسوی", "نگار حسینی", "امیر تهرانی", "لیلا صادقی",
           "حسین نوری", "پریسا جعفری", "کاوه شریفی")  # fmt: skip
PERSIAN_TEAMS = {"North": "شمال", "East": "شرق", "South": "جنوب"}
STAGES = {"Qualified": "ارزیابی", "Demo": "دمو", "Proposal": "پیشنهاد", "Negotiation": "مذاکره"}


class PersianFloor(FakeFloor):
    """The same floor where people, teams and stages have Persian names."""

    def board(self, name: str) -> dict[str, Any]:
        words = {person: PERSIAN[place] for place, (person, _) in enumerate(PEOPLE)} | PERSIAN_TEAMS | STAGES
        found: dict[str, Any] = _renamed(super().board(name), words)
        return found


def _renamed(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, words) for each in value]
    return words.get(value, value) if isinstance(value, str) else value


async def take(
    browser: Any,
    wall: FakeWall,
    name: str,
    address: str,
    screen: str = "1080p",
    *,
    alert: bool = False,
    win: bool = False,
) -> None:
    width, height = SCREENS[screen]
    scale = TALL if screen == "phone" else WIDE
    page = await browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=scale, reduced_motion="no-preference"
    )
    await page.goto(f"{wall.address}{address}")
    await page.wait_for_selector("#board section")
    if alert:
        wall.send("alerts", wall.floor.alerts())
        await page.locator("#alerts .alert").wait_for()
    if win:
        wall.send("win", wall.floor.win(rep_name="Grace Obi", team="North", amount_minor=2_450_000))
        await page.locator("#win").wait_for()
    await page.evaluate("() => new Promise(done => setTimeout(done, 900))")  # animations come to rest
    path = DOCS / f"{name}.png"
    await page.screenshot(path=path)
    await page.close()
    size = path.stat().st_size
    assert size <= BYTES_MAX, f"{path} has {size} bytes"
    print(f"{path} {size // 1000} kB")


async def take_all() -> None:
    async with launched() as browser:
        async with fake_wall() as wall:
            await take(browser, wall, "wall-1080p-dark", "/wall?theme=dark", alert=True)
            await take(browser, wall, "wall-1080p-light", "/wall/month?theme=light")
            await take(browser, wall, "wall-win", "/wall?theme=dark", win=True)
            await take(browser, wall, "wall-phone", "/wall?theme=light", "phone")
        persian = PersianFloor(
            name="فروش نوردویند",
            boards=[
                {"name": "floor", "title": "امروز", "seconds": 20},
                {"name": "month", "title": "این ماه", "seconds": 20},
            ],
        )
        async with fake_wall(persian) as wall:
            await take(browser, wall, "wall-fa", "/wall?theme=dark&lang=fa")


if __name__ == "__main__":
    asyncio.run(take_all())
