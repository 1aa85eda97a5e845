"""Joins: changed facts in, the differences they make to contributions out: their own and joined entities'.

Entities of different partitions meet here, in the process that follows all of them: an account with the
deals won with it, a lead with its deal. Knows no board, no store; keeps of every joined entity what it
contributed, so that taking back is exact whatever happened in between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from metrics.calendar import Calendar
from metrics.panes import Cell
from streams.fact_contributions import contribute_fact
from streams.facts import FACTS, Fact
from streams.joins.base import FactChange, Facts, FactTable, Join, Joined
from streams.pane_log import Rows

_Row = tuple[int, int, int, int]  # start_ms, number of the cell, measure key, value
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Row]).decode


class Joins:
    """All joins over all facts. `number_of` numbers cells as the rest of the log does."""

    def __init__(self, joins: Sequence[Join], calendar: Calendar | None = None) -> None:
        """The calendar says when facts by themselves count; None leaves these contributions out."""
        self._joins = joins
        self._calendar = calendar
        self._tables = {kind: FactTable() for kind in FACTS}
        self._facts = Facts(self._tables)
        # Packed: there may be a million of them, each looked at only when one of its facts changes.
        self._held: list[dict[str, bytes]] = [{} for _ in joins]

    def take(
        self, slot: int, changes: Iterable[FactChange], number_of: Callable[[Cell], int], rows: Rows
    ) -> None:
        """Learn what changed in a slot and add to `rows` what that makes of it and of the joined entities."""
        touched: list[dict[str, None]] = [{} for _ in self._joins]
        learners = [(join.learn, ids) for join, ids in zip(self._joins, touched, strict=True)]
        tables, known, calendar = self._tables, self._facts, self._calendar
        for change in changes:
            kind, entity_id, before, fact = change
            if calendar is not None:
                _move(before, fact, calendar, number_of, rows)
            seen = tables[kind].put(slot, entity_id, fact)
            if seen is None:
                continue
            if seen[0] is not before or seen[1] is not fact:
                change = FactChange(kind, entity_id, *seen)
            for learn, ids in learners:
                for joined_id in learn(change, known):
                    ids[joined_id] = None
        for join, ids, held in zip(self._joins, touched, self._held, strict=True):
            for joined_id in ids:
                self._settle(held, joined_id, join.contributions(joined_id, self._facts), number_of, rows)

    def held(self) -> Iterator[tuple[Join, str, list[_Row]]]:
        """Return what every joined entity contributes now: the join, its id, its rows."""
        for join, held in zip(self._joins, self._held, strict=True):
            for joined_id, packed in held.items():
                yield join, joined_id, _unpack(packed)

    @property
    def cells(self) -> set[int]:
        """Return the cells in which any joined entity contributes."""
        return {cell for _, _, rows in self.held() for _, cell, _, _ in rows}

    def renumber(self, number_of: Mapping[int, int]) -> None:
        for held in self._held:
            for joined_id, packed in held.items():
                rows = _unpack(packed)
                held[joined_id] = _pack([(at, number_of[cell], key, value) for at, cell, key, value in rows])

    def _settle(
        self,
        held: dict[str, bytes],
        joined_id: str,
        contributions: list[Joined],
        number_of: Callable[[Cell], int],
        rows: Rows,
    ) -> None:
        if not contributions and joined_id not in held:
            return  # most deals have neither activities, nor a day they are due on, nor stages
        now: list[_Row] = [
            (time_ms, number_of(cell), key, value)
            for cell, time_ms, values in contributions
            for key, value in values.items()
        ]
        packed = _pack(now)
        before = held.pop(joined_id, None)
        if now:
            held[joined_id] = packed
        if before == packed:
            return
        for start_ms, cell, key, value in now:
            rows.tell(start_ms, cell, key, value)
        for start_ms, cell, key, value in _unpack(before) if before else ():
            rows.tell(start_ms, cell, key, -value)


def _move(
    before: Fact | None, after: Fact | None, calendar: Calendar, number_of: Callable[[Cell], int], rows: Rows
) -> None:
    """Take back what an entity contributed by itself, and add what it contributes now."""
    told, tells = contribute_fact(before, calendar), contribute_fact(after, calendar)
    for some, others, sign in ((tells, told, 1), (told, tells, -1)):
        for contribution in some:
            if contribution not in others:
                cell, time_ms, values = contribution
                number = number_of(cell)
                for key, value in values.items():
                    rows.tell(time_ms, number, key, sign * value)
