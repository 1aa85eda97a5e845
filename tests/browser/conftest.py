"""One Chromium for all browser tests, and pages that fail a test for what their console complains of."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from tests.browser.fake_wall import FakeWall, fake_wall

playwright_api = pytest.importorskip("playwright.async_api", reason="no playwright: pip install '.[test]'")

BINARY = "SALESFLOOR_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENS = {"1080p": (1920, 1080), "4K": (3840, 2160), "phone": (390, 844), "upright": (1080, 1920)}
# A sandbox needs rights that a container rarely has; the pages are our own.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
WAIT_MS = 30_000
FONTS = ("Inter", "Noto Sans Arabic UI", "WenQuanYi Micro Hei")


def chromium() -> str:
    found = os.environ.get(BINARY) or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium: apt-get install chromium on Debian, or set {BINARY} to its binary")
    return found


@pytest.fixture(scope="session")
def fonts() -> None:
    """Skip where text is drawn with other fonts: what fits is measured with those that CI has."""
    lister = shutil.which("fc-list")
    found = (
        subprocess.run([lister, ":", "family"], capture_output=True, text=True, check=False)
        if lister
        else None
    )
    missing = [name for name in FONTS if found is None or name not in found.stdout]
    if missing:
        pytest.skip(f"no fonts {missing}: apt-get install fonts-inter fonts-noto-ui-core fonts-wqy-microhei")


def script(name: str) -> str:
    """Return a function of JavaScript that a page shall evaluate."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@asynccontextmanager
async def launched() -> AsyncIterator[Any]:
    async with playwright_api.async_playwright() as engine:
        browser = await engine.chromium.launch(executable_path=chromium(), args=[*OPTIONS])
        try:
            yield browser
        finally:
            await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    async with launched() as browser:
        yield browser


class OpenPage(Protocol):
    def __call__(
        self, address: str, screen: str = ..., *, before: str = ..., **context: Any
    ) -> AbstractAsyncContextManager[Any]: ...


@pytest.fixture
def open_page(browser: Any) -> OpenPage:
    """Open an address in a context of its own; a complaint of the console fails the test at the end.

    A lost connection is no complaint: Chromium writes those of every network error.
    """

    @asynccontextmanager
    async def opened(
        address: str, screen: str = "1080p", *, before: str = "", **context: Any
    ) -> AsyncIterator[Any]:
        width, height = SCREENS[screen]
        own = await browser.new_context(viewport={"width": width, "height": height}, **context)
        own.set_default_timeout(WAIT_MS)
        try:
            page = await own.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: _note(said, complaints))
            if before:
                await page.add_init_script(before)
            await page.goto(address)
            await page.wait_for_selector("#board section")
            yield page
            assert complaints == []
        finally:
            await own.close()

    return opened


def _note(said: Any, complaints: list[str]) -> None:
    if said.type in ("error", "warning") and "net::ERR_" not in said.text:
        complaints.append(said.text)


@pytest_asyncio.fixture(loop_scope="session")
async def wall() -> AsyncIterator[FakeWall]:
    async with fake_wall() as wall:
        yield wall
