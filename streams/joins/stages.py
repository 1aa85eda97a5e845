"""A deal with the order of stages: which it came into, and from which it has gone further. Pure."""

from collections.abc import Iterable

from metrics.measures import BY_NAME, hindsight_key
from metrics.panes import Cell
from streams.events import EntityKind
from streams.facts import DealFact
from streams.joins.base import FactChange, Facts, Joined

STAGE_ENTERED = BY_NAME["stage_entered"].number
STAGE_PASSED = BY_NAME["stage_passed"].number


class StageJoin:
    """A deal enters a stage once: when it first comes into it."""

    def __init__(self) -> None:
        self._deals: set[str] = set()

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.DEAL:
            if type(change.after) is DealFact and change.after.stages:
                self._deals.add(change.id)
            elif change.id in self._deals:
                self._deals.discard(change.id)
            else:
                return ()  # it says nothing of stages and said nothing before
            return (change.id,)
        return tuple(self._deals) if change.kind is EntityKind.REFERENCE else ()

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        deal = facts.deal(joined_id)
        if deal is None or deal.merged_into:
            return []
        entered: dict[str, int] = {}
        for move, (_, stage) in enumerate(deal.stages):
            if stage:
                entered.setdefault(stage, move)
        joined = []
        for stage, move in entered.items():
            values, entered_ms = {STAGE_ENTERED: 1}, deal.stages[move][0]
            went_on_ms = self._went_on_ms(deal, stage, entered, facts)
            if deal.status == "won" and deal.closed_at_ms is not None:
                went_on_ms = min(deal.closed_at_ms, deal.closed_at_ms if went_on_ms is None else went_on_ms)
            if went_on_ms is not None:
                values[hindsight_key(STAGE_PASSED, went_on_ms - entered_ms)] = 1
            joined.append(Joined(Cell(*deal.cell[:-1], stage), entered_ms, values))
        return joined

    def _went_on_ms(self, deal: DealFact, stage: str, entered: dict[str, int], facts: Facts) -> int | None:
        """Return when the deal first came into a later stage: later by the order of stages where it
        is known of both, else one it first came into later. A stage nobody wins from is no later one,
        nor is the one a lost deal was closed in."""
        own = facts.stage(deal.pipeline, stage)
        for time_ms, other in deal.stages[entered[stage] + 1 :]:
            if not other or other == stage:
                continue
            if deal.status == "lost" and deal.closed_at_ms is not None and time_ms >= deal.closed_at_ms:
                continue
            record = facts.stage(deal.pipeline, other)
            if record is not None and record.probability == 0:
                continue
            if own is None or record is None or own.order is None or record.order is None:
                if entered[other] > entered[stage]:
                    return time_ms
            elif record.order > own.order:
                return time_ms
        return None
