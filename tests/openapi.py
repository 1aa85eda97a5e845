"""docs/openapi.yaml in; its operations, and a judgement of an answer by it, out."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from streams.event_schemas import EVENT, event_schemas
from tests.tidy.repository import ROOT

Schema = dict[str, Any]

PATH: Final = ROOT / "docs" / "openapi.yaml"
DOCUMENT: Schema = yaml.safe_load(PATH.read_text(encoding="utf-8"))
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_REGISTRY: Registry[Any] = Registry().with_resources(
    [
        ("openapi", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)),
        *((name, Resource.from_contents(schema)) for name, schema in event_schemas().items()),
    ]
)


class Answer(NamedTuple):
    """What a door said."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes


def operations() -> Iterator[tuple[str, str, Schema]]:
    """Yield (method, path, operation) of all there are."""
    for path, item in DOCUMENT["paths"].items():
        yield from ((method, path, item[method]) for method in item.keys() & _METHODS)


def schema_of(name: str) -> Schema:
    schema: Schema = DOCUMENT["components"]["schemas"][name]
    return schema


def judge(method: str, path: str, answer: Answer) -> None:
    """Fail unless the document knows the answer: its status, its type of content, and what it holds."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status) in responses, f"{method} {path} does not tell of {answer.status}: {answer}"
    said = _resolved(responses[str(answer.status)])
    required = {name for name, header in said.get("headers", {}).items() if header.get("required")}
    assert required <= set(answer.headers)
    assert answer.content_type in said["content"], f"{method} {path} {answer.status}: {answer}"
    if answer.content_type == "application/json":
        _validator(f"openapi#{_pointer(path, method, answer.status)}").validate(json.loads(answer.body))


def judge_event(event: object) -> None:
    """Fail unless the event is valid by the schema that we ship."""
    _validator(EVENT).validate(event)


def _resolved(node: Schema) -> Schema:
    return DOCUMENT["components"]["responses"][node["$ref"].split("/")[-1]] if "$ref" in node else node


def _pointer(path: str, method: str, status: int) -> str:
    node = DOCUMENT["paths"][path][method]["responses"][str(status)]
    own = path.replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    at = node["$ref"][1:] if "$ref" in node else f"/paths/{own}/{method}/responses/{status}"
    return f"{at}/content/application~1json/schema"


@cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference}, registry=_REGISTRY)
