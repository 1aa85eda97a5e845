"""A deal with the activities for it and with the order of stages: calls, stalls, stages entered. Pure."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from metrics.measures import BY_NAME
from metrics.panes import Cell
from streams.events import EntityKind
from streams.facts import DealFact
from streams.joins.base import FactChange, Facts, Joined
from streams.touches import DEAL, Touches

CALLS_ON_CLOSED = BY_NAME["calls_on_closed_deals"].number
STALLED = BY_NAME["stalled"].number


class DealJoin:
    """Contributions of one deal and everything that was done for it."""

    def __init__(self, *, stalled_after_ms: int) -> None:
        self._stalled_after_ms = stalled_after_ms

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.DEAL:
            return (change.id,)
        if change.kind is EntityKind.ACTIVITY and change.id.startswith(DEAL):
            return (change.id.removeprefix(DEAL),)
        return ()

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        deal = facts.deal(joined_id)
        if deal is None or deal.merged_into:
            return []
        touches, closed_at_ms = facts.touches(DEAL + joined_id), deal.closed_at_ms
        if closed_at_ms is not None and closed_at_ms <= deal.opened_at_ms:
            joined: list[Joined] = []  # it was never open
        else:
            joined = list(self._stalls(deal, touches))
        if closed_at_ms is not None and touches is not None and touches.calls:
            joined.append(Joined(deal.cell, closed_at_ms, {CALLS_ON_CLOSED: touches.calls}))
        return joined

    def _stalls(self, deal: DealFact, touches: Touches | None) -> Iterator[Joined]:
        """Tell each stretch of time in which the deal was open and nothing had been done for long."""
        closed_at_ms = deal.closed_at_ms
        cell = Cell(*deal.cell[:-1], deal.stage)
        times_ms = [
            time_ms
            for time_ms in (() if touches is None else touches.times_ms)
            if time_ms > deal.opened_at_ms and (closed_at_ms is None or time_ms < closed_at_ms)
        ]
        for time_ms, next_ms in pairwise((deal.opened_at_ms, *times_ms, closed_at_ms)):
            assert time_ms is not None
            stalls_at_ms = time_ms + self._stalled_after_ms
            if next_ms is None:
                yield Joined(cell, stalls_at_ms, {STALLED: 1})
            elif next_ms > stalls_at_ms:
                yield Joined(cell, stalls_at_ms, {STALLED: 1})
                yield Joined(cell, next_ms, {STALLED: -1})
