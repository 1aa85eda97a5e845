"""docs/openapi.yaml says what the doors do: every route of both roles is in it, and nothing else."""

from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from metrics.wall.boards import LANGUAGES
from metrics.web.query import PARAMETERS
from streams.events import Reason
from streams.gateway.ledger import Fate, Incomplete, Line
from streams.gateway.model import Taken
from tests.doors import gateway
from tests.openapi import DOCUMENT, PATH, operations, schema_of
from tests.unit.wall.screens import Floor

Schema = dict[str, Any]


def _routes(app: Any) -> set[tuple[str, str]]:
    """Return (method, path) of each door; HEAD comes with every GET."""
    found = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD"
    }
    return {(method, "/hooks/{source}" if "/hooks/" in path else path) for method, path in found}


def _documented(tag: str) -> set[tuple[str, str]]:
    return {(method, path) for method, path, said in operations() if tag in said["tags"]}


def test_the_document_is_openapi_3_1() -> None:
    validate(DOCUMENT, base_uri=PATH.as_uri(), cls=OpenAPIV31SpecValidator)


def test_doors_of_the_gateway_are_those_of_the_document() -> None:
    assert _routes(gateway()) == _documented("gateway")


async def test_doors_of_the_metrics_role_are_those_of_the_document() -> None:
    async with Floor().opened(explain=object()) as client:
        assert client.app is not None
        assert _routes(client.app) == _documented("metrics")


def test_every_operation_names_itself_once_and_says_who_gets_in() -> None:
    names = [said["operationId"] for _, _, said in operations()]
    assert len(names) == len(set(names))
    assert all(said["security"] and said["summary"] for _, _, said in operations())


@pytest.mark.parametrize(("name", "type_"), [("taken", Taken), ("line", Line), ("incomplete", Incomplete)])
def test_answers_hold_what_their_types_hold(name: str, type_: type) -> None:
    decoded = msgspec.json.schema(type_)["$defs"][type_.__name__]["properties"]
    said = schema_of(name)["properties"]
    assert said.keys() == decoded.keys()


def test_closed_sets_are_those_of_the_code() -> None:
    assert set(schema_of("reason")["enum"]) == {reason.value for reason in Reason}
    assert set(schema_of("line")["properties"]["fate"]["enum"]) == {fate.value for fate in Fate}
    parameters = DOCUMENT["components"]["parameters"]
    assert set(parameters["lang"]["schema"]["enum"]) == set(LANGUAGES)
    asked = DOCUMENT["paths"]["/api/snapshot"]["get"]["parameters"]
    names = [
        each["name"] if "name" in each else parameters[each["$ref"].split("/")[-1]]["name"] for each in asked
    ]
    assert names == list(PARAMETERS)
