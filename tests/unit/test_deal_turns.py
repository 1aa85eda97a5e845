"""Which deals are news to the wall: what turned while boards were followed, and nothing read as history."""

from collections.abc import Iterable

from metrics.panes import Cell
from metrics.reference import RosterSpell
from metrics.wall.wins import DealTurn
from streams import layout
from streams.board import BoardFollower
from streams.deal_turns import TURNS_MAX, DealTurns
from streams.events import DealStatus, EntityKind
from streams.facts import DealFact, LeadFact
from streams.joins.base import FactChange
from streams.layout import SlotFacts
from streams.stores.base import Commit
from streams.stores.memory import MemoryStore
from tests.boards import Writer

CELL = Cell(rep="R-9", team="north", currency="EUR")


def deal(status: DealStatus, *, amount: int = 500_00, cell: Cell = CELL) -> DealFact:
    return DealFact(
        cell, 1, closed_at_ms=None if status == "open" else 99, status=status, amount_minor=amount
    )


def turns_of(before: DealFact | None, after: DealFact | None) -> list[DealTurn]:
    turns = DealTurns()
    turns.see([FactChange(EntityKind.DEAL, "D-1", before, after)])
    return list(turns.take())


def test_a_deal_that_became_won_tells_who_won_how_much_and_when() -> None:
    expected = DealTurn("won", "D-1", "R-9", "north", 500_00, "EUR", 99)
    assert turns_of(deal("open"), deal("won")) == [expected]
    assert turns_of(None, deal("won")) == [expected]
    assert turns_of(deal("lost"), deal("won")) == [expected]


def test_a_won_deal_that_changes_is_corrected_and_not_won_again() -> None:
    for after in (deal("won", amount=1), deal("won", cell=CELL._replace(team="south"))):
        [turn] = turns_of(deal("won"), after)
        assert turn.kind == "corrected"


def test_a_deal_reopened_lost_deleted_or_merged_is_reverted() -> None:
    for after in (deal("open"), deal("lost"), None):
        assert turns_of(deal("won"), after) == [DealTurn("reverted", "D-1")]


def test_what_was_never_won_is_no_turn() -> None:
    assert turns_of(None, deal("open")) == turns_of(deal("open"), deal("lost")) == []
    turns = DealTurns()
    turns.see([FactChange(EntityKind.LEAD, "L-1", None, LeadFact(CELL, 1))])
    assert turns.take() == ()


def test_turns_are_taken_once_and_a_flood_is_bounded() -> None:
    turns = DealTurns()
    turns.see(FactChange(EntityKind.DEAL, f"D-{n}", None, deal("won")) for n in range(TURNS_MAX + 5))
    assert len(turns.take()) == TURNS_MAX
    assert turns.take() == ()


# --- what the follower of boards calls news


class Floor:
    """Two slots written by hand, and a follower that collects its news."""

    def __init__(self) -> None:
        self.store = MemoryStore(version="v1")
        self.turns = DealTurns()
        self.writers: list[Writer] = []

    def follower(self, *, roster_only: tuple[str, ...] = ()) -> BoardFollower:
        return BoardFollower(
            self.store, slots=2, definition_version="v1", roster_only=roster_only, news=self.turns.see
        )

    async def claim(self) -> None:
        self.writers = [await Writer.of(self.store, slot) for slot in range(2)]

    async def commit(
        self,
        slot: int,
        fact: DealFact | None = None,
        *,
        facts: SlotFacts | None = None,
        offset: int = 1,
        spell: RosterSpell | None = None,
    ) -> None:
        writer = self.writers[slot]
        board = {layout.FACTS_FIELD: layout.pack_facts(facts or SlotFacts())}
        if spell is not None:
            board[layout.reference_field(spell.id)] = layout.pack_reference(spell)
        if fact is not None:
            board[layout.fact_field(EntityKind.DEAL, f"D-{slot}")] = layout.pack_fact(fact)
        offsets = {"sales.deals": offset}
        await self.store.commit(slot, Commit(writer.claim.owner, writer.seq, offsets, board, [], {}, []))
        writer.seq += 1

    def told(self) -> list[tuple[str, str]]:
        return [(turn.kind, turn.deal_id) for turn in self.turns.take()]


async def test_what_is_read_first_is_history_and_what_comes_then_is_news() -> None:
    floor = Floor()
    await floor.claim()
    for slot in range(2):
        await floor.commit(slot, deal("won"))
    follower = floor.follower()
    await follower.load()
    assert floor.told() == []
    await floor.commit(0, deal("open"))
    await follower.load()
    assert floor.told() == [("reverted", "D-0")]
    await floor.commit(0, deal("won"))
    await follower.load()
    assert floor.told() == [("won", "D-0")]


async def test_counting_anew_for_another_roster_is_no_news_and_who_is_not_on_it_has_no_name() -> None:
    floor = Floor()
    await floor.claim()
    follower = floor.follower(roster_only=("rep",))
    for slot in range(2):
        await floor.commit(slot, deal("won"))
    await follower.load()
    await floor.commit(1, spell=RosterSpell("R-1", team_id="north"))
    await follower.load()
    assert floor.told() == []
    await floor.commit(0, deal("won", amount=700_00))
    await follower.load()
    [turn] = floor.turns.take()
    assert (turn.kind, turn.rep, turn.amount_minor) == ("corrected", "", 700_00)
    await floor.commit(1, spell=RosterSpell("R-9", team_id="north"))
    await follower.load()
    assert floor.told() == []
    await floor.commit(0, deal("won", amount=800_00))
    await follower.load()
    assert [turn.rep for turn in floor.turns.take()] == ["R-9"]


async def test_while_other_boards_are_not_read_yet_nothing_is_news() -> None:
    floor = Floor()
    floor.writers = [await Writer.of(floor.store, 0)]
    await floor.commit(0, deal("open"))
    follower = floor.follower()
    await follower.load()
    await floor.commit(0, deal("won"))
    await follower.load()
    assert floor.told() == []


async def test_what_is_folded_anew_is_history_up_to_the_last_commit_of_it() -> None:
    floor = Floor()
    await floor.claim()
    rebuilding = SlotFacts(rebuild_until={"sales.deals": 5})
    for slot in range(2):
        await floor.commit(slot, deal("open"), facts=rebuilding)
    follower = floor.follower()
    await follower.load()
    await floor.commit(0, deal("won"), facts=rebuilding, offset=3)
    await follower.load()
    await floor.commit(0, deal("open"), facts=rebuilding, offset=4)
    await follower.load()
    await floor.commit(0, deal("won"), facts=rebuilding, offset=5)
    await follower.load()
    assert floor.told() == []
    await floor.commit(0, deal("won", amount=1), facts=rebuilding, offset=6)
    await follower.load()
    assert floor.told() == [("corrected", "D-0")]


async def test_another_owner_of_a_slot_makes_no_news() -> None:
    floor = Floor()
    await floor.claim()
    for slot in range(2):
        await floor.commit(slot, deal("won"))
    follower = floor.follower()
    await follower.load()
    await floor.claim()
    for slot in range(2):
        await floor.commit(slot)
    await follower.load()
    assert floor.told() == []


async def test_the_state_says_behind_which_event_records_wait() -> None:
    floor = Floor()
    await floor.claim()
    newest = {"sales.deals": 500, "sales.leads": 300, "sales.reference": 1}
    follower = floor.follower()
    cases: Iterable[tuple[dict[str, int], int | None]] = (
        ({}, None),
        ({"sales.deals": 200}, 500),
        ({"sales.deals": 200, "sales.leads": 100}, 300),
        ({"sales.reference": 200}, None),
        ({"sales.feedback": 200}, 0),
    )
    for behind, expected in cases:
        await floor.commit(0, facts=SlotFacts(newest_ms=newest, behind=behind))
        await follower.load()
        assert follower.state().behind_event_ms == expected
