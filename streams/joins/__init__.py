"""Joins: changed facts in, the differences they make to the joined entities' contributions out.

Entities of different partitions meet here, in the process that follows all of them: an account with the
deals won with it, a lead with its deal. Knows no board, no store; keeps of every joined entity what it
contributed, so that taking back is exact whatever happened in between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from metrics.panes import Cell
from streams.facts import FACTS
from streams.joins.base import FactChange, Facts, FactTable, Join, Joined
from streams.pane_log import Rows

_Row = tuple[int, int, int, int]  # start_ms, number of the cell, measure key, value
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Row]).decode
_NOTHING: dict[int, int] = {}


class Joins:
    """All joins over all facts. `number_of` numbers cells as the rest of the log does."""

    def __init__(self, joins: Sequence[Join]) -> None:
        self._joins = joins
        self._tables = {kind: FactTable() for kind in FACTS}
        self._facts = Facts(self._tables)
        # Packed: there may be a million of them, each looked at only when one of its facts changes.
        self._held: list[dict[str, bytes]] = [{} for _ in joins]

    def take(
        self, slot: int, changes: Iterable[FactChange], number_of: Callable[[Cell], int], rows: Rows
    ) -> None:
        """Learn what changed in a slot and add to `rows` what that makes of the joined entities."""
        touched: list[dict[str, None]] = [{} for _ in self._joins]
        learners = [(join.learn, ids) for join, ids in zip(self._joins, touched, strict=True)]
        tables, known = self._tables, self._facts
        for change in changes:
            kind, entity_id, before, fact = change
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
            rows.add(start_ms, cell, _NOTHING, {key: value})
        for start_ms, cell, key, value in _unpack(before) if before else ():
            rows.add(start_ms, cell, {key: value}, _NOTHING)
