"""State that a release has stored is read by the next one, or folded again beside it; never mixed or spoiled.

Initialize: bytes that a release left in Redis. Manipulate: a worker of today claims them, folds on, restarts.
Validate: every number is the oracle's.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiokafka import ConsumerRecord
from aiokafka.structs import TopicPartition

from metrics.snapshot import take_snapshot
from oracle.numbers import answers, books_of
from oracle.windows import Floor
from streams import embedded, layout
from streams.clock import ManualClock
from streams.definition import settings_under, shown_of
from streams.following import following
from streams.rebuild import RebuildProgress, _Rebuild, refuse_foreign_format
from streams.settings import FOLD_VERSION, snapshot_config_of
from streams.settings_rules import fold_rules
from streams.stores.base import STORE_FORMAT, Commit, ForeignFormat, ForeignState, Outcome
from streams.stores.redis import RedisStore
from streams.switching import Switched, until_ours, while_ours
from tests.product_path import differences
from tests.upgrade.states import (
    NOW_MS,
    SETTINGS,
    SLOTS,
    Keys,
    StoredState,
    dump,
    fold_into,
    kept,
    logs_of,
    read,
    records_of,
    restore,
    some_events,
    store_on,
)

NEWEST = f"format{STORE_FORMAT}-fold{FOLD_VERSION}.msgpack"
RULES = fold_rules(SETTINGS)
Record = tuple[str, int, bytes]


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.chdir(tmp_path)
    async with embedded.embedded_redis() as running:
        yield running.redis_url


def newest() -> StoredState:
    paths = [path for path in kept() if path.name == NEWEST]
    assert paths, f"no state of this release is kept: run `python -m tests.upgrade.states`, commit {NEWEST}"
    return read(paths[0])


async def assert_exact(store: RedisStore, records: list[Record]) -> None:
    """Every number that a reader of the store shows is the oracle's over these records."""
    follower = following(store, RULES, slots=SLOTS, definition_version=SETTINGS.definition_version)
    await follower.load()
    assert follower.state().ready
    floor = Floor(zone=SETTINGS.floor.zone)
    events = [json.loads(value) for topic, _, value in records if topic != "sales.reference"]
    snapshot = take_snapshot(follower, NOW_MS, snapshot_config_of(SETTINGS), strict=True)
    wrong = differences(snapshot, answers(books_of(events, floor), NOW_MS, floor))
    assert not wrong, "\n".join(wrong[:10])


def meaning_of(keys: Keys) -> dict[str, object]:
    """Return what is stored without what differs from run to run: owners, epochs, numbers of cells."""
    meaning: dict[str, object] = {}
    for key, value in keys.items():
        if isinstance(value, bytes) or key.endswith(":meta"):
            continue
        cells = {
            layout.cell_number(name): msgspec.msgpack.decode(packed)
            for name, packed in value.items()
            if layout.is_cell(name)
        }
        for name, packed in value.items():
            if name in (b"@owner", b"@epoch") or layout.is_cell(name):
                continue
            if name[:1] == b"@":
                meaning[f"{key} {name!r}"] = _plain(packed) if name == b"@offsets" else packed
            elif layout.is_pane(name):
                at = layout.pane_key(name)
                meaning[f"{key} {cells[at.cell]} {at.start_ms} {at.tier}"] = _plain(packed)
            else:
                meaning[f"{key} {name!r}"] = _plain(packed)
    return meaning


def _plain(packed: bytes) -> object:
    return msgspec.msgpack.decode(packed, strict=False)


async def test_what_is_stored_today_is_what_the_newest_kept_state_holds(url: str) -> None:
    """Else the stored form has changed: raise FOLD_VERSION (or STORE_FORMAT) and keep a state of it."""
    state = newest()
    store = store_on(url)
    await fold_into(store, state.records)
    await store.close()
    assert meaning_of(await dump(url)) == meaning_of(state.keys)


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.stem)
async def test_a_kept_state_is_read_and_folded_on_or_rebuilt_beside(path: Path, url: str) -> None:
    state = read(path)
    more = records_of(some_events(12, 60))[:-1]
    later = [*state.records, *more, *state.records[:20]]
    await restore(url, state.keys)
    store = store_on(url)
    if (state.format, state.fold) == (STORE_FORMAT, FOLD_VERSION):
        await assert_exact(store, state.records)
        await fold_into(store, later)
    else:
        with pytest.raises(ForeignState):
            await store.claim(0)
        assert await dump(url) == state.keys
        await rebuild(url, later)
    await assert_exact(store, later)
    await store.close()
    again = store_on(url)
    await fold_into(again, [*later, *more[:10]])
    await assert_exact(again, [*later, *more[:10]])
    await again.close()


def of_newer_format(keys: Keys) -> Keys:
    newer: Keys = {}
    for key, value in keys.items():
        newer[key] = value
        if not isinstance(value, bytes) and not key.endswith(":entities"):
            name = b"format" if key.endswith(":meta") else b"@format"
            newer[key] = {**value, name: b"%d" % (STORE_FORMAT + 1)}
    return newer


def of_newer_fold(keys: Keys) -> Keys:
    newer: Keys = {}
    for key, value in keys.items():
        newer[key] = value
        if not isinstance(value, bytes) and key.endswith(":meta"):
            written = json.loads(value[b"definition"])
            said = {**written, "fold": FOLD_VERSION + 1, "release": "99.1"}
            newer[key] = {**value, b"version": b"newer", b"definition": json.dumps(said).encode()}
        elif not isinstance(value, bytes) and key.endswith(":board"):
            newer[key] = {**value, b"@version": b"newer"}
    return newer


@pytest.mark.parametrize(
    ("newer_of", "said"),
    [
        (of_newer_format, f"kept in format {STORE_FORMAT + 1} by a newer release of salesfloor"),
        (of_newer_fold, "a newer release of salesfloor (99.1) folded it"),
    ],
)
async def test_a_release_that_meets_newer_state_waits_and_names_the_fix(
    newer_of: Callable[[Keys], Keys], said: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await restore(url, newer_of(newest().keys))
    before, stop, store = await dump(url), asyncio.Event(), store_on(url)
    with caplog.at_level(logging.WARNING):
        waiting = asyncio.create_task(until_ours(store, SETTINGS, SLOTS, stop))
        while not caplog.messages:
            await asyncio.sleep(0.01)
    stop.set()
    assert await waiting is False
    assert said in caplog.messages[0]
    assert "redis.namespace" in caplog.messages[0] or "salesfloor rebuild" in caplog.messages[0]
    with pytest.raises(ForeignState):
        await store.claim(0)
    with pytest.raises(Switched):
        await while_ours(store, SETTINGS, SLOTS)
    shown = await store.shown()
    assert shown is not None
    assert settings_under(shown, SETTINGS) is None
    assert await dump(url) == before, "an older release has written into it"
    await store.close()


@pytest.mark.parametrize("name", [b"@format", b"@version"])
async def test_an_owner_cannot_write_once_the_state_is_of_another_release(name: bytes, url: str) -> None:
    """Not even one that holds the slot: whoever put the newer state there forgot to take it over."""
    await restore(url, newest().keys)
    store = store_on(url)
    claim = await store.claim(0)
    key = "{floor:0}:g0:board"
    await restore(url, {key: {name: b"2" if name == b"@format" else b"newer"}})
    before = await dump(url)
    commit = Commit(claim.owner, claim.seq, {}, {b"s": b"x"}, [], {}, [])
    assert await store.commit(0, commit) is Outcome.FENCED
    assert await dump(url) == before
    await store.close()


async def test_nothing_is_rebuilt_beside_state_that_is_arranged_otherwise(url: str) -> None:
    await restore(url, of_newer_format(newest().keys))
    store = store_on(url)
    with pytest.raises(ForeignFormat, match=r"another redis\.namespace"):
        await refuse_foreign_format(store)
    await store.close()


@dataclass
class ListReader:
    """A rebuild's consumer on lists."""

    logs: dict[TopicPartition, list[ConsumerRecord]]
    left: dict[TopicPartition, int] = field(default_factory=dict)

    async def start_at(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self.left = dict(positions)
        return dict(positions)

    async def read(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        batches = {place: self.logs.get(place, [])[offset:] for place, offset in self.left.items()}
        self.left = {place: len(self.logs.get(place, [])) for place in self.left}
        return {place: batch for place, batch in batches.items() if batch}

    async def at_end(self) -> bool:
        return all(offset >= len(self.logs.get(place, [])) for place, offset in self.left.items())

    async def topic_ids(self) -> dict[str, str]:
        return {}


async def rebuild(url: str, records: list[Record]) -> None:
    live = store_on(url)
    generation = 1 + max(await live.active_generations(SLOTS))
    beside = live.of_generation(generation, version=SETTINGS.definition_version)
    work = _Rebuild(
        live=live,
        store=beside,
        reader=ListReader(logs_of(records)),
        rules=RULES,
        clock=ManualClock(NOW_MS),
        generation=generation,
        progress=RebuildProgress(SLOTS),
        tell=lambda _progress: None,
    )
    await work.run(shown_of(SETTINGS, slots=SLOTS, generation=generation), allow_missing=False)
    await beside.close()
    await live.close()


async def test_an_older_state_is_served_while_it_is_folded_anew_and_then_replaced(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest state stands for an older one here: all that makes it older is its version."""
    monkeypatch.setattr("streams.rebuild.READERS_SECONDS", 0.0)
    state = newest()
    await restore(url, of_newer_fold(state.keys))
    store = store_on(url)
    with pytest.raises(ForeignState, match="salesfloor rebuild"):
        await store.claim(0)
    await rebuild(url, state.records)
    await assert_exact(store, state.records)
    await fold_into(store, [*state.records, *records_of(some_events(13, 30))[:-1]])
    await store.close()
