"""What is due: under the day it is expected to close, by the deal's own probability or its stage's."""

from datetime import date

import pytest

from metrics.calendar import Calendar
from metrics.measures import BY_NUMBER, Kind, first_key
from metrics.panes import Cell
from metrics.reference import Stage
from streams.events import EntityKind
from streams.facts import DealFact, Fact
from streams.joins.base import FactChange, Facts, FactTable
from streams.joins.due import DueJoin
from streams.rules import FoldRules

DAY = date(2026, 11, 30).toordinal()
CELL = Cell(rep="Ann", currency="EUR")


class World:
    """The facts, and a join that learns each of their changes."""

    def __init__(self) -> None:
        rules = FoldRules(calendar=Calendar(), currency="EUR", stage_probability={"offer": 0.5, "end": 0.9})
        self.join = DueJoin(rules)
        self.tables = {kind: FactTable() for kind in EntityKind}
        self.facts = Facts(self.tables)

    def put(self, kind: EntityKind, entity_id: str, fact: Fact | None) -> list[str]:
        before = self.tables[kind].get(entity_id)
        self.tables[kind].put(0, entity_id, fact)
        return list(self.join.learn(FactChange(kind, entity_id, before, fact), self.facts))

    def stage(self, name: str, probability: float | None, pipeline: str | None = None) -> list[str]:
        record = Stage(name, pipeline, probability=probability)
        return self.put(EntityKind.REFERENCE, record.id, record)

    def due(self, deal_id: str = "D") -> list[tuple[int, dict[str, int]]]:
        told = []
        for _, time_ms, values in self.join.contributions(deal_id, self.facts):
            named = {}
            for key, value in values.items():
                measure = BY_NUMBER[key >> 21]
                assert (measure.kind, key - first_key(measure)) == (Kind.LEVEL_BY_DAY, DAY)
                named[measure.name.removeprefix("due_")] = value
            told.append((time_ms, named))
        return told


def deal(
    *, probability: float | None = None, stage: str = "", closed_ms: int | None = None, amount: int = 1001,
    due_on: int = DAY, pipeline: str = "",
) -> DealFact:  # fmt: skip
    return DealFact(
        CELL, 50, closed_at_ms=closed_ms, amount_minor=amount, stage=stage, pipeline=pipeline,
        probability=probability, due_on=due_on,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (deal(probability=0.25), {"weighted": 250, "weighted_millionths": 250_000}),
        (deal(probability=0.5), {"weighted": 500, "weighted_millionths": 500_000, "best_case": 1001}),
        (deal(probability=0.79, amount=100), {"weighted": 79, "best_case": 100}),
        (deal(probability=0.8, amount=100), {"weighted": 80, "best_case": 100, "commit": 100}),
        (deal(stage="end", amount=100), {"weighted": 90, "best_case": 100, "commit": 100}),
        (deal(stage="offer", probability=0.0), None),
        (deal(stage="unknown"), None),
        (deal(probability=1.0, amount=0), None),
        (deal(probability=1.0, due_on=0), None),
        (deal(probability=1.0, closed_ms=50), None),
    ],
)
def test_an_open_deal_is_due_by_its_probability(fact: DealFact, expected: dict[str, int] | None) -> None:
    world = World()
    world.put(EntityKind.DEAL, "D", fact)
    assert world.due() == ([] if expected is None else [(50, expected)])


def test_what_was_due_is_taken_back_when_the_deal_closes() -> None:
    world = World()
    world.put(EntityKind.DEAL, "D", deal(probability=1.0, amount=100, closed_ms=90))
    everything = {"weighted": 100, "commit": 100, "best_case": 100}
    assert world.due() == [(50, everything), (90, dict.fromkeys(everything, -100))]


def test_a_stages_record_beats_the_settings_and_the_first_pipelines_beats_the_others() -> None:
    world = World()
    world.put(EntityKind.DEAL, "D", deal(stage="offer", amount=100))
    assert world.due()[0][1]["weighted"] == 50
    assert world.stage("offer", 0.25, "south") == ["D"]
    assert world.due()[0][1]["weighted"] == 25
    assert world.stage("offer", 0.75, "north") == ["D"]
    assert world.due()[0][1]["weighted"] == 75
    world.stage("offer", None, "north")
    assert world.due()[0][1]["weighted"] == 25
    world.stage("offer", None, "south")
    assert world.due()[0][1]["weighted"] == 50


def test_a_stages_record_touches_only_deals_that_take_their_probability_from_it() -> None:
    world = World()
    world.put(EntityKind.DEAL, "own", deal(stage="offer", probability=0.1))
    world.put(EntityKind.DEAL, "else", deal(stage="end"))
    world.put(EntityKind.DEAL, "moved", deal(stage="offer"))
    assert world.stage("offer", 0.3) == ["moved"]
    world.put(EntityKind.DEAL, "moved", deal(stage="end"))
    assert world.stage("offer", 0.4) == []
    assert sorted(world.stage("end", 0.4)) == ["else", "moved"]
