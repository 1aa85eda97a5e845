"""Makes folded batches durable: owned slots in, commits to the store out; tells Kafka how far they are.

One commit of a slot, in order:
1. take the commit: everything dirty and its offsets, in one step without an await;
2. produce the dead letters of the records it covers, and wait for their acknowledgement;
3. hand it to the store, which applies all of it or nothing;
4. on DONE or ALREADY_DONE tell the table, on FENCED or ROLLED_BACK drop the slot and load it again;
5. now and then commit the offsets to Kafka, for lag monitoring only.
When the store does not answer, the same commit is tried again; nothing is lost meanwhile, but memory
grows, so reading pauses after a while. Folds nothing and never looks into a commit.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.keeper import Keeper
from streams.log_watch import LogWatch
from streams.logs import fields
from streams.slot import Slot
from streams.stores.base import Mark, Outcome, StoreUnavailable
from streams.table import DeadLetter

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 2.0
"""Longest time between commits while a backlog is worked off."""
RETRY_SECONDS = 0.2
RETRY_MAX_SECONDS = 2.0
PAUSE_AFTER_SECONDS = 30.0
UNFLUSHED_KEYS_MAX = 100_000
"""Reading pauses when the store has been away this long or this much waits for it: about 100 MB at most."""
REPORT_SECONDS = 1.0
CHECK_SECONDS = 1.0
PROBE_SECONDS = 5.0
EXPIRE_SECONDS = 60.0


class LetterSender(Protocol):
    async def send(self, letters: Iterable[DeadLetter]) -> None: ...


@dataclass
class Checkpointer:
    keeper: Keeper
    letters: LetterSender
    interval_seconds: float
    observe_seconds: Callable[[float], None] = lambda _seconds: None
    """Told how long each commit took."""
    unavailable_since: float | None = None
    paused: bool = False
    _unreported: dict[TopicPartition, int] = field(default_factory=dict)
    _answered_at: float = field(default_factory=time.monotonic)
    _probed_at: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Commit every interval, or sooner when much is dirty. Runs until cancelled."""
        pause = self.interval_seconds
        while True:
            if self.unavailable_since is None:
                await self._until_due()
            else:
                await asyncio.sleep(pause)  # much is dirty then, which must not turn retries into a busy loop
            if await self.commit_all() and (self.unavailable_since is None or await self._answers()):
                pause = self.interval_seconds
                self._store_is_back()
            else:
                pause = min(max(2 * pause, RETRY_SECONDS), RETRY_MAX_SECONDS)
            await self._govern_reading()

    async def _until_due(self) -> None:
        """Wait until the next commit is due: while many records wait, once they are folded.

        What many events change is then written once, and what is folded before newer events is old anyway.
        """
        latest = time.monotonic() + CATCH_UP_SECONDS
        while not await _set_within(self.keeper.wake, self.interval_seconds):
            if not self.keeper.catching_up or time.monotonic() >= latest:
                break
        self.keeper.wake.clear()

    async def look_after(self) -> None:
        """Report offsets, watch the logs, expire what is old. Runs until cancelled."""
        watch = LogWatch(self.keeper)
        next_expiry = time.monotonic() + EXPIRE_SECONDS
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await watch.look(reading=not self.paused)
            await self._report()
            await self._probe()
            if time.monotonic() >= next_expiry:
                for slot in self.keeper.owned:
                    self.keeper.expire(slot)
                    await asyncio.sleep(0)
                next_expiry = time.monotonic() + EXPIRE_SECONDS

    async def commit_all(self) -> bool:
        """Commit every owned slot; False when the store or the dead-letter topic was away for one of them."""
        turns = enumerate(self.keeper.owned)
        return all(await asyncio.gather(*(self._commit_after(turn, slot) for turn, slot in turns)))

    async def _commit_after(self, turns: int, slot: Slot) -> bool:
        """Commit so many turns of the loop later, so that no turn packs more than one slot.

        Slots fill alike, so their panes want merging in the same commit: seconds each, where there are many.
        """
        for _ in range(turns):
            await asyncio.sleep(0)
        return await self.commit(slot)

    async def commit(self, slot: Slot) -> bool:
        async with slot.lock:
            table, tenure = slot.owned_table, slot.tenure
            if table is not None:
                table.note_behind(self.keeper.behind(slot))
            commit = table.take_commit() if table is not None else None
            if table is None or commit is None:
                return True
            started = time.monotonic()
            try:
                await self._send_letters(slot)
                outcome = await self.keeper.store.commit(slot.number, commit)
            except (StoreUnavailable, KafkaError) as error:
                self._unavailable(error)
                return False
            if slot.tenure != tenure:
                return True  # dropped meanwhile; whoever owns it next replays from what the store holds
            self._answered_at = time.monotonic()
            self.observe_seconds(time.monotonic() - started)
            if outcome in (Outcome.DONE, Outcome.ALREADY_DONE):
                table.committed()
                self.keeper.counts.commits += 1
                slot.flushed, slot.mark = dict(commit.offsets), Mark(commit.owner, commit.seq + 1)
                slot.has_committed = True
                for topic, offset in commit.offsets.items():
                    self._unreported[TopicPartition(topic, slot.number)] = offset
            else:
                self.keeper.disowned(slot, fenced=outcome is Outcome.FENCED)
            return True

    async def _send_letters(self, slot: Slot) -> None:
        letters = slot.letters
        if letters:
            sending = len(letters)
            await self.letters.send(letters[:sending])
            # The fold may have appended more; a drop has put another list in its place.
            del letters[:sending]
            self.keeper.counts.dead_letters += sending

    def _unavailable(self, error: Exception) -> None:
        self.keeper.counts.store_errors += 1
        if self.unavailable_since is None:
            self.unavailable_since = time.monotonic()
            log.warning(fields("commit waits, folding goes on in memory", cause=_named(error)))

    def _store_is_back(self) -> None:
        if self.unavailable_since is not None:
            seconds = f"{time.monotonic() - self.unavailable_since:.1f}"
            log.warning(fields("commits go through again", after_seconds=seconds))
            self.unavailable_since = None

    async def _govern_reading(self) -> None:
        """Pause reading while too much waits for the store; go on where the slots stand when it is back."""
        reader = self.keeper.reader
        if reader is None:
            return
        owned = self.keeper.owned
        if self.unavailable_since is not None:
            waited = time.monotonic() - self.unavailable_since
            unflushed = sum(slot.table.dirty_keys for slot in owned if slot.table is not None)
            if waited >= PAUSE_AFTER_SECONDS or unflushed > UNFLUSHED_KEYS_MAX:
                if not self.paused:
                    log.error(fields("reading paused until commits go through", unflushed_keys=unflushed))
                self.paused = True
                for slot in owned:
                    reader.pause(slot.partitions)
        elif self.paused:
            self.paused = False
            for slot in owned:
                await self.keeper.read_on(slot)

    async def _probe(self) -> None:
        if self.unavailable_since is None and time.monotonic() - self._probed_at >= PROBE_SECONDS:
            self._probed_at = time.monotonic()
            await self.compare_with_store()

    async def compare_with_store(self) -> None:
        """Compare each owned slot with what is stored; a sign of life of the store, too.

        A commit finds out by itself that the store has lost its last second or that the slot has another
        owner; while nothing is folded there is no commit, and readers would show the older state for ever.
        """
        if not self.keeper.owned:
            await self._answers()
        for slot in self.keeper.owned:
            await self._compare(slot)

    async def _compare(self, slot: Slot) -> None:
        async with slot.lock:
            tenure = slot.tenure
            if slot.owned_table is None:
                return
            try:
                mark = await self.keeper.store.read_mark(slot.number)
            except StoreUnavailable as error:
                self._unavailable(error)
                return
            self._answered_at = time.monotonic()
            # A commit whose answer was lost may have made it newer; its retry will tell.
            if slot.tenure != tenure or (mark.owner == slot.mark.owner and mark.seq >= slot.mark.seq):
                return
            self.keeper.disowned(slot, fenced=mark.owner not in ("", slot.mark.owner))

    async def _answers(self) -> bool:
        try:
            await self.keeper.store.read_mark(next(iter(self.keeper.slots), 0))
        except StoreUnavailable as error:
            self._unavailable(error)
            return False
        self._answered_at = time.monotonic()
        return True

    async def _report(self) -> None:
        """Commit the flushed offsets to Kafka. Whatever goes wrong with it is counted and forgotten."""
        reader = self.keeper.reader
        owned = {partition for slot in self.keeper.owned for partition in slot.partitions}
        offsets = {partition: offset for partition, offset in self._unreported.items() if partition in owned}
        self._unreported = {}
        if reader is None or not offsets:
            return
        try:
            async with asyncio.timeout(5 * REPORT_SECONDS):
                await reader.report_offsets(offsets)
        except Exception:  # noqa: BLE001  lag monitoring must never stop a worker
            self.keeper.counts.report_errors += 1

    async def flush_and_drop(self, within_seconds: float) -> None:
        """Commit what can be committed in time, then give every slot up; a store away may come back."""
        try:
            async with asyncio.timeout(within_seconds):
                while not await self.commit_all():  # noqa: ASYNC110  nobody tells when the store is back
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            log.warning(fields("last commit not in time; the next owner replays it", seconds=within_seconds))
        self.keeper.drop_all()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
