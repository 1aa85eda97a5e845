"""What became of deals in, the celebrations that are due out. Pure: time and what is known are given.

A win is celebrated once, when it is news: the deal became won while somebody followed, closed a moment ago,
and the numbers are caught up. What was there at the start, is folded anew or comes late is never news.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from metrics.wall.boards import WinRules

REVERTED_WITHIN_MS: Final = 600_000
"""A page may still have a win in its queue so long after it was told."""
AHEAD_MS: Final = 60_000
"""Clocks differ; what closes later than this is a plan, not a win."""
PENDING_MAX: Final = 1_000
KNOWN_MAX: Final = 10_000
"""So many celebrated deals are remembered; the oldest are forgotten first."""


class DealTurn(NamedTuple):
    """A deal became won, was corrected while won, or is won no more."""

    kind: Literal["won", "corrected", "reverted"]
    deal_id: str
    rep: str = ""
    team: str = ""
    amount_minor: int = 0
    currency: str = ""
    closed_ms: int = 0


class TurnSource(Protocol):
    def take(self) -> Sequence[DealTurn]:
        """Return what turned since the last call, oldest first; never what was read as history."""


class NoTurns:
    def take(self) -> Sequence[DealTurn]:
        return ()


@dataclass(frozen=True)
class Win:
    """A celebration that is due, or (with `reverted`) one to be taken off the screen."""

    deal: DealTurn
    reverted: bool = False


class Wins:
    """Decides which wins are news. Holds a bounded number of deals, whatever happens."""

    def __init__(self, rules: WinRules) -> None:
        self._rules = rules
        self._pending: OrderedDict[str, DealTurn] = OrderedDict()
        self._told: OrderedDict[str, int] = OrderedDict()
        """Deal -> when its win was told, or passed over in the quiet hours."""

    def step(self, turns: Iterable[DealTurn], *, now_ms: int, caught_up: bool, quiet: bool) -> list[Win]:
        """Take what turned; return what is to be told now. While not caught up, wins wait."""
        due: list[Win] = []
        for turn in turns:
            due += self._take(turn, now_ms)
        oldest_ms = now_ms - self._rules.fresh_ms
        for deal_id in [each for each, deal in self._pending.items() if deal.closed_ms < oldest_ms]:
            del self._pending[deal_id]
        if caught_up:
            due += self._tell(now_ms, quiet)
        return due

    def _take(self, turn: DealTurn, now_ms: int) -> list[Win]:
        if turn.kind == "reverted":
            self._pending.pop(turn.deal_id, None)
            told_ms = self._told.get(turn.deal_id)
            shown = told_ms is not None and now_ms - told_ms <= REVERTED_WITHIN_MS
            return [Win(turn, reverted=True)] if shown else []
        if turn.kind == "corrected" and turn.deal_id not in self._pending:
            return []
        if turn.deal_id not in self._told and self._rules.seconds > 0:
            self._pending[turn.deal_id] = turn
            if len(self._pending) > PENDING_MAX:
                self._pending.popitem(last=False)
        return []

    def _tell(self, now_ms: int, quiet: bool) -> list[Win]:
        due = [deal for deal in self._pending.values() if deal.closed_ms <= now_ms + AHEAD_MS]
        self._pending.clear()
        for deal in due:
            self._told[deal.deal_id] = now_ms
            if len(self._told) > KNOWN_MAX:
                self._told.popitem(last=False)
        return [] if quiet else [Win(deal) for deal in sorted(due, key=lambda deal: deal.closed_ms)]
