"""House rules that no linter knows: where the clock is read, how long things are, which words stay out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.repository import modules, name_of, text_files

CODE = ("streams", "metrics", "oracle", "grafana", "tests", "bench")
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500

# A ratchet: what was longer when the rule came may stay so long, and no longer.
LONGER_FUNCTIONS: dict[str, int] = {}
LONGER_FILES: dict[str, int] = {}

_CLOCK_READS = {
    ("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"),
    ("date", "today"),
}  # fmt: skip


def _clock_reads(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = (
                owner.id
                if isinstance(owner, ast.Name)
                else owner.attr
                if isinstance(owner, ast.Attribute)
                else ""
            )
            if (name, node.attr) in _CLOCK_READS:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for alias in node.names if ("time", alias.name) in _CLOCK_READS)


def test_the_wall_clock_is_read_in_one_place() -> None:
    reads = [
        f"{name_of(path)}:{line}"
        for path, tree in modules("streams", "metrics", "oracle")
        for line in _clock_reads(tree)
    ]
    assert [read.split(":")[0] for read in reads] == ["streams/clock.py"], f"take a Clock instead: {reads}"


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_functions_fit_on_one_screen() -> None:
    lengths: dict[str, int] = {}
    for path, tree in modules(*CODE):
        for function in _functions(tree):
            assert function.end_lineno is not None
            name = f"{name_of(path)}::{function.name}"
            lengths[name] = max(lengths.get(name, 0), function.end_lineno - function.lineno + 1)
    over = {
        name: length
        for name, length in lengths.items()
        if length > LONGER_FUNCTIONS.get(name, FUNCTION_LINES_MAX)
    }
    assert over == {}
    assert [name for name in LONGER_FUNCTIONS if lengths.get(name, 0) <= FUNCTION_LINES_MAX] == [], (
        "shortened: take out"
    )


def test_files_stay_short() -> None:
    lengths = {name_of(path): text.count("\n") for path, text in text_files() if path.suffix == ".py"}
    over = {
        name: length for name, length in lengths.items() if length > LONGER_FILES.get(name, FILE_LINES_MAX)
    }
    assert over == {}
    assert [name for name in LONGER_FILES if lengths.get(name, 0) <= FILE_LINES_MAX] == [], (
        "shortened: take out"
    )


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path, tree in modules("streams", "metrics", "oracle", "grafana", "bench")
        if not ast.get_docstring(tree)
    ]
    assert silent == []


def test_no_note_to_self_stands_where_an_issue_should() -> None:
    note = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [
        f"{name_of(path)}: {match.group()}" for path, text in text_files() for match in note.finditer(text)
    ]
    assert found == []


# Spelt backwards, so that this file does not hold them.
_OUTSIDE = tuple(
    word[::-1]
    for word in (
        *("gro.ipyp", "gro.detsohnohtyp", "oi.setarc", "gro.sjmpn.yrtsiger", "gro.gnalog.yxorp"),
        *("gro.nevam.oper", "gro.nevam.1oper", "moc.ehcapa.nevam.oper", "gro.naibed.bed"),
        *("/niam/krow/", "yrarbil./krow/", "dm.ngised/derahs", "dm.sipk/derahs", "dm.ytilibailer/derahs"),
    )
)


def test_no_registry_host_and_no_place_of_work_is_named() -> None:
    found = [f"{name_of(path)}: {word}" for path, text in text_files() for word in _OUTSIDE if word in text]
    assert found == []


def test_no_file_is_dead_weight() -> None:
    sizes = {name_of(path): path.stat().st_size for path, _ in text_files()}
    assert {name: size for name, size in sizes.items() if size > 300_000} == {}


def test_scripts_of_ci_stop_at_the_first_error() -> None:
    for path, text in text_files():
        if path.parent == Path(path.parents[1], ".ci") and text.startswith("#!"):
            assert text.startswith("#!/usr/bin/env bash\n"), name_of(path)
            assert "\nset -euo pipefail\n" in text, name_of(path)
            assert path.stat().st_mode & 0o111, f"{name_of(path)} is not executable"
