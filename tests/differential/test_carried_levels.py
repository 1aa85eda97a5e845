"""Product, source and region: every KPI told by one of them equals the oracle, from event to snapshot."""

import asyncio
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.catalogue import BUILT_IN
from oracle.numbers import CARRIED, answers, books_of
from tests.differential import test_customer_histories as customers
from tests.differential.test_generated_histories import CASES, check
from tests.histories import (
    ANSWERS,
    DAY_MS,
    HOUR_MS,
    PRODUCTS,
    REGIONS,
    REPS,
    SOURCES,
    Event,
    Generator,
    cloud_event,
    edge_times,
    entity_id,
    histories,
    rfc3339,
)
from tests.product_path import NAME_IN_CATALOGUE
from tests.strength import amount

NEEDS_A_ROSTER = {"reps_on_roster", "revenue_per_rep", "training_rate"}
"""Told by region of a floor with a roster: see test_reference_events."""


class Busy(Generator):
    """Beside everything else: demos and follow-ups planned and held, leads called and converted soon."""

    def event(self) -> Event:
        random = self.random
        kind = random.choice(("any", "activity", "activity", "lead", "deal", "feedback"))
        if kind == "any":
            return super().event()
        number, time_ms = random.randrange(3 * self.entities), self.time()
        data: Event = {"rep_id": random.choice(REPS), "region": random.choice(REGIONS)}
        if kind == "feedback":
            return self._said(kind, "received", number, time_ms, data | random.choice(ANSWERS))
        if kind == "activity":
            data["kind"] = random.choice(("demo", "demo", "follow_up", "call", "appointment", "training"))
            data["duration_seconds"] = random.choice((0, 61, 12.5))
            data["outcome"] = random.choice(("connected", "held", "no_show"))
            due = rfc3339(time_ms + random.choice((-HOUR_MS, 0, HOUR_MS)))
            about = random.randrange(3 * self.entities)
            data |= {"due_at": due, "scheduled_at": due}
            data |= {"deal_id": entity_id("deal", about), "lead_id": entity_id("lead", about)}
            return self._said(kind, random.choice(("scheduled", "completed")), number, time_ms, data)
        data["source"] = random.choice(SOURCES)
        if kind == "lead":
            created = rfc3339(time_ms - random.choice((HOUR_MS, 30 * DAY_MS, 31 * DAY_MS)))
            data |= {"created_at": created, "deal_id": entity_id("deal", number)}
            return self._said(kind, "converted", number, time_ms, data)
        data["products"] = random.choice(PRODUCTS)
        data["amount"] = random.choice(("100", "250.5", 7))
        return self._said(kind, "won", number, time_ms, data)

    def _said(self, kind: str, verb: str, number: int, time_ms: int, data: Event) -> Event:
        return cloud_event(kind, verb, number, time_ms, data, event_id=self._event_id())

    def time(self) -> int:
        return super().time() - self.random.choice((0, 0, 0, 365 * DAY_MS))


def any_history(seed: int) -> tuple[list[Event], Random]:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = Generator(seed, times=edge_times(as_of_ms, floor), entities=8)
    return generator.history(120), generator.random


def busy_history(seed: int) -> tuple[list[Event], Random]:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = Busy(seed, times=edge_times(as_of_ms, floor), entities=12)
    return generator.history(160), generator.random


KINDS = {"any": any_history, "customers": customers.history, "busy": busy_history}
SEEDS = range(12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_history_by_product_source_and_region_equals_the_oracle(seed: int, kind: str) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    events, random = KINDS[kind](seed)
    asyncio.run(check(events, as_of_ms, floor, random, levels=CARRIED))


@settings(max_examples=amount(25, long=250))
@given(st.data())
def test_any_history_by_product_source_and_region_equals_the_oracle(data: st.DataObject) -> None:
    floor, as_of_ms = data.draw(st.sampled_from(CASES))
    events = data.draw(histories(edge_times(as_of_ms, floor), max_size=8))
    asyncio.run(check(events, as_of_ms, floor, Random(0), levels=CARRIED))


def test_the_histories_give_every_kpi_of_these_levels_something_to_tell() -> None:
    """Guards the comparison itself: numbers that are always nothing would prove nothing."""
    told: Counter[tuple[str, str]] = Counter()
    for seed in SEEDS:
        floor, as_of_ms = CASES[seed % len(CASES)]
        for history in KINDS.values():
            books = books_of(history(seed)[0], floor)
            found = answers(books, as_of_ms, floor, windows=("90d", "ytd"), levels=CARRIED)
            for sample, answer in found.items():
                kpi = NAME_IN_CATALOGUE.get((sample.kpi, sample.quantile), sample.kpi)
                told[kpi, sample.level] += bool(answer.value)
    offered = {(kpi.name, level) for kpi in BUILT_IN for level in CARRIED if level in kpi.levels}
    expected = {place for place in offered if place[0] not in NEEDS_A_ROSTER}
    assert {place: told[place] for place in expected if told[place] < 2} == {}
