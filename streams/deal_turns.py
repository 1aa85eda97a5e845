"""Changed facts in, the deals that turned won or not won any more out, for the wall. Holds a bounded number.

It is told of news only (streams.board): what is read as history never comes here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeGuard

from metrics.labels import OTHER
from metrics.wall.wins import DealTurn
from streams.facts import DealFact
from streams.joins.base import FactChange

TURNS_MAX: Final = 10_000
"""Nobody celebrates more between two ticks; of a flood the oldest are forgotten."""


class DealTurns:
    """A `TurnSource`; one reader takes from it."""

    def __init__(self) -> None:
        # Told of when somebody takes them: of a flood, most are forgotten before.
        self._turned: deque[FactChange] = deque(maxlen=TURNS_MAX)

    def see(self, changes: Iterable[FactChange]) -> None:
        self._turned.extend([each for each in changes if _is_won(each.after) or _is_won(each.before)])

    def take(self) -> Sequence[DealTurn]:
        taken = tuple(map(_turn, self._turned))
        self._turned.clear()
        return taken


def _is_won(fact: object) -> TypeGuard[DealFact]:
    return type(fact) is DealFact and fact.status == "won"


def _turn(change: FactChange) -> DealTurn:
    deal = change.after
    if not _is_won(deal):
        return DealTurn("reverted", change.id)
    assert deal.closed_at_ms is not None, "a won deal is closed"
    return DealTurn(
        "corrected" if _is_won(change.before) else "won",
        change.id,
        "" if deal.cell.rep == OTHER else deal.cell.rep,  # nobody is called so
        deal.cell.team,
        deal.amount_minor,
        deal.cell.currency,
        deal.closed_at_ms,
    )
