"""A wall's address in, what its page does in a real Chromium out. Starts no floor and sends no event."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from tests.browser.fake_wall import FakeWall, fake_wall

SCRIPTS = Path(__file__).parent.parent / "tests" / "browser"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WEEK_TICKS = 7 * 86_400
UPDATES_PER_SECOND = 10
LONG_TASK_MS = 50

# Notes [when, number] whenever the named card's number grew in the page.
WATCH = """
(place) => {
  window.seen = [];
  let last = -1;
  const look = () => {
    const card = document.querySelectorAll('#board section.kpi')[place];
    const shown = card ? Number(card.querySelector('.value').textContent.replace(/[^0-9]/g, '')) : 0;
    if (shown > last) { last = shown; window.seen.push([Date.now(), shown]); }
  };
  new MutationObserver(look).observe(document.getElementById('board'),
    { subtree: true, childList: true, characterData: true });
  look();
}
"""
# Notes the length of every frame and of every task that held up the page.
FRAMES = """
() => {
  window.frames_ms = [];
  window.long_ms = [];
  let before = performance.now();
  const frame = now => { window.frames_ms.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
  new PerformanceObserver(list => {
    for (const task of list.getEntries()) window.long_ms.push(task.duration);
  }).observe({ type: 'longtask' });
}
"""
WEIGHT = """
() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .filter(each => each.encodedBodySize > 0)
  .map(each => [each.name, each.encodedBodySize, each.decodedBodySize])
"""


def chromium() -> str | None:
    """Return the path of this machine's Chromium, None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    async with async_playwright() as engine:
        running = await engine.chromium.launch(executable_path=chromium(), args=OPTIONS)
        try:
            yield running
        finally:
            await running.close()


@asynccontextmanager
async def opened(running: Any, address: str, before: str = "") -> AsyncIterator[Any]:
    """Open an address on a screen of 1080p and give the page once it shows a board."""
    context = await running.new_context(viewport={"width": 1920, "height": 1080})
    try:
        page = await context.new_page()
        if before:
            await page.add_init_script(before)
        await page.goto(address)
        await page.wait_for_selector("#board section", timeout=60_000)
        yield page
    finally:
        await context.close()


async def weight(page: Any) -> dict[str, int]:
    """Return bytes of the page and all it loads: as they cross the network, and unpacked."""
    loaded = await page.evaluate(WEIGHT)
    return {
        "files": len(loaded),
        "compressed_bytes": sum(packed for _, packed, _ in loaded),
        "unpacked_bytes": sum(whole for _, _, whole in loaded),
    }


async def memory(page: Any) -> dict[str, int]:
    """Return the page's heap in bytes and its nodes and listeners, after collecting what nobody holds."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    for _ in range(2):
        await session.send("HeapProfiler.collectGarbage")
    found = {
        each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]
    }
    await session.detach()
    return {
        "heap_bytes": int(found["JSHeapUsedSize"]),
        "dom_nodes": int(found["Nodes"]),
        "listeners": int(found["JSEventListeners"]),
    }


async def week(running: Any, ticks: int) -> dict[str, Any]:
    """Let a page hear so many ticks as fast as it can; return its memory early and at the end."""
    live = (SCRIPTS / "long_life.js").read_text(encoding="utf-8")
    lines = (SCRIPTS / "lines.js").read_text(encoding="utf-8")
    async with fake_wall() as wall:
        floor = wall.floor
        greeting = [["hello", json.dumps(wall.hello())], ["board", json.dumps(floor.board("floor"))]]
        told = {
            "messages": [json.dumps(floor.tick("floor")) for _ in range(50)],
            "wins": [json.dumps(floor.win()) for _ in range(8)],
            "alerts": [json.dumps(floor.alerts()), json.dumps({"alerts": []})],
        }
        before = f"{lines}\nwindow.greeting = {json.dumps(greeting)};"
        async with opened(running, f"{wall.address}/wall", before) as page:
            page.set_default_timeout(0)
            await page.evaluate(live, {**told, "ticks": ticks // 10})
            start = await memory(page)
            await page.evaluate(live, {**told, "ticks": ticks})
            return {"ticks": ticks, "before": start, "after": await memory(page)}


async def busy(running: Any, seconds: float) -> dict[str, Any]:
    """Send a page ten updates a second, every fifth of all widgets; return its frames and long tasks."""
    async with fake_wall() as wall, opened(running, f"{wall.address}/wall/floor") as page:
        await asyncio.sleep(1.0)  # the start's own work is not what is measured
        await page.evaluate(FRAMES)
        await _send(wall, seconds)
        frames, long = await page.evaluate("() => [window.frames_ms, window.long_ms]")
    frames = sorted(frames)
    return {
        "updates_per_second": UPDATES_PER_SECOND,
        "seconds": seconds,
        "frames_per_second": round(len(frames) / seconds, 1),
        "frame_p50_ms": round(frames[len(frames) // 2], 1),
        "frame_p99_ms": round(frames[len(frames) * 99 // 100], 1),
        "long_tasks": len([each for each in long if each > LONG_TASK_MS]),
        "longest_task_ms": round(max(long, default=0.0), 1),
    }


async def _send(wall: FakeWall, seconds: float) -> None:
    began = asyncio.get_running_loop().time()
    for number in range(int(seconds * UPDATES_PER_SECOND)):
        wall.send("change", wall.floor.tick("floor"))
        due = began + (number + 1) / UPDATES_PER_SECOND
        await asyncio.sleep(due - asyncio.get_running_loop().time())
