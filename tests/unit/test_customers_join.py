"""Customers: merges in any order, even in circles, and deletions end like a join from scratch."""

from collections import Counter
from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from metrics.measures import BY_NUMBER
from metrics.panes import Cell
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact, Fact
from streams.joins import Joins
from streams.joins.base import FactChange
from streams.joins.customers import Customers
from streams.pane_log import Rows
from streams.slot_board import CellIndex
from tests.keys import number_of, rows_of_changes

DAY_MS = 86_400_000
Step = tuple[int, EntityKind, str, Fact | None]

ids = st.sampled_from("ABCD")
accounts = st.none() | st.builds(
    AccountFact,
    st.builds(Cell, rep=st.sampled_from(["", "x"])),
    active_from_ms=st.none() | st.integers(0, 3),
    churned_at_ms=st.none() | st.integers(0, 5),
    products=st.none() | st.just(("p", "q")),
    merged_into=st.sampled_from(["", "", "A", "B", "C"]),
    deleted=st.booleans(),
)


def won(closed_at_ms: int, account_id: str, *, amount: int = 5, products: tuple[str, ...] = ()) -> DealFact:
    cell = Cell(rep="y", currency="USD")
    return DealFact(cell, 0, None, closed_at_ms, "won", amount, account_id, products=products)


def lost(account_id: str) -> DealFact:
    return DealFact(Cell(), 0, None, 3, "lost", 5, account_id)


deals = st.none() | st.builds(lost, ids) | st.builds(won, st.integers(1, 4), ids, amount=st.integers(0, 2))
steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1), st.just(EntityKind.DEAL), st.sampled_from("123"), deals),
        st.tuples(st.integers(0, 1), st.just(EntityKind.ACCOUNT), ids, accounts),
    ),
    max_size=25,
)


class Log:
    """Adds up what customers contribute, whatever numbers they were given."""

    def __init__(self) -> None:
        self.index = CellIndex()
        self.joins = Joins([Customers()])
        self.sums: Counter[tuple[Cell, int, str]] = Counter()

    def take(self, taken: Iterable[Step]) -> None:
        for slot, kind, entity_id, fact in taken:
            rows = Rows()
            self.joins.take(slot, [FactChange(kind, entity_id, None, fact)], self.index.number_of, rows)
            for start_ms, cell, key, value in rows_of_changes(rows):
                self.sums[self.index.cells[cell], start_ms, name_of(key)] += value

    def left(self) -> dict[tuple[Cell, int, str], int]:
        return {where: value for where, value in self.sums.items() if value}


def name_of(key: int) -> str:
    return BY_NUMBER[number_of(key)].name


@given(steps, st.integers(0, 1 << 32))
def test_any_history_of_accounts_and_deals_ends_like_a_join_from_scratch(
    taken: list[Step], seed: int
) -> None:
    log, scratch = Log(), Log()
    log.take(taken)
    end = [(*where, fact) for where, fact in {step[:3]: step[3] for step in taken}.items()]
    Random(seed).shuffle(end)
    scratch.take(end)
    assert log.left() == scratch.left()
    log.take([(*step[:3], None) for step in end])
    assert log.left() == {}


def told(*taken: tuple[EntityKind, str, Fact]) -> dict[str, int]:
    log = Log()
    log.take((0, *each) for each in taken)
    sums: Counter[str] = Counter()
    for (_, _, name), value in log.left().items():
        sums[name] += value
    return {name: value for name, value in sums.items() if value}


DEAL, ACCOUNT = EntityKind.DEAL, EntityKind.ACCOUNT


def test_purchases_of_a_merged_account_are_the_survivors_whoever_is_heard_of_first() -> None:
    merged = (ACCOUNT, "B", AccountFact(Cell(), merged_into="A", deleted=True))
    bought = ((DEAL, "1", won(1, "A")), (DEAL, "2", won(2, "B")))
    expected = {
        "customers_new": 1, "customers_new_repeating": 1, "won_after_first": 1, "accounts_buying": 2,
        "accounts_active": 1, "accounts_activated": 1, "accounts_changed": 1,
    }  # fmt: skip
    assert told(merged, *bought) == told(*bought, merged) == expected


def test_a_repeat_is_soon_up_to_the_last_millisecond_of_90_days() -> None:
    first = (DEAL, "1", won(0, "A"))
    assert told(first, (DEAL, "2", won(90 * DAY_MS, "A")))["customers_new_repeating"] == 1
    assert "customers_new_repeating" not in told(first, (DEAL, "2", won(90 * DAY_MS + 1, "A")))


def test_more_volume_or_a_new_product_expands_and_a_renewal_does_not() -> None:
    first = (DEAL, "1", won(0, "A", amount=5, products=("p",)))
    renewal = won(1, "A", amount=5, products=("p",))
    assert "expansion_amount" not in told(first, (DEAL, "2", renewal))
    assert told(first, (DEAL, "2", won(1, "A", amount=6, products=("p",))))["expansion_amount"] == 6
    assert told(first, (DEAL, "2", won(1, "A", amount=4, products=("p", "q"))))["expansion_amount"] == 4


def test_a_deleted_account_is_no_customer_and_a_deal_without_one_makes_none() -> None:
    assert told((DEAL, "1", won(0, "A")), (ACCOUNT, "A", AccountFact(Cell(), deleted=True))) == {}
    assert told((DEAL, "1", won(0, ""))) == {}


def test_a_churn_at_the_start_or_before_is_of_an_earlier_life() -> None:
    for churned_at_ms in (6, 7):
        account = AccountFact(Cell(), active_from_ms=7, churned_at_ms=churned_at_ms)
        assert told((ACCOUNT, "A", account)) == {
            "accounts_active": 1, "accounts_activated": 1, "accounts_changed": 1,
        }  # fmt: skip
    left = told((ACCOUNT, "A", AccountFact(Cell(), active_from_ms=7, churned_at_ms=8)))
    assert left == {"accounts_activated": 1, "accounts_churned": 1, "accounts_changed": 2}
