"""Whatever is asked of the API and the wall, the answer is one that docs/openapi.yaml tells of."""

from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metrics.kpi_snapshot import JsonValue
from metrics.web.access import Scope, grant_of
from metrics.web.app import create_app
from metrics.web.explain import ExplainAsk
from metrics.web.query import BadAsk
from tests.doors import Caller, calling
from tests.openapi import DOCUMENT, Answer, judge, operations
from tests.strength import amount
from tests.unit.wall.screens import Floor

TOKENS = {"all": "all-0123456789+/==", "metrics": "metrics-0123456789+/=="}
ENDLESS = "/wall/stream"
PLAIN = [
    path
    for method, path, said in operations()
    if method == "get" and "metrics" in said["tags"] and "{" not in path and path != ENDLESS
]
PROBES = {path for method, path, said in operations() if said["security"] == [{}]}


class Explainer:
    """Tells of no records, or that there is no such number."""

    async def explain(self, ask: ExplainAsk) -> dict[str, JsonValue]:
        if ask.key == "nobody":
            raise BadAsk("there is no rep 'nobody' at that instant; name one of /api/snapshot")
        return {
            "kpi": ask.kpi, "level": ask.level, "key": {}, "as_of": "2026-11-20T12:00:00Z", "value": 0,
            "parts": [], "records_total": 0, "page": ask.page, "pages": 0, "records": [],
        }  # fmt: skip


def _served(floor: Floor, *, ticked: bool, guarded: bool) -> Iterator[Caller]:
    grants = [grant_of(name, token, Scope(name)) for name, token in TOKENS.items()] if guarded else []
    app = create_app(floor.service, wall=floor.wall, explain=Explainer(), grants=grants)
    with calling(app) as caller:
        if ticked:
            caller.runner.run(floor.tick())
        yield caller


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    yield from _served(Floor(), ticked=True, guarded=False)


def ask(
    caller: Caller, path: str, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
) -> Answer:
    answer = caller.ask("GET", path, query=query, headers=headers)
    judge("get", path, answer)
    return answer


@pytest.mark.parametrize("path", PLAIN)
def test_every_door_answers_as_documented(caller: Caller, path: str) -> None:
    needed = [("kpi", "revenue"), ("window", "mtd")] if path == "/api/explain" else []
    assert ask(caller, path, needed).status == 200


def test_before_the_first_tick_the_answers_say_so() -> None:
    for caller in _served(Floor(), ticked=False, guarded=False):
        statuses = {path: ask(caller, path).status for path in PLAIN if path != "/api/explain"}
        late = {path for path, status in statuses.items() if status == 503}
        assert {"/api/snapshot", "/api/targets", "/api/leaderboards"} <= late


def test_a_token_that_is_missing_or_too_small_is_refused_as_documented() -> None:
    for caller in _served(Floor(), ticked=True, guarded=True):
        for path in PLAIN:
            assert ask(caller, path).status == (200 if path in PROBES else 401)
            small = ask(caller, path, headers={"Authorization": f"Bearer {TOKENS['metrics']}"})
            assert small.status == (200 if path in PROBES | {"/metrics"} else 403)


def test_boards_assets_and_pictures_that_are_not_there_are_refused_as_documented(caller: Caller) -> None:
    for path in ("/wall/{board}", "/wall/assets/{release}/{path}", "/wall/assets/pictures/{name}"):
        asked = path.replace("{", "no-such-").replace("}", "")
        answer = caller.ask("GET", asked)
        assert answer.status == 404
        judge("get", path, answer)
    missing = ask(caller, ENDLESS, [("board", "no-such-board")])
    assert missing.status == 404


NAMES = sorted(
    {each["name"] for _, _, said in operations() for each in said.get("parameters", ()) if "name" in each}
)
WORDS = st.sampled_from(
    ["revenue", "deals_won", "quota", "floor", "team", "rep", "mtd", "today", "north", "nobody", "1", "0",
     "9" * 30, "2026-11-20T10:00:00Z", "2026-11-20T10:00:00+08:00", "2026-11-20", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z", "revenue,deals_won", ",", ""]
)  # fmt: skip
QUERIES = st.lists(
    st.tuples(st.sampled_from([*NAMES, "at", "level", "kpi", "x"]), WORDS | st.text(max_size=6)), max_size=4
)


@settings(max_examples=amount(150, long=3000))
@example(path="/api/snapshot", query=[("at", "0001-01-01T00:00:00+14:00")])
@example(path="/api/snapshot", query=[("at", "9999-12-31T23:59:59-14:00")])
@given(path=st.sampled_from([path for path in PLAIN if path.startswith("/api/")]), query=QUERIES)
def test_a_question_of_any_form_gets_an_answer_that_is_documented(
    caller: Caller, path: str, query: list[tuple[str, str]]
) -> None:
    answer = ask(caller, path, query)
    assert answer.status in (200, 400), answer


def test_all_get_doors_are_looked_at_here() -> None:
    assert len(PLAIN) > 10
    assert ENDLESS in DOCUMENT["paths"]
