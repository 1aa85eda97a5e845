"""table: a slot folds what it has not seen, and its commits carry the whole change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from metrics.calendar import Calendar
from metrics.measures import BY_NAME
from streams import layout
from streams.contribute import contribute
from streams.events import EntityKind, Reason
from streams.facts import OF_ENTITY, DealFact
from streams.pane_store import PaneStore
from streams.rules import FoldRules
from streams.stores.base import Claim, Commit
from streams.table import SlotTable
from streams.topics import ACTIVITIES, DEALS

DAY_MS = 86_400_000
NOW_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z
RULES = FoldRules(calendar=Calendar("UTC"))
WON, ACTIVITIES_DONE = BY_NAME["won"].number, BY_NAME["activities_done"].number


@dataclass
class FakeRecord:
    topic: str
    offset: int
    value: bytes | None
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default_factory=tuple)


def record(offset: int, type_: str, time: str, **data: object) -> FakeRecord:
    topic = DEALS if type_.startswith("sales.deal") else ACTIVITIES
    event = {
        "specversion": "1.0",
        "id": f"e{offset}",
        "source": "/t",
        "type": type_,
        "time": f"2026-{time}Z",
        "data": data,
    }
    return FakeRecord(topic, offset, json.dumps(event).encode())


def new_table(claim: Claim | None = None, rules: FoldRules = RULES) -> SlotTable:
    return SlotTable(0, rules, claim or Claim("1-a", 0, {}, {}, {}))


def reloaded(*commits: Commit) -> SlotTable:
    board: dict[bytes, bytes] = {}
    entities: dict[bytes, bytes] = {}
    for commit in commits:
        board |= commit.board_set
        entities |= commit.entities_set
        for name in commit.board_del:
            board.pop(name, None)
        for name in commit.entities_del:
            entities.pop(name, None)
    return new_table(Claim("2-b", len(commits), commits[-1].offsets, board, entities))


def sum_of(table: SlotTable, measure: int) -> int:
    """Return a measure's sum over all that the whole table contributes: panes, and what facts add to them."""
    told = [pane.get(measure, 0) for pane in panes_of(table)]
    for kind in OF_ENTITY:
        for state in table._entities[kind].states.values():
            told += [values.get(measure, 0) for _, _, values in contribute(state, RULES)]
    return sum(told)


def panes_of(table: SlotTable) -> list[dict[int, int]]:
    table._update_panes()
    return list(table._panes.panes.values())  # what a commit writes, before it is packed


WON_DEAL = record(0, "sales.deal.won", "11-20T09:00:00", deal_id="D-1", amount="10.00", rep_id="R")


def test_a_record_below_the_next_offset_is_not_folded_again() -> None:
    table = new_table()
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS)
    table.fold(DEALS, [WON_DEAL, record(1, "sales.deal.won", "11-20T09:00:00", deal_id="D-2")], now_ms=NOW_MS)
    assert sum_of(table, WON) == 2
    assert table.next_offset[DEALS] == 2
    assert table.facts.counters["accepted"] == {DEALS: 2}


def test_a_duplicate_record_at_a_new_offset_changes_nothing() -> None:
    table = new_table()
    again = FakeRecord(DEALS, 1, WON_DEAL.value)
    table.fold(DEALS, [WON_DEAL, again], now_ms=NOW_MS)
    assert sum_of(table, WON) == 1
    assert table.facts.counters["unchanged"] == {DEALS: 1}


def test_a_call_that_changes_hands_for_ever_leaves_no_cells_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PaneStore, "few_cells", 10)
    table = new_table()
    board: dict[bytes, bytes] = {}
    for offset in range(60):
        changed = record(
            offset,
            "sales.activity.completed",
            "11-20T09:00:00",
            activity_id="A-1",
            kind="call",
            rep_id=f"R-{offset:02d}",
        )
        table.fold(ACTIVITIES, [changed], now_ms=NOW_MS)
        table.expire(now_ms=NOW_MS)
        while (commit := table.take_commit()) is not None:
            board |= commit.board_set
            for name in commit.board_del:
                board.pop(name, None)
            table.committed()
        assert sum(map(layout.is_cell, board)) <= 12
        assert {layout.pane_key(name).cell for name in board if layout.is_pane(name)} <= {
            layout.cell_number(name) for name in board if layout.is_cell(name)
        }
    assert sum_of(table, ACTIVITIES_DONE) == 1


def test_a_bad_record_is_a_dead_letter_and_the_rest_is_folded() -> None:
    table = new_table()
    bad = FakeRecord(DEALS, 1, b"{")
    dead = table.fold(
        DEALS, [WON_DEAL, bad, record(2, "sales.deal.won", "11-20T10:00:00", deal_id="D-3")], now_ms=NOW_MS
    )
    assert [(each.record.offset, each.rejected.reason) for each in dead] == [(1, Reason.MALFORMED)]
    assert sum_of(table, WON) == 2
    assert table.facts.counters["rejected"] == {"malformed": 1}


@pytest.mark.parametrize(
    ("time", "more", "reason"),
    [
        ("12-20T10:00:00", {}, Reason.FUTURE),
        ("11-20T10:00:00", {"closed_at": "2026-12-20T10:00:00Z"}, Reason.FUTURE),
        ("11-20T10:00:00", {"created_at": "2020-01-01T00:00:00Z"}, None),
    ],
)
def test_an_event_whose_times_lie_outside_what_is_kept_is_a_dead_letter(
    time: str, more: dict[str, object], reason: Reason | None
) -> None:
    dead = new_table().fold(DEALS, [record(0, "sales.deal.won", time, deal_id="D-1", **more)], now_ms=NOW_MS)
    assert [each.rejected.reason for each in dead] == ([] if reason is None else [reason])


def test_a_commit_in_flight_stays_the_same_while_more_is_folded() -> None:
    table = new_table()
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS)
    first = table.take_commit()
    table.fold(DEALS, [record(1, "sales.deal.deleted", "11-20T10:00:00", deal_id="D-1")], now_ms=NOW_MS)
    assert table.take_commit() is first
    assert first is not None
    assert first.offsets[DEALS] == 1
    table.committed()
    second = table.take_commit()
    assert second is not None
    assert (second.seq, second.offsets[DEALS]) == (1, 2)
    assert second.board_del == [layout.fact_field(EntityKind.DEAL, "D-1")]


def test_nothing_new_means_no_commit() -> None:
    table = new_table()
    assert table.take_commit() is None
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS)
    assert table.take_commit() is not None
    table.committed()
    assert table.take_commit() is None


def test_a_reloaded_slot_goes_on_where_the_commit_stood() -> None:
    table = new_table()
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS)
    table.set_row("notes", b"k", b"v")
    commit = table.take_commit()
    assert commit is not None
    again = reloaded(commit)
    assert again.next_offset[DEALS] == 1
    assert again.rows("notes") == {b"k": b"v"}
    assert panes_of(again) == panes_of(table)
    reopened = record(1, "sales.deal.reopened", "11-20T10:00:00", deal_id="D-1")
    again.fold(DEALS, [reopened], now_ms=NOW_MS)
    assert sum_of(again, WON) == 0


def test_a_gap_and_a_loss_are_counted_apart() -> None:
    table = new_table()
    table.skip_to(DEALS, 5, lost=False)
    table.skip_to(DEALS, 9, lost=True)
    assert table.facts.counters == {"gaps": {DEALS: 5}, "lost": {DEALS: 4}}
    assert table.next_offset[DEALS] == 9


def test_offsets_without_a_record_inside_a_batch_are_counted_as_gaps() -> None:
    """Marks of transactions, and records taken back or compacted: every offset has a fate."""
    table = new_table()
    table.fold(DEALS, [record(0, "sales.deal.won", "01-05T10:00:00", deal_id="a")], now_ms=NOW_MS)
    overlapping = [record(at, "sales.deal.won", "01-05T10:00:00", deal_id=str(at)) for at in (0, 2, 3, 7)]
    table.fold(DEALS, overlapping, now_ms=NOW_MS)
    assert table.next_offset[DEALS] == 8
    assert table.facts.counters["accepted"] == {DEALS: 4}
    assert table.gaps(DEALS) == 4


def test_a_rebuild_ends_when_every_topic_has_caught_up() -> None:
    table = new_table()
    table.begin_rebuild({DEALS: 1})
    assert table.rebuilding
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS)
    assert not table.rebuilding


def call(offset: int, time: str, activity_id: str) -> FakeRecord:
    return record(offset, "sales.activity.completed", time, activity_id=activity_id, kind="call")


@pytest.mark.parametrize("expire_between", [True, False])
def test_an_activity_past_its_horizon_is_counted_once_and_closed(expire_between: bool) -> None:
    table = new_table()
    table.fold(
        ACTIVITIES, [call(0, "09-01T09:00:00", "A-1"), call(1, "11-20T09:00:00", "A-2")], now_ms=NOW_MS
    )
    if expire_between:
        table.expire(now_ms=NOW_MS)
    late = [call(2, "09-02T09:00:00", "A-1"), call(3, "09-02T09:00:00", "A-3")]
    dead = table.fold(ACTIVITIES, late, now_ms=NOW_MS)
    assert [each.rejected.reason for each in dead] == [Reason.TOO_OLD, Reason.TOO_OLD]
    assert sum_of(table, ACTIVITIES_DONE) == 2


def deals_of_january_and_november() -> SlotTable:
    table = new_table(rules=FoldRules(calendar=RULES.calendar, retention_ms=200 * DAY_MS))
    old = record(0, "sales.deal.created", "01-05T09:00:00", deal_id="D-old", amount=5)
    new = record(1, "sales.deal.created", "11-20T09:00:00", deal_id="D-new")
    assert not table.fold(DEALS, [old], now_ms=NOW_MS - 250 * DAY_MS)
    assert not table.fold(DEALS, [new], now_ms=NOW_MS)
    return table


def test_a_deal_past_retention_takes_its_contributions_along() -> None:
    table = deals_of_january_and_november()
    table.expire(now_ms=NOW_MS)
    assert sum_of(table, BY_NAME["open"].number) == 1
    commit = table.take_commit()
    assert commit is not None
    assert list(commit.entities_del) == [b"dD-old"]


@pytest.mark.parametrize("years", [-9, 9])
def test_a_clock_that_is_wrong_by_years_makes_nothing_of_today_look_old(years: int) -> None:
    table = deals_of_january_and_november()
    table.expire(now_ms=NOW_MS + years * 365 * DAY_MS)
    assert sum_of(table, BY_NAME["open"].number) == (1 if years > 0 else 2)


def test_event_clock_measures_retention_from_the_newest_event() -> None:
    rules = FoldRules(calendar=RULES.calendar, clock="event", retention_ms=30 * DAY_MS)
    table = new_table(rules=rules)
    in_2035_ms = NOW_MS + 9 * 365 * DAY_MS
    events = [
        record(0, "sales.deal.won", "03-01T09:00:00", deal_id="D-1"),
        record(1, "sales.deal.won", "03-20T09:00:00", deal_id="D-2"),
        record(2, "sales.deal.won", "02-01T09:00:00", deal_id="D-3"),
    ]
    dead = table.fold(DEALS, events, now_ms=in_2035_ms)
    assert [each.record.offset for each in dead] == [2]


def facts_in(commit: Commit | None) -> dict[bytes, bytes]:
    assert commit is not None
    return {name: value for name, value in commit.board_set.items() if layout.is_fact(name)}


def test_a_commit_carries_the_facts_of_what_changed_and_deletes_those_that_are_no_more() -> None:
    table = new_table()
    name = layout.fact_field(EntityKind.DEAL, "D-1")
    won = record(0, "sales.deal.won", "11-20T09:00:00", deal_id="D-1", amount=5, account_id="K")
    table.fold(DEALS, [won], now_ms=NOW_MS)
    facts = facts_in(table.take_commit())
    table.committed()
    assert list(facts) == [name]
    fact = layout.unpack_fact(EntityKind.DEAL, facts[name])
    assert isinstance(fact, DealFact)
    assert (fact.status, fact.amount_minor, fact.account_id) == ("won", 500, "K")
    table.fold(DEALS, [record(1, "sales.deal.deleted", "11-21T09:00:00", deal_id="D-1")], now_ms=NOW_MS)
    commit = table.take_commit()
    assert commit is not None
    assert facts_in(commit) == {}
    assert name in commit.board_del


def test_an_empty_slot_forgets_nothing_so_that_a_history_can_still_come() -> None:
    table = new_table(rules=FoldRules(calendar=RULES.calendar, clock="event"))
    table.expire(now_ms=NOW_MS + 9 * 365 * DAY_MS)
    table.fold(DEALS, [WON_DEAL], now_ms=NOW_MS + 9 * 365 * DAY_MS)
    assert sum_of(table, WON) == 1


def test_an_activity_that_was_closed_and_comes_back_takes_nothing_along() -> None:
    table = new_table()
    table.fold(ACTIVITIES, [call(0, "09-01T09:00:00", "A-1")], now_ms=NOW_MS)
    table.take_commit()
    table.committed()
    later = [call(1, "11-20T09:00:00", "A-2"), call(2, "11-20T10:00:00", "A-1")]
    table.fold(ACTIVITIES, later, now_ms=NOW_MS)
    assert sum_of(table, ACTIVITIES_DONE) == 3
