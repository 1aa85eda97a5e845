"""Joins: whatever order facts change in, the log equals a join from scratch; a doubled entity counts once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from metrics.panes import Cell
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact, Fact
from streams.joins import Joins
from streams.joins.base import FactChange, Facts, FactTable, Joined
from streams.pane_log import Rows
from streams.slot_board import CellIndex

WON = 2


@dataclass
class DealsOfAccount:
    """As small a join as there is: an account counts its won deals, each at its time, in its own cell."""

    deals: dict[str, set[str]] = field(default_factory=dict)

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.ACCOUNT:
            return [change.id]
        touched = []
        for fact, note in ((change.before, set.discard), (change.after, set.add)):
            if type(fact) is DealFact:
                note(self.deals.setdefault(fact.account_id, set()), change.id)
                touched.append(fact.account_id)
        return touched

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        account = facts.account(joined_id)
        deals = [facts.deal(deal_id) for deal_id in sorted(self.deals.get(joined_id, ()))]
        if account is None:
            return []
        return [Joined(account.cell, deal.opened_at_ms, {WON: 1}) for deal in deals if deal is not None]


deal_facts = st.none() | st.builds(
    DealFact, st.just(Cell()), st.integers(0, 3), account_id=st.sampled_from(["A", "B"])
)
account_facts = st.none() | st.builds(AccountFact, st.builds(Cell, rep=st.sampled_from("xy")))
changes = st.one_of(
    st.tuples(st.integers(0, 1), st.just(EntityKind.DEAL), st.sampled_from("123"), deal_facts),
    st.tuples(st.integers(0, 1), st.just(EntityKind.ACCOUNT), st.sampled_from("AB"), account_facts),
)
Step = tuple[int, EntityKind, str, Fact | None]


class Log:
    """Adds up what a `Joins` puts out."""

    def __init__(self) -> None:
        self.index, self.sums = CellIndex(), Counter[tuple[Cell, int, int]]()
        self.joins = Joins([DealsOfAccount()])

    def take(self, *steps: Step) -> None:
        for slot, kind, entity_id, fact in steps:
            rows = Rows()
            self.joins.take(slot, [FactChange(kind, entity_id, None, fact)], self.index.number_of, rows)
            self._add(rows)

    def take_at_once(self, slot: int, steps: Iterable[Step]) -> None:
        rows = Rows()
        made = [FactChange(kind, entity_id, None, fact) for _, kind, entity_id, fact in steps]
        self.joins.take(slot, made, self.index.number_of, rows)
        self._add(rows)

    def _add(self, rows: Rows) -> None:
        for start_ms, cell, key, value in zip(rows.start_ms, rows.cell, rows.key, rows.value, strict=True):
            self.sums[self.index.cells[cell], start_ms, key] += value
            if not self.sums[self.index.cells[cell], start_ms, key]:
                del self.sums[self.index.cells[cell], start_ms, key]


def latest(steps: Iterable[Step]) -> list[Step]:
    """Return what each slot holds in the end, in one order for every history."""
    held = {(slot, kind, entity_id): fact for slot, kind, entity_id, fact in steps}
    return [(*where, fact) for where, fact in sorted(held.items(), key=lambda item: item[0])]


@given(st.lists(changes, max_size=20), st.randoms(use_true_random=False))
def test_any_history_of_facts_ends_like_a_join_from_scratch(steps: list[Step], random: object) -> None:
    log, scratch = Log(), Log()
    log.take(*steps)
    end = latest(steps)
    scratch.take(*end)
    assert log.sums == scratch.sums
    shuffled = end.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = Log()
    other.take(*shuffled)
    assert other.sums == scratch.sums


@given(st.lists(changes, max_size=20))
def test_an_image_again_and_its_removal_leave_nothing_behind(steps: list[Step]) -> None:
    log = Log()
    log.take(*steps)
    before = log.sums.copy()
    for slot in (0, 1):
        log.take_at_once(slot, [step for step in latest(steps) if step[0] == slot])
    assert log.sums == before
    for slot in (1, 0):
        log.take_at_once(slot, [(*step[:3], None) for step in latest(steps) if step[0] == slot])
    assert log.sums == Counter()


def deal(opened_at_ms: int) -> DealFact:
    return DealFact(Cell(), opened_at_ms, account_id="A")


def test_an_entity_in_two_slots_counts_once_until_both_let_go() -> None:
    log = Log()
    account = AccountFact(Cell(rep="x"))
    log.take((0, EntityKind.ACCOUNT, "A", account), (1, EntityKind.DEAL, "1", deal(5)))
    assert log.sums == {(Cell(rep="x"), 5, WON): 1}
    log.take((0, EntityKind.DEAL, "1", deal(3)))
    assert log.sums == {(Cell(rep="x"), 3, WON): 1}
    log.take((1, EntityKind.DEAL, "1", deal(6)))
    assert log.sums == {(Cell(rep="x"), 3, WON): 1}
    log.take((0, EntityKind.DEAL, "1", None))
    assert log.sums == {(Cell(rep="x"), 6, WON): 1}
    log.take((1, EntityKind.DEAL, "1", None))
    assert log.sums == {}


def test_the_lowest_slot_is_the_one_seen() -> None:
    table = FactTable()
    for slot in (2, 1, 3):
        table.put(slot, "1", deal(slot))
    assert table.get("1") == deal(1)
    table.put(1, "1", None)
    assert table.get("1") == deal(2)
    table.put(2, "1", None)
    table.put(3, "1", None)
    assert (table.get("1"), len(table)) == (None, 0)


def test_what_another_slot_says_beside_is_told_as_news_of_what_is_seen() -> None:
    table = FactTable()
    assert table.put(0, "1", deal(1)) == (None, deal(1))
    assert table.put(0, "1", deal(1)) is None
    assert table.put(1, "1", deal(2)) == (deal(1), deal(1))
    assert table.put(1, "1", deal(2)) is None
    assert table.put(1, "1", None) == (deal(1), deal(1))
    assert table.put(0, "1", None) == (deal(1), None)
    assert table.put(0, "1", None) is None
