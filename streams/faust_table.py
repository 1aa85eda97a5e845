"""Ordinary Faust tables kept in the slots' checkpoints: `app.Table("name", default=int)` in, rows of the slot
being folded out. No changelog topic; a row is committed with the offsets of the records that made it.

A row may be written only in a batch hook (`SalesfloorApp.on_batch`), in the same step as the fold: anywhere
else a commit could fall between the two, and a crash then would count twice or not at all.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import faust
from faust.stores.base import SerializedStore
from faust.tables.manager import TableManager
from faust.types import TP

from streams.keeper import Keeper
from streams.logs import FAUST_LOGGER
from streams.table import SlotTable


class TableWriteError(Exception):
    """A table row was written outside a batch hook. Register the function with `app.on_batch` instead."""


class PartitionedStore(SerializedStore):
    """A view on the rows of the slot being folded; outside a fold, read-only on all slots of this worker."""

    logger = FAUST_LOGGER

    @property
    def _keeper(self) -> Keeper:
        keeper: Keeper = self.app.keeper
        return keeper

    @property
    def _readable(self) -> list[SlotTable]:
        folding = self._keeper.folding
        slots = [folding] if folding is not None else self._keeper.owned
        return [slot.table for slot in slots if slot.table is not None]

    def _write(self, key: bytes, value: bytes | None) -> None:
        folding = self._keeper.folding
        if folding is None or folding.table is None:
            raise TableWriteError(
                f"table {self.table_name!r} was written outside a batch hook; "
                "register the function with app.on_batch"
            )
        folding.table.set_row(self.table_name, key, value)

    def _get(self, key: bytes) -> bytes | None:
        for table in self._readable:
            value = table.rows(self.table_name).get(key)
            if value is not None:
                return value
        return None

    def _set(self, key: bytes, value: bytes | None) -> None:
        self._write(key, value)

    def _del(self, key: bytes) -> None:
        self._write(key, None)

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for table in self._readable:
            yield from list(table.rows(self.table_name).items())

    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _value in self._iteritems())

    def _itervalues(self) -> Iterator[bytes | None]:
        return (value for _key, value in self._iteritems())

    def _size(self) -> int:
        return sum(len(table.rows(self.table_name)) for table in self._readable)

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _clear(self) -> None:
        for key in list(self._iterkeys()):
            self._write(key, None)

    def persisted_offset(self, tp: TP) -> int | None:
        return None

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        raise NotImplementedError("there is no changelog: rows live in the slot's checkpoint")

    def reset_state(self) -> None:
        """Nothing is kept on this machine."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Redis is what is backed up."""

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:
        """Redis is what is restored."""


class RedisTable(faust.Table):
    """A Faust table without a changelog."""

    logger = FAUST_LOGGER

    def using_window(self, window: Any, *, key_index: bool = False) -> Any:
        raise NotImplementedError(
            "windowed Faust tables expire by the wall clock and leak; keep the time in the key instead"
        )

    async def on_start(self) -> None:
        await self.add_runtime_dependency(self.data)

    def partition_for_key(self, key: Any) -> int | None:
        folding = self.app.keeper.folding
        return folding.number if folding is not None else None

    def on_key_set(self, key: Any, value: Any) -> None:
        self._sensor_on_set(self, key, value)

    def on_key_del(self, key: Any) -> None:
        self._sensor_on_del(self, key)


class NoChangelogTableManager(TableManager):
    """Manages tables that need no recovery: their rows come with the slot's claim."""

    logger = FAUST_LOGGER

    def add(self, table: Any) -> Any:
        if self._tables_finalized.is_set():
            raise RuntimeError("too late to add tables: the worker has started")
        if table.name in self:
            raise ValueError(f"a table named {table.name!r} exists already")
        self[table.name] = table
        return table

    async def _update_channels(self) -> None:
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()
