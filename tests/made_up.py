"""A JSON Schema in, hypothesis strategies of what it allows, and of the same with parts spoiled, out."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
Values = st.SearchStrategy[Any]

ODD_VALUES: Values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "-1", "1e999", "9" * 400, "2025-13-01", "\x00", "\ud800", "0-3", "REDACTED"])
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    | st.integers(10**15, 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False).map(float)
)
_WORDS = st.sampled_from(["EUR", "USD", "D-1", "R-9", "mtd", "ü" * 40, "2026-11"])


def allowed(schema: Schema, root: Schema, time: Values) -> Values:
    """Return what the schema allows; `$ref` is looked up in `root`. Times come from `time`."""
    if "$ref" in schema:
        node: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        return allowed(node, root, time)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return st.one_of([allowed(each, root, time) for each in schema[several]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_of_kind(kind, schema, root, time) for kind in kinds])


def _of_kind(kind: str, schema: Schema, root: Schema, time: Values) -> Values:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))
        case "number":
            low, high = schema.get("minimum"), schema.get("maximum")
            return st.floats(low, high, allow_nan=False, allow_infinity=False) | st.integers(0, 1)
        case "array":
            return st.lists(allowed(schema["items"], root, time), max_size=min(3, schema.get("maxItems", 3)))
        case "object":
            return _object(schema, root, time)
        case _:
            return _text(schema, time)


def _text(schema: Schema, time: Values) -> Values:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    match schema.get("format"):
        case "date-time":
            return time
        case "date":
            return st.dates().map(str)
        case "decimal":
            return st.decimals(0, 10**12, places=2).map(str)
        case _:
            least = schema.get("minLength", 0)
            return _WORDS | st.text(min_size=least, max_size=min(12, schema.get("maxLength", 12)))


def _object(schema: Schema, root: Schema, time: Values) -> Values:
    fields = {name: allowed(each, root, time) for name, each in schema.get("properties", {}).items()}
    if not fields and isinstance(schema.get("additionalProperties"), dict):
        return st.dictionaries(
            st.text(max_size=6), allowed(schema["additionalProperties"], root, time), max_size=3
        )
    needed = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: each for name, each in fields.items() if name in needed},
        optional={name: each for name, each in fields.items() if name not in needed},
    )


@st.composite
def spoiled(draw: st.DrawFn, values: Values) -> Any:
    """Draw one of the values with one to three of its parts replaced or left out."""
    changed = copy.deepcopy(draw(values))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(_places(changed)))
        if not at:
            return draw(ODD_VALUES)
        *way, last = at
        node = changed
        for key in way:
            node = node[key]
        if isinstance(node, dict) and draw(st.booleans()):
            del node[last]
        else:
            node[last] = draw(ODD_VALUES)
    return changed


def _places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in inner for place in _places(value, (*at, key)))]


@st.composite
def bodies(draw: st.DrawFn, values: Values) -> bytes:
    """Draw a request's body: a value as it is, spoiled, cut off, or no JSON at all."""
    whole = json.dumps(draw(st.one_of(values, spoiled(values)))).encode()
    return draw(
        st.sampled_from(
            [whole] * 8 + [whole[: len(whole) // 2], b"", b"\xff\xfe", b"[" * 2000, b'{"a":1e9999}']
        )
    )
