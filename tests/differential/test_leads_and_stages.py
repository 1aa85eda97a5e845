"""Leads with their touches, deals with their calls, stages: equal to the oracle at any instant."""

import asyncio
import json
from datetime import UTC, date, datetime
from random import Random

import pytest

from oracle.numbers import answers, books_of
from oracle.windows import Floor
from tests.histories import DAY_MS, HOUR_MS, Event, cloud_event, rfc3339
from tests.product_path import ProductPath, differences

MINUTE_MS = 60_000
FLOORS = (
    Floor(zone="Europe/Berlin", response_sla_minutes=90, stalled_after_days=3),
    Floor(
        zone="America/New_York",
        holidays=(date(2018, 3, 12),),
        hours=("08:30", "17:00"),
        hours_of={"friday": ("08:30", "13:00")},
        stalled_after_days=1,
    ),
    Floor(zone="Asia/Kathmandu", hours=("00:00", "23:59"), business_days=("sunday", "monday", "friday")),
)
KINDS = ("call", "call", "email", "meeting", "demo", "one_on_one", "training", None)
STAGES = ("new", "demo", "offer", "talks", "paper", None)


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type, misc]


END_MS = ms(2018, 3, 19, 15)


class Story:
    """A month of leads, their deals and what is done for both; times crowd together, as in life."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.events: list[Event] = []

    def tell(self) -> list[Event]:
        for _ in range(160):
            self._tell_one()
        self.events += self.random.choices(self.events, k=20)
        self.random.shuffle(self.events)
        return self.events

    def _time(self) -> int:
        random = self.random
        base_ms = END_MS - random.randrange(30) * DAY_MS
        return base_ms + random.choice((0, HOUR_MS, 90 * MINUTE_MS, random.randrange(DAY_MS)))

    def _tell_one(self) -> None:
        random = self.random
        kind = random.choices(("lead", "deal", "activity"), weights=(3, 4, 5))[0]
        number = random.randrange({"lead": 12, "deal": 8, "activity": 40}[kind])
        data: Event = {}
        for name, ids in (("lead_id", "L"), ("deal_id", "D")):
            if random.random() < 0.4 and name != f"{kind}_id":
                data[name] = random.choice((f"{ids}-{random.randrange(8)}", None))
        if random.random() < 0.4:
            data["rep_id"] = random.choice(("R1", "R2"))
        if kind == "lead":
            verb = random.choice(
                ("created", "created", "converted", "updated", "deleted", "restored", "merged")
            )
        elif kind == "deal":
            verb = random.choice(
                ("created", "updated", "updated", "updated", "won", "lost", "reopened", "deleted", "restored")
            )
            if random.random() < 0.7:
                data["stage"] = random.choice(STAGES)
        else:
            verb = random.choice(("completed", "completed", "completed", "updated", "deleted"))
            data["kind"] = random.choice(KINDS)
            if random.random() < 0.2:
                data["completed_at"] = random.choice((None, rfc3339(self._time())))
        if verb == "merged":
            data["merged_into"] = "L-99"
        self.events.append(cloud_event(kind, verb, number, self._time(), data, event_id=f"{random.random()}"))


def check(path: ProductPath, events: list[Event], as_of_ms: int) -> None:
    expected = answers(books_of(events, path.floor), as_of_ms, path.floor)
    found = differences(path.snapshot(as_of_ms), expected)
    assert not found, f"at {rfc3339(as_of_ms)}:\n" + "\n".join(found[:20])


async def followed(events: list[Event], floor: Floor, random: Random) -> ProductPath:
    path = ProductPath(floor, now_ms=END_MS + DAY_MS, slots=3)
    cuts = sorted(random.randint(0, len(events)) for _ in range(3))
    for start, end in zip((0, *cuts), (*cuts, len(events)), strict=True):
        await path.arrive(events[start:end])
    return path


@pytest.mark.parametrize("seed", range(24))
def test_a_month_of_leads_equals_the_oracle_at_any_instant_after_it(seed: int) -> None:
    floor = FLOORS[seed % len(FLOORS)]
    story = Story(seed)
    events = story.tell()
    path = asyncio.run(followed(events, floor, story.random))
    for as_of_ms in (END_MS, END_MS + 1, END_MS + 7 * HOUR_MS, END_MS - story.random.randrange(20 * DAY_MS)):
        check(path, events, as_of_ms)


def value(path: ProductPath, kpi: str, as_of_ms: int, window: str = "24h") -> float | None:
    return path.snapshot(as_of_ms).value(kpi, "floor", "all", window)


def test_a_missed_lead_and_a_stalled_deal_show_by_the_passing_of_time_alone() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    events = [
        cloud_event("lead", "created", 1, monday_ms, {}, event_id="a"),
        cloud_event("deal", "created", 1, monday_ms, {}, event_id="b"),
    ]
    path = ProductPath(Floor(), now_ms=monday_ms)
    asyncio.run(path.arrive(events))
    hour_over_ms = monday_ms + HOUR_MS
    assert value(path, "lead_response_sla", hour_over_ms) is None
    assert value(path, "lead_response_sla", hour_over_ms + 1) == 0
    assert value(path, "lead_sla_due", hour_over_ms + 1, "5m") == 1
    assert value(path, "lead_sla_due", hour_over_ms + 25 * HOUR_MS) == 0
    stalls_ms = monday_ms + 14 * DAY_MS
    for as_of_ms, stalled in ((stalls_ms, 0), (stalls_ms + 1, 1)):
        assert path.snapshot(as_of_ms).value("stalled_deals", "floor", "all") == stalled
        check(path, events, as_of_ms)


def test_a_deal_or_lead_merged_into_nothing_counts_like_any_other() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    nowhere: Event = {"merged_into": ""}
    events = [
        cloud_event("deal", "created", 1, monday_ms, nowhere, event_id="a"),
        cloud_event("lead", "created", 1, monday_ms, nowhere, event_id="b"),
        cloud_event("deal", "merged", 2, monday_ms, {"merged_into": "D-1"}, event_id="c"),
        cloud_event("deal", "updated", 2, monday_ms + 1, nowhere, event_id="d"),
    ]
    path = ProductPath(Floor(), now_ms=monday_ms + HOUR_MS)
    asyncio.run(path.arrive(events))
    after_ms = monday_ms + 15 * DAY_MS
    assert [value(path, kpi, after_ms, "30d") for kpi in ("deals_created", "leads_created")] == [1, 1]
    shown = path.snapshot(after_ms)
    assert [shown.value(kpi, "floor", "all") for kpi in ("open_deals", "stalled_deals")] == [2, 2]
    check(path, events, after_ms)


async def restated(*later: Event) -> ProductPath:
    """Return a floor whose lead was called 20 minutes after it came, once more came to be known."""
    monday_ms = ms(2018, 3, 5, 10)
    first = [
        cloud_event("lead", "created", 1, monday_ms, {}, event_id="a"),
        cloud_event(
            "activity",
            "completed",
            1,
            monday_ms + 20 * MINUTE_MS,
            {"kind": "call", "lead_id": "L-1"},
            event_id="b",
        ),
    ]
    path = ProductPath(Floor(), now_ms=monday_ms + DAY_MS)
    await path.arrive(first[::-1])
    assert value(path, "lead_sla_met", monday_ms + DAY_MS) == 1
    await path.arrive(later)
    check(path, [*first, *later], monday_ms + DAY_MS)
    return path


def test_a_deleted_call_takes_the_answer_back_and_the_next_attempt_counts() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    gone = cloud_event("activity", "deleted", 1, monday_ms + HOUR_MS, {}, event_id="c")
    path = asyncio.run(restated(gone))
    assert value(path, "lead_response_sla", monday_ms + DAY_MS) == 0
    assert value(path, "leads_contacted", monday_ms + DAY_MS) == 0
    mail = cloud_event(
        "activity", "completed", 2, monday_ms + 3 * HOUR_MS, {"kind": "email", "lead_id": "L-1"}, event_id="d"
    )
    path = asyncio.run(restated(gone, mail))
    waited = path.snapshot(monday_ms + DAY_MS).value(
        "lead_response_time", "floor", "all", "24h", quantile=0.5
    )
    assert waited == pytest.approx(3 * 3600, rel=0.01)


def test_an_earlier_attempt_that_arrives_late_becomes_the_first() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    earlier = cloud_event(
        "activity", "completed", 2, monday_ms + MINUTE_MS, {"kind": "email", "lead_id": "L-1"}, event_id="c"
    )
    path = asyncio.run(restated(earlier))
    waited = path.snapshot(monday_ms + DAY_MS).value(
        "lead_response_time", "floor", "all", "24h", quantile=0.9
    )
    assert waited == pytest.approx(60, rel=0.01)


@pytest.mark.parametrize(("late_ms", "met"), [(0, 1), (1, 0)])
def test_the_last_instant_of_the_hour_is_in_time(late_ms: int, met: int) -> None:
    friday_ms = ms(2018, 3, 9, 17, 30)
    monday_ms = ms(2018, 3, 12, 9, 30)
    events = [
        cloud_event("lead", "created", 1, friday_ms, {}, event_id="a"),
        cloud_event("activity", "completed", 1, monday_ms + late_ms, {"lead_id": "L-1"}, event_id="b"),
    ]
    path = ProductPath(Floor(), now_ms=monday_ms + DAY_MS)
    asyncio.run(path.arrive(events))
    assert value(path, "lead_response_sla", monday_ms + HOUR_MS) == met
    check(path, events, monday_ms + HOUR_MS)


def stage(name: str, order: int | None, probability: float | None = None) -> Event:
    data = {"stage": name, "order": order, "probability": probability}
    return {
        "specversion": "1.0", "id": f"{name}{order}{probability}", "source": "/tests",
        "type": "sales.stage.set", "time": rfc3339(ms(2018, 1, 1) + (order or 0)), "data": data,
    }  # fmt: skip


async def told(path: ProductPath, stages: list[Event]) -> None:
    await path.arrive_raw([("sales.reference", 0, json.dumps(each).encode()) for each in stages])


def test_the_order_of_stages_decides_what_is_further_and_a_new_order_restates() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    moves = ("demo", "offer", "demo", "dropped")
    events = [
        cloud_event("deal", "updated", 1, monday_ms + n * HOUR_MS, {"stage": name}, event_id=str(n))
        for n, name in enumerate(moves)
    ]
    path = ProductPath(Floor(), now_ms=monday_ms + DAY_MS)
    asyncio.run(path.arrive(events))

    def shares() -> dict[str, float | None]:
        shot = path.snapshot(monday_ms + DAY_MS)
        return {name: shot.value("stage_conversion", "stage", name, "24h") for name in sorted(set(moves))}

    assert shares() == {"demo": 1, "offer": 1, "dropped": 0}  # by time: each was followed by a newer one
    asyncio.run(told(path, [stage("dropped", None, 0)]))
    assert shares() == {"demo": 1, "offer": 0, "dropped": 0}
    asyncio.run(told(path, [stage("offer", 1), stage("demo", 2)]))
    assert shares() == {"demo": 0, "offer": 1, "dropped": 0}


def test_activities_that_have_left_memory_stay_their_leads_and_their_deals() -> None:
    monday_ms = ms(2018, 3, 5, 10)
    call: Event = {"kind": "call", "lead_id": "L-1", "deal_id": "D-1"}
    events = [
        cloud_event("lead", "created", 1, monday_ms, {}, event_id="a"),
        cloud_event("deal", "created", 1, monday_ms, {}, event_id="b"),
        cloud_event("activity", "completed", 1, monday_ms + HOUR_MS, call, event_id="c"),
        cloud_event("activity", "completed", 2, monday_ms + 20 * DAY_MS, call, event_id="d"),
        cloud_event("activity", "completed", 3, monday_ms + 60 * DAY_MS, {"kind": "email"}, event_id="e"),
        cloud_event("deal", "won", 1, monday_ms + 61 * DAY_MS, {}, event_id="f"),
    ]
    as_of_ms = monday_ms + 62 * DAY_MS
    path = ProductPath(Floor(), now_ms=as_of_ms, slots=1, activity_horizon_ms=35 * DAY_MS)
    asyncio.run(path.arrive(events[:5]))
    asyncio.run(path.expire_and_reload())
    asyncio.run(path.arrive(events[5:]))
    assert asyncio.run(path.activities_in_memory()) == ["A-3"]
    for passed_ms in (0, 10 * DAY_MS, 25 * DAY_MS, 40 * DAY_MS):
        check(path, events, as_of_ms - passed_ms)
