"""Targets of generated histories equal the oracle: every figure, on calendars of every kind."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.kpi_snapshot import KpiSnapshot
from metrics.pacing import Pacing
from metrics.snapshot import Filters, SnapshotConfig, take_snapshot
from oracle.joins import local_midnight
from oracle.numbers import Books, books_of
from oracle.targets import NOW, SUMS, Custom, Figures, Goal, days_of, figures
from oracle.windows import WEEKDAYS, Floor, instant_of, local_of
from tests.histories import DAY_MS, Event, Generator, edge_times
from tests.product_path import ProductPath
from tests.strength import amount

CHANCES = {"proposal": 0.5, "closing": 0.85}
FLOORS = (
    Floor(stage_probability=CHANCES),
    Floor(zone="Europe/Berlin", holidays=(date(2018, 5, 1), date(2018, 12, 25)), stage_probability=CHANCES),
    Floor(zone="America/New_York", week_start="sunday", fiscal_year_start_month=7, stage_probability=CHANCES),
    Floor(zone="Asia/Kolkata", fiscal_year_start_month=4, business_days=WEEKDAYS[:6]),
    Floor(zone="America/Sao_Paulo", week_start="saturday", fiscal_year_start_month=2),  # no midnight on 4 Nov
)
MONEY = frozenset(("revenue", "pipeline_value", "average_deal_size"))
KPIS = (*sorted(SUMS), *sorted(NOW), "win_rate", "average_deal_size")
REPS, TEAMS = ("R1", "R2", "R3"), ("North", "South")
EXACT_BELOW = Fraction(2**53, 100)
"""Up to here a float holds every cent."""


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type, misc]


INSTANTS = (
    at(2018, 5, 16, 15, 30), at(2018, 3, 11, 7, 1), at(2018, 3, 25, 1, 30), at(2018, 10, 28, 1, 30),
    at(2018, 11, 4, 5, 30), at(2018, 11, 4, 3), at(2018, 12, 31, 23, 59), at(2020, 2, 29, 12), at(2018, 4, 1),
)  # fmt: skip


def periods_at(as_of_ms: int, floor: Floor, random: Random) -> list[str]:
    """Return periods of every kind around the instant; most of them run."""
    day = local_of(as_of_ms, floor).date()
    year, week, _ = (day + timedelta(days=random.choice((-1, 0, 1)))).isocalendar()
    first = day - timedelta(days=random.choice((0, 1, 5, 40)))
    after = day + timedelta(days=random.choice((1, 2, 30)))
    return [
        *(f"{number}" for number in (day.year, day.year + 1)),
        *(f"{number}-Q{random.randint(1, 4)}" for number in (day.year, day.year + 1)),
        f"{day:%Y-%m}",
        f"{year}-W{week:02}",
        f"{first}/{after}",
    ]


def goals_of(random: Random, as_of_ms: int, floor: Floor) -> list[Goal]:
    goals = {}
    for period in periods_at(as_of_ms, floor, random):
        for kpi in [*random.sample(KPIS, 4), "revenue"]:
            level = random.choice(("floor", "team", "rep"))
            key = random.choice({"floor": ("",), "team": TEAMS, "rep": REPS}[level])
            value = Fraction(random.choice((1, 3, 250, 12_600, 10**15)), random.choice((1, 100)))
            goals[kpi, level, key, period] = Goal(kpi, level, key, period, value)
    return list(goals.values())


def custom_of(random: Random, as_of_ms: int, floor: Floor) -> Custom:
    today = local_of(as_of_ms, floor).date()
    ramp = random.choice((0, 0, 1, 3))
    return Custom(
        weekday_weights=random.choice(({}, {"friday": "0.5", "saturday": "0.25"}, {"monday": "0"})),
        ramp_months=ramp,
        year_named_by=random.choice(("start", "end")),
        began={rep: today - timedelta(days=random.choice((0, 3, 31, 59, 400))) for rep in REPS},
    )


def record(number: int, type_: str, data: Event) -> tuple[str, int, bytes]:
    event = {"specversion": "1.0", "id": f"r{number}", "source": "/tests", "type": type_,
             "time": "2010-01-01T00:00:00Z", "data": data}  # fmt: skip
    return "sales.reference", number % 2, json.dumps(event).encode()


def records_of(goals: list[Goal], custom: Custom) -> list[tuple[str, int, bytes]]:
    wanted: list[tuple[str, Event]] = [
        ("sales.rep.updated", {"rep_id": rep, "active_from": f"{day}"}) for rep, day in custom.began.items()
    ]
    for goal in goals:
        value = f"{float(goal.value):.2f}" if goal.value.denominator > 1 else f"{goal.value}"
        data: Event = {
            "kpi": goal.kpi,
            "level": goal.level,
            "key": goal.key,
            "period": goal.period,
            "value": value,
        }
        if goal.kpi in MONEY:
            data["currency"] = "USD"
        wanted.append(("sales.target.set", data))
    return [record(number, *each) for number, each in enumerate(wanted)]


def with_due_days(events: list[Event], random: Random, as_of_ms: int, floor: Floor) -> list[Event]:
    """Let many deals say when they are expected to close: around the edges of the periods."""
    today = local_of(as_of_ms, floor).date()
    days = [today + timedelta(days=days) for days in (-40, -1, 0, 1, 2, 30, 200)]
    days += [today.replace(day=1), today.replace(day=1) - timedelta(days=1)]
    for event in events:
        data = event["data"]
        assert isinstance(data, dict)
        if str(event["type"]).startswith("sales.deal.") and random.random() < 0.5:
            data["expected_close_on"] = f"{random.choice(days)}"
            data |= random.choice(({}, {"probability": random.choice((0.49, 0.5, 0.79, 0.8, None))}))
    return events


async def snapshot_of(
    events: list[Event], goals: list[Goal], custom: Custom, as_of_ms: int, floor: Floor
) -> KpiSnapshot:
    path = ProductPath(floor, now_ms=as_of_ms + 900 * DAY_MS)
    await path.arrive(events)
    await path.arrive_raw(records_of(goals, custom))
    pacing = Pacing(
        weekday_weights={day: float(weight) for day, weight in custom.weekday_weights.items()},
        ramp_months=custom.ramp_months,
        year_named_by="start" if custom.year_named_by == "start" else "end",
    )
    config: SnapshotConfig = replace(path.config, pacing=pacing)
    return take_snapshot(path.follower, as_of_ms, config, strict=True, filters=Filters(windows=()))


def wrong_with(
    snapshot: KpiSnapshot, goals: list[Goal], books: Books, custom: Custom, floor: Floor
) -> list[str]:
    told = {}
    for standing in snapshot.targets:
        target = standing.target.record
        told[target.kpi, target.level, target.key, target.period] = standing.figures
    wrong = []
    for goal in goals:
        expected = figures(goal, books, snapshot.as_of_ms, floor, custom)
        found = told.pop((goal.kpi, goal.level, goal.key, goal.period), None)
        if found is None or expected is None:
            nobody = expected is not None and goal.level == "team" and not expected.get("quota_actual")
            if not (found is None and (expected is None or nobody)):
                wrong.append(f"{goal}: {found} instead of {expected}")
            continue
        wrong += [f"{goal} {name}" for name in sorted({*found} ^ {*expected})]
        wrong += [
            f"{goal} {name}: {found[name]} instead of {float(figure)}"
            for name, figure in expected.items()
            if name in found and not same(found[name], figure, goal, expected)
        ]
    return wrong + [f"{target} is not expected at all" for target in told]


def same(found: float, figure: Fraction, goal: Goal, expected: Figures) -> bool:
    """Exact where the actual is a whole number of cents that a float holds; else to 12 digits."""
    if goal.kpi in SUMS and abs(expected.get("quota_actual", Fraction(0))) < EXACT_BELOW:
        return found == float(figure)
    scale = max(abs(figure), goal.value, abs(expected.get("quota_actual", Fraction(0))))
    return abs(Fraction(found) - figure) <= scale / 10**12


@pytest.mark.parametrize("seed", range(90))
def test_targets_of_a_seeded_history_equal_the_oracle(seed: int) -> None:
    random = Random(seed)
    floor, as_of_ms = FLOORS[seed % len(FLOORS)], INSTANTS[seed % len(INSTANTS)]
    custom, goals = custom_of(random, as_of_ms, floor), goals_of(random, as_of_ms, floor)
    times = edge_times(as_of_ms, floor)
    times += [instant_of(local_midnight(day), floor) for day in _first_days(goals, floor, custom)]
    events = Generator(seed, times=times, entities=8).history(100)
    events = with_due_days(events, random, as_of_ms, floor)
    snapshot = asyncio.run(snapshot_of(events, goals, custom, as_of_ms, floor))
    found = wrong_with(snapshot, goals, books_of(events, floor), custom, floor)
    assert not found, "\n".join(found[:20])


def _first_days(goals: list[Goal], floor: Floor, custom: Custom) -> list[date]:
    return [days_of(goal.period, floor, custom)[0] for goal in goals]


@settings(max_examples=amount(60, long=600))
@given(st.data())
def test_a_day_before_its_end_every_period_has_its_whole_weight_but_the_rest(data: st.DataObject) -> None:
    """Pace never falls, begins at 0 and ends at the quota, whatever the calendar."""
    floor = data.draw(st.sampled_from(FLOORS))
    random = data.draw(st.randoms(use_true_random=False))
    custom = custom_of(random, data.draw(st.sampled_from(INSTANTS)), floor)
    period = data.draw(st.sampled_from(("2018", "2018-Q2", "2018-11", "2018-W44", "2018-10-27/2018-11-06")))
    goal = Goal("deals_won", "rep", "R1", period, Fraction(1000))
    days = days_of(period, floor, custom)
    start_ms = instant_of(local_midnight(days[0]), floor)
    end_ms = instant_of(local_midnight(days[-1] + timedelta(days=1)), floor)
    instants = sorted(data.draw(st.lists(st.integers(start_ms, end_ms - 1), min_size=1, max_size=4)))
    path = ProductPath(floor, now_ms=end_ms)
    asyncio.run(path.arrive_raw(records_of([goal], custom)))
    pacing = Pacing(ramp_months=custom.ramp_months, year_named_by=custom.year_named_by)  # type: ignore[arg-type]
    config = replace(path.config, pacing=pacing)
    paces = []
    for as_of_ms in (start_ms, *instants, end_ms - 1):
        (standing,) = take_snapshot(path.follower, as_of_ms, config, filters=Filters(windows=())).targets
        paces.append(standing.figures.get("pace_expected", 0.0))
    assert paces == sorted(paces)
    assert paces[0] == 0
    assert paces[-1] == pytest.approx(1000, abs=0.01) or paces[-1] == 0
