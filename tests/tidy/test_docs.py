"""What the documents point at is really there: files, headings, and the functions and tests they name."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tidy.repository import ROOT, files, name_of

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)

DOCUMENTS = [path for path in files() if path.suffix == ".md"]


class Link(NamedTuple):
    text: str
    target: str


def _links(document: Path) -> Iterator[Link]:
    text = _CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))
    for _, label, target in _LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            yield Link(label, target)


@cache
def _anchors(document: Path) -> frozenset[str]:
    text = _CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    )


@cache
def _definitions(module: Path) -> frozenset[str]:
    """Return every name a module defines: functions, classes with their methods, and assignments."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return frozenset(names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in _links(document):
        path, _, anchor = link.target.partition("#")
        target = (document.parent / path).resolve() if path else document
        found = target.exists() and target.is_relative_to(ROOT)
        if not found or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link.target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_names_of_functions_and_tests_are_those_of_the_linked_file(document: Path) -> None:
    wrong = []
    for link in _links(document):
        name = re.fullmatch(r"`([A-Za-z_][\w.]*)(?:\(\))?`", link.text)
        target = (document.parent / link.target.partition("#")[0]).resolve()
        if name is None or target.suffix != ".py" or not target.is_file() or name[1].endswith(".py"):
            continue
        wrong += [
            f"{part} in {link.target}" for part in name[1].split(".") if part not in _definitions(target)
        ]
    assert wrong == []


def test_every_document_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link.target.partition("#")[0]).resolve() for link in _links(index)}
    documents = {path for path in files() if path.parent == index.parent and path.suffix in (".md", ".yaml")}
    missing = [name_of(path) for path in documents - listed - {index}]
    assert missing == []


def test_the_readme_reaches_the_agents_in_one_click_and_the_gauge_in_the_walk() -> None:
    readme = {link.target for link in _links(ROOT / "README.md")}
    assert {"streams/agents.py", "docs/follow-one-deal.md"} <= readme
    walk = {link.target.partition("#")[0] for link in _links(ROOT / "docs" / "follow-one-deal.md")}
    assert {"../streams/decode.py", "../streams/table.py", "../metrics/gauges.py"} <= walk


def test_commands_in_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)\b", (ROOT / "README.md").read_text(encoding="utf-8"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
