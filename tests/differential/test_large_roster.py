"""Twenty thousand people on the roster and strangers among them: every number is what it is of few."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction

from metrics.kpi_snapshot import KpiSnapshot
from metrics.leaderboard import values_in
from metrics.snapshot import Filters, PaneImage, Snapshotter
from oracle.numbers import answers, books_of
from oracle.reference import Reference, RosterEntry
from oracle.windows import Floor
from tests.histories import DAY_MS, HOUR_MS, Event, cloud_event, rfc3339
from tests.product_path import ProductPath, differences

REPS, STRANGERS, TEAMS, SLOTS = 20_000, 2_000, 40, 2
AT_MS = 1_790_000_000_000
FLOOR = Floor()
WINDOWS = ("30d",)
LOOKED_AT = 10
"""So many reps are computed by the oracle one by one; of all others the sums are."""


def events() -> list[Event]:
    """Return a won deal of every second, and a call of every third."""
    found = []
    for number in range(REPS + STRANGERS):
        who = f"R-{number}" if number < REPS else f"made-up-{number}"
        at_ms = AT_MS - HOUR_MS - number * 97_001 % (50 * DAY_MS)
        if number % 2 == 0:
            won: Event = {"rep_id": who, "amount": f"{number % 911}.{number % 100:02d}"}
            found.append(cloud_event("deal", "won", number, at_ms, won, event_id="w"))
        if number % 3 == 0:
            call: Event = {"rep_id": who, "kind": "call", "completed_at": rfc3339(at_ms + 1)}
            found.append(cloud_event("activity", "completed", number, at_ms + 1, call, event_id="c"))
    return found


async def folded(happened: list[Event]) -> ProductPath:
    path = ProductPath(FLOOR, now_ms=AT_MS, slots=SLOTS, roster_only=("rep",))
    path.config = replace(path.config, windows=WINDOWS, levels=("floor", "team", "rep"))
    roster = []
    for number in range(REPS):
        spell: Event = {"rep_id": f"R-{number}", "team_id": f"T-{number % TEAMS}"}
        said = cloud_event("rep", "updated", number, AT_MS - 60 * DAY_MS, spell, event_id="r")
        roster.append(("sales.reference", number % SLOTS, json.dumps(said).encode()))
    await path.arrive_raw(roster[::2])
    await path.arrive(happened)
    await path.arrive_raw(roster[1::2])  # everybody is counted anew
    return path


def only(happened: list[Event], numbers: range) -> list[Event]:
    names = {f"R-{number}" for number in numbers}
    return [each for each in happened if isinstance(data := each["data"], dict) and data["rep_id"] in names]


def entries(numbers: range) -> Reference:
    return Reference(roster=[RosterEntry(f"R-{n}", f"T-{n % TEAMS}", "", None, None) for n in numbers])


def test_twenty_thousand_on_the_roster_have_their_own_numbers_each_and_strangers_one() -> None:
    happened = events()
    path = asyncio.run(folded(happened))
    image, snapshotter = PaneImage.of(path.follower), Snapshotter(path.config.for_everybody())
    whole = snapshotter.take_kpis(image, AT_MS, filters=Filters(levels=("floor", "team")), strict=True)
    books = books_of(happened, FLOOR, entries(range(REPS)), roster_only=("rep",))
    found = differences(whole, answers(books, AT_MS, FLOOR, windows=WINDOWS, levels=("floor", "team")))
    assert not found, "\n".join(found[:20])

    of_all = Filters(levels=("rep",), kpis=("revenue", "calls"))
    everybody = snapshotter.take_kpis(image, AT_MS, filters=of_all)
    assert len(everybody.keys["rep"].labels) == REPS + 1
    assert_sums(everybody, happened)

    some = range(0, REPS, REPS // LOOKED_AT)
    named = Filters(levels=("rep",), keys=frozenset(("rep", f"R-{number}") for number in some))
    of_some = books_of(only(happened, some), FLOOR, entries(some))
    found = differences(
        snapshotter.take_kpis(image, AT_MS, filters=named, strict=True),
        answers(of_some, AT_MS, FLOOR, windows=WINDOWS, levels=("rep",)),
    )
    assert not found, "\n".join(found[:20])


def assert_sums(shown: KpiSnapshot, happened: list[Event]) -> None:
    """Hold everybody's revenue and calls of 30 days against what the events say."""
    revenue: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    since = rfc3339(AT_MS - 30 * DAY_MS)
    for event in happened:
        data, time = event["data"], str(event["time"])
        assert isinstance(data, dict)
        if time >= since:
            if "amount" in data:
                revenue[data["rep_id"]] += int(Fraction(data["amount"]) * 100)
            else:
                calls[data["rep_id"]] += 1
    for kpi, counted, scale in (("revenue", revenue, 100), ("calls", calls, 1)):
        told, _ = values_in(shown, kpi, "rep", "30d")
        assert told.keys() == {f"R-{number}" for number in range(REPS)}
        assert {rep for rep, value in told.items() if round(value * scale) != counted[rep]} == set()
        other = shown.value(kpi, "rep", "other", "30d")
        strangers = sum(count for rep, count in counted.items() if rep.startswith("made-up"))
        assert other is not None
        assert round(other * scale) == strangers
