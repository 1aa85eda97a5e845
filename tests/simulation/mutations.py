"""Ways to break the product, by name: each puts one guard out of action, and the simulation must go red.

Applied to the classes of this process while a test looks; never elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from streams import keeper as keeper_module
from streams.board import BoardFollower
from streams.checkpointer import Checkpointer
from streams.keeper import Keeper
from streams.log_watch import LogWatch
from streams.ownership import Bounds, Continuity, Verdict
from streams.slot import Slot
from streams.stores.base import Commit, Outcome
from streams.stores.memory import MemoryStore, SlotState
from streams.table import SlotTable

Breaking = Callable[[], Any]


def _no_sequence() -> Any:
    commit = MemoryStore._commit

    def broken(store: MemoryStore, slot: int, change: Commit) -> Outcome:
        held = store.held(slot)
        if held is not None and held.seq and held.seq != change.seq:
            change = Commit(
                change.owner, held.seq, change.offsets, change.board_set, change.board_del,
                change.entities_set, change.entities_del,
            )  # fmt: skip
        return commit(store, slot, change)

    return patch.object(MemoryStore, "_commit", broken)


def _no_owner() -> Any:
    return patch.object(MemoryStore, "_is_ours", lambda _store, _state, _commit: True)


def _not_atomic() -> Any:
    write = MemoryStore._write

    def broken(store: MemoryStore, slot: int, generation: int, state: SlotState, change: Commit) -> None:
        write(store, slot, generation, state, change)
        if len(change.board_set) > 3:  # the last field did not make it
            state.board.pop(list(change.board_set)[-1], None)

    return patch.object(MemoryStore, "_write", broken)


def _half_lost_state_is_believed() -> Any:
    claim = MemoryStore.claim

    async def broken(store: MemoryStore, slot: int) -> Any:
        held = store.held(slot)
        if held is not None:
            held.entities_seq = held.seq
        return await claim(store, slot)

    return patch.object(MemoryStore, "claim", broken)


def _any_version_is_claimed() -> Any:
    claim = MemoryStore.claim

    async def broken(store: MemoryStore, slot: int) -> Any:
        held = store.held(slot)
        if held is not None:
            held.version = store._version
        return await claim(store, slot)

    return patch.object(MemoryStore, "claim", broken)


def _gaps_are_accepted() -> Any:
    return patch.object(Continuity, "judge", lambda *_args, **_kwargs: Verdict.ACCEPT)


def _gaps_are_never_read_again() -> Any:
    judge = Continuity.judge

    def broken(continuity: Continuity, first: int, last: int, *, next_offset: int) -> Verdict:
        found = judge(continuity, first, last, next_offset=next_offset)
        return Verdict.GAP if found is Verdict.RESEEK else found

    return patch.object(Continuity, "judge", broken)


def _what_was_seen_is_folded_again() -> Any:
    fold = SlotTable.fold

    def broken(table: SlotTable, topic: str, records: Any, *, now_ms: int) -> Any:
        if records:
            table.next_offset[topic] = min(table.next_offset[topic], records[0].offset)
        return fold(table, topic, records, now_ms=now_ms)

    return patch.object(SlotTable, "fold", broken)


def _memory_is_kept_after_a_fence() -> Any:
    def broken(keeper: Keeper, slot: Slot, *, fenced: bool) -> None:
        assert slot.table is not None
        slot.table.committed()

    return patch.object(Keeper, "disowned", broken)


def _lost_records_are_not_counted() -> Any:
    return patch.object(
        keeper_module, "within_log", lambda next_offset, *, earliest: Bounds(max(next_offset, earliest))
    )


def _letters_are_sent_after_the_commit() -> Any:
    async def none(_checkpointer: Checkpointer, slot: Slot) -> None:
        slot.letters.clear()

    return patch.object(Checkpointer, "_send_letters", none)


def _a_retry_is_packed_anew() -> Any:
    take = SlotTable.take_commit

    def broken(table: SlotTable) -> Commit | None:
        table._in_flight = None  # with what is dirty now, under the number of the one that got no answer
        return take(table)

    return patch.object(SlotTable, "take_commit", broken)


def _notices_are_applied_unseen() -> Any:
    async def broken(follower: BoardFollower, change: Any) -> None:
        slot = follower._slots[change.slot]
        if slot.loaded:
            slot.mark = change.follows
            difference = slot.apply(change)
            if difference is not None:
                follower._changed(change.slot, difference, live=True)

    return patch.object(BoardFollower, "_take", broken)


def _boards_are_never_compared() -> Any:
    async def broken(_follower: BoardFollower, behind: Any) -> Any:
        return behind

    return patch.object(BoardFollower, "_check", broken)


def _nobody_looks_whether_reading_goes_on() -> Any:
    async def broken(_watch: LogWatch, _reader: Any) -> None:
        return None

    return patch.object(LogWatch, "_check_progress", broken)


def _nobody_compares_with_the_store() -> Any:
    async def broken(_checkpointer: Checkpointer) -> None:
        return None

    return patch.object(Checkpointer, "compare_with_store", broken)


BREAKINGS: dict[str, Breaking] = {
    "no sequence is compared": _no_sequence,
    "no owner is compared": _no_owner,
    "a commit is not atomic": _not_atomic,
    "state of which a half was lost is believed": _half_lost_state_is_believed,
    "state of any version is claimed": _any_version_is_claimed,
    "gaps are taken for nothing": _gaps_are_accepted,
    "records before a batch are never read again": _gaps_are_never_read_again,
    "what was seen is folded again": _what_was_seen_is_folded_again,
    "memory is kept after a fence": _memory_is_kept_after_a_fence,
    "lost records are not counted": _lost_records_are_not_counted,
    "dead letters get lost": _letters_are_sent_after_the_commit,
    "a retry is packed anew": _a_retry_is_packed_anew,
    "notices are applied unseen": _notices_are_applied_unseen,
    "boards are never compared": _boards_are_never_compared,
    "nobody looks whether reading goes on": _nobody_looks_whether_reading_goes_on,
    "nobody compares with the store": _nobody_compares_with_the_store,
}


RARELY_SEEN = {
    "no owner is compared",
    "state of any version is claimed",
    "nobody looks whether reading goes on",
    "nobody compares with the store",
}
"""Another guard stands behind these nearly always, so it takes hundreds of lives: for the long form."""


@contextmanager
def broken(name: str) -> Iterator[None]:
    with BREAKINGS[name]():
        yield


def lives_until_red(name: str, seeds: Iterable[int], run: Callable[[int], object]) -> int | None:
    """Return how many lives it takes until one is violated; None when none is."""
    with broken(name):
        for number, seed in enumerate(seeds, start=1):
            try:
                run(seed)
            except AssertionError:
                return number
    return None
