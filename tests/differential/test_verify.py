"""Raw records in, the product's numbers and the recomputed ones out: the same, and a wrong one is named.

What `salesfloor verify` does, without Kafka and Redis: the very bytes go through the product's fold and
through the oracle's own reading.
"""

import asyncio
import json
from collections.abc import Sequence
from random import Random
from zoneinfo import ZoneInfo

import pytest

from metrics.listed import Listed
from metrics.panes import Cell
from metrics.snapshot import PaneImage, Snapshotter
from oracle.log import Log
from oracle.windows import Floor, local_of
from streams.commands.verify import judged, rules_of
from streams.joins.base import Joined
from streams.joins.stages import STAGE_ENTERED, StageJoin
from streams.settings import Settings, snapshot_config_of
from streams.simulate import Floor as MadeUp
from streams.verify import Comparison
from tests.differential.test_generated_histories import CASES
from tests.differential.test_reference_events import Working, reference_of, told
from tests.histories import DAY_MS, Delivery, Event, Generator, cloud_event, delivery, edge_times, rfc3339
from tests.product_path import ProductPath

SLOTS = 2
LEVELS = ["floor", "team", "rep", "stage", "product", "source", "region"]
WEEK_START_MS = 1_717_372_800_000  # Monday, 3 June 2024


def settings_of(floor: Floor, *, levels: Sequence[str] = LEVELS, horizon_days: int = 10_000) -> Settings:
    return Settings.model_validate(
        {
            "floor": {
                "zone": floor.zone,
                "currency": floor.currency,
                "week_start": floor.week_start,
                "fiscal_year_start_month": floor.fiscal_year_start_month,
                "business_days": floor.business_days,
                "holidays": floor.holidays,
                "stage_probability": floor.stage_probability,
            },
            "worker": {"retention_days": 10_000, "activity_horizon_days": horizon_days},
            "metrics": {"levels": list(levels)},
        }
    )


async def verified(
    records: Sequence[Delivery], settings: Settings, floor: Floor, as_of_ms: int, now_ms: int
) -> Comparison:
    horizon_ms = settings.worker.activity_horizon_days * DAY_MS
    path = ProductPath(
        floor,
        now_ms=now_ms,
        slots=SLOTS,
        activity_horizon_ms=horizon_ms,
        roster_only=settings.metrics.roster_only,
    )
    await path.arrive_raw(records, dead_letters=True)
    log = Log(rules_of(settings, now_ms))
    for topic, slot, value in records:
        log.take(topic, slot, now_ms, value)
    snapshotter = Snapshotter(snapshot_config_of(settings))
    snapshot = snapshotter.take_kpis(PaneImage.of(path.follower), as_of_ms, strict=True, now_ms=now_ms)
    return judged(snapshot, log, settings)


def assert_same(found: Comparison, at_least: int) -> None:
    assert not found.differences, "\n".join(map(str, found.differences[:20]))
    assert not found.not_told
    assert found.compared > at_least


def test_a_made_up_floor_is_the_same_at_every_level() -> None:
    floor = Floor(zone="Asia/Kuala_Lumpur", currency="MYR")
    end_ms = WEEK_START_MS + 8 * DAY_MS
    made = MadeUp(5, zone=ZoneInfo(floor.zone), currency=floor.currency, rate=0.02)
    records = [
        Delivery(each.topic, len(each.key or b"") % SLOTS, each.value)
        for each in made.events(WEEK_START_MS, end_ms)
    ]
    assert_same(asyncio.run(verified(records, settings_of(floor), floor, end_ms, end_ms)), 20_000)


@pytest.mark.parametrize("seed", range(4))
def test_rosters_rates_and_stages_that_change_are_followed(seed: int) -> None:
    floor, as_of_ms = CASES[seed]
    generator = Working(seed, times=[*edge_times(as_of_ms, floor), as_of_ms - DAY_MS], entities=8)
    others = Generator(seed, times=generator.times, entities=6).history(60)
    events = [*generator.history(60), *(each | {"id": f"other-{each['id']}"} for each in others)]
    known = reference_of(generator.random, local_of(as_of_ms, floor).date())
    records = [delivery(event, slots=SLOTS) for event in events]
    said = told(known, generator.random)
    records += [Delivery("sales.reference", 0, json.dumps(each).encode()) for each in said]
    settings = settings_of(floor, levels=["floor", "team", "region", "rep", "stage"])
    assert_same(asyncio.run(verified(records, settings, floor, as_of_ms, as_of_ms + 60 * DAY_MS)), 2_000)


def test_who_is_not_on_the_roster_is_counted_as_one_here_too_and_a_stranger_on_his_own_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor, as_of_ms = CASES[0]
    now_ms = as_of_ms + 60 * DAY_MS
    events = Generator(2, times=edge_times(as_of_ms, floor), entities=8).history(60)
    spell: Event = {"rep_id": "R1", "team_id": "North"}
    said = cloud_event("rep", "updated", 1, WEEK_START_MS - 9_000 * DAY_MS, spell, event_id="r")
    records = [delivery(event, slots=SLOTS) for event in events]
    records.append(Delivery("sales.reference", 0, json.dumps(said).encode()))
    tables = settings_of(floor, levels=["floor", "team", "rep"]).model_dump()
    settings = Settings.model_validate({**tables, "metrics": {**tables["metrics"], "roster_only": ["rep"]}})
    assert_same(asyncio.run(verified(records, settings, floor, as_of_ms, now_ms)), 2_000)

    monkeypatch.setattr(Listed, "cell", lambda _, cell: cell)
    found = asyncio.run(verified(records, settings, floor, as_of_ms, now_ms))
    assert {each.place.key for each in found.differences} == {"other", "R2", "R3"}


@pytest.mark.parametrize("seed", range(3))
def test_activities_that_became_final_are_followed(seed: int) -> None:
    """Late changes of old activities are refused, or begin a second life: in the order of the log."""
    random, floor, end_ms = Random(seed), Floor(), WEEK_START_MS + 80 * DAY_MS
    events = []
    for number in range(150):
        time_ms = WEEK_START_MS + min(79, max(0, number // 2 + random.randint(-20, 5))) * DAY_MS
        data: Event = {
            "kind": random.choice(("call", "demo", "follow_up")),
            "rep_id": random.choice(("R1", "R2")),
        }
        if random.random() < 0.5:
            data["due_at"] = data["scheduled_at"] = rfc3339(time_ms + random.randint(-3, 20) * DAY_MS)
        verb = random.choice(("completed", "completed", "scheduled", "updated", "deleted"))
        events.append(
            cloud_event("activity", verb, random.randrange(30), time_ms, data, event_id=f"{number}")
        )
    settings = settings_of(floor, levels=["floor", "rep"], horizon_days=10)
    records = [delivery(event, slots=SLOTS) for event in events]
    assert_same(asyncio.run(verified(records, settings, floor, end_ms, end_ms)), 500)


def test_broken_records_count_nowhere_and_what_is_left_is_the_same() -> None:
    floor, as_of_ms = CASES[0]
    events = Generator(3, times=edge_times(as_of_ms, floor), entities=8).history(60)
    records = [delivery(event, slots=SLOTS) for event in events]
    random = Random(3)
    broken = []
    for record in records:
        value = bytearray(record.value)
        value[random.randrange(len(value))] = random.choice(b'{}[]",:0x\\\xff')
        broken.append(record._replace(value=bytes(value)))
    both = [record for pair in zip(records, broken, strict=True) for record in pair]
    settings = settings_of(floor, levels=["floor", "team", "rep"])
    assert_same(asyncio.run(verified(both, settings, floor, as_of_ms, as_of_ms + 60 * DAY_MS)), 2_000)


OWN: tuple[tuple[str, str, str, list[float]], ...] = (
    ("calls_per_win", "calls / deals_won", "count", []),
    (
        "revenue_per_done",
        "max(won_amount, revenue - spend_amount) / (activities_done + deals_won)",
        "money",
        [],
    ),
    ("won_lately", "at_least(2, deals_won@90d, deals_won@90d) / (created + deals_closed)", "count", []),
    ("won_of_won", "-(calls_per_win * deals_won) + calls", "count", []),
    ("open_shown", "open_amount / open", "money", []),
    ("cycle_quarters", "quantile(q, won_cycle)", "seconds", [0.25]),
)


def test_kpis_of_the_floors_own_are_worked_out_too() -> None:
    floor, as_of_ms = CASES[1]
    events = Generator(4, times=edge_times(as_of_ms, floor), entities=8).history(120)
    settings = settings_of(floor, levels=["floor", "rep"])
    tables = [
        {
            "name": name,
            "formula": formula,
            "unit": unit,
            "quantiles": quantiles,
            "sentence": "One.",
            "levels": ["floor", "rep"],
        }
        for name, formula, unit, quantiles in OWN
    ]
    settings = Settings.model_validate({**settings.model_dump(), "kpis": tables})
    records = [delivery(event, slots=SLOTS) for event in events]
    found = asyncio.run(verified(records, settings, floor, as_of_ms, as_of_ms + 60 * DAY_MS))
    assert not found.differences, "\n".join(map(str, found.differences[:20]))
    assert set(found.not_told) == {
        "no second opinion on cycle_quarters",
        "no second opinion on the window before of won_lately",
    }
    assert found.by_kpi["calls_per_win"] > 50
    assert all(found.by_kpi[name] for name, *_ in OWN[:5])


def test_a_formula_may_name_a_window_that_is_not_asked_for() -> None:
    floor, as_of_ms = CASES[1]
    events = Generator(4, times=edge_times(as_of_ms, floor), entities=8).history(120)
    tables = settings_of(floor, levels=["floor", "rep"]).model_dump()
    own = {"name": "share", "formula": "deals_won / deals_won@90d", "unit": "ratio", "sentence": "One."}
    metrics = {**tables["metrics"], "windows": ["mtd"], "windows_of": {}, "previous_of": {}}
    settings = Settings.model_validate({**tables, "metrics": metrics, "kpis": [own]})
    records = [delivery(event, slots=SLOTS) for event in events]
    found = asyncio.run(verified(records, settings, floor, as_of_ms, as_of_ms + 60 * DAY_MS))
    assert not found.differences, "\n".join(map(str, found.differences[:20]))
    assert found.by_kpi["share"] > 3


def test_a_floor_of_which_no_event_names_a_stage_has_no_entries_and_a_made_up_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor, now_ms = Floor(), WEEK_START_MS + 3_600_000
    won = cloud_event("deal", "won", 1, WEEK_START_MS, {"amount": "100", "rep_id": "R1"}, event_id="e")
    settings, records = settings_of(floor, levels=["stage"]), [delivery(won, slots=SLOTS)]
    found = asyncio.run(verified(records, settings, floor, now_ms, now_ms))
    assert not found.differences
    assert not found.not_told
    assert found.by_kpi["stage_entries"]

    made_up = [Joined(Cell(stage="proposal"), WEEK_START_MS, {STAGE_ENTERED: 1})]
    monkeypatch.setattr(StageJoin, "learn", lambda _, change, facts: [change.id])
    monkeypatch.setattr(StageJoin, "contributions", lambda *_: made_up)
    found = asyncio.run(verified(records, settings, floor, now_ms, now_ms))
    assert {each.place.kpi for each in found.differences} == {"stage_entries"}


def test_what_a_worker_may_have_seen_either_way_is_no_difference() -> None:
    """A deal of the day after tomorrow: too early for a worker today, in time for one tomorrow."""
    floor, now_ms = Floor(), WEEK_START_MS
    ahead = cloud_event("deal", "won", 1, now_ms + 30 * 3_600_000, {"amount": "5"}, event_id="e")
    settings = settings_of(floor, levels=["floor"])
    log = Log(rules_of(settings, now_ms + 2 * DAY_MS))
    record = delivery(ahead, slots=SLOTS)
    log.take(record.topic, record.slot, now_ms, record.value)
    assert log.doubtful == 1
    as_of_ms = now_ms + 2 * DAY_MS
    for folded_at_ms in (now_ms, now_ms + DAY_MS):
        path = ProductPath(floor, now_ms=folded_at_ms, slots=SLOTS)
        asyncio.run(path.arrive_raw([record], dead_letters=True))
        snapshot = Snapshotter(snapshot_config_of(settings)).take_kpis(PaneImage.of(path.follower), as_of_ms)
        assert not judged(snapshot, log, settings).differences


def test_a_number_that_is_off_is_named_and_nothing_else_is() -> None:
    floor, now_ms = Floor(), WEEK_START_MS + 3_600_000
    won = [
        cloud_event(
            "deal", "won", number, WEEK_START_MS, {"amount": "100", "rep_id": f"R{number}"}, event_id="e"
        )
        for number in (1, 2)
    ]
    settings = settings_of(floor, levels=["floor", "rep"])
    records = [delivery(event, slots=SLOTS) for event in won]
    path = ProductPath(floor, now_ms=now_ms, slots=SLOTS)
    asyncio.run(path.arrive_raw(records))
    log = Log(rules_of(settings, now_ms))
    for topic, slot, value in records:
        log.take(topic, slot, now_ms, value.replace(b'"100"', b'"101"') if slot else value)
    snapshot = Snapshotter(snapshot_config_of(settings)).take_kpis(PaneImage.of(path.follower), now_ms)
    found = judged(snapshot, log, settings)
    assert {(each.place.kpi, each.place.key) for each in found.differences if each.place.window == "24h"} == {
        (kpi, key) for kpi in ("revenue", "closed_amount", "average_deal_size") for key in ("", "R1")
    }  # fmt: skip
    revenue = next(
        each for each in found.differences if each.place.kpi == "revenue" and each.place.key == "R1"
    )
    assert (revenue.told, revenue.recomputed) == (100, 101)
