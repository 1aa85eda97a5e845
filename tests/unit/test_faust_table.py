"""`app.Table` keeps its rows in the slot being folded, and refuses a write that could not be exact."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.app import SalesfloorApp, create_app
from streams.faust_table import TableWriteError
from streams.settings import Settings
from streams.stores.memory import MemoryStore
from streams.table import Record
from tests.unit.slots_at_hand import NotedReader, deals, partitions


@pytest.fixture
async def app() -> SalesfloorApp:
    app = create_app(Settings(), MemoryStore(version="1"))
    await app.keeper.take_over(partitions(0, 1), NotedReader())
    return app


def counting(app: SalesfloorApp) -> Any:
    seen: Any = app.Table("seen", default=int)

    @app.on_batch
    def count(place: TopicPartition, records: Sequence[Record]) -> None:
        seen["records"] += len(records)
        seen[str(place.partition)] = 1

    return seen


async def test_rows_written_in_a_batch_hook_are_committed_with_the_offsets(app: SalesfloorApp) -> None:
    counting(app)
    app.keeper.fold("sales.deals", 0, deals(0, 5))
    await app.checkpointer.commit_all()
    heir = create_app(Settings(), app.keeper.store)
    await heir.keeper.take_over(partitions(0), NotedReader())
    table: Any = heir.Table("seen", default=int)
    assert dict(table.items()) == {"records": 5, "0": 1}


async def test_each_slot_counts_for_itself(app: SalesfloorApp) -> None:
    counting(app)
    for slot, start, count in ((0, 0, 5), (1, 0, 3), (0, 5, 2)):
        app.keeper.fold("sales.deals", slot, deals(start, count, slot=slot))
    rows = []
    for owned in app.keeper.owned:
        assert owned.table is not None
        rows.append(owned.table.rows("seen")[b'"records"'])
    assert rows == [b"7", b"3"]


async def test_write_outside_a_batch_hook_is_refused(app: SalesfloorApp) -> None:
    seen = counting(app)
    with pytest.raises(TableWriteError, match=r"app\.on_batch"):
        seen["records"] = 1


async def test_rows_can_be_deleted_and_have_a_default(app: SalesfloorApp) -> None:
    seen: Any = app.Table("seen", default=int)
    found = []

    @app.on_batch
    def hook(_place: TopicPartition, _records: Sequence[Record]) -> None:
        seen["a"] = 1
        del seen["a"]
        found.append((seen["a"], "a" in seen, len(seen)))

    app.keeper.fold("sales.deals", 0, deals(0, 1))
    assert found == [(0, False, 0)]


async def test_table_has_no_changelog_topic(app: SalesfloorApp) -> None:
    counting(app)
    assert app.tables.changelog_topics == set()


async def test_windowed_table_is_refused_with_the_reason(app: SalesfloorApp) -> None:
    with pytest.raises(NotImplementedError, match="wall clock"):
        app.Table("w", default=int).tumbling(10.0)
