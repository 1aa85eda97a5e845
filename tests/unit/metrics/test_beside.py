"""What stands beside the KPIs: its gauges, its answers, and who may see a commission."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from metrics.beside import BesideRules, beside_gauge_labels
from metrics.calendar import rfc3339
from metrics.commission import Plan, PlanVersion, Tier
from metrics.contest import Contest, result_of
from metrics.leaderboard import Leaderboard
from metrics.panes import BEHIND_MS, Cell
from metrics.reference import RosterSpell
from metrics.rewards import RewardRules, RewardTaker
from metrics.scrapes import Scrapes
from metrics.service import SnapshotService
from metrics.snapshot import SnapshotConfig
from metrics.web.app import create_app
from metrics.web.rewards import Json, commissions_answer, contests_answer, leaderboards_answer
from tests.panes import READY, FakeReader, Row

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
THURSDAY_NOON_MS = 1_767_873_600_000  # 2026-01-08T12:00Z


def won(rep: str, at_ms: int, amount: int = 10_000, *, team: str = "red") -> list[Row]:
    cell = Cell(rep=rep, team=team, currency="USD")
    return [Row(at_ms, cell, "won"), Row(at_ms, cell, "won_amount", amount)]


def lost(rep: str, at_ms: int, *, team: str = "red") -> list[Row]:
    return [Row(at_ms, Cell(rep=rep, team=team, currency="USD"), "lost")]


class Clock:
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms


def service_of(reader: FakeReader, clock: Clock, rules: RewardRules) -> SnapshotService:
    service = SnapshotService(
        reader,
        now_ms=lambda: clock.now_ms,
        config=SnapshotConfig(levels=("floor", "team"), windows=("today", "1bd", "5bd")),
        beside=BesideRules(rewards=rules),
    )
    # However busy this machine is: a rendering that took long would be kept for a while.
    service._scrapes = Scrapes(monotonic=lambda: 0.0)
    service.tick()
    return service


def samples_of(service: SnapshotService) -> dict[str, float]:
    text = service.exposition(openmetrics=False).body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def told(answer: Json) -> dict[str, Any]:
    """Return what a program reads that asks."""
    return dict(json.loads(json.dumps(answer)))


BOARD = Leaderboard("month", "revenue", "mtd", title="This month")
PLAN = PlanVersion("std", date(2025, 1, 1), "revenue", "month", (Tier(Decimal(0), None, Decimal("0.1")),))
RULES = RewardRules(leaderboards=(BOARD,), plans=(Plan("std", (PLAN,)),))


def test_a_board_whose_level_and_window_are_no_gauges_is_computed_beside() -> None:
    reader = FakeReader([*won("ann", THURSDAY_NOON_MS - 1), *won("bob", THURSDAY_NOON_MS - 2, 20_000)])
    service = service_of(reader, Clock(THURSDAY_NOON_MS), RULES)
    assert service.beside is not None
    (board,) = told(leaderboards_answer(service.beside.rewards))["leaderboards"]
    assert board["title"] == "This month"
    assert [(entry["rank"], entry["key"], entry["value"]) for entry in board["entries"]] == [
        (1, "bob", 200.0),
        (2, "ann", 100.0),
    ]
    assert samples_of(service)['salesfloor_rep_rank{board="month",rep="ann"}'] == 2


def test_a_commission_is_for_the_rep_alone_unless_the_plan_says_all() -> None:
    reader, clock = FakeReader(won("ann", THURSDAY_NOON_MS - 1)), Clock(THURSDAY_NOON_MS)
    hidden = service_of(reader, clock, RULES)
    shown = service_of(reader, clock, replace(RULES, plans=(Plan("std", (replace(PLAN, visible="all"),)),)))
    assert hidden.beside is not None
    assert shown.beside is not None
    assert hidden.beside.rewards.commissions == ()
    (for_who_asks,) = RewardTaker(SnapshotConfig(), RULES).commissions(hidden.image(), THURSDAY_NOON_MS)
    assert for_who_asks.by_rep == {"ann": Decimal("10.00")}
    assert commissions_answer(hidden.beside.rewards, hidden.beside.rewards.commissions)["commissions"] == []
    assert "commission" not in hidden.exposition(openmetrics=False).body.decode()
    report = shown.beside.rewards
    (estimate,) = told(commissions_answer(report, report.commissions))["commissions"]
    assert estimate["reps"] == {"ann": 10.0}
    name = 'salesfloor_rep_commission_estimate{currency="USD",plan="std",rep="ann"}'
    assert samples_of(shown)[name] == 10


CONTEST = Contest(
    "sprint", "revenue", THURSDAY_NOON_MS - DAY_MS, THURSDAY_NOON_MS, settling_ms=HOUR_MS, prize="cake"
)


def contest_of(service: SnapshotService) -> dict[str, Any]:
    assert service.beside is not None
    (contest,) = told(contests_answer(service.beside.rewards))["contests"]
    return dict(contest)


def keys_of(contest: dict[str, Any]) -> list[tuple[int, str]]:
    return [(entry["rank"], entry["key"]) for entry in contest["standings"]]


def test_a_contest_moves_until_it_is_settled_and_never_after_it_was_kept() -> None:
    before_end, clock = won("ann", THURSDAY_NOON_MS - 1), Clock(THURSDAY_NOON_MS - 1000)
    heard = replace(READY, newest_event_ms=THURSDAY_NOON_MS)
    reader = FakeReader([*before_end, *won("bob", THURSDAY_NOON_MS + 1, 90_000)], state=heard)
    service = service_of(reader, clock, RewardRules(contests=(CONTEST,)))
    assert (contest_of(service)["stage"], keys_of(contest_of(service))) == ("running", [])

    clock.now_ms = THURSDAY_NOON_MS + HOUR_MS - 1000
    reader.put([*before_end, *won("cid", THURSDAY_NOON_MS - 2, 20_000)])
    service.tick()
    assert (contest_of(service)["stage"], keys_of(contest_of(service))) == (
        "settling",
        [(1, "cid"), (2, "ann")],
    )
    assert service.to_be_kept() == ()

    clock.now_ms = THURSDAY_NOON_MS + HOUR_MS
    service.tick()
    assert contest_of(service)["final"] is False
    (due,) = service.to_be_kept()
    service.keep({CONTEST.id: json.loads(json.dumps(result_of(due)))})
    reader.put(before_end)  # a correction that comes too late
    service.tick()
    final = contest_of(service)
    assert (final["stage"], final["final"], keys_of(final)) == ("final", True, [(1, "cid"), (2, "ann")])
    assert final["as_of"] == rfc3339(THURSDAY_NOON_MS + HOUR_MS)
    assert service.to_be_kept() == ()


def test_a_backlog_is_a_replay_and_a_busy_floor_is_none() -> None:
    for waiting_ms, replayed in ((BEHIND_MS, 0), (BEHIND_MS + 1, 1)):
        state = replace(READY, behind_event_ms=THURSDAY_NOON_MS - waiting_ms)
        reader = FakeReader(won("ann", THURSDAY_NOON_MS - 1), state=state)
        service = service_of(reader, Clock(THURSDAY_NOON_MS), RewardRules())
        assert samples_of(service)["salesfloor_replay_in_progress"] == replayed


def test_no_result_is_due_while_history_is_folded_anew() -> None:
    reader = FakeReader(won("ann", THURSDAY_NOON_MS - 1), state=replace(READY, rebuilding=True))
    service = service_of(reader, Clock(THURSDAY_NOON_MS + DAY_MS), RewardRules(contests=(CONTEST,)))
    assert service.to_be_kept() == ()
    assert samples_of(service)["salesfloor_replay_in_progress"] == 1


def test_no_result_is_due_before_the_first_event_for_history_may_be_on_its_way() -> None:
    clock, rules = Clock(THURSDAY_NOON_MS + DAY_MS), RewardRules(contests=(CONTEST,))
    heard = replace(READY, newest_event_ms=THURSDAY_NOON_MS)
    assert service_of(FakeReader([]), clock, rules).to_be_kept() == ()
    assert len(service_of(FakeReader([], state=heard), clock, rules).to_be_kept()) == 1


def test_conversion_is_counted_per_team_and_for_the_floor_and_compared_with_the_weeks_before() -> None:
    rows = [
        *won("ann", THURSDAY_NOON_MS - 1),
        *lost("ann", THURSDAY_NOON_MS - 2),
        *lost("", THURSDAY_NOON_MS - 3),
    ]
    rows += won("bob", THURSDAY_NOON_MS - HOUR_MS, team="blue")
    rows += [row for week in (1, 2, 3, 4) for row in won("ann", THURSDAY_NOON_MS - week * 7 * DAY_MS - 1)]
    rows += lost("ann", THURSDAY_NOON_MS - 5 * 7 * DAY_MS - 1)
    found = samples_of(service_of(FakeReader(rows), Clock(THURSDAY_NOON_MS), RewardRules()))

    def of(what: str, team: str = "", window: str = "1bd") -> float:
        level = "team" if team else "floor"
        labels = f'funnel="deal_win",{f"""team="{team}",""" if team else ""}window="{window}"'
        return found[f"salesfloor_{level}_conversion_{what}{{{labels}}}"]

    assert [of("trials", "red"), of("successes", "red")] == [3, 1]
    assert [of("trials", "blue"), of("successes", "blue")] == [1, 1]
    assert [of("trials"), of("successes")] == [4, 2]
    assert [of("baseline_trials", "red"), of("baseline_successes", "red")] == [4, 4]
    assert of("baseline_trials", window="5bd") == 4
    assert of("rate_ratio") == 0.5


def test_an_outcome_without_a_team_is_its_reps_team_at_the_time() -> None:
    spells = [
        RosterSpell("ann", team_id="red", active_to=date(2026, 1, 8)),
        RosterSpell("ann", team_id="blue", active_from=date(2026, 1, 8)),
    ]
    rows = [
        *won("ann", THURSDAY_NOON_MS - 1, team=""),
        *lost("ann", THURSDAY_NOON_MS - 13 * HOUR_MS, team=""),
    ]
    reader = FakeReader(rows, references=spells)
    found = samples_of(service_of(reader, Clock(THURSDAY_NOON_MS), RewardRules()))
    name = 'salesfloor_team_conversion_trials{{funnel="deal_win",team="{}",window="5bd"}}'
    assert [found[name.format("red")], found[name.format("blue")]] == [1, 1]
    assert name.format("unassigned") not in found


def test_every_gauge_beside_the_kpis_is_known_with_its_labels() -> None:
    rows = [row for n in range(30) for row in won("ann", THURSDAY_NOON_MS - DAY_MS * 8 - n)]
    rows += [row for n in range(60) for row in lost("ann", THURSDAY_NOON_MS - DAY_MS * 8 - n)]
    rows += [*lost("ann", THURSDAY_NOON_MS - 2), *won("ann", THURSDAY_NOON_MS - 1)]
    state = replace(READY, newest_event_ms=THURSDAY_NOON_MS - 5000)
    teams = replace(BOARD, level="team", name="teams")
    rules = RewardRules(
        (BOARD, teams),
        (replace(CONTEST, settling_ms=9 * DAY_MS), replace(CONTEST, level="team", settling_ms=9 * DAY_MS)),
        (Plan("std", (replace(PLAN, visible="all"),)),),
    )
    service = service_of(FakeReader(rows, state=state), Clock(THURSDAY_NOON_MS), rules)
    assert service.beside is not None
    seen: dict[str, set[str]] = {}
    for gauge in service.beside.gauges():
        for block in gauge.blocks:
            for labels in block.labels:
                seen.setdefault(gauge.name, set()).update(name for name, _ in labels)
    assert seen == beside_gauge_labels()
    assert samples_of(service)["salesfloor_last_event_age_seconds"] == 5


def test_the_floor_is_open_in_its_hours_on_its_business_days() -> None:
    service = service_of(FakeReader(), clock := Clock(THURSDAY_NOON_MS), RewardRules())

    def is_open(at_ms: int) -> float:
        clock.now_ms = at_ms
        service.tick()
        return samples_of(service)["salesfloor_business_open"]

    assert is_open(THURSDAY_NOON_MS) == 1
    assert [is_open(THURSDAY_NOON_MS + hours * HOUR_MS) for hours in (-4, -3, 5, 6)] == [0, 1, 1, 0]
    assert is_open(THURSDAY_NOON_MS + 2 * DAY_MS) == 0


async def test_boards_contests_and_commissions_are_answered_for_now_and_take_no_parameters() -> None:
    reader, clock = FakeReader(won("ann", THURSDAY_NOON_MS - 1)), Clock(THURSDAY_NOON_MS)
    late = SnapshotService(reader, now_ms=lambda: clock.now_ms, config=SnapshotConfig(), beside=BesideRules())
    async with TestClient(TestServer(create_app(late))) as client:
        assert (await client.get("/api/leaderboards")).status == 503
    service = service_of(reader, clock, replace(RULES, contests=(CONTEST,)))
    async with TestClient(TestServer(create_app(service))) as client:
        for name, count in (("leaderboards", 1), ("contests", 1), ("commissions", 0)):
            answer = await client.get(f"/api/{name}")
            told_now = await answer.json()
            assert (answer.status, len(told_now[name])) == (200, count)
            assert told_now["as_of"] == rfc3339(THURSDAY_NOON_MS)
            refused = await client.get(f"/api/{name}?rep=ann")
            assert refused.status == 400
            assert "no parameter 'rep'" in (await refused.json())["error"]
