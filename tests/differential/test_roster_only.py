"""Names that no roster says, counted together: every number is the oracle's, whenever the roster changes.

The roster comes in pieces among the events, so that a follower counts anew what it counted by other names.
"""

import asyncio
import json
from random import Random

import pytest

from metrics.labels import OTHER
from oracle.numbers import answers, books_of
from oracle.reference import Reference, RosterEntry
from tests.boards import sums_of_log
from tests.differential.test_flood import flooded
from tests.differential.test_generated_histories import CASES
from tests.histories import DAY_MS, Event, Generator, edge_times
from tests.product_path import ProductPath, differences

LEVELS = ("floor", "team", "rep", "region")
ENTRIES = (
    RosterEntry("R1", "North", "", None, None),
    RosterEntry("R2", "", "EU", None, None),
    RosterEntry("X-7", "Y-3", "", None, None),
    RosterEntry("R3", "South", "Asia", None, None),
)


def said(entry: RosterEntry) -> tuple[str, int, bytes]:
    event = {
        "specversion": "1.0",
        "id": f"roster-{entry.rep}",
        "source": "/test",
        "type": "sales.rep.updated",
        "time": "1999-01-01T00:00:00Z",
        "data": {"rep_id": entry.rep, "team_id": entry.team or None, "region": entry.region or None},
    }
    return "sales.reference", len(entry.team) % 2, json.dumps(event).encode()


def names_in(path: ProductPath) -> set[str]:
    cells = {cell for cell, _, _ in sums_of_log(path.follower)}
    return {name for cell in cells for name in (cell.rep, cell.team, cell.region)}


@pytest.mark.parametrize("seed", range(3))
def test_who_is_not_on_the_roster_is_counted_as_one_whenever_it_changes(seed: int) -> None:
    asyncio.run(check(seed))


async def check(seed: int) -> None:
    floor, as_of_ms = CASES[seed % len(CASES)]
    random = Random(seed)
    levels = (("rep", "team", "region"), ("rep",), ("team", "rep"))[seed % 3]
    generator = Generator(seed, times=edge_times(as_of_ms, floor), entities=12)
    events = flooded(generator.history(120), generator.random)
    path = ProductPath(floor, now_ms=as_of_ms + 60 * DAY_MS, roster_only=levels)
    entries, known, come = random.sample(ENTRIES, len(ENTRIES)), Reference(), list[Event]()
    for start in range(0, 120, 40):
        come += events[start : start + 40]
        await path.arrive(events[start : start + 40])
        for entry in entries[: 1 + start // 40]:
            entries.remove(entry)
            known.roster.append(entry)
            await path.arrive_raw([said(entry)])
        await equals_oracle(path, come, as_of_ms, known)
        path.follower = path.new_follower()  # as a process that starts now
        await path.follower.load()
        await equals_oracle(path, come, as_of_ms, known)
    assert not entries
    real = {name for entry in known.roster for name in (entry.rep, entry.team, entry.region)}
    if len(levels) == 3:
        assert names_in(path) <= real | {OTHER, ""}
    assert any(cell.rep == OTHER for cell, _, _ in sums_of_log(path.follower))
    assert not any(cell.rep.startswith("X-") and cell.rep != "X-7" for cell in path.follower.cells())


async def equals_oracle(path: ProductPath, events: list[Event], as_of_ms: int, known: Reference) -> None:
    books = books_of(events, path.floor, known, roster_only=path.roster_only)
    expected = answers(books, as_of_ms, path.floor, levels=LEVELS)
    found = differences(path.snapshot(as_of_ms, levels=LEVELS), expected)
    assert not found, "\n".join(found[:20])
