"""What is celebrated, and everything that never is. A day of a made-up floor, by hand."""

from dataclasses import replace

from metrics.wall.boards import WinRules
from metrics.wall.wins import KNOWN_MAX, PENDING_MAX, REVERTED_WITHIN_MS, DealTurn, Win, Wins

NOW_MS = 1_795_253_400_000
SECOND_MS = 1000
RULES = WinRules(seconds=12, fresh_ms=300 * SECOND_MS)


def won(deal: str = "D-1", *, ago_ms: int = SECOND_MS, amount: int = 500_00, at_ms: int = NOW_MS) -> DealTurn:
    return DealTurn("won", deal, "R-9", "north", amount, "USD", at_ms - ago_ms)


def corrected(turn: DealTurn, **fields: object) -> DealTurn:
    return turn._replace(kind="corrected", **fields)  # type: ignore[arg-type]


def reverted(deal: str = "D-1") -> DealTurn:
    return DealTurn("reverted", deal)


class Floor:
    """Steps one at a time; what is told is collected as (deal, reverted)."""

    def __init__(self, rules: WinRules = RULES) -> None:
        self.wins = Wins(rules)
        self.now_ms = NOW_MS

    def step(
        self, *turns: DealTurn, after_ms: int = 0, caught_up: bool = True, quiet: bool = False
    ) -> list[tuple[str, bool]]:
        self.now_ms += after_ms
        told = self.wins.step(turns, now_ms=self.now_ms, caught_up=caught_up, quiet=quiet)
        return [(win.deal.deal_id, win.reverted) for win in told]


def test_a_fresh_win_is_told_once() -> None:
    floor = Floor()
    assert floor.step(won()) == [("D-1", False)]
    assert floor.step(after_ms=SECOND_MS) == []


def test_a_win_tells_who_won_what_and_when() -> None:
    assert Wins(RULES).step([won()], now_ms=NOW_MS, caught_up=True, quiet=False) == [Win(won())]


def test_a_deal_that_closed_long_ago_is_history() -> None:
    floor = Floor()
    assert floor.step(won(ago_ms=RULES.fresh_ms + 1)) == []
    assert floor.step(corrected(won()), after_ms=SECOND_MS) == []


def test_the_same_win_again_is_no_news_whoever_says_it_and_whatever_it_is_worth() -> None:
    floor = Floor()
    floor.step(won())
    for again in (
        won(),
        corrected(won(), amount_minor=900_00),
        corrected(won(), team="south", rep="R-2"),
        won(ago_ms=0),
    ):
        assert floor.step(again, after_ms=SECOND_MS) == []


def test_a_deal_reopened_before_it_was_told_is_never_told() -> None:
    floor = Floor()
    assert floor.step(won(), reverted()) == []
    assert floor.step(won("D-2"), caught_up=False) == []
    assert floor.step(reverted("D-2"), caught_up=False) == []
    assert floor.step(after_ms=SECOND_MS) == []


def test_a_deal_reopened_while_its_win_is_on_the_screen_is_taken_off() -> None:
    floor = Floor()
    floor.step(won())
    assert floor.step(reverted(), after_ms=5 * SECOND_MS) == [("D-1", True)]
    assert floor.step(won(ago_ms=0), after_ms=SECOND_MS) == []


def test_a_deal_reopened_long_after_disturbs_nobody() -> None:
    floor = Floor()
    floor.step(won())
    assert floor.step(reverted(), after_ms=REVERTED_WITHIN_MS + 1) == []


def test_nobody_is_told_that_a_win_they_never_saw_is_reverted() -> None:
    assert Floor().step(reverted("D-7")) == []


def test_while_a_backlog_is_worked_off_wins_wait_and_are_told_while_they_are_fresh() -> None:
    floor = Floor()
    assert floor.step(won(), caught_up=False) == []
    assert floor.step(after_ms=60 * SECOND_MS, caught_up=False) == []
    assert floor.step(after_ms=SECOND_MS) == [("D-1", False)]


def test_a_win_that_waited_too_long_is_no_news_any_more() -> None:
    floor = Floor()
    floor.step(won(), caught_up=False)
    assert floor.step(after_ms=RULES.fresh_ms + 1) == []


def test_a_win_that_waits_is_told_as_it_was_corrected_meanwhile() -> None:
    wins = Wins(RULES)
    wins.step([won()], now_ms=NOW_MS, caught_up=False, quiet=False)
    bigger = corrected(won(), amount_minor=900_00)
    assert wins.step([bigger], now_ms=NOW_MS, caught_up=True, quiet=False) == [Win(bigger)]


def test_what_was_won_in_the_quiet_hours_is_not_told_in_the_morning() -> None:
    floor = Floor()
    assert floor.step(won(), quiet=True) == []
    assert floor.step(after_ms=SECOND_MS) == []
    assert floor.step(won(), after_ms=SECOND_MS) == []


def test_a_closing_time_in_the_future_is_a_plan_and_no_win() -> None:
    floor = Floor()
    assert floor.step(won(ago_ms=-3_600 * SECOND_MS)) == []
    assert floor.step(after_ms=3_600 * SECOND_MS) == []


def test_clocks_that_differ_a_little_cost_no_celebration() -> None:
    assert Floor().step(won(ago_ms=-5 * SECOND_MS)) == [("D-1", False)]


def test_a_correction_of_a_deal_won_before_is_no_win() -> None:
    assert Floor().step(corrected(won())) == []


def test_wins_are_told_in_the_order_in_which_they_were_won() -> None:
    floor = Floor()
    told = floor.step(won("late", ago_ms=1), won("early", ago_ms=9_000), won("middle", ago_ms=4_000))
    assert [deal for deal, _ in told] == ["early", "middle", "late"]


def test_a_floor_that_wants_no_celebrations_gets_none() -> None:
    assert Floor(replace(RULES, seconds=0)).step(won()) == []


def test_a_flood_of_deals_is_held_in_bounded_memory() -> None:
    floor = Floor()
    floor.step(*(won(f"D-{n}") for n in range(3 * PENDING_MAX)), caught_up=False)
    assert len(floor.wins._pending) == PENDING_MAX
    for n in range(3 * KNOWN_MAX // PENDING_MAX):
        floor.step(*(won(f"E-{n}-{m}") for m in range(PENDING_MAX)))
    assert len(floor.wins._told) == KNOWN_MAX


def test_quiet_hours_may_go_over_midnight() -> None:
    night = WinRules(quiet=(20 * 60, 8 * 60))
    assert [night.is_quiet(60 * hour) for hour in (19, 20, 23, 0, 7, 8, 12)] == [
        False, True, True, True, True, False, False,
    ]  # fmt: skip
    lunch = WinRules(quiet=(12 * 60, 13 * 60))
    assert [lunch.is_quiet(60 * hour) for hour in (11, 12, 13)] == [False, True, False]
    assert not WinRules().is_quiet(0)
