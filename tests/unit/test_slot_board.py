"""One slot's board: images and changes in, differences out."""

from metrics.panes import Cell
from streams import layout
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact
from streams.joins.base import FactChange
from streams.layout import PaneKey, SlotFacts
from streams.slot_board import CellIndex, Difference, SlotBoard
from streams.stores.base import NO_MARK, Board, BoardChange

A, B = Cell(rep="a"), Cell(rep="b")


def board(
    seq: int, cells: dict[int, Cell], panes: dict[PaneKey, dict[int, int]], version: str = "v1"
) -> Board:
    fields = {layout.cell_field(number): layout.pack_cell(cell) for number, cell in cells.items()}
    fields |= {layout.pane_field(key): layout.pack_pane(values) for key, values in panes.items()}
    return Board(seq=seq, offsets={"sales.deals": seq}, fields=fields, version=version, owner="1-x")


def change(seq: int, fields: dict[bytes, bytes], delete: list[bytes] | None = None) -> BoardChange:
    return BoardChange(0, seq, {"sales.deals": seq}, fields, delete or [], owner="1-x")


def tuples(difference: Difference | None) -> list[tuple[int, int, int, int]]:
    assert difference is not None
    rows = difference.rows
    return sorted(zip(rows.start_ms, rows.cell, rows.key, rows.value, strict=True))


def made(index: CellIndex | None = None) -> SlotBoard:
    return SlotBoard(index or CellIndex(), "v1")


def test_cells_of_several_slots_share_one_numbering() -> None:
    index = CellIndex()
    one, two = made(index), made(index)
    one.replace(board(1, {0: A}, {}))
    rows = two.replace(board(1, {0: B, 1: A}, {PaneKey(0, 5, 0): {1: 1}, PaneKey(1, 5, 0): {1: 2}}))
    assert index.cells == [A, B]
    assert tuples(rows) == [(5, 0, 1, 2), (5, 1, 1, 1)]


def test_a_new_image_contributes_only_what_differs() -> None:
    slot = made()
    same, other = PaneKey(0, 5, 0), PaneKey(0, 6, 0)
    slot.replace(board(1, {0: A}, {same: {1: 1}, other: {1: 2}}))
    rows = slot.replace(board(9, {0: A}, {same: {1: 1}, other: {1: 7}}))
    assert tuples(rows) == [(6, 0, 1, -2), (6, 0, 1, 7)]


def test_a_cell_number_given_anew_moves_its_panes() -> None:
    slot = made()
    key = PaneKey(0, 5, 0)
    slot.replace(board(2, {0: A}, {key: {1: 1}}))
    assert tuples(slot.replace(board(2, {0: B}, {key: {1: 1}}))) == [(5, 0, 1, -1), (5, 1, 1, 1)]


def test_an_image_of_another_version_takes_everything_back() -> None:
    slot = made()
    slot.replace(board(1, {0: A}, {PaneKey(0, 5, 0): {1: 1, 2: 3}}))
    rows = slot.replace(board(2, {0: A}, {PaneKey(0, 5, 0): {1: 1}}, version="v2"))
    assert tuples(rows) == [(5, 0, 1, -1), (5, 0, 2, -3)]
    assert not slot.loaded
    assert slot.offsets == {}


def test_a_change_sets_deletes_and_adds_cells() -> None:
    slot = made()
    kept, gone, new = PaneKey(0, 5, 0), PaneKey(0, 6, 0), PaneKey(1, 5, 0)
    slot.replace(board(1, {0: A}, {kept: {1: 1}, gone: {1: 2}}))
    facts = SlotFacts(newest_ms={"sales.deals": 77}, rebuild_until={"sales.deals": 3})
    fields = {
        layout.cell_field(1): layout.pack_cell(B),
        layout.pane_field(kept): layout.pack_pane({1: 4}),
        layout.pane_field(new): layout.pack_pane({2: 9}),
        layout.FACTS_FIELD: layout.pack_facts(facts),
    }
    rows = slot.apply(change(2, fields, [layout.pane_field(gone), layout.pane_field(PaneKey(0, 99, 0))]))
    assert tuples(rows) == [(5, 0, 1, 3), (5, 1, 2, 9), (6, 0, 1, -2)]
    assert (slot.facts.newest_event_ms, slot.offsets, slot.rebuilding) == (77, {"sales.deals": 2}, True)
    assert slot.apply(change(3, {})) is not None
    assert not slot.rebuilding


def test_a_pane_that_went_and_came_back_counts_once() -> None:
    slot = made()
    key = PaneKey(0, 5, 0)
    slot.replace(board(1, {0: A}, {key: {1: 1}}))
    assert tuples(slot.apply(change(2, {}, [layout.pane_field(key)]))) == [(5, 0, 1, -1)]
    assert tuples(slot.apply(change(3, {layout.pane_field(key): layout.pack_pane({1: 1})}))) == [(5, 0, 1, 1)]


def test_a_change_that_moves_a_cell_needs_a_new_image() -> None:
    slot = made()
    slot.replace(board(1, {0: A}, {}))
    assert slot.apply(change(2, {layout.cell_field(0): layout.pack_cell(B)})) is None
    assert slot.mark.seq == 1


def test_a_cell_that_goes_with_its_last_pane_is_forgotten_and_its_number_may_mean_another() -> None:
    slot, key = made(), PaneKey(0, 5, 0)
    slot.replace(board(1, {0: A}, {key: {1: 1}}))
    gone = [layout.cell_field(0), layout.pane_field(key)]
    assert tuples(slot.apply(change(2, {}, gone))) == [(5, 0, 1, -1)]
    assert list(slot.cells) == []
    fields = {layout.cell_field(0): layout.pack_cell(B), layout.pane_field(key): layout.pack_pane({1: 3})}
    assert tuples(slot.apply(change(3, fields))) == [(5, 1, 1, 3)]


def test_a_board_nobody_committed_to_is_not_loaded() -> None:
    slot = made()
    slot.replace(Board(seq=0, offsets={}, fields={}))
    assert not slot.loaded
    assert slot.mark == NO_MARK


def facts_of(difference: Difference | None) -> list[FactChange]:
    assert difference is not None
    return difference.facts


def test_facts_are_told_when_they_change_and_only_then() -> None:
    slot = made()
    one, other, account = DealFact(A, 1), DealFact(B, 2, products=("x", "y")), AccountFact(A)
    name, named = layout.fact_field(EntityKind.DEAL, "D"), layout.fact_field(EntityKind.ACCOUNT, "D")
    image = board(1, {}, {})
    image.fields.update({name: layout.pack_fact(one), named: layout.pack_fact(account)})
    assert sorted(facts_of(slot.replace(image))) == [
        FactChange(EntityKind.ACCOUNT, "D", None, account),
        FactChange(EntityKind.DEAL, "D", None, one),
    ]
    assert facts_of(slot.replace(image)) == []
    assert facts_of(slot.apply(change(2, {name: layout.pack_fact(one)}))) == []
    assert facts_of(slot.apply(change(3, {name: layout.pack_fact(other)}, [named]))) == [
        FactChange(EntityKind.DEAL, "D", one, other),
        FactChange(EntityKind.ACCOUNT, "D", account, None),
    ]
    assert facts_of(slot.replace(board(9, {}, {}, version="v2"))) == [
        FactChange(EntityKind.DEAL, "D", other, None)
    ]


def test_facts_of_one_cell_hold_one_copy_of_it() -> None:
    slot = made()
    image = board(1, {}, {})
    for name in ("1", "2"):
        image.fields[layout.fact_field(EntityKind.DEAL, name)] = layout.pack_fact(DealFact(A, int(name)))
    one, other = (each.after for each in facts_of(slot.replace(image)))
    assert isinstance(one, DealFact)
    assert isinstance(other, DealFact)
    assert one.cell is other.cell
