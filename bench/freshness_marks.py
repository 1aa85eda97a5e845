"""`python -m bench.freshness_marks FILE ROLE` runs a role that notes when deals pass its stages.

Each line of the file is a stage, a time (s since 1970), a partition and how many of its deals had passed by
then; or `cpu`, the processor time that one run of a part took. Roles in production note nothing of it.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from metrics.scrapes import Scrapes
from metrics.service import SnapshotService
from streams.board import BoardFollower
from streams.cli import main
from streams.keeper import Keeper
from streams.stores.redis import RedisStore
from streams.table import SlotTable
from streams.topics import DEALS


class Marks:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def passed(self, stage: str, partition: int, deals: int) -> None:
        self._file.write(f"{stage} {time.time()} {partition} {deals}\n")

    def all_passed(self, stage: str, offsets: Mapping[str, Mapping[int, int]]) -> None:
        for partition, deals in offsets.get(DEALS, {}).items():
            self.passed(stage, partition, deals)

    def cpu(self, part: str, seconds: float) -> None:
        self._file.write(f"cpu {time.time()} {part} {seconds}\n")


def _measured(marks: Marks, part: str, owner: type, name: str) -> None:
    """Let a method tell what it costs."""
    plain = getattr(owner, name)

    def measured(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time()
        try:
            return plain(*args, **kwargs)
        finally:
            marks.cpu(part, time.thread_time() - began)

    setattr(owner, name, measured)


def mark_worker(marks: Marks) -> None:
    fold, take, commit = Keeper.fold, SlotTable.take_commit, RedisStore.commit

    def folding(self: Keeper, topic: str, partition: int, records: Any) -> Any:
        if topic == DEALS:
            marks.passed("fetched", partition, records[-1].offset + 1)
        found = fold(self, topic, partition, records)
        if topic == DEALS:
            marks.passed("folded", partition, records[-1].offset + 1)
        return found

    def taking(self: SlotTable) -> Any:
        marks.passed("commit begins", self.slot, self.next_offset.get(DEALS, 0))
        return take(self)

    async def committing(self: RedisStore, slot: int, said: Any) -> Any:
        deals = said.offsets.get(DEALS, 0)
        marks.passed("commit packed", slot, deals)
        outcome = await commit(self, slot, said)
        marks.passed("committed", slot, deals)
        return outcome

    _set(Keeper, "fold", folding)
    _set(SlotTable, "take_commit", taking)
    _set(RedisStore, "commit", committing)
    _measured(marks, "fold", Keeper, "fold")
    _measured(marks, "take_commit", SlotTable, "take_commit")


def mark_metrics(marks: Marks) -> None:
    take, wanted, finish = BoardFollower._take, SnapshotService._wanted, SnapshotService._finish

    async def taking(self: BoardFollower, change: Any) -> None:
        deals = change.offsets.get(DEALS, 0)
        marks.passed("told", change.slot, deals)
        began = time.thread_time()
        await take(self, change)
        marks.cpu("apply", time.thread_time() - began)
        marks.passed("applied", change.slot, deals)

    def wanting(self: SnapshotService) -> Any:
        found = wanted(self)
        if found is not None:
            marks.all_passed("snapshot begins", found[1].state.offsets)
        return found

    def finishing(self: SnapshotService, view: Any, image: Any, *times: Any) -> None:
        finish(self, view, image, *times)
        marks.all_passed("snapshot ends", image.state.offsets)

    _set(BoardFollower, "_take", taking)
    _set(SnapshotService, "_wanted", wanting)
    _set(SnapshotService, "_finish", finishing)
    _measured(marks, "snapshot", SnapshotService, "_finish")
    _measured(marks, "image", SnapshotService, "_wanted")
    _measured(marks, "render", Scrapes, "_render")


def _set(owner: type, name: str, new: Callable[..., Any]) -> None:
    setattr(owner, name, new)


if __name__ == "__main__":
    path, role = sys.argv.pop(1), sys.argv[1]
    with open(path, "w", encoding="utf-8", buffering=1) as file:
        {"worker": mark_worker, "metrics": mark_metrics}[role](Marks(file))
        main()
