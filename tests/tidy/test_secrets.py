"""Secrets in the code: compared in constant time only, and never handed to what prints."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.repository import ROOT

_SECRET = re.compile(r"secret|token|signature|digest|hmac|password", re.IGNORECASE)
_HARMLESS = re.compile(r"_file|_env|_url|_header|_max|_min|signatures$|TOKEN_PARAMETER")
_CODE = [
    *(ROOT / "streams" / "gateway").rglob("*.py"),
    *(ROOT / "metrics" / "web").rglob("*.py"),
    ROOT / "streams" / "live_access.py",
]


def _names(node: ast.AST) -> Iterator[str]:
    """Yield what an operand is called, such as `shown` or `secrets`; nothing of a call or a literal."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr


def compared_openly(code: str) -> list[str]:
    """Return the comparisons whose time tells how near a guess at a secret was."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Compare):
            continue
        if not all(isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops):
            continue
        operands = [node.left, *node.comparators]
        if any(isinstance(each, ast.Constant) for each in operands):
            continue  # whether there is one at all, or a fixed word
        called = [name for each in operands for name in _names(each)]
        if any(_SECRET.search(name) and not _HARMLESS.search(name) for name in called):
            found.append(ast.unparse(node))
    return found


def test_secrets_are_compared_in_constant_time() -> None:
    found = {path.name: compared_openly(path.read_text(encoding="utf-8")) for path in _CODE}
    assert {name: each for name, each in found.items() if each} == {}


def test_a_comparison_that_tells_by_its_time_is_noticed() -> None:
    for code in ("shown == secret", "token in source.secrets", "self._digest != other", "a == b.signature"):
        assert compared_openly(code) == [code]
    for code in ("same(shown, secrets)", "token == ''", "token is None", "'v3' in source.signatures"):
        assert compared_openly(code) == []
