"""Counts, baselines and CUSUM of generated closings agree with the slow way, in any zone, around holidays."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.calendar import Calendar
from metrics.catalogue import BUILT_IN
from metrics.conversion_counts import ConversionReport, built_in_funnels, count_conversions
from metrics.labels import OTHER
from metrics.panes import Cell
from metrics.places import Places
from metrics.reference import RosterSpell
from metrics.roster import Roster
from oracle.conversion import Outcome, baseline, cusum, tally, trailing
from oracle.windows import Floor, Span
from tests.panes import FakeReader, Row

HOUR_MS = 3_600_000
AROUND_MS = 1_774_800_000_000  # 2026-03-29, the day Europe's clocks go forward
DAYS_OFF = [date(2026, 3, day) for day in (2, 6, 9, 17, 27, 30)] + [date(2026, 4, 3)]

floors = st.builds(
    Floor,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]),
    business_days=st.sampled_from(
        [("monday", "tuesday", "wednesday", "thursday", "friday"), ("sunday", "monday", "tuesday"),
         ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")]
    ),
    holidays=st.sets(st.sampled_from(DAYS_OFF)).map(lambda days: tuple(sorted(days))),
)  # fmt: skip
instants = st.integers(-8 * 24, 8 * 24).map(lambda hours: AROUND_MS + hours * HOUR_MS)
closing = st.builds(
    Outcome,
    time_ms=st.integers(-45 * 24 * 4, 8 * 24 * 4).map(lambda quarter: AROUND_MS + quarter * HOUR_MS // 4),
    team=st.sampled_from(["red", "blue"]),
    won=st.booleans(),
)
closings = st.lists(closing, max_size=150)


def calendar_of(floor: Floor) -> Calendar:
    return Calendar(floor.zone, business_days=floor.business_days, holidays=floor.holidays)


def report_of(
    found: list[Outcome],
    as_of_ms: int,
    floor: Floor,
    roster: Sequence[RosterSpell] = (),
    teams_max: int = 9,
) -> ConversionReport:
    rows = [Row(c.time_ms, Cell(team=c.team), "won" if c.won else "lost") for c in found]
    # What was taken back must leave no trace.
    wrong = Row(AROUND_MS - HOUR_MS, Cell(team="gone"), "won")
    reader = FakeReader([*rows, wrong, wrong._replace(value=-1)])
    funnels = [funnel for funnel in built_in_funnels(BUILT_IN) if funnel.name == "deal_win"]
    return count_conversions(
        Places(reader.cells(), Roster(roster, calendar_of(floor))),
        reader.log(),
        reader.resolutions(),
        as_of_ms,
        calendar_of(floor),
        funnels,
        teams_max=teams_max,
    )


def test_made_up_teams_hide_no_team_that_is_on_the_roster_now() -> None:
    busy = [Outcome(AROUND_MS - HOUR_MS, f"made up {number}", True) for number in range(5)] * 3
    found = [*busy, *(Outcome(AROUND_MS - HOUR_MS, team, True) for team in ("north", "former"))]
    spells = [
        RosterSpell("ann", None, "north"),
        RosterSpell("bob", None, "former", active_to=date(2026, 3, 1)),
    ]
    report = report_of(found, AROUND_MS, Floor(), spells, teams_max=3)
    assert report.teams == ("made up 0", "north", OTHER)
    assert report.counts[0].successes.tolist() == [17, 3, 1, 13]


@given(closings, instants, floors)
def test_counts_and_baselines_agree(found: list[Outcome], as_of_ms: int, floor: Floor) -> None:
    report = report_of(found, as_of_ms, floor)
    assert "gone" not in report.teams
    for counts in report.counts:
        days = {"1bd": 1, "5bd": 5}[counts.window]
        now, before = [Span(trailing(as_of_ms, days, floor), as_of_ms)], baseline(as_of_ms, days, floor)
        for group, team in enumerate((None, *report.teams)):
            assert (counts.successes[group], counts.trials[group]) == tally(found, now, team)
            assert (counts.base_successes[group], counts.base_trials[group]) == tally(found, before, team)


@given(st.lists(closing, min_size=60, max_size=150), instants)
def test_the_cusum_agrees_with_the_recursion_over_the_weeks_it_is_compared_with(
    found: list[Outcome], as_of_ms: int
) -> None:
    floor = Floor()
    report = report_of(found, as_of_ms, floor)
    since_ms = min(span.start_ms for days in (1, 5) for span in baseline(as_of_ms, days, floor))
    recent = [closing for closing in found if since_ms <= closing.time_ms < as_of_ms]
    (counts,) = (each for each in report.counts if each.window == "5bd")
    for group, team in enumerate((None, *report.teams)):
        x, n = int(counts.base_successes[group]), int(counts.base_trials[group])
        value = report.cusum["deal_win"][group]
        if 10 <= x < n:
            assert value == pytest.approx(cusum(recent, team, x / n), abs=1e-9)
        else:
            assert np.isnan(value)


def test_a_week_of_five_days_without_holidays_is_compared_with_the_four_weeks_before_it() -> None:
    floor, wednesday_ms = Floor(), 1_774_440_000_000  # 2026-03-25T12:00Z
    week_ms = 7 * 24 * HOUR_MS
    assert trailing(wednesday_ms, 5, floor) == wednesday_ms - week_ms
    found = [Outcome(wednesday_ms - age * week_ms - 1, "red", age % 2 == 0) for age in range(6)]
    (one, five) = report_of(found, wednesday_ms, floor).counts
    assert (five.trials[0], five.base_trials[0], five.base_successes[0]) == (1, 4, 2)
    assert (one.trials[0], one.base_trials[0], one.base_successes[0]) == (1, 4, 2)


def test_a_lead_without_an_outcome_yet_is_no_trial() -> None:
    at_ms, cell = 1_774_440_000_000, Cell(team="red")
    rows = [
        Row(at_ms - 9, cell, "leads_new"), Row(at_ms + 9, cell, "leads_decided"),
        Row(at_ms - 5, cell, "leads_decided"), Row(at_ms - 5, cell, "leads_decided_converted"),
        Row(at_ms - 4, cell, "leads_decided"),
    ]  # fmt: skip
    reader = FakeReader(rows)
    leads = [funnel for funnel in built_in_funnels(BUILT_IN) if funnel.name == "lead_conversion"]
    places = Places(reader.cells(), Roster((), Calendar()))
    report = count_conversions(
        places, reader.log(), reader.resolutions(), at_ms, Calendar(), leads, teams_max=9
    )
    assert [(each.successes[0], each.trials[0]) for each in report.counts] == [(1, 2), (1, 2)]


def test_only_the_newest_outcomes_go_through_the_cusum() -> None:
    floor, as_of_ms = Floor(), 1_774_440_000_000
    old = [Outcome(as_of_ms - 20 * 24 * HOUR_MS - n, "red", n >= 100 and n % 3 != 0) for n in range(400)]
    new = [Outcome(as_of_ms - 500 + n, "red", n % 3 == 0) for n in range(500)]
    report = report_of([*old, *new], as_of_ms, floor)
    assert report.base_rate["deal_win"][0] == 0.5
    assert report.cusum["deal_win"][0] == pytest.approx(cusum(new, None, 0.5))
    assert report.cusum["deal_win"][0] != pytest.approx(cusum([*old, *new], None, 0.5))
