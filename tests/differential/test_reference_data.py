"""Rates, roster, stage chances and markets act as a slow computation says, in every zone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

import pytest

from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.reference import MarketSize, Rate, Reference, RosterSpell, Stage
from metrics.snapshot import SnapshotConfig, take_snapshot
from oracle.reference import Books, Fact, RosterEntry, midnight
from oracle.reference import Reference as Known
from oracle.windows import WINDOWS, Floor, Span, window_pair
from tests.panes import FakeReader, Row

DAY_MS = 86_400_000
MINOR = {"EUR": 2, "JPY": 0, "BHD": 3, "CLF": 4, "GBP": 2, "USD": 2}
AMOUNTS = {code: Decimal(1).scaleb(-digits) * 123_457 for code, digits in MINOR.items()}
REPS = ("Ann", "Ben", "Cyd", "")
STAGES = ("new", "offer", "")

# Whole hours, half hours, a half-hour clock change, midnights that are skipped or happen twice.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe",
    "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu",
)  # fmt: skip
DAYS = (date(2018, 3, 12), date(2020, 2, 29), date(2017, 10, 15))
CLOCK_CHANGES = (
    ("Europe/Berlin", date(2018, 3, 25)), ("America/New_York", date(2018, 11, 4)),
    ("Australia/Lord_Howe", date(2018, 4, 1)), ("America/St_Johns", date(2018, 3, 11)),
    ("America/Sao_Paulo", date(2018, 11, 4)), ("America/Havana", date(2018, 11, 4)),
)  # fmt: skip


def calendar_of(floor: Floor) -> Calendar:
    return Calendar(floor.zone, business_days=floor.business_days, holidays=floor.holidays)


def floor_of(random: Random, zone: str) -> Floor:
    return Floor(
        zone=zone,
        currency=random.choice(("EUR", "JPY", "BHD", "USD")),
        business_days=random.choice((("monday", "friday"), ("sunday", "monday", "tuesday", "wednesday"))),
        holidays=tuple(day - timedelta(days=random.randrange(60)) for day in DAYS),
        stage_probability={"new": 0.1},
    )


def reference_of(random: Random, today: date, floor: Floor) -> Known:
    known = Known()
    for code in random.sample(sorted(MINOR), 4):
        if code != floor.currency and random.random() < 0.9:
            for ago in {0, *random.sample(range(-2, 420), random.randint(0, 4))}:
                rate = Decimal(random.randrange(1, 10**7)).scaleb(-random.randrange(7))
                known.rates.append((code, today - timedelta(days=ago), rate))
    if random.random() < 0.8:
        for rep in REPS[:3]:
            cuts = sorted(today - timedelta(days=ago) for ago in random.sample((*range(-3, 500, 7), 0, 1), 3))
            teams = [(random.choice(("North", "South", "")), random.choice(("EU", ""))) for _ in cuts]
            known.roster.append(RosterEntry(rep, *teams[0], random.choice((None, cuts[0])), cuts[1]))
            known.roster.append(
                RosterEntry(
                    rep, *teams[1], random.choice((cuts[1], cuts[2])), random.choice((None, date(2030, 1, 1)))
                )
            )
    known.chances = {"offer": random.choice((0.25, 0.333333))} if random.random() < 0.7 else {}
    for year in (2015, 2016, 2017, 2018, 2019, 2020):
        if random.random() < 0.9:
            known.markets.append((date(year, 1, 1), date(year + 1, 1, 1), Decimal("1234567.89")))
    if random.random() < 0.5:
        first = today.replace(day=1)
        known.markets.append((first, today + timedelta(days=40), Decimal(99_999)))
    return known


def facts_of(random: Random, as_of_ms: int, midnights: Sequence[int] = ()) -> list[Fact]:
    def moment() -> int:
        ago_ms = random.choice((0, 1, random.randrange(3 * DAY_MS), random.randrange(480 * DAY_MS)))
        if midnights and random.random() < 0.3:
            return min(random.choice(midnights), as_of_ms)
        return as_of_ms - ago_ms

    facts = []
    for _ in range(60):
        rep, team = random.choice(REPS), random.choice(("North", "", ""))
        region = random.choice(("EU", "", ""))
        kind = random.choice(("won", "activity", "open"))
        if kind == "activity":
            facts.append(Fact("activity", moment(), rep, team, region))
            continue
        currency = random.choice(sorted(MINOR))
        amount = AMOUNTS[currency] * random.choice((1, 7, 1000))
        until = random.choice((1 << 42, moment()))
        start = moment()
        facts.append(
            Fact(
                kind, start, rep, team, region, currency, amount, max(start, until), random.choice(STAGES),
                random.choice((None, None, 0.5, 0.123456)),
            )
        )  # fmt: skip
    return facts


def rows_of(facts: list[Fact]) -> list[Row]:
    rows = []
    for fact in facts:
        cell = Cell(fact.rep, fact.team, region=fact.region, currency=fact.currency)
        minor = int(fact.amount.scaleb(MINOR.get(fact.currency, 0)))
        if fact.kind == "activity":
            rows.append(Row(fact.time_ms, cell, "activities_done"))
        elif fact.kind == "won":
            rows += [Row(fact.time_ms, cell, "won"), Row(fact.time_ms, cell, "won_amount", minor)]
        elif fact.until_ms > fact.time_ms:
            open_cell = cell._replace(stage=fact.stage)
            values = {"open": 1, "open_amount": minor}
            if fact.chance is None:
                values["open_unrated"] = minor
            else:
                whole, rest = divmod(minor * round(fact.chance * 1_000_000), 1_000_000)
                values |= {"open_weighted": whole, "open_weighted_millionths": rest}
            for time_ms, sign in ((fact.time_ms, 1), (fact.until_ms, -1)):
                rows += [Row(time_ms, open_cell, name, sign * value) for name, value in values.items()]
    return rows


def records_of(known: Known) -> list[Reference]:
    records: list[Reference] = [Rate(code, rate, since) for code, since, rate in known.rates]
    records += [
        RosterSpell(e.rep, None, e.team or None, e.region or None, e.first, e.after) for e in known.roster
    ]
    records += [Stage(stage, probability=chance) for stage, chance in known.chances.items()]
    records += [MarketSize(f"{first}/{after}", Decimal(str(size))) for first, after, size in known.markets]
    return records


def same(found: float | None, expected: Fraction | None) -> bool:
    return found is None if expected is None else found == float(expected)


def over(a: Fraction | int | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or not b else Fraction(a) / b


def wrong_in(snapshot: KpiSnapshot, books: Books, as_of_ms: int, floor: Floor) -> list[str]:
    wrong: list[str] = []

    def check(kpi: str, level: str, key: str, window: str | None, expected: Fraction | None) -> None:
        found = snapshot.value(kpi, level, key or "all", window)
        if not same(found, expected):
            wrong.append(f"{kpi} {level} {key!r} {window}: {found} instead of {expected and float(expected)}")

    for level in ("floor", "team", "rep", "region"):
        for label in snapshot.keys[level].labels:
            key = "" if level == "floor" else label
            check("pipeline_value", level, key, None, books.pipeline(level, key, as_of_ms))
            check("weighted_pipeline", level, key, None, books.weighted(level, key, as_of_ms))
            for window in WINDOWS:
                span = window_pair(window, as_of_ms, floor).now
                revenue = books.revenue(level, key, span)
                check("revenue", level, key, window, revenue)
                days = books.rep_days(level, key, span)
                check("rep_days", level, key, window, days)
                done = books.activities(level, key, span)
                check("activities_per_rep_day", level, key, window, over(done, days))
                if level != "rep":
                    reps = books.reps(level, key, span)
                    check("reps_on_roster", level, key, window, reps)
                    check("revenue_per_rep", level, key, window, over(revenue, reps))
                if level == "floor":
                    market = books.market(span)
                    check("market", level, key, window, market)
                    check("market_share", level, key, window, over(revenue, market))
    for stage in snapshot.keys["stage"].labels:
        check("weighted_pipeline", "stage", stage, None, books.weighted("stage", stage, as_of_ms))
    return wrong


@pytest.mark.parametrize("seed", range(45))
def test_reference_data_acts_as_its_sentences_say(seed: int) -> None:
    random = Random(seed)
    zone, day = random.choice((random.choice(CLOCK_CHANGES), (random.choice(ZONES), random.choice(DAYS))))
    floor = floor_of(random, zone)
    known = reference_of(random, day, floor)
    as_of_ms = midnight(day, floor) + random.choice((0, 0, 1, 30 * 60_000, 11 * 3_600_000))
    cuts = {cut for entry in known.roster for cut in (entry.first, entry.after) if cut is not None}
    facts = facts_of(random, as_of_ms, [midnight(cut, floor) for cut in sorted(cuts)])
    config = SnapshotConfig(
        calendar=calendar_of(floor),
        currency=floor.currency,
        levels=("floor", "team", "rep", "region", "stage"),
        stage_probability=dict(floor.stage_probability),
    )
    reader = FakeReader(rows_of(facts), references=records_of(known))
    snapshot = take_snapshot(reader, as_of_ms, config)
    books = Books(facts, known, floor)
    assert not snapshot.reference_problems
    assert snapshot.missing_rates == books.missing(as_of_ms)
    wrong = wrong_in(snapshot, books, as_of_ms, floor)
    assert not wrong, "\n".join(wrong[:20])


def year_before(as_of_ms: int, window: str, floor: Floor) -> Span:
    """Return the window of the same name that ends at the same local date and time a year before."""
    zone = ZoneInfo(floor.zone)
    local = datetime.fromtimestamp(as_of_ms / 1000, zone)
    then = local.replace(year=local.year - 1)
    return window_pair(window, int(then.timestamp() * 1000), floor).now


@pytest.mark.parametrize("seed", range(12))
def test_growth_is_against_the_same_window_a_year_before(seed: int) -> None:
    random = Random(seed)
    floor = Floor(zone=random.choice(ZONES), currency="EUR")
    as_of_ms = 1_526_477_400_000 + random.randrange(60 * DAY_MS)
    facts = [f for f in facts_of(random, as_of_ms) if f.kind == "won"]
    snapshot = take_snapshot(
        FakeReader(rows_of(facts)), as_of_ms, SnapshotConfig(calendar=calendar_of(floor), currency="EUR")
    )
    books = Books(facts, Known(), floor)
    for window in WINDOWS:
        now = books.average("floor", "", window_pair(window, as_of_ms, floor).now)
        before = books.average("floor", "", year_before(as_of_ms, window, floor))
        growth = over(now, before)
        found = snapshot.value("average_deal_size_growth", "floor", "all", window)
        assert same(found, None if growth is None else growth - 1), window
