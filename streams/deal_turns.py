"""Changed facts in, the deals that turned won or not won any more out, for the wall. Holds a bounded number.

It is told of news only (streams.board): what is read as history never comes here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from metrics.wall.wins import DealTurn
from streams.facts import DealFact
from streams.joins.base import FactChange

TURNS_MAX: Final = 10_000
"""Nobody celebrates more between two ticks; of a flood the oldest are forgotten."""


class DealTurns:
    """A `TurnSource`; one reader takes from it."""

    def __init__(self) -> None:
        self._turns: deque[DealTurn] = deque(maxlen=TURNS_MAX)

    def see(self, changes: Iterable[FactChange]) -> None:
        for change in changes:
            was, now = _won(change.before), _won(change.after)
            if now is not None:
                self._turns.append(_turn(change.id, now, corrected=was is not None))
            elif was is not None:
                self._turns.append(DealTurn("reverted", change.id))

    def take(self) -> Sequence[DealTurn]:
        taken = tuple(self._turns)
        self._turns.clear()
        return taken


def _won(fact: object) -> DealFact | None:
    return fact if type(fact) is DealFact and fact.status == "won" else None


def _turn(deal_id: str, deal: DealFact, *, corrected: bool) -> DealTurn:
    assert deal.closed_at_ms is not None, "a won deal is closed"
    return DealTurn(
        "corrected" if corrected else "won",
        deal_id,
        deal.cell.rep,
        deal.cell.team,
        deal.amount_minor,
        deal.cell.currency,
        deal.closed_at_ms,
    )
