"""Histories in which few accounts buy again and again equal the oracle: customers, cost and satisfaction."""

import asyncio
from collections import Counter
from random import Random

import pytest

from oracle.numbers import answers, books_of
from tests.differential.test_generated_histories import CASES, check
from tests.histories import (
    AMOUNTS,
    ANSWERS,
    COSTS,
    DAY_MS,
    PRODUCTS,
    REPS,
    TEAMS,
    Event,
    Generator,
    cloud_event,
    edge_times,
    entity_id,
)

ACCOUNTS = 4
SEEDS = range(60)


class BuyingAgain(Generator):
    """Beside everything else, deals are won with a handful of accounts, and answers come in."""

    def event(self) -> Event:
        random = self.random
        if random.random() < 0.4:
            return super().event()
        if random.random() < 0.3:
            answer = random.choice(ANSWERS) | {"rep_id": random.choice(REPS[:2])}
            number = random.randrange(100)
            return cloud_event("feedback", "received", number, self.time(), answer, event_id=self._event_id())
        data: Event = {
            "account_id": entity_id("account", random.randrange(ACCOUNTS)),
            "rep_id": random.choice(REPS),
            "team_id": random.choice(TEAMS),
            "amount": random.choice(AMOUNTS),
            "products": random.choice(PRODUCTS),
            "cost": random.choice(COSTS),
        }
        number = random.randrange(self.entities)
        return cloud_event("deal", "won", number, self.time(), data, event_id=self._event_id())

    def time(self) -> int:
        time_ms = super().time()
        # Exactly on, just before and just after what still counts as soon.
        return time_ms + self.random.choice((0, 0, 0, -90 * DAY_MS, -90 * DAY_MS - 1, -90 * DAY_MS + 1))


def history(seed: int) -> tuple[list[Event], Random]:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = BuyingAgain(seed, times=edge_times(as_of_ms, floor), entities=24)
    return generator.history(200), generator.random


@pytest.mark.parametrize("seed", SEEDS)
def test_customers_of_a_seeded_history_equal_the_oracle(seed: int) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    events, random = history(seed)
    asyncio.run(check(events, as_of_ms, floor, random))


def test_the_histories_hold_what_they_are_meant_to_prove() -> None:
    """Guards the comparison itself: numbers that are always nothing would prove nothing."""
    told: Counter[str] = Counter()
    for seed in SEEDS[:10]:
        floor, as_of_ms = CASES[seed % len(CASES)]
        books = books_of(history(seed)[0], floor)
        for sample, answer in answers(books, as_of_ms, floor, windows=("90d", "ytd")).items():
            told[sample.kpi] += bool(answer.value)
    rare = (
        *("new_customers", "average_basket", "deals_after_first_sale", "repeat_purchase_rate", "cac", "clv"),
        *("customer_churn", "customer_retention", "expansion_revenue", "products_per_customer"),
        *("gross_margin", "gross_margin_coverage", "csat", "nps", "enps", "pulse"),
    )
    assert {kpi: told[kpi] for kpi in rare if told[kpi] < 5} == {}
