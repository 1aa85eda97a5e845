"""The wall's page, its assets and pictures over real HTTP, and what a token opens."""

import json
from dataclasses import replace
from pathlib import Path

from metrics.web.access import Scope, grant_of
from metrics.web.wall import Assets
from tests.unit.wall.screens import RULES, Floor, watched

TOKEN = "0123456789abcdef-wall"


async def test_the_page_is_filled_in_and_may_run_its_own_files_only() -> None:
    floor = Floor(
        replace(RULES, pictures={"R": "https://pictures.example/r.jpg", "S": "/wall/assets/pictures/x"})
    )
    async with floor.opened() as client:
        for path in ("/wall", "/wall/south", "/wall?lang=xx"):
            async with client.get(path) as response:
                assert await response.text() == "<p>Main &amp; floor 1-abc en ltr</p>"
                policy = response.headers["Content-Security-Policy"]
        async with client.get("/wall?lang=fa") as response:
            assert await response.text() == "<p>Main &amp; floor 1-abc fa rtl</p>"
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';" in policy
    assert "img-src data: https://pictures.example 'self';" in policy


async def test_no_page_of_others_shows_the_wall_in_a_frame_but_those_that_are_named() -> None:
    found = []
    for origins in ((), ("https://signage.example", "https://tv.example:8443")):
        async with (
            Floor(replace(RULES, embed_in=origins)).opened() as client,
            client.get("/wall") as response,
            client.get("/api/kpis") as data,
        ):
            policy = response.headers["Content-Security-Policy"].partition("frame-ancestors ")[2]
            found.append((policy, response.headers.get("X-Frame-Options")))
            assert data.headers["X-Frame-Options"] == "DENY"
    assert found == [("'none'", "DENY"), ("https://signage.example https://tv.example:8443", None)]


async def test_assets_are_kept_for_ever_under_the_name_of_their_release() -> None:
    assets = Assets("7-x", "", {"wall.js": b"let a = 1;", "text/en.json": b"{}"})
    async with Floor(assets=assets).opened() as client:
        async with client.get("/wall/assets/7-x/wall.js") as response:
            assert (response.status, response.content_type) == (200, "text/javascript")
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert await response.read() == b"let a = 1;"
        async with client.get("/wall/assets/7-x/text/en.json") as response:
            assert response.content_type == "application/json"
        for path in (
            "6-x/wall.js",
            "7-x/wall.css",
            "7-x/../../etc/passwd",
            "7-x/%2e%2e/secret",
            "pictures/no.png",
        ):
            async with client.get(f"/wall/assets/{path}") as response:
                assert response.status == 404


async def test_pictures_are_served_by_the_names_of_the_rules_only(tmp_path: Path) -> None:
    (tmp_path / "bob.png").write_bytes(b"a picture")
    rules = replace(RULES, picture_files={"0a1b.png": tmp_path / "bob.png"})
    async with Floor(rules).opened() as client:
        async with client.get("/wall/assets/pictures/0a1b.png") as response:
            assert (await response.read(), response.content_type) == (b"a picture", "image/png")
        async with client.get("/wall/assets/pictures/bob.png") as response:
            assert response.status == 404


def test_the_release_names_every_byte_of_the_page() -> None:
    real = Assets.read()
    assert "wall.js" in real.files
    assert "text/en.json" in real.files
    assert real.release == Assets.read().release


async def test_a_screens_token_opens_its_page_and_its_stream() -> None:
    floor = Floor()
    async with floor.opened(grants=[grant_of("tv", TOKEN, Scope.WALL)]) as client:
        async with client.get("/wall/stream") as response:
            assert response.status == 401
        async with client.get(f"/wall?token={TOKEN}") as response:
            assert response.status == 200
        async with watched(floor, client, f"?board=south&token={TOKEN}") as page:
            hello, board, _ = [await page.next() for _ in range(3)]
            assert TOKEN not in json.dumps([hello, board])
            assert board[1]["board"] == "south"
