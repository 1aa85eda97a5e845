"""Follows the boards of all slots in a store and answers `metrics` as one `PaneReader`. Computes no KPI.

What entities of several slots contribute together is joined here from their facts (streams.joins).

A slot's board is read once and then kept up to date by the changes the store tells of. Marks say
whether a change continues what is held: if not (a change was missed, another owner took over, the
store lost its last second), the board is read again and replaces the slot's contribution exactly.
Everything happens in one event loop and no change is half visible between two awaits, so a reader
that does not await sees one instant.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from metrics.listed import Listed
from metrics.panes import FINEST, Cell, FeedState, PaneLog, Resolution
from metrics.reference import Reference
from metrics.snapshot import PaneImage
from streams import layout
from streams.decode import FUTURE_MAX_MS
from streams.joins import Joins
from streams.joins.base import FactChange
from streams.logs import fields
from streams.pane_log import GrowingLog
from streams.slot_board import CellIndex, Difference, SlotBoard
from streams.stores.base import Board, BoardChange, Mark, SlotStore, StoreUnavailable

log = logging.getLogger(__name__)

# Marks of all slots are compared this often: a notice may get lost without a sign, and a claim gives none.
CHECK_SECONDS = 3.0
RETRY_SECONDS, RETRY_MAX_SECONDS = 0.2, 5.0
_EMPTY = Board(0, {}, {})


class BoardFollower:
    """`load` once for an image of now, or `run` to stay up to date."""

    few_cells = 4_096
    """So many cells are not worth looking for those that nothing is of."""

    def __init__(
        self,
        store: SlotStore,
        *,
        slots: int,
        definition_version: str,
        roster_only: Sequence[str] = (),
        joins: Joins | None = None,
        log: GrowingLog | None = None,
        news: Callable[[Iterable[FactChange]], None] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """At the levels of `roster_only`, names that no roster record says count together (metrics.listed).

        `news` is told of facts that changed while all boards were followed: not of what was read first.
        """
        self._store = store
        self._definition_version = definition_version
        self._index = CellIndex()
        self._slots = [SlotBoard(self._index, definition_version) for _ in range(slots)]
        self._log = log or GrowingLog()
        self._roster_only = roster_only
        self._references_seen = 0
        self._shown: PaneImage | None = None
        """What readers are told while everything is counted anew."""
        self._joins = joins
        self._news = news
        self._on_change = on_change  # called after every change, in its step
        self._version = 0
        self._cells_looked_through = 0
        # Reading a board takes awaits; no change may be applied in the middle of them.
        self._lock = asyncio.Lock()
        self.connected = False
        """Subscribed, and every board compared since."""
        self.last_contact_monotonic: float | None = None
        """`time.monotonic()` of the store's last answer or notice."""

    @property
    def joins(self) -> Joins:
        """What was joined of the facts so far; a follower without joins has learned nothing."""
        return Joins([]) if self._joins is None else self._joins

    # PaneReader

    def version(self) -> int:
        return self._version

    def cells(self) -> Sequence[Cell]:
        return self._index.cells if self._shown is None else self._shown.cells

    @property
    def listed(self) -> Listed:
        """Return which names count for themselves."""
        return self._index.listed

    def log(self) -> PaneLog:
        return self._log.view() if self._shown is None else self._shown.log

    def resolutions(self) -> Sequence[Resolution]:
        """Return what the slots' panes tell apart, and the log where it holds too many rows to tell all."""
        if self._shown is not None:
            return self._shown.resolutions
        of_slots = [layout.resolution_of(slot.facts) for slot in self._slots if slot.loaded]
        return of_slots if self._log.resolution == FINEST else [*of_slots, self._log.resolution]

    def references(self) -> Sequence[Reference]:
        return self._references() if self._shown is None else self._shown.references

    def _references(self) -> list[Reference]:
        return [record for slot in self._slots if slot.loaded for record in slot.references.values()]

    def state(self) -> FeedState:
        if self._shown is not None:
            return self._shown.state
        loaded = [slot for slot in self._slots if slot.loaded]
        newest = [slot.facts.newest_event_ms for slot in loaded if slot.facts.newest_event_ms is not None]
        return FeedState(
            offsets=self._offsets(),
            newest_event_ms=max(newest, default=None),
            definition_version=self._definition_version,
            rebuilding=any(slot.rebuilding for slot in loaded),
            slots_expected=len(self._slots),
            slots_loaded=len(loaded),
            counters=_summed(slot.facts.counters for slot in loaded),
            behind_event_ms=min(
                (each for slot in loaded if (each := slot.facts.behind_event_ms) is not None), default=None
            ),
        )

    def _offsets(self) -> dict[str, dict[int, int]]:
        offsets: dict[str, dict[int, int]] = {}
        for partition, slot in enumerate(self._slots):
            for topic, offset in slot.offsets.items():
                offsets.setdefault(topic, {})[partition] = offset
        return offsets

    # Following

    async def load(self) -> None:
        """Bring every slot up to date with the store once. Raises `StoreUnavailable`."""
        if self._roster_only and not any(slot.loaded for slot in self._slots):
            # So that a flood of names is counted together while it is read, not once it has been.
            self._index.listed = Listed.of(self._roster_only, await self._stored_references())
        for number in range(len(self._slots)):
            async with self._lock:
                await self._compare(number)
        async with self._lock:
            await self._follow_roster()

    async def run(self) -> None:
        """Keep up with the store until cancelled; an unavailable store is waited for."""
        pause = RETRY_SECONDS
        while True:
            try:
                # 1. subscribe, 2. compare every board, 3. apply what has been told since 1.
                async with self._store.follow() as changes:
                    await self.load()
                    self.connected = True
                    pause = RETRY_SECONDS
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._apply_all(changes))
                        group.create_task(self._check_forever())
            except* StoreUnavailable as lost:
                log.warning(fields("boards not followed for now", cause=lost.exceptions[0]))
            finally:
                self.connected = False
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_SECONDS)

    async def _apply_all(self, changes: AsyncIterator[BoardChange]) -> None:
        async for change in changes:
            async with self._lock:
                await self._take(change)
                await self._follow_roster()

    async def _check_forever(self) -> None:
        behind: dict[int, Mark] = {}
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            behind = await self._check(behind)

    async def _check(self, behind: Mapping[int, Mark]) -> dict[int, Mark]:
        """Read boards again that were behind the store at the last check and have not moved since.

        One that is behind and moves has notices under way, and a gap between them shows by itself. Reading
        it whole would put it further behind: a floor in full flow then does nothing else.
        """
        still: dict[int, Mark] = {}
        for number, slot in enumerate(self._slots):
            if not slot.loaded or behind.get(number) == slot.mark:
                async with self._lock:
                    await self._compare(number)
                    await self._follow_roster()
            elif await self._store.read_mark(number) != slot.mark:
                still[number] = slot.mark
            self.last_contact_monotonic = time.monotonic()
        return still

    async def _take(self, change: BoardChange) -> None:
        self.last_contact_monotonic = time.monotonic()
        if change.slot >= len(self._slots):
            return
        slot = self._slots[change.slot]
        if change.owner == slot.mark.owner and change.seq <= slot.mark.seq:
            return
        if change.follows != slot.mark:
            await self._compare(change.slot)
        elif not slot.loaded:
            # Another version's board stays unread until another owner claims it.
            slot.mark = change.mark
        else:
            live = self._is_live(slot)
            difference = slot.apply(change)
            if difference is None:
                await self._compare(change.slot)
            else:
                self._changed(change.slot, difference, live=live)

    async def _compare(self, number: int) -> None:
        """Read a slot's board again, unless its mark says that nothing is new."""
        slot = self._slots[number]
        if await self._store.read_mark(number) != slot.mark:
            live = self._is_live(slot)
            self._changed(number, slot.replace(await self._store.read_board(number)), live=live)
        self.last_contact_monotonic = time.monotonic()

    async def _stored_references(self) -> list[Reference]:
        found: list[Reference] = []
        for number in range(len(self._slots)):
            board = await self._store.read_board(number)
            if board.version == self._definition_version:
                packed = (value for name, value in board.fields.items() if layout.is_reference(name))
                found += map(layout.unpack_reference, packed)
        return found

    async def _follow_roster(self) -> None:
        """Where the roster lists other names than before, count everything anew by them."""
        while self._roster_only and all(slot.loaded for slot in self._slots):
            seen = sum(slot.references_seen for slot in self._slots)
            if seen == self._references_seen:
                return
            listed = Listed.of(self._roster_only, self._references())
            if listed != self._index.listed or self._shown is not None:
                await self._count_anew(listed)
            # What was read anew may list others again: then once more.
            self._references_seen = seen

    async def _count_anew(self, listed: Listed) -> None:
        """Take every slot back and add it again, beside what readers are told meanwhile.

        Each slot takes as long as when it was first read: others have their turn in between.
        """
        boards = [await self._store.read_board(number) for number in range(len(self._slots))]
        self._shown = self._shown or PaneImage.of(self)
        for number, slot in enumerate(self._slots):
            self._changed(number, slot.replace(_EMPTY), live=False)
            await asyncio.sleep(0)
        self._forget_cells()
        self._index.listed = listed
        for number, slot in enumerate(self._slots):
            self._changed(number, slot.replace(boards[number]), live=False)
            await asyncio.sleep(0)
        self._shown = None
        self._version += 1
        self._on_change()

    def _is_live(self, slot: SlotBoard) -> bool:
        """Say whether what changes in the slot is news: everything is read, and it is not folded anew."""
        return slot.loaded and not slot.rebuilding and all(each.loaded for each in self._slots)

    def _changed(self, slot: int, difference: Difference, *, live: bool) -> None:
        """Take over what changed; `live` says whether the slot was live before."""
        rows, facts = difference
        if self._joins is not None:
            self._joins.take(slot, facts, self._index.number_of, rows)
        if self._news is not None and live and self._is_live(self._slots[slot]):
            self._news(facts)
        self._log.append(rows)
        self._version += 1
        if self._log.is_crowded:
            self._coarsen()
        if len(self._index.cells) > 2 * self._cells_looked_through + self.few_cells:
            self._forget_cells()
        if self._shown is None:
            self._on_change()

    def _coarsen(self) -> None:
        newest = (slot.facts.newest_event_ms for slot in self._slots)
        newest_ms = max((each for each in newest if each is not None), default=None)
        if newest_ms is not None:
            # The newest may be up to a day ahead of the windows that are shown.
            self._log.coarsen(now_ms=newest_ms - FUTURE_MAX_MS)

    def _forget_cells(self) -> None:
        """Forget the cells that nothing is of any more, where they are half of them or more.

        A made-up name, or one that a deal had for an hour, is then not held for ever.
        """
        self._log.compact()
        joined = set() if self._joins is None else self._joins.cells
        used = joined.union(self._log.cells, *(slot.cells for slot in self._slots))
        if 2 * len(used) <= len(self._index.cells):
            number_of = self._index.keep(used)
            self._log.renumber(number_of)
            for slot in self._slots:
                slot.renumber(number_of)
            if self._joins is not None:
                self._joins.renumber(number_of)
        self._cells_looked_through = len(self._index.cells)


def _summed(all_counters: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {}
    for counters in all_counters:
        for family, values in counters.items():
            into = sums.setdefault(family, {})
            for name, count in values.items():
                into[name] = into.get(name, 0) + count
    return sums
