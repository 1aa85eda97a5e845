"""Accounts whose reps change team and region: of a window they are where they were when it began."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from metrics.catalogue import BUILT_IN
from metrics.exact import FloatArray
from metrics.formula import KpiUnit
from metrics.kpi import Kpi
from metrics.kpi_snapshot import KpiSnapshot
from metrics.web.explain import ExplainAsk
from oracle.customers import CustomerBooks
from oracle.levels import key_of
from oracle.numbers import Answer, Sample, answers, books_of
from oracle.reference import Reference, RosterEntry, midnight
from oracle.windows import WINDOWS, Floor, Span, local_of, window_pair
from tests.differential.test_explain import LIMIT, Explaining, ids_with
from tests.differential.test_generated_histories import CASES
from tests.differential.test_reference_events import followed, told
from tests.histories import (
    AMOUNTS,
    DAY_MS,
    PRODUCTS,
    REPS,
    Event,
    Generator,
    cloud_event,
    edge_times,
    rfc3339,
)
from tests.product_path import ProductPath, differences

LEVELS = ("floor", "team", "rep", "region")
COUNTS = ("customers_at_start", "customers_retained", "customers_lost")
SEEDS = range(12)

# ---- one account, one move ------------------------------------------------------------------------

NOW_MS = 1_773_489_600_000  # 2026-03-14T12:00Z: 30d begins on 12 February, mtd on 1 March
MOVED = date(2026, 3, 4)
Told = tuple[int, int, int, int]
"""Active now; of 30d at the start, retained, lost."""
NOTHING: Told = (0, 0, 0, 0)


def account(from_days_ago: float, churned_days_ago: float | None = None) -> list[Event]:
    """It is R1's and names no team of its own."""
    data: Event = {"rep_id": "R1", "active_from": rfc3339(NOW_MS - int(from_days_ago * DAY_MS))}
    if churned_days_ago is not None:
        data["churned_at"] = rfc3339(NOW_MS - int(churned_days_ago * DAY_MS))
    return [cloud_event("account", "updated", 1, NOW_MS - DAY_MS, data, event_id="a1")]


def moving(moved: date) -> Reference:
    first = RosterEntry("R1", "North", "EU", None, moved)
    return Reference(roster=[first, RosterEntry("R1", "South", "Asia", moved, None)])


def shown(events: list[Event], moved: date) -> KpiSnapshot:
    reference = told(moving(moved), Random(1))
    path = asyncio.run(followed(Floor(), events, reference, NOW_MS))
    return path.snapshot(NOW_MS, levels=LEVELS)


def told_of(snapshot: KpiSnapshot, level: str, key: str, window: str = "30d") -> Told:
    found = [snapshot.value("active_customers", level, key, None)]
    found += [snapshot.value(kpi, level, key, window) for kpi in COUNTS]
    first, second, third, fourth = (int(value or 0) for value in found)
    return first, second, third, fourth


@pytest.mark.parametrize(
    ("events", "north", "south"),
    [
        pytest.param(account(100), (0, 1, 1, 0), (1, 0, 0, 0), id="there all the time"),
        pytest.param(account(20), NOTHING, (1, 0, 0, 0), id="came before the move"),
        pytest.param(account(20, 15), NOTHING, NOTHING, id="came and left before it"),
        pytest.param(account(20, 5), NOTHING, NOTHING, id="came before it, left after it"),
        pytest.param(account(100, 20), (0, 1, 0, 1), NOTHING, id="was there, left before it"),
        pytest.param(account(100, 5), (0, 1, 0, 1), NOTHING, id="was there, left after it"),
        pytest.param(account(5), NOTHING, (1, 0, 0, 0), id="came after it"),
    ],
)
def test_an_account_counts_for_the_team_and_region_it_had_at_the_start(
    events: list[Event], north: Told, south: Told
) -> None:
    snapshot = shown(events, MOVED)
    assert (told_of(snapshot, "team", "North"), told_of(snapshot, "team", "South")) == (north, south)
    assert (told_of(snapshot, "region", "EU"), told_of(snapshot, "region", "Asia")) == (north, south)
    whole = tuple(one + other for one, other in zip(north, south, strict=True))
    assert told_of(snapshot, "floor", "all") == told_of(snapshot, "rep", "R1") == whole


@pytest.mark.parametrize(
    ("moved", "whose"),
    [(date(2026, 2, 28), "South"), (date(2026, 3, 1), "South"), (date(2026, 3, 2), "North")],
)
def test_a_rep_who_moves_as_the_window_begins_takes_the_customers_along(moved: date, whose: str) -> None:
    snapshot = shown(account(100, 5), moved)
    for team in ("North", "South"):
        assert told_of(snapshot, "team", team, "mtd") == ((0, 1, 0, 1) if team == whose else NOTHING)


# ---- many accounts, many moves --------------------------------------------------------------------


class Staying(Generator):
    """Accounts that come and go, some won by a deal; few name a team or region themselves."""

    def event(self) -> Event:
        random = self.random
        if random.random() < 0.15:
            return super().event()
        number, time_ms = random.randrange(self.entities), self.time()
        data: Event = {"rep_id": random.choice(REPS)}
        if random.random() < 0.15:
            data["team_id"] = random.choice(("North", None))
        if random.random() < 0.15:
            data["region"] = random.choice(("EU", None))
        if random.random() < 0.3:
            data |= {"account_id": f"A-{random.randrange(self.entities)}", "cost": "5"}
            data |= {"amount": random.choice(AMOUNTS[:4]), "products": random.choice(PRODUCTS)}
            return cloud_event("deal", "won", number, time_ms, data, event_id=self._event_id())
        if random.random() < 0.8:
            ago_ms = random.choice((0, random.randrange(250 * DAY_MS)))
            data["active_from"] = rfc3339(self.time() - ago_ms)
        self._maybe_time(data, "churned_at", chance=0.6)
        return cloud_event("account", "updated", number, time_ms, data, event_id=self._event_id())


def roster_of(random: Random, floor: Floor, as_of_ms: int) -> Reference:
    """Return spells that begin and end on the first days of windows, around them, and on any other day."""
    pairs = [window_pair(window, as_of_ms, floor) for window in WINDOWS]
    starts = [start_ms for pair in pairs for start_ms in (pair.now.start_ms, pair.previous.start_ms)]
    days = {local_of(start_ms, floor).date() for start_ms in (*starts, as_of_ms)}
    days |= {day + timedelta(days=random.choice((-1, 1))) for day in days}
    days |= {local_of(as_of_ms, floor).date() - timedelta(days=random.randrange(90)) for _ in range(9)}
    known = Reference()
    for rep in ("R1", "R2", "R3"):
        cuts: list[date | None] = [None, *sorted(random.sample(sorted(days), 5)), None]
        for first, after in pairwise(cuts):
            if random.random() < 0.8:
                team = random.choice(("North", "South", "West", ""))
                region = random.choice(("EU", "Asia", ""))
                known.roster.append(RosterEntry(rep, team, region, first, after))
    return known


AS_BEFORE = Kpi(
    "level_less_flows", "Not the same: what moves is a level, what began or left stays where it was.",
    "accounts_active - accounts_activated + accounts_churned", KpiUnit.COUNT, LEVELS,
)  # fmt: skip


async def made_up(seed: int) -> tuple[list[Event], Reference, ProductPath]:
    floor, as_of_ms = CASES[seed % len(CASES)]
    generator = Staying(seed, times=edge_times(as_of_ms, floor), entities=24)
    events = generator.history(90)
    known = roster_of(generator.random, floor, as_of_ms)
    reference = told(known, generator.random)
    return events, known, await followed(floor, events, reference, as_of_ms + 60 * DAY_MS)


def instants(seed: int, known: Reference) -> list[int]:
    """Return the case's own instant, and the very edge of one of the moves."""
    floor, as_of_ms = CASES[seed % len(CASES)]
    days = sorted({entry.first for entry in known.roster if entry.first})
    moved = Random(seed).choice(days)
    return [as_of_ms, midnight(moved, floor) + seed % 3 - 1]


def where_known(snapshot: KpiSnapshot, expected: dict[Sample, Answer]) -> dict[Sample, Answer]:
    """A team or region in which nobody is any more and nothing was ever done is not shown."""
    labels = {level: {*each.labels, ""} for level, each in snapshot.keys.items()}
    of_roster = ("reps_on_roster", "rep_days")
    return {
        sample: answer
        for sample, answer in expected.items()
        if sample.kpi not in of_roster or sample.key in labels[sample.level]
    }


def tables_of(snapshot: KpiSnapshot, kpi: str) -> dict[str, FloatArray]:
    """Return, by level, a line per window and per previous twin, and a column per key."""
    both = {each.level: (each.values, each.previous) for each in snapshot.series if each.kpi.name == kpi}
    return {
        level: np.concatenate((values, previous))
        for level, (values, previous) in both.items()
        if previous is not None
    }


def assert_adds_up(snapshot: KpiSnapshot) -> None:
    tables = {kpi: tables_of(snapshot, kpi) for kpi in COUNTS}
    for kpi, by_level in tables.items():
        assert by_level.keys() == set(LEVELS)
        for level, table in by_level.items():
            assert (table >= 0).all(), (kpi, level)
            np.testing.assert_array_equal(table.sum(axis=1), by_level["floor"][:, 0], f"{kpi} {level}")
    for level in LEVELS:
        start, retained, lost = (tables[kpi][level] for kpi in COUNTS)
        np.testing.assert_array_equal(retained + lost, start)


@pytest.mark.parametrize("seed", SEEDS)
async def test_accounts_under_a_moving_roster_equal_the_oracle(seed: int) -> None:
    events, known, path = await made_up(seed)
    books = books_of(events, path.floor, known)
    for as_of_ms in instants(seed, known):
        snapshot = path.snapshot(as_of_ms, levels=LEVELS)
        assert not snapshot.reference_problems
        expected = where_known(snapshot, answers(books, as_of_ms, path.floor, levels=LEVELS))
        found = differences(snapshot, expected)
        assert not found, "\n".join(found[:20])
        assert_adds_up(snapshot)


async def test_the_histories_hold_what_they_are_meant_to_prove() -> None:
    """Guards the comparison itself: were no customer at the start taken along, any rule would pass."""
    told_apart = lost = negative = 0
    for seed in SEEDS[:5]:
        _, known, path = await made_up(seed)
        path.config = replace(path.config, catalogue=BUILT_IN.with_custom([AS_BEFORE]))
        for as_of_ms in instants(seed, known):
            snapshot = path.snapshot(as_of_ms, levels=LEVELS)
            at_start, other = (tables_of(snapshot, kpi) for kpi in (COUNTS[0], AS_BEFORE.name))
            np.testing.assert_array_equal(at_start["floor"], other["floor"])
            np.testing.assert_array_equal(at_start["rep"], other["rep"])
            negative += int(np.count_nonzero(other["team"] < 0))
            told_apart += int(np.count_nonzero(at_start["team"] != other["team"]))
            told_apart += int(np.count_nonzero(at_start["region"] != other["region"]))
            lost += int(np.count_nonzero(tables_of(snapshot, "customers_lost")["team"]))
    assert min(told_apart, lost, negative) > 20, (told_apart, lost, negative)


def there_at_start(books: CustomerBooks, level: str, key: str, span: Span) -> dict[str, bool]:
    """Return the accounts that count for the key, and whether they left."""
    return {
        each.id: not each.is_active(span.end_ms)
        for each in books.customers
        if each.is_active(span.start_ms) and key_of(each, level, span.start_ms, books.roster) == key
    }


@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_the_accounts_listed_behind_a_number_are_those_it_counts(seed: int) -> None:
    events, known, path = await made_up(seed)
    as_of_ms, _ = instants(seed, known)
    world = Explaining(path)
    await world.load([])
    books = books_of(events, path.floor, known).customers
    some_left = 0
    for window in ("30d", "90d"):
        span = window_pair(window, as_of_ms, path.floor).now
        for level in ("team", "region"):
            for key in path.snapshot(as_of_ms, levels=(level,)).keys[level].labels:
                there = there_at_start(books, level, key, span)
                left = {account for account, so in there.items() if so}
                some_left += 0 < len(left) < len(there)
                counts = {"accounts_at_start": {*there}, "accounts_left": left}
                for kpi in ("customers_lost", "customer_churn"):
                    ask = ExplainAsk(kpi, window, level, key, limit=LIMIT)
                    answer = world.ask(ask, as_of_ms, path.follower.references())
                    assert len(answer["parts"]) == (1 if kpi == "customers_lost" else 2)
                    for part in answer["parts"]:
                        name = part["measure"]
                        assert set(ids_with(answer, name)) == counts[name]
                        assert part["listed"] == part["value"] == len(counts[name])
    assert some_left > 2
