"""Roster, rates, markets and stages as events, with the deals and work they act on: equal to the oracle."""

import asyncio
import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest

from oracle.books import Books as Counted
from oracle.numbers import books_of
from oracle.reference import FOR_EVER_MS, Books, Fact, Reference, RosterEntry
from oracle.windows import WINDOWS, Floor, local_of, window_pair
from tests.differential.test_generated_histories import CASES
from tests.differential.test_reference_data import over, same, wrong_in
from tests.histories import DAY_MS, REGIONS, REPS, Event, Generator, cloud_event, edge_times, rfc3339
from tests.product_path import ProductPath

LEVELS = ("floor", "team", "rep", "region", "stage")


class Working(Generator):
    """Deals in two currencies and work, much of it without a team or region of its own."""

    def event(self) -> Event:
        random = self.random
        number, time_ms = random.randrange(4 * self.entities), self.time()
        data: Event = {"rep_id": random.choice(REPS), "region": random.choice((*REGIONS, None, None))}
        if random.random() < 0.5:
            data["kind"] = random.choice(("training", "call"))
            return cloud_event("activity", "completed", number, time_ms, data, event_id=self._event_id())
        data |= {
            "stage": random.choice(("new", "proposal", "closing")),
            "currency": random.choice(("EUR", "USD")),
        }
        data |= {
            "amount": random.choice(("100", "12500.55", 7)),
            "probability": random.choice((None, None, 0.25)),
        }
        verb = random.choice(("created", "won"))
        return cloud_event("deal", verb, number, time_ms, data, event_id=self._event_id())


def reference_of(random: Random, today: date) -> Reference:
    known = Reference(chances={"proposal": 0.37, "new": 0.05})
    for ago in (random.randrange(400), random.randrange(60), 0):
        known.rates.append(
            ("EUR", today - timedelta(days=ago), Decimal(random.randrange(5_000, 20_000)) / 10_000)
        )
    for rep in ("R1", "R2"):
        moved = today - timedelta(days=random.randrange(1, 90))
        known.roster.append(RosterEntry(rep, "North", random.choice(("EU", "")), None, moved))
        known.roster.append(
            RosterEntry(rep, "South", random.choice(("Asia", "")), moved, random.choice((None, today)))
        )
    for year in (today.year - 1, today.year):
        known.markets.append((date(year, 1, 1), date(year + 1, 1, 1), Decimal("1234567.89")))
    known.markets.append((today.replace(day=1), today + timedelta(days=40), Decimal(99_999)))
    return known


def told(known: Reference, random: Random) -> list[Event]:
    """Return the records as events in any order, each after one that says something else of the same."""
    records: list[tuple[str, Event, Event]] = []
    for currency, since, rate in dict.fromkeys(known.rates):
        data: Event = {"currency": currency, "valid_from": f"{since}"}
        records.append(("rate.set", data | {"rate": "77"}, data | {"rate": str(rate)}))
    for entry in known.roster:
        data = {"rep_id": entry.rep, "active_from": entry.first and f"{entry.first}"}
        right = {"team_id": entry.team or None, "region": entry.region or None}
        records.append(
            (
                "rep.updated",
                data | {"team_id": "Wrong"},
                data | right | {"active_to": entry.after and f"{entry.after}"},
            )
        )
    for first, after, size in known.markets:
        data = {"period": f"{first}/{after}"}
        records.append(("market.set", data | {"value": "1"}, data | {"value": str(size)}))
    for stage, chance in known.chances.items():
        records.append(
            ("stage.set", {"stage": stage, "probability": 1}, {"stage": stage, "probability": chance})
        )
    events = [
        _said(verb, data, number, 1_000_000_000_000 + turn)
        for number, (verb, *both) in enumerate(records)
        for turn, data in enumerate(both)
    ]
    random.shuffle(events)
    return events


def _said(verb: str, data: Event, number: int, time_ms: int) -> Event:
    return {
        "specversion": "1.0", "id": f"ref-{number}-{time_ms}", "source": "/tests", "type": f"sales.{verb}",
        "time": rfc3339(time_ms), "data": data,
    }  # fmt: skip


def facts_of(books: Counted) -> Iterator[Fact]:
    for deal in books.deals:
        whose = deal.rep, deal.team, deal.region, deal.currency, Decimal(str(float(deal.own_amount)))
        if deal.status == "won" and deal.closed_ms is not None:
            yield Fact("won", deal.closed_ms, *whose)
        if deal.closed_ms is None or deal.closed_ms > deal.start_ms:
            until_ms = FOR_EVER_MS if deal.closed_ms is None else deal.closed_ms
            yield Fact("open", deal.start_ms, *whose, until_ms, deal.stage, deal.own_chance)
    for activity in books.activities:
        if activity.completed_ms is not None:
            whose_work = activity.rep, activity.team, activity.region
            yield Fact("activity", activity.completed_ms, *whose_work)
            if activity.kind == "training":
                yield Fact("training", activity.completed_ms, *whose_work)


async def followed(floor: Floor, events: list[Event], reference: list[Event], now_ms: int) -> ProductPath:
    """Return the product's own path, which learns half of the reference data after what it acts on."""
    path = ProductPath(floor, now_ms=now_ms)
    records = [("sales.reference", 0, json.dumps(each).encode()) for each in reference]
    await path.arrive_raw(records[::2])
    await path.arrive(events)
    await path.arrive_raw(records[1::2])
    return path


@pytest.mark.parametrize("seed", range(10))
def test_reference_events_act_on_deals_and_work_as_the_oracle_says(seed: int) -> None:
    floor, as_of_ms = CASES[seed]
    generator = Working(seed, times=[*edge_times(as_of_ms, floor), as_of_ms - DAY_MS], entities=8)
    events, random = generator.history(90), generator.random
    known = reference_of(random, local_of(as_of_ms, floor).date())
    path = asyncio.run(followed(floor, events, told(known, random), as_of_ms + 60 * DAY_MS))
    snapshot = path.snapshot(as_of_ms, levels=LEVELS)
    books = Books([*facts_of(books_of(events, floor))], known, floor)
    assert not snapshot.reference_problems
    wrong = wrong_in(snapshot, books, as_of_ms, floor)
    assert not wrong, "\n".join(wrong[:20])
    trained = 0
    for level in ("floor", "team", "region"):
        for label in snapshot.keys[level].labels:
            for window in WINDOWS:
                span, key = window_pair(window, as_of_ms, floor).now, "" if level == "floor" else label
                trainings = sum(1 for _ in books.of("training", level, key, span))
                expected = over(trainings, books.reps(level, key, span))
                assert same(snapshot.value("training_rate", level, label, window), expected), (
                    level,
                    key,
                    window,
                )
                trained += bool(expected)
    assert trained > 10
    assert all(snapshot.value(kpi, "floor", "all", "90d") for kpi in ("market_share", "revenue_per_rep"))
