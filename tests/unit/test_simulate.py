"""The made-up floor: the same from the same seed, all of it in the contract, and as untidy as promised."""

from collections import Counter
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from streams.decode import check_times, decode
from streams.events import Event
from streams.routing import key_of
from streams.simulate import Floor, generate
from streams.simulate_record import Simulated
from streams.topics import ACTIVITIES, DEALS, KIND_OF_TOPIC, LEADS, REFERENCE

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
START_MS = 1_717_372_800_000  # 2024-06-03T00:00:00Z, a Monday
KUALA_LUMPUR = ZoneInfo("Asia/Kuala_Lumpur")


@pytest.fixture(scope="module")
def fortnight() -> list[Simulated]:
    return list(Floor(5, zone=KUALA_LUMPUR, currency="MYR").events(START_MS, START_MS + 14 * DAY_MS))


def test_one_seed_gives_one_floor_and_another_seed_another(fortnight: list[Simulated]) -> None:
    again = list(Floor(5, zone=KUALA_LUMPUR, currency="MYR").events(START_MS, START_MS + 14 * DAY_MS))
    other = list(Floor(6, zone=KUALA_LUMPUR, currency="MYR").events(START_MS, START_MS + 14 * DAY_MS))
    assert again == fortnight
    assert other != fortnight


def test_a_stream_read_in_pieces_is_the_floor_read_at_once() -> None:
    end_ms = START_MS + 2 * DAY_MS
    floor = Floor(5, live_from_ms=end_ms - 3 * HOUR_MS)
    stream, pieces = floor.stream(START_MS), list[Simulated]()
    for to_ms in (START_MS + 1, START_MS + HOUR_MS, START_MS + DAY_MS + 1234, end_ms):
        pieces += stream.until(to_ms)
    assert pieces == list(floor.events(START_MS, end_ms))


def test_events_arrive_in_order_within_the_span_and_never_before_they_happen(
    fortnight: list[Simulated],
) -> None:
    assert all(one.arrival_ms <= other.arrival_ms for one, other in pairwise(fortnight))
    assert all(
        START_MS <= record.time_ms <= record.arrival_ms < START_MS + 14 * DAY_MS for record in fortnight
    )


def test_every_event_is_one_a_worker_counts_and_lies_where_the_contract_says(
    fortnight: list[Simulated],
) -> None:
    for record in fortnight:
        event = decode(record.value, (), kind=KIND_OF_TOPIC[record.topic])
        assert isinstance(event, Event), event
        assert check_times(event, now_ms=record.arrival_ms, oldest_ms=START_MS) is None
        assert event.unknown_fields == 0
        assert event.time_ms == record.time_ms
        assert key_of(event) == record.key


def test_the_floor_is_as_untidy_as_real_ones(fortnight: list[Simulated]) -> None:
    records = [msgspec.json.decode(record.value) for record in fortnight]
    seen = Counter(record["type"] for record in records)
    for action in ("created", "updated", "won", "lost", "reopened", "deleted", "restored", "merged"):
        assert seen[f"sales.deal.{action}"], action
    for action in ("created", "qualified", "converted", "disqualified"):
        assert seen[f"sales.lead.{action}"], action
    kinds = Counter(record["data"].get("kind") for record in records if "activity" in record["type"])
    assert {"call", "email", "meeting", "demo", "proposal"} <= kinds.keys()
    assert max(Counter(record.value for record in fortnight).values()) > 1, "no duplicate"
    assert any(record.arrival_ms > record.time_ms + HOUR_MS for record in fortnight), "none late"
    updates = [record["data"] for record in records if record["type"] == "sales.deal.updated"]
    assert any("amount" in data for data in updates), "no correction"
    assert any("rep_id" in data for data in updates), "no change of owner"


def data_of(records: list[Simulated], type_: str) -> list[dict[str, Any]]:
    events = (msgspec.json.decode(record.value) for record in records if type_.encode() in record.value)
    return [event["data"] for event in events if event["type"] == type_]


def test_every_topic_has_its_part_of_the_floors_life(fortnight: list[Simulated]) -> None:
    assert {record.topic for record in fortnight} == KIND_OF_TOPIC.keys()
    answers = Counter(data["kind"] for data in data_of(fortnight, "sales.feedback.received"))
    assert answers.keys() == {"csat", "nps", "enps", "pulse"}
    assert answers["csat"] > 20
    spend = {data["spend_id"]: data for data in data_of(fortnight, "sales.spend.recorded")}
    assert {data["from"] for data in spend.values()} == {"2024-06-01"}
    assert {data["to"] for data in spend.values()} == {"2024-07-01"}
    due = {data["activity_id"] for data in data_of(fortnight, "sales.activity.scheduled")}
    done = {data["activity_id"] for data in data_of(fortnight, "sales.activity.completed")}
    assert due & done
    assert due - done, "nothing that was planned is missed"


def test_customers_buy_again_and_some_leave() -> None:
    end_ms = START_MS + 90 * DAY_MS
    quarter = list(Floor(5, rate=0.4, activities_from_ms=end_ms).events(START_MS, end_ms))
    of_deal = {
        data["deal_id"]: data["account_id"]
        for data in data_of(quarter, "sales.deal.created")
        if not data["deal_id"].endswith("-b")  # entered twice
    }
    won = {data["deal_id"] for data in data_of(quarter, "sales.deal.won")}
    wins = Counter(account_id for deal_id, account_id in of_deal.items() if deal_id in won)
    known = {data["account_id"] for data in data_of(quarter, "sales.account.updated")}
    again = sum(count > 1 for count in wins.values())
    assert 0.03 * len(wins) < again < 0.3 * len(wins)
    assert len(wins.keys() - known) < 0.1 * len(wins)
    churned = {data["account_id"] for data in data_of(quarter, "sales.account.churned")}
    assert 0.01 * len(known) < len(churned) < 0.1 * len(known)
    assert data_of(quarter, "sales.account.reactivated")


def test_what_is_sold_abroad_has_a_rate_from_the_first_day_on(fortnight: list[Simulated]) -> None:
    currencies = Counter(data["currency"] for data in data_of(fortnight, "sales.deal.created"))
    assert currencies.keys() == {"MYR", "EUR"}
    assert 0.05 < currencies["EUR"] / currencies.total() < 0.2
    days = {data["valid_from"] for data in data_of(fortnight, "sales.rate.set")}
    assert days == {f"2024-06-{day:02}" for day in range(3, 17)} | {"2024-06-17"}
    assert {data["currency"] for data in data_of(fortnight, "sales.rate.set")} == {"EUR"}


def test_every_rep_has_a_place_in_the_roster_and_a_target_for_month_and_quarter(
    fortnight: list[Simulated],
) -> None:
    reps = {data["rep_id"]: data["team_id"] for data in data_of(fortnight, "sales.deal.created")}
    spells = data_of(fortnight, "sales.rep.updated")
    now = {spell["rep_id"]: spell["team_id"] for spell in spells if "active_to" not in spell}
    assert reps.items() <= now.items()
    assert any("active_to" in spell for spell in spells)
    targets = {
        (data["kpi"], data["period"], data["level"], data.get("key", "")): int(data["value"])
        for data in data_of(fortnight, "sales.target.set")
    }
    for period in ("2024-06", "2024-Q2"):
        for kpi in ("revenue", "deals_won"):
            of_reps = sum(targets[kpi, period, "rep", rep_id] for rep_id in now)
            of_teams = sum(targets[kpi, period, "team", team_id] for team_id in set(now.values()))
            assert of_reps == of_teams == targets[kpi, period, "floor", ""] > 0
    deals = data_of(fortnight, "sales.deal.created") + data_of(fortnight, "sales.deal.updated")
    stages = {data["stage"]: data["order"] for data in data_of(fortnight, "sales.stage.set")}
    assert stages.keys() == {data["stage"] for data in deals if "stage" in data}
    assert sorted(stages.values()) == [1, 2, 3]


def test_a_new_month_and_a_new_quarter_bring_their_targets_and_spend() -> None:
    july_ms = 1_719_792_000_000
    records = list(Floor(5).events(july_ms - 2 * DAY_MS, july_ms + DAY_MS))
    first: dict[str, int] = {}
    for record in records:
        if record.topic == REFERENCE and b'"period"' in record.value:
            period = msgspec.json.decode(record.value)["data"]["period"]
            first[period] = min(record.time_ms, first.get(period, record.time_ms))
    assert first == {
        "2024": july_ms - 2 * DAY_MS, "2024-06": july_ms - 2 * DAY_MS, "2024-Q2": july_ms - 2 * DAY_MS,
        "2024-07": july_ms, "2024-Q3": july_ms,
    }  # fmt: skip
    assert {data["from"] for data in data_of(records, "sales.spend.recorded")} == {"2024-06-01", "2024-07-01"}


def test_quarters_of_a_shifted_fiscal_year_are_named_by_their_days() -> None:
    floor = Floor(5, fiscal_year_start_month=4)
    targets = data_of(list(floor.events(START_MS, START_MS + DAY_MS)), "sales.target.set")
    assert {data["period"] for data in targets} == {"2024-06", "2024-04-01/2024-07-01"}


def test_the_day_is_busy_from_ten_to_four_in_the_floors_zone(fortnight: list[Simulated]) -> None:
    hours = Counter(
        (record.time_ms + 8 * HOUR_MS) // HOUR_MS % 24
        for record in fortnight
        if b'"sales.lead.created"' in record.value
    )
    assert sum(hours[hour] for hour in range(10, 16)) > 0.5 * hours.total()
    assert sum(hours[hour] for hour in range(6)) < 0.05 * hours.total()


def test_reps_work_in_office_hours_on_weekdays(fortnight: list[Simulated]) -> None:
    local = [
        record.time_ms + 8 * HOUR_MS for record in fortnight if b'"sales.lead.qualified"' in record.value
    ]
    assert len(local) > 500
    assert {time_ms // HOUR_MS % 24 for time_ms in local} == set(range(8, 19))
    assert {(time_ms - START_MS) // DAY_MS % 7 for time_ms in local} == set(range(5))


def test_a_watched_floor_moves_in_the_dead_of_a_sunday_night() -> None:
    night_ms = START_MS + 6 * DAY_MS + 19 * HOUR_MS  # Monday 3 o'clock there

    def work(floor: Floor) -> list[Simulated]:
        records = floor.events(night_ms, night_ms + HOUR_MS)
        return [record for record in records if record.topic in (DEALS, LEADS, ACTIVITIES)]

    unwatched = work(Floor(5, zone=KUALA_LUMPUR))
    watched = work(Floor(5, zone=KUALA_LUMPUR, live_from_ms=night_ms))
    assert len(unwatched) < 60
    assert len(watched) > 600
    assert max(later.arrival_ms - one.arrival_ms for one, later in pairwise(watched)) < 120_000
    assert any(b'"sales.deal.won"' in record.value for record in watched)


def test_rate_multiplies_what_happens() -> None:
    usual = len(list(Floor(5).events(START_MS, START_MS + DAY_MS)))
    tenfold = len(list(Floor(5, rate=10).events(START_MS, START_MS + DAY_MS)))
    assert 8 * usual < tenfold < 12 * usual


def test_bench_events_are_in_the_contract_distinct_and_rise_in_time() -> None:
    made = list(generate(3_000, now_ms=START_MS, deals=500))
    events = [decode(value, (), kind=KIND_OF_TOPIC[topic]) for topic, _, value in made]
    times = [event.time_ms for event in events if isinstance(event, Event)]
    assert len(times) == 3_000
    assert times == sorted(times)
    assert START_MS - DAY_MS <= times[0] <= times[-1] < START_MS
    assert len({value for _, _, value in made}) == 3_000
    assert len({key for _, key, _ in made}) == 500
