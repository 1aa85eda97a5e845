"""A deal and the order of stages in, the open amount by the day it is expected to close out. Pure.

Levels: +x where the deal opens and -x where it closes, under a key that names the day. So what is due in any
period can be told for any instant.
"""

from collections.abc import Iterable
from typing import Final

from metrics.measures import BY_NAME, day_key
from metrics.panes import Cell
from metrics.reference import Stage
from streams.events import EntityKind
from streams.facts import DealFact
from streams.joins.base import FactChange, Facts, Joined
from streams.rules import FoldRules

_MILLION: Final = 1_000_000
WEIGHTED = BY_NAME["due_weighted"]
WEIGHTED_MILLIONTHS = BY_NAME["due_weighted_millionths"]
COMMIT = BY_NAME["due_commit"]
BEST_CASE = BY_NAME["due_best_case"]


class DueJoin:
    """Contributions of one deal with an amount and an expected close."""

    def __init__(self, rules: FoldRules) -> None:
        self._stage_probability = rules.stage_probability
        self._due = rules.due
        self._deals_of_stage: dict[str, set[str]] = {}
        """Deals that take their probability from their stage."""
        self._records: dict[str, dict[str, Stage]] = {}
        """Records of a stage that give a probability."""

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.REFERENCE:
            stages = {fact.stage for fact in (change.before, change.after) if type(fact) is Stage}
            for stage in stages:
                records = self._records.setdefault(stage, {})
                records.pop(change.id, None)
                if type(change.after) is Stage and change.after.probability is not None:
                    records[change.id] = change.after
            return [deal for stage in stages for deal in self._deals_of_stage.get(stage, ())]
        if change.kind is not EntityKind.DEAL:
            return ()
        concerns = False
        for fact, took in ((change.before, False), (change.after, True)):
            if type(fact) is DealFact and fact.due_on:
                concerns = True
                if fact.probability is None:
                    deals = self._deals_of_stage.setdefault(fact.stage, set())
                    (deals.add if took else deals.discard)(change.id)
        return (change.id,) if concerns else ()

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        deal = facts.deal(joined_id)
        if deal is None or deal.merged_into or not deal.due_on or not deal.amount_minor:
            return []
        if deal.closed_at_ms is not None and deal.closed_at_ms <= deal.opened_at_ms:
            return []
        probability = self._probability(deal)
        whole, millionths = divmod(deal.amount_minor * round(probability * _MILLION), _MILLION)
        amounts = (
            (WEIGHTED, whole),
            (WEIGHTED_MILLIONTHS, millionths),
            (COMMIT, deal.amount_minor if probability >= self._due.commit_probability else 0),
            (BEST_CASE, deal.amount_minor if probability >= self._due.best_case_probability else 0),
        )
        values = {day_key(measure, deal.due_on): amount for measure, amount in amounts if amount}
        if not values:
            return []
        cell = Cell(*deal.cell[:-1], deal.stage)
        joined = [Joined(cell, deal.opened_at_ms, values)]
        if deal.closed_at_ms is not None:
            joined.append(Joined(cell, deal.closed_at_ms, {key: -value for key, value in values.items()}))
        return joined

    def _probability(self, deal: DealFact) -> float:
        """Return the deal's own probability, else its stage's: from a record, else from the settings.

        As in the weighted pipeline, of several pipelines with such a stage the first by name decides.
        """
        if deal.probability is not None:
            return deal.probability
        records = self._records.get(deal.stage)
        if records:
            first = min(records.values(), key=lambda record: record.pipeline or "")
            assert first.probability is not None
            return first.probability
        return self._stage_probability.get(deal.stage, 0.0)
