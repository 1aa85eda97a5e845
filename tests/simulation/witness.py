"""Which records are in which state, told by a Faust table that every fold writes to and every commit carries.

The panes of any stored or shown state must be those of one undisturbed fold of exactly the records its
witness names; each of them once; and all records below its offsets but those that retention removed.
"""

from collections.abc import Mapping, Sequence

from aiokafka.structs import TopicPartition

from streams import layout
from streams.keeper import Keeper
from streams.rules import FoldRules
from streams.stores.base import Mark
from streams.stores.memory import SlotState
from streams.table import Record, SlotTable
from streams.topics import SOURCES
from tests.folding import Checkpoint
from tests.simulation.log import Log

Masks = tuple[int, ...]
"""By topic, in the order of `SOURCES`: bit n is set when the record at offset n is in the state."""

TABLE = "witness"
NOTHING: Masks = (0,) * len(SOURCES)
_ROWS = tuple(layout.row_field(TABLE, topic.encode()) for topic in SOURCES)


class Witness:
    def __init__(self, log: Log, now_ms: int) -> None:
        self.log = log
        self.now_ms = now_ms
        self.twice: list[str] = []
        """Records that were folded into a state that held them already."""
        self.by_mark: dict[Mark, tuple[int, Masks, str]] = {}
        """What each state that was ever stored holds: its slot, its masks and its version."""
        self.rebuilt: dict[str, Masks] = {}
        """What rebuilds have read, by the owner they claimed a slot as: they write no Faust tables."""
        self._folds: dict[tuple[int, Masks, str], Checkpoint] = {}

    def watch(self, keeper: Keeper, base: Mapping[int, Masks]) -> None:
        """Note every record a keeper folds, in the table of the same slot. `base` is what rebuilds read."""

        def folded(place: TopicPartition, records: Sequence[Record]) -> None:
            slot, topic = keeper.folding, place.topic
            assert slot is not None
            assert slot.table is not None
            key, rows = topic.encode(), slot.table.rows(TABLE)
            if key in rows:
                mask = int.from_bytes(rows[key], "little")
            else:
                mask = base.get(slot.number, NOTHING)[SOURCES.index(topic)]
            for record in records:
                bit = 1 << record.offset
                if mask & bit:
                    self.twice.append(f"{topic}[{slot.number}] {record.offset} was folded twice")
                mask |= bit
            slot.table.set_row(TABLE, key, mask.to_bytes(mask.bit_length() // 8 + 1, "little"))

        keeper.hooks.append(folded)

    def note(self, slot: int, generation: int, state: SlotState) -> None:
        """Remember what a state holds that was just claimed or committed."""
        if state.owner in self.rebuilt:
            state.tag = self.rebuilt[state.owner]
        self.by_mark[state.mark] = slot, masks_of(state), state.version

    def begin_rebuild(self, owner: str, seq: int) -> None:
        """Tell that a rebuild has claimed a slot, to begin it or to go on."""
        self.rebuilt[owner] = self.by_mark[Mark(owner, seq)][1]

    def fold(self, slot: int, masks: Masks, version: str, rules: FoldRules) -> Checkpoint:
        """Fold exactly these records at once, as one worker that nothing ever happens to."""
        key = slot, masks, version
        found = self._folds.get(key)
        if found is None:
            found = self._folds[key] = Checkpoint()
            table = SlotTable(slot, rules, found.claim())
            for place, partition in self.log.partitions.items():
                if place.partition == slot:
                    mask = masks[SOURCES.index(place.topic)]
                    records = [each for each in partition.records if mask >> each.offset & 1]
                    if records:
                        table.fold(place.topic, records, now_ms=self.now_ms)
            commit = table.take_commit()
            if commit is not None:
                found.apply(commit)
        return found

    def forget_folds(self, slot: int) -> None:
        self._folds = {key: found for key, found in self._folds.items() if key[0] != slot}
        self.by_mark = {mark: of for mark, of in self.by_mark.items() if of[0] != slot}


def masks_of(state: SlotState) -> Masks:
    """Return what a state holds: as its witness says, and where that says nothing, as a rebuild has read."""
    if not state.seq:
        return NOTHING
    base = state.tag if isinstance(state.tag, tuple) else NOTHING
    return tuple(
        int.from_bytes(row, "little")
        if (row := state.entities.get(field)) is not None
        else read & ((1 << state.offsets.get(topic, 0)) - 1)
        for topic, field, read in zip(SOURCES, _ROWS, base, strict=True)
    )
