"""Questions about the records behind a number: what is understood, what is refused and with which fix."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from metrics.catalogue import BUILT_IN
from metrics.kpi_snapshot import JsonValue
from metrics.service import SnapshotService
from metrics.snapshot import SnapshotConfig
from metrics.web.answers import NoSnapshot
from metrics.web.app import create_app
from metrics.web.explain import ExplainAsk, explain_ask_of
from metrics.web.query import BadAsk
from tests.panes import FakeReader


def asked(**query: str) -> ExplainAsk:
    return explain_ask_of({name: [value] for name, value in query.items()}, BUILT_IN)


def test_a_whole_question_is_understood() -> None:
    ask = asked(
        kpi="revenue", window="mtd", level="team", key="T-1", at="1970-01-01T00:00:01Z", page="2", limit="5"
    )
    assert ask == ExplainAsk("revenue", "mtd", "team", "T-1", 1000, 2, 5)


def test_what_is_open_now_has_no_window_and_the_floor_no_key() -> None:
    assert asked(kpi="open_deals", window="mtd", key="x") == ExplainAsk("open_deals", None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "kpi is missing"),
        ({"kpi": "revenu", "window": "mtd"}, "unknown KPI 'revenu'; did you mean revenue"),
        ({"kpi": "revenue"}, "window is missing; name one"),
        ({"kpi": "revenue", "window": "mtd", "level": "team"}, "key is missing; name the team"),
        (
            {"kpi": "revenue", "window": "mtd", "level": "stage", "key": "x"},
            "is not told by stage; use level=",
        ),
        ({"kpi": "revenue", "window": "mtd", "page": "0"}, "page='0': use a whole number from 1"),
        (
            {"kpi": "revenue", "window": "mtd", "limit": "9999"},
            "limit='9999': use a whole number from 1 to 1000",
        ),
        ({"kpi": "revenue", "window": "mtd", "team": "x"}, "no parameter 'team'; there is kpi, window"),
    ],
)
def test_a_question_without_an_answer_names_the_fix(query: dict[str, str], message: str) -> None:
    with pytest.raises(BadAsk) as caught:
        asked(**query)
    assert message in str(caught.value)


def test_one_number_at_a_time() -> None:
    with pytest.raises(BadAsk, match="kpi is given twice"):
        explain_ask_of({"kpi": ["revenue", "calls"]}, BUILT_IN)


class Source:
    def __init__(self) -> None:
        self.asks: list[ExplainAsk] = []

    async def explain(self, ask: ExplainAsk) -> dict[str, JsonValue]:
        self.asks.append(ask)
        if ask.key == "away":
            raise NoSnapshot("Redis is away")
        return {"kpi": ask.kpi, "value": 3}


async def test_the_door_asks_and_answers() -> None:
    source = Source()
    service = SnapshotService(FakeReader(), now_ms=lambda: 0, config=SnapshotConfig())
    async with TestClient(TestServer(create_app(service, explain=source))) as client:
        answer = await client.get("/api/explain?kpi=revenue&window=mtd&level=team&key=T-1")
        assert (answer.status, json.loads(await answer.text())) == (200, {"kpi": "revenue", "value": 3})
        assert answer.headers["Cache-Control"] == "no-store"
        statuses = [
            (await client.get(f"/api/explain?{query}")).status
            for query in ("kpi=revenue", "kpi=revenue&window=mtd&level=team&key=away")
        ]
        assert statuses == [400, 503]
    assert source.asks[0] == ExplainAsk("revenue", "mtd", "team", "T-1")
    await asyncio.sleep(0)
