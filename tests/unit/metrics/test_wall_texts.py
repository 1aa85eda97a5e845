"""The wall's words: complete in every language, the same places for values, none unused; and its weight."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from metrics.catalogue import BUILT_IN
from metrics.wall.boards import LANGUAGES, RIGHT_TO_LEFT
from metrics.wall.feed import MEASURE_OF
from metrics.windows import WINDOW_NAMES

ROOT = Path(__file__).parent.parent.parent.parent
WALL = ROOT / "metrics" / "wall"
COMPRESSED_BYTES_MAX = 40_000

Texts = dict[str, dict[str, str | dict[str, str]]]


def texts(language: str) -> Texts:
    found: Texts = json.loads((WALL / "text" / f"{language}.json").read_text(encoding="utf-8"))
    return found


def forms(text: str | dict[str, str]) -> Iterator[str]:
    yield from (text,) if isinstance(text, str) else text.values()


def places(text: str | dict[str, str]) -> set[str]:
    return {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}


ENGLISH = texts("en")
SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in (WALL / "static").glob("*.js"))


def test_there_is_a_catalogue_for_each_language_and_no_other() -> None:
    assert {path.stem for path in (WALL / "text").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_says_everything_with_the_same_places_for_values(language: str) -> None:
    own = texts(language)
    assert {section: set(words) for section, words in own.items()} == {
        section: set(words) for section, words in ENGLISH.items()
    }
    for section, words in own.items():
        for key, text in words.items():
            assert all(form.strip() for form in forms(text)), f"{section}.{key} is empty"
            assert places(text) == places(ENGLISH[section][key]), f"{section}.{key}"
            if isinstance(text, dict):
                assert "other" in text, f"{section}.{key} has no form for any number"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_knows_its_direction(language: str) -> None:
    assert texts(language)["language"]["dir"] == ("rtl" if language in RIGHT_TO_LEFT else "ltr")


def test_every_built_in_kpi_and_window_and_event_of_the_feed_has_a_label() -> None:
    assert set(ENGLISH["kpi"]) == {kpi.name for kpi in BUILT_IN}
    assert set(ENGLISH["window"]) == set(WINDOW_NAMES)
    assert set(ENGLISH["feed"]) == set(MEASURE_OF)


def test_every_alert_of_the_shipped_rules_has_a_name() -> None:
    rules = [
        rule
        for path in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert alerts
    assert alerts - set(ENGLISH["alert"]) == set()


def test_every_word_of_the_page_is_used_and_every_used_one_is_there() -> None:
    used = set(re.findall(r'\bui\(\s*"(\w+)"', SCRIPTS))
    used |= set(re.findall(r'"(key_\w+)"', SCRIPTS))
    used |= set(
        re.findall(
            r"\b(?:starts_in|ends_in|places_up|places_down|contest_\w+|win_said\w*|rank\w*)\b", SCRIPTS
        )
    )
    used |= {"name", "value", "share_of_target"}  # columns of a ranking
    used |= {"connecting", "live", "stale", "catching_up"}  # states
    used |= {f"{kind}_{each}" for kind, each in (("pace", "ahead"), ("pace", "behind"), ("pace", "on"))}
    used |= {f"severity_{each}" for each in ("critical", "warning", "info")}
    used |= {f"theme_{each}" for each in ("auto", "light", "dark")}
    used |= {"pause", "resume", "paused", "resumed"}
    there = set(ENGLISH["ui"])
    assert there - used == set(), "never shown"
    words = set(re.findall(r'\bui\(\s*"(\w+)"', SCRIPTS))
    assert words - there == set(), "shown, but in no catalogue"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_light(language: str) -> None:
    """Everything one screen loads: the page, its style, its scripts and one language, as gzip sends them."""
    parts = [*(WALL / "static").iterdir(), WALL / "text" / f"{language}.json"]
    assert sum(len(gzip.compress(part.read_bytes())) for part in parts) < COMPRESSED_BYTES_MAX


def test_the_page_asks_nobody_else_for_anything() -> None:
    for path in (WALL / "static").iterdir():
        addresses = re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name
