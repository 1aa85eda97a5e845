"""contribute: what each state of an entity adds to the panes."""

from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace

from metrics.calendar import Calendar
from metrics.measures import (
    BY_NAME,
    BY_NUMBER,
    HINDSIGHT_KEY_MIN,
    Kind,
    bucket_value,
    hindsight_key,
    split_histogram_key,
)
from streams.contribute import contribute
from streams.entities import merge
from streams.events import (
    ActivityChanges,
    Changes,
    DealChanges,
    EntityKind,
    Event,
    FeedbackChanges,
    FeedbackKind,
    FeedbackScale,
    LeadChanges,
    SpendChanges,
)
from streams.rules import FoldRules
from tests.keys import number_of

DAY_MS = 86_400_000


def rules() -> FoldRules:
    return FoldRules(calendar=Calendar("UTC"), currency="EUR")


def values_of(kind: EntityKind, *writes: tuple[int, Changes]) -> dict[tuple[str, int], int]:
    """Fold writes at given times into {(measure, time): value}, histograms as their bucket count."""
    state = None
    for time_ms, changes in writes:
        state = merge(state, Event(kind, "X", time_ms, f"e{time_ms}", changes, time_ms))
    assert state is not None
    totals: dict[tuple[str, int], int] = {}
    for _, time_ms, values in contribute(state, rules()):
        for key, value in values.items():
            where = (BY_NUMBER[number_of(key)].name, time_ms)
            totals[where] = totals.get(where, 0) + value
    return totals


OPENED = DealChanges(amount=Decimal("100.10"), currency="EUR", created_at_ms=1000, probability=0.333)


def test_open_deal_is_created_and_open() -> None:
    assert values_of(EntityKind.DEAL, (1000, OPENED)) == {
        ("created", 1000): 1,
        ("open", 1000): 1,
        ("open_amount", 1000): 10_010,
        ("open_weighted", 1000): 3_333,
        ("open_weighted_millionths", 1000): 330_000,
    }


def test_won_deal_closes_what_it_opened() -> None:
    won = DealChanges(status="won", closed_at_ms=1000 + DAY_MS)
    values = values_of(EntityKind.DEAL, (1000, OPENED), (2000, won))
    at_ms = 1000 + DAY_MS
    assert values["won", at_ms] == 1
    assert values["created_won", 1000] == 1, "its cohort is the one it was created in"
    assert values["won_amount", at_ms] == 10_010
    assert values["won_cycle_total", at_ms] == DAY_MS
    assert values["won_cycle", at_ms] == 1
    for measure in BY_NAME.values():
        if measure.kind is Kind.LEVEL:
            assert values.get((measure.name, at_ms), 0) == -values.get((measure.name, 1000), 0)


def test_lost_deal_counts_as_lost_only() -> None:
    values = values_of(EntityKind.DEAL, (1000, OPENED), (2000, DealChanges(status="lost", closed_at_ms=2000)))
    assert values["lost", 2000] == 1
    assert ("won", 2000) not in values


def test_reopened_deal_leaves_every_count_it_was_in() -> None:
    won = DealChanges(status="won", closed_at_ms=2000)
    reopened = DealChanges(status="open", closed_at_ms=None)
    assert values_of(EntityKind.DEAL, (1000, OPENED), (2000, won), (3000, reopened)) == values_of(
        EntityKind.DEAL, (1000, OPENED)
    )


def test_deleted_and_merged_deals_contribute_nothing() -> None:
    assert values_of(EntityKind.DEAL, (1000, OPENED), (2000, DealChanges(deleted=True))) == {}
    assert values_of(EntityKind.DEAL, (1000, OPENED), (2000, DealChanges(merged_into="D-2"))) == {}


def test_status_without_closing_time_counts_when_it_was_written() -> None:
    values = values_of(EntityKind.DEAL, (1000, OPENED), (7000, DealChanges(status="won")))
    assert values["won", 7000] == 1


def test_deal_without_creation_time_is_open_from_its_first_event() -> None:
    values = values_of(EntityKind.DEAL, (500, DealChanges(stage="s")), (400, DealChanges(rep_id="r")))
    assert values == {("open", 400): 1}


def test_deal_won_before_it_was_created_was_never_open() -> None:
    values = values_of(EntityKind.DEAL, (1000, OPENED), (2000, DealChanges(status="won", closed_at_ms=900)))
    assert ("open", 1000) not in values
    assert values["won_cycle_total", 900] == -100


def test_deal_won_without_amount_is_counted_as_such() -> None:
    values = values_of(EntityKind.DEAL, (1000, DealChanges(status="won", closed_at_ms=1000)))
    assert values["won_without_amount", 1000] == 1
    assert values["won_amount", 1000] == 0


def test_a_deal_without_a_probability_of_its_own_is_left_to_its_stage() -> None:
    staged = DealChanges(amount=Decimal(10), created_at_ms=1, stage="late", currency="JPY")
    values = values_of(EntityKind.DEAL, (1, staged))
    assert values["open_amount", 1] == values["open_unrated", 1] == 10
    assert ("open_weighted", 1) not in values
    rated = values_of(EntityKind.DEAL, (1, replace(staged, probability=0)))
    assert ("open_unrated", 1) not in rated


def test_cycle_bucket_answers_within_half_a_percent() -> None:
    won = DealChanges(status="won", created_at_ms=0, closed_at_ms=37 * DAY_MS)
    state = merge(None, Event(EntityKind.DEAL, "X", 1, "e", won, 1))
    keys = [key for _, _, values in contribute(state, rules()) for key in values]
    (bucket,) = [split_histogram_key(key)[1] for key in keys if 1024 <= key < HINDSIGHT_KEY_MIN]
    assert abs(bucket_value(bucket) / (37 * DAY_MS) - 1) <= 0.005


def test_lead_counts_at_each_of_its_moments() -> None:
    lead = LeadChanges(created_at_ms=1, qualified_at_ms=2, converted_at_ms=3)
    assert values_of(EntityKind.LEAD, (9, lead)) == {
        ("leads_new", 1): 1,
        ("leads_new_converted", 1): 1,
        ("leads_qualified_total", 2): 1,
        ("leads_converted_total", 3): 1,
        ("leads_decided", 3): 1,
        ("leads_decided_converted", 3): 1,
    }
    assert values_of(EntityKind.LEAD, (9, lead), (10, LeadChanges(merged_into="L"))) == {}


def test_connected_call_counts_as_call_conversation_and_talk() -> None:
    call = ActivityChanges(kind="call", outcome="connected", duration_seconds=61.5, completed_at_ms=7)
    assert values_of(EntityKind.ACTIVITY, (7, call)) == {
        ("activities_done", 7): 1,
        ("calls_done", 7): 1,
        ("calls_with_conversation", 7): 1,
        ("talk_duration", 7): 61_500,
    }


def test_lead_converted_after_thirty_days_is_not_a_converted_one_of_its_cohort() -> None:
    created = (1, LeadChanges(created_at_ms=1))
    in_time, late = (
        values_of(EntityKind.LEAD, created, (2, LeadChanges(converted_at_ms=time_ms)))
        for time_ms in (1 + 30 * DAY_MS, 2 + 30 * DAY_MS)
    )
    assert in_time["leads_new_converted", 1] == 1
    assert ("leads_new_converted", 1) not in late


def test_a_lead_is_decided_when_it_converts_in_time_or_when_its_time_is_over() -> None:
    over_ms = 1 + 30 * DAY_MS
    created = (1, LeadChanges(created_at_ms=1))
    untouched = values_of(EntityKind.LEAD, created)
    late = values_of(EntityKind.LEAD, created, (2, LeadChanges(converted_at_ms=over_ms + 1)))
    for values in (untouched, late):
        assert values["leads_decided", over_ms] == 1
        assert not any(name == "leads_decided_converted" for name, _ in values)
    last = values_of(EntityKind.LEAD, created, (2, LeadChanges(converted_at_ms=over_ms)))
    assert last["leads_decided", over_ms] == last["leads_decided_converted", over_ms] == 1


def test_demo_is_booked_when_scheduled_due_when_planned_and_held_unless_nobody_came() -> None:
    booked = (7, ActivityChanges(kind="demo", scheduled_at_ms=9, booked_at_ms=7))
    assert values_of(EntityKind.ACTIVITY, booked) == {
        ("demos_put_in_calendar", 7): 1,
        ("demos_planned", 9): 1,
    }
    held = values_of(EntityKind.ACTIVITY, booked, (11, ActivityChanges(completed_at_ms=10)))
    assert held["demos_planned_and_held", 9] == held["demos_done", 10] == 1
    no_show = (12, ActivityChanges(completed_at_ms=10, outcome="no_show"))
    assert ("demos_planned_and_held", 9) not in values_of(EntityKind.ACTIVITY, booked, no_show)


def test_follow_up_is_due_at_its_time_and_in_time_up_to_it() -> None:
    due = (1, ActivityChanges(kind="follow_up", due_at_ms=9))
    assert values_of(EntityKind.ACTIVITY, due) == {("follow_ups_planned", 9): 1}
    done = values_of(EntityKind.ACTIVITY, due, (9, ActivityChanges(completed_at_ms=9)))
    assert done["follow_ups_in_time", 9] == 1
    late = values_of(EntityKind.ACTIVITY, due, (10, ActivityChanges(completed_at_ms=10)))
    assert ("follow_ups_in_time", 9) not in late


def test_meeting_that_was_cancelled_is_no_conversation() -> None:
    held, cancelled = (
        values_of(
            EntityKind.ACTIVITY, (7, ActivityChanges(kind="meeting", completed_at_ms=7, outcome=outcome))
        )
        for outcome in ("held", "cancelled")
    )
    assert held["meetings_took_place", 7] == 1
    assert cancelled == {("meetings_done", 7): 1, ("activities_done", 7): 1}


def test_open_deal_is_overdue_once_the_expected_day_is_over() -> None:
    opened = DealChanges(amount=Decimal(7), created_at_ms=1000, expected_close_on=date(1970, 1, 3))
    values = values_of(EntityKind.DEAL, (1000, opened))
    assert values["overdue", 3 * DAY_MS] == 1
    assert values["overdue_amount", 3 * DAY_MS] == 700
    won = DealChanges(status="won", closed_at_ms=4 * DAY_MS)
    values = values_of(EntityKind.DEAL, (1000, opened), (2000, won))
    assert values["overdue_amount", 4 * DAY_MS] == -700
    early = DealChanges(status="won", closed_at_ms=2 * DAY_MS)
    assert ("overdue", 3 * DAY_MS) not in values_of(EntityKind.DEAL, (1000, opened), (2000, early))


def test_spend_is_spread_over_its_days_to_the_last_minor_unit() -> None:
    spend = SpendChanges(
        amount=Decimal("1.00"), currency="EUR", from_on=date(1970, 1, 2), to_on=date(1970, 1, 5)
    )
    assert values_of(EntityKind.SPEND, (5, spend)) == {
        ("spend_amount", DAY_MS): 34,
        ("spend_amount", 2 * DAY_MS): 33,
        ("spend_amount", 3 * DAY_MS): 33,
    }


@pytest.mark.parametrize(
    ("kind", "score", "scale", "counted"),
    [
        ("csat", 4.0, None, {"csat_answers": 1, "csat_good": 1}),
        ("csat", 3.0, None, {"csat_answers": 1}),
        ("nps", 9.0, None, {"nps_answers": 1, "nps_promoters": 1}),
        ("nps", 8.0, None, {"nps_answers": 1}),
        ("nps", 6.0, "1-10", {"nps_answers": 1, "nps_detractors": 1}),
        ("enps", 0.0, None, {"enps_answers": 1, "enps_detractors": 1}),
        ("pulse", 2.0, "1-5", {"pulse_answers": 1, "pulse_parts": 45_000_000}),
    ],
)
def test_an_answer_counts_by_its_kind_and_scale(
    kind: FeedbackKind, score: float, scale: FeedbackScale | None, counted: dict[str, int]
) -> None:
    answer = FeedbackChanges(kind=kind, score=score, scale=scale, received_at_ms=7)
    assert values_of(EntityKind.FEEDBACK, (7, answer)) == {(name, 7): n for name, n in counted.items()}


def keys_at(time_ms: int, kind: EntityKind, *writes: tuple[int, Changes]) -> set[int]:
    state = None
    for written_ms, changes in writes:
        state = merge(state, Event(kind, "X", written_ms, f"e{written_ms}", changes, written_ms))
    assert state is not None
    return {key for _, at_ms, values in contribute(state, rules()) if at_ms == time_ms for key in values}


def test_what_becomes_of_a_cohort_is_known_only_when_it_happens() -> None:
    won = DealChanges(status="won", created_at_ms=1, closed_at_ms=8)
    assert hindsight_key(BY_NAME["created_won"].number, 7) in keys_at(1, EntityKind.DEAL, (9, won))
    lead = LeadChanges(created_at_ms=1, converted_at_ms=6)
    assert hindsight_key(BY_NAME["leads_new_converted"].number, 5) in keys_at(1, EntityKind.LEAD, (9, lead))
    demo = ActivityChanges(kind="demo", scheduled_at_ms=1, completed_at_ms=4)
    assert hindsight_key(BY_NAME["demos_planned_and_held"].number, 3) in keys_at(
        1, EntityKind.ACTIVITY, (9, demo)
    )


def test_what_had_happened_by_its_time_is_known_at_once() -> None:
    demo = ActivityChanges(kind="demo", scheduled_at_ms=4, completed_at_ms=4)
    assert BY_NAME["demos_planned_and_held"].number in keys_at(4, EntityKind.ACTIVITY, (9, demo))
