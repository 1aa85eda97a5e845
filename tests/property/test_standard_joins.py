"""Whatever order facts change in, the product's joins make of them what they make of the last ones alone."""

from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.calendar import Calendar
from metrics.measures import BY_NAME, distinct_key
from metrics.panes import Cell
from metrics.reference import Stage
from streams.events import DealStatus, EntityKind
from streams.facts import AccountFact, DealFact, Fact, LeadFact
from streams.joins.base import FactChange
from streams.joins.standard import standard_joins
from streams.pane_log import Rows
from streams.rules import FoldRules
from streams.slot_board import CellIndex
from streams.touches import DEAL, LEAD, Touches
from tests.strength import amount

DAY_MS = 86_400_000
DISTINCT = [distinct_key(BY_NAME[name], 0) for name in ("accounts_buying", "accounts_changed")]

days = st.integers(0, 40).map(lambda day: day * DAY_MS)
cells = st.builds(Cell, rep=st.sampled_from("xy"))
closed = st.tuples(st.sampled_from(["won", "lost"]), days) | st.just(("open", None))


def deal(
    cell: Cell, opened_ms: int, closed: tuple[DealStatus, int | None], account: str, lead: str,
    due: tuple[int, float | None], stages: tuple[tuple[int, str], ...], merged_into: str,
) -> DealFact:  # fmt: skip
    return DealFact(
        cell, opened_ms, opened_ms, closed[1], closed[0], 100, account, lead, (), merged_into, due[1], due[0],
        stages[-1][1] if stages else "", "", stages,
    )  # fmt: skip


deals = st.builds(
    deal,
    cells,
    days,
    closed,
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["", "L", "M"]),
    st.tuples(st.sampled_from([0, 700_000]), st.sampled_from([None, 0.5])),
    st.sampled_from([(), ((5, "new"),), ((5, "new"), (9 * DAY_MS, "offer"))]),
    st.sampled_from(["", "", "", "2"]),
)
leads = st.builds(LeadFact, cells, days, st.none() | days, deal_id=st.sampled_from(["", "1", "2"]))
accounts = st.builds(
    AccountFact, cells, st.none() | days, st.none() | days, merged_into=st.sampled_from(["", "", "B"]),
    deleted=st.booleans(),
)  # fmt: skip
touches = st.builds(Touches, st.tuples(days), st.none() | days, st.integers(0, 2))
stages = st.builds(
    Stage, st.sampled_from(["new", "offer"]), st.none(), st.integers(1, 2), st.sampled_from([0.0, 0.4])
)


def changes_of(
    kind: EntityKind, ids: Iterable[str], facts: st.SearchStrategy[Fact]
) -> st.SearchStrategy["Step"]:
    return st.tuples(st.integers(0, 1), st.just(kind), st.sampled_from(list(ids)), st.none() | facts)


Step = tuple[int, EntityKind, str, Fact | None]
steps = st.one_of(
    changes_of(EntityKind.DEAL, "12", deals),
    changes_of(EntityKind.DEAL, "12", deals),
    changes_of(EntityKind.LEAD, "LM", leads),
    changes_of(EntityKind.ACCOUNT, "AB", accounts),
    changes_of(EntityKind.ACTIVITY, (DEAL + "1", LEAD + "L"), touches),
    stages.flatmap(
        lambda stage: st.tuples(
            st.just(0), st.just(EntityKind.REFERENCE), st.just(stage.id), st.sampled_from([None, stage])
        )
    ),
)


def sums_of(commits: Iterable[Iterable[Step]]) -> Counter[tuple[object, ...]]:
    """Return what the joins put out, added up; each commit is of one slot, that of its first step."""
    index, joins, sums = CellIndex(), standard_joins(FoldRules(Calendar())), Counter[tuple[object, ...]]()
    held: dict[tuple[int, EntityKind, str], Fact | None] = {}
    for commit in commits:
        rows, made, slot = Rows(), {}, -1
        for own, kind, entity_id, fact in commit:
            slot = own if slot < 0 else slot
            made[kind, entity_id] = fact
        changes = []
        for (kind, entity_id), fact in made.items():
            before = held.get((slot, kind, entity_id))
            held[slot, kind, entity_id] = fact
            if before != fact:
                changes.append(FactChange(kind, entity_id, before, fact))
        joins.take(slot, changes, index.number_of, rows)
        for start_ms, cell, key, value in zip(rows.start_ms, rows.cell, rows.key, rows.value, strict=True):
            # Which number an account has among the members depends on who came first.
            of_members = next((first for first in DISTINCT if first <= key < first + (1 << 21)), key)
            sums[index.cells[cell], start_ms, of_members] += value
        for start_ms, known_ms, cell, number, value in rows.hindsight:
            sums[index.cells[cell], start_ms, known_ms, number] += value
    return Counter({where: value for where, value in sums.items() if value})


@given(st.lists(st.lists(steps, min_size=1, max_size=4), max_size=12))
@settings(max_examples=amount(150, long=3000), deadline=None)
def test_any_history_of_facts_ends_like_their_last_ones_joined_from_scratch(
    commits: list[list[Step]],
) -> None:
    last: dict[tuple[int, EntityKind, str], Step] = {}
    for commit in commits:
        for _, kind, entity_id, fact in commit:
            last[commit[0][0], kind, entity_id] = (commit[0][0], kind, entity_id, fact)

    assert sums_of(commits) == sums_of([[step] for step in last.values()])
