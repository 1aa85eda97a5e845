"""What happened lately, read from the panes: newest first, nothing that was taken back, every kind seen."""

from metrics.panes import Cell
from metrics.wall.boards import FeedWidget
from metrics.wall.feed import FEED_SPAN_MS, OF_ONE_KIND_MAX, Feed, FeedItem, chosen
from tests.panes import FakeReader, Row
from tests.unit.wall.floors import ANN, BOB, CAT, NOW_MS, built, did, image, won

SECOND_MS = 1000


def feed(*rows: Row, names: dict[str, str] | None = None) -> list[FeedItem]:
    reader = FakeReader(rows)
    return list(Feed().of(reader.log(), reader.cells(), NOW_MS, names or {}))


def test_the_newest_stands_first_and_a_win_tells_its_amount() -> None:
    items = feed(*won(ANN, NOW_MS - 2000, 500_00), did(BOB, NOW_MS - 1000, "demos_put_in_calendar"))
    assert [(item.kind, item.rep, item.amount_minor, item.currency) for item in items] == [
        ("demo_booked", "bob", None, None),
        ("deal_won", "ann", 500_00, "USD"),
    ]


def test_items_say_all_a_page_needs_and_no_text() -> None:
    [item] = feed(*won(ANN, NOW_MS - 2000, 500_00), names={"ann": "Ann Archer"})
    assert item.wire() == {
        "id": f"deal_won:{NOW_MS - 2000}:ann", "at_ms": NOW_MS - 2000, "kind": "deal_won", "rep": "ann",
        "rep_name": "Ann Archer", "text_key": "feed.deal_won", "amount_minor": 500_00, "currency": "USD",
        "currency_exponent": 2,
    }  # fmt: skip


def test_what_was_taken_back_is_no_news() -> None:
    back = [row._replace(value=-row.value) for row in won(ANN, NOW_MS - 2000, 500_00)]
    assert feed(*won(ANN, NOW_MS - 2000, 500_00), *back) == []


def test_a_corrected_amount_is_told_as_it_is_now() -> None:
    [item] = feed(*won(ANN, NOW_MS - 2000, 500_00), Row(NOW_MS - 2000, ANN, "won_amount", 100_00))
    assert item.amount_minor == 600_00


def test_only_the_last_day_is_told_and_no_plan() -> None:
    assert feed(did(ANN, NOW_MS - FEED_SPAN_MS, "leads_new"), did(ANN, NOW_MS + 1, "leads_new")) == []
    assert len(feed(did(ANN, NOW_MS - FEED_SPAN_MS + 1, "leads_new"), did(ANN, NOW_MS, "leads_new"))) == 2


def test_what_nobody_tells_about_is_left_out() -> None:
    assert feed(did(ANN, NOW_MS - 1, "calls_done"), Row(NOW_MS - 1, CAT, "lost")) == []


def test_what_nobody_is_named_for_is_told_without_a_name() -> None:
    [item] = feed(Row(NOW_MS - 1, Cell(), "leads_new"))
    assert (item.rep, item.rep_name) == ("", "")


def test_two_of_one_rep_in_the_same_instant_are_told_apart() -> None:
    east, west = (CAT._replace(source=source, currency="") for source in ("east", "west"))
    ids = [item.id for item in feed(Row(NOW_MS - 1, east, "leads_new"), Row(NOW_MS - 1, west, "leads_new"))]
    assert len(set(ids)) == 2


def test_a_flood_of_one_kind_does_not_drown_the_others() -> None:
    flood = [did(BOB, NOW_MS - n * SECOND_MS, "leads_new") for n in range(1, 5_000)]
    items = feed(*won(ANN, NOW_MS - 10_000 * SECOND_MS, 500_00), *flood)
    shown = chosen(items, 20)
    assert len(shown) == 20
    assert shown[-1].kind == "deal_won"
    assert [item.at_ms for item in shown] == sorted((item.at_ms for item in shown), reverse=True)
    assert sum(item.kind == "lead_created" for item in chosen(items, OF_ONE_KIND_MAX + 1)) == OF_ONE_KIND_MAX


def test_a_board_shows_the_kinds_and_people_it_asks_for() -> None:
    rows = (
        *won(ANN, NOW_MS - 2000, 500_00),
        *won(CAT, NOW_MS - 1000, 700_00),
        did(ANN, NOW_MS - 500, "leads_new"),
    )
    [everything] = built(FeedWidget(), panes=image(rows, ()))
    assert [item["rep"] for item in everything["items"]] == ["ann", "cat", "ann"]
    [of_team] = built(FeedWidget(), panes=image(rows, ()), team="north")
    assert [item["rep"] for item in of_team["items"]] == ["ann", "ann"]
    [wins] = built(FeedWidget(("deal_won",), top=1), panes=image(rows, ()))
    assert [item["rep"] for item in wins["items"]] == ["cat"]
