"""A store and the rules of its state in, a follower of its boards with all that the product counts out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from streams.board import BoardFollower
from streams.joins.base import FactChange
from streams.joins.standard import standard_joins
from streams.pane_log import GrowingLog
from streams.rules import FoldRules
from streams.stores.base import SlotStore

ROWS_OF_PANE: Final = 4
"""A pane holds about so many measures, and the log has a row for each."""


def following(
    store: SlotStore,
    rules: FoldRules,
    *,
    slots: int,
    definition_version: str,
    roster_only: Sequence[str] = (),
    news: Callable[[Iterable[FactChange]], None] | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> BoardFollower:
    """Return a follower that has read nothing yet; the rest as `BoardFollower` takes it."""
    log = GrowingLog(rows_max=ROWS_OF_PANE * rules.panes_max * slots, day_start=rules.calendar.day_start_ms)
    return BoardFollower(
        store,
        slots=slots,
        definition_version=definition_version,
        roster_only=roster_only,
        joins=standard_joins(rules),
        log=log,
        news=news,
        on_change=on_change,
    )
