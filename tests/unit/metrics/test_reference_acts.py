"""Reference records as a user sends them: what they change, what of them is refused, and how that is told."""

from datetime import date
from decimal import Decimal

import pytest

from metrics.calendar import Calendar
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import Cell
from metrics.reference import MarketSize, Rate, Reference, RosterSpell, Stage
from metrics.snapshot import PaneImage, SnapshotConfig, Snapshotter, take_snapshot
from tests.panes import FakeReader, Row

NOON_MS = 1_526_472_000_000  # Wednesday 2018-05-16 12:00 UTC
DAY_MS = 86_400_000
CONFIG = SnapshotConfig(calendar=Calendar("UTC"), currency="EUR")
YEN = Cell(rep="Ann", currency="JPY")


def told(rows: list[Row], *references: Reference) -> KpiSnapshot:
    return take_snapshot(FakeReader(rows, references=references), NOON_MS, CONFIG)


def won(cell: Cell, minor: int, *, days_ago: int = 0) -> list[Row]:
    at_ms = NOON_MS - 1 - days_ago * DAY_MS
    return [Row(at_ms, cell, "won"), Row(at_ms, cell, "won_amount", minor)]


@pytest.mark.parametrize(
    ("currency", "minor", "rate", "euros"),
    [("JPY", 12_345, "0.0061", 75.3045), ("BHD", 1_001, "2.5", 2.5025), ("CLF", 10_001, "33", 33.0033)],
)
def test_every_exponent_is_valued_exactly(currency: str, minor: int, rate: str, euros: float) -> None:
    cell = Cell(rep="Ann", currency=currency)
    snapshot = told(won(cell, minor), Rate(currency, Decimal(rate), date(2018, 5, 16)))
    assert snapshot.value("revenue", window="7d") == euros
    assert snapshot.missing_rates == {}


def test_a_corrected_rate_restates_and_a_withdrawn_one_is_missing_again() -> None:
    reader = FakeReader(won(YEN, 1000))
    snapshotter = Snapshotter(CONFIG)
    for rate, revenue, missing in ((None, 0, {"JPY": 1}), ("0.5", 500, {}), ("0.25", 250, {})):
        reader.known = [Rate("JPY", None if rate is None else Decimal(rate), date(2018, 1, 1))]
        snapshot = snapshotter.take(PaneImage.of(reader), NOON_MS)
        assert snapshot.value("revenue", window="7d") == revenue
        assert snapshot.missing_rates == missing


def test_a_deal_that_closes_leaves_nothing_behind_whatever_the_rate_did() -> None:
    rows = [
        Row(NOON_MS - 9 * DAY_MS, YEN, "open_amount", 1000),
        Row(NOON_MS - DAY_MS, YEN, "open_amount", -1000),
        Row(NOON_MS - 2 * DAY_MS, YEN, "open_amount", 7),
    ]
    rates = [Rate("JPY", Decimal(rate), date(2018, 5, day)) for day, rate in ((1, "0.9"), (10, "0.5"))]
    assert told(rows, *rates).value("pipeline_value") == 3.5


def test_what_is_open_moves_along_with_its_rep() -> None:
    rows = [Row(NOON_MS - 9 * DAY_MS, Cell(rep="Ann"), "open"), *won(Cell(rep="Ann"), 0, days_ago=5)]
    snapshot = told(
        rows,
        RosterSpell("Ann", "Ann Lee", "North", None, None, date(2018, 5, 14)),
        RosterSpell("Ann", "Ann Lee", "South", None, date(2018, 5, 14)),
    )
    assert snapshot.value("open_deals", "team", "South") == 1
    assert snapshot.value("open_deals", "team", "North") == 0
    assert snapshot.value("deals_won", "team", "North", "7d") == 1
    assert snapshot.keys["rep"].teams == ("South",)
    assert snapshot.to_json_obj()["names"] == {"rep": {"Ann": "Ann Lee"}}


def test_a_rep_on_the_roster_who_did_nothing_shows_zero() -> None:
    snapshot = told([], RosterSpell("Ann", None, "North"), RosterSpell("Old", active_to=date(2018, 1, 1)))
    assert snapshot.keys["rep"].labels == ("Ann",)
    assert snapshot.value("calls", "rep", "Ann", "today") == 0
    assert snapshot.value("reps_on_roster", "team", "North", "today") == 1


@pytest.mark.parametrize(
    ("records", "refused", "why"),
    [
        (
            [
                RosterSpell("Ann", team_id="North", active_from=date(2018, 1, 1), active_to=date(2018, 6, 1)),
                RosterSpell("Ann", team_id="South", active_from=date(2018, 5, 1)),
            ],
            "rep:Ann:2018-05-01",
            "end that one by then, with active_to = 2018-05-01",
        ),
        (
            [Rate("EUR", Decimal(2), date(2018, 1, 1))],
            "rate:EUR:2018-01-01",
            "its rate is 1; withdraw the record",
        ),
        ([MarketSize("2018-13", Decimal(1))], "market:2018-13", "has no month 13"),
        ([MarketSize("2018", Decimal(1), "GBP")], "market:2018", "there is no rate from GBP into EUR"),
        (
            [Stage("offer", "a", probability=0.5), Stage("offer", "b", probability=0.6)],
            "stage:b:offer",
            "rename one, or send one value",
        ),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_the_rest_stands(
    records: list[Reference], refused: str, why: str
) -> None:
    snapshot = told([Row(NOON_MS - 1, Cell(rep="Ann"), "won")], *records)
    [problem] = snapshot.reference_problems
    assert problem.record == refused
    assert why in problem.problem
    assert snapshot.value("deals_won", window="5m") == 1
    if refused.startswith("rep:"):
        assert snapshot.value("deals_won", "team", "North", "5m") == 1


def test_velocity_is_money_per_day() -> None:
    euro = Cell(rep="Ann", currency="EUR")
    rows = [
        *won(euro, 100_00, days_ago=3),
        Row(NOON_MS - DAY_MS, euro, "lost"),
        Row(NOON_MS - 9, euro, "open", 4),
    ]
    rows.append(Row(NOON_MS - 3 * DAY_MS - 1, euro, "won_cycle", of=10 * DAY_MS))
    snapshot = told(rows)
    assert snapshot.value("pipeline_velocity") == pytest.approx(4 * 0.5 * 100 / 10, rel=0.01)
    [value] = [v for v in snapshot.values() if v.kpi.name == "pipeline_velocity" and v.level == "floor"]
    assert value.kpi.gauge_name("floor") == "salesfloor_floor_pipeline_velocity_per_day"
