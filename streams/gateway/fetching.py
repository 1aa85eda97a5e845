"""Records known by their id only in, their events on Kafka out: read back by the vendor's API, meanwhile.

A door only puts a name into a queue and answers. What the queue holds when the process ends, and what was
given up, stays in the list of incomplete records, from which the next start asks for it again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.gateway.api_client import OF_ALL, PASSING, ApiClient, FetchFailed, Trouble
from streams.gateway.apis import Api
from streams.gateway.clerk import Clerk
from streams.gateway.fetch_queue import FetchQueue, Pace, Turnstile, Wanted, batch_of, wait_seconds
from streams.gateway.fetchers import FETCHERS
from streams.gateway.fetchers.model import Fetcher, Reply
from streams.gateway.model import Delivery, Outcome, Source, Thin, Unreadable
from streams.gateway.sender import KafkaAway
from streams.gateway.vendors import VENDORS
from streams.logs import fields

log = logging.getLogger(__name__)

_MISSING_TRIES: Final = 3
"""A record may be told of a little before the API can see it, and then there is nothing to wait for."""
_SAID_EVERY_SECONDS: Final = 30.0


class FetchMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetched = Counter(
            "salesfloor_gateway_fetched_records",
            "Records read back from the vendor's API whose events Kafka holds",
            ["source"],
            registry=registry,
        )
        self.failures = Counter(
            "salesfloor_gateway_fetch_failures",
            "Records of requests to a vendor's API that failed; most are tried again",
            ["source", "reason"],
            registry=registry,
        )
        self.given_up = Counter(
            "salesfloor_gateway_fetch_given_up_records",
            "Records that are not tried again: they stay incomplete until the next change",
            ["source", "reason"],
            registry=registry,
        )
        self.waiting = Gauge(
            "salesfloor_gateway_fetch_queue_records",
            "Records waiting to be read back",
            ["source"],
            registry=registry,
        )


class SourceFetcher:
    """Fetches the records of one source, a batch at a time."""

    def __init__(
        self, source: Source, client: ApiClient, clerk: Clerk, metrics: FetchMetrics, pace: Pace
    ) -> None:
        self._source, self._client, self._clerk, self._metrics = source, client, clerk, metrics
        self._fetcher: Fetcher = FETCHERS[source.kind]
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._queue = FetchQueue(pace, self._fetcher.batch_max)
        self._turnstile = Turnstile(self._fetcher.limit, self._loop.time())
        self._news = asyncio.Event()
        self._paused_until = 0.0
        self._failed_in_a_row = 0
        self._said_at: dict[Trouble, float] = {}
        self._under_way = 0

    @property
    def waiting(self) -> int:
        """How many records are not fetched yet, with those that are being asked for."""
        return len(self._queue) + self._under_way

    def want(self, _source: Source, thin: Thin) -> None:
        """Ask for a record; returns at once. This is the clerk's `Fetch`."""
        if not thin.entity_id:
            self._gave_up([thin], Trouble.RECONCILE, "a whole kind cannot be fetched; import it by a file")
        elif thin.op == "delete" and not self._fetcher.reads_deleted:
            self._gave_up([thin], Trouble.DELETED, f"the API does not tell of a deleted {thin.object}")
        elif not self._queue.put(thin, self._loop.time()):
            self._gave_up([thin], Trouble.FULL, f"{len(self._queue)} records wait already")
        self._counted()
        self._news.set()

    async def run(self) -> None:
        """Fetch what is asked for, until cancelled."""
        while True:
            self._news.clear()
            batch = self._queue.take(self._loop.time()) if self._loop.time() >= self._paused_until else []
            if batch:
                self._under_way = len(batch)
                await self._work(batch)
                self._under_way = 0
                self._counted()
            else:
                await self._wait()

    async def _wait(self) -> None:
        due = self._queue.next_due()
        if due is None:
            await self._news.wait()
            return
        pause = max(due, self._paused_until) - self._loop.time()
        if self._paused_until > self._loop.time():
            await asyncio.sleep(pause)  # news would not make it shorter
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, pause)):
                await self._news.wait()

    async def _work(self, batch: list[Wanted]) -> None:
        try:
            records = await self._read(batch)
        except FetchFailed as failed:
            self._failed(batch, failed)
        except Unreadable as error:
            self._failed(batch, FetchFailed(Trouble.UNREADABLE, str(error)))
        except Exception:
            log.exception(fields("records could not be fetched", source=self._source.name))
            self._failed(batch, FetchFailed(Trouble.UNEXPECTED, "please report it"))
        else:
            self._failed_in_a_row = 0
            await self._keep(batch, records)

    async def _read(self, batch: Sequence[Wanted]) -> Mapping[str, object]:
        """Make the vendor's calls, one after the other, each within the limit."""
        calls = self._fetcher.read(batch_of(batch), self._source)
        reply: Reply | None = None
        while True:
            try:
                call = next(calls) if reply is None else calls.send(reply)
            except StopIteration as end:
                records: Mapping[str, object] = end.value
                return records
            await asyncio.sleep(self._turnstile.pass_at(self._loop.time()))
            reply = await self._client.call(call, self._pace.request)

    # --- what was found -----------------------------------------------------------------------------

    async def _keep(self, batch: Sequence[Wanted], records: Mapping[str, object]) -> None:
        """Have the events of all records produced together; those that Kafka did not take come again."""
        wanted_by_id = {wanted.thin.entity_id: wanted for wanted in batch}
        # A merged record is answered with the one that it became, which nobody asked for: as good.
        unasked = {one: record for one, record in records.items() if one not in wanted_by_id}
        name = batch[0].thin.object
        await asyncio.gather(*(self._produce(name, record) for record in unasked.values()))
        found = [wanted for one, wanted in wanted_by_id.items() if one in records]
        troubles = await asyncio.gather(
            *(self._complete(wanted, records[wanted.thin.entity_id]) for wanted in found)
        )
        failed: dict[Trouble, tuple[FetchFailed, list[Wanted]]] = {}
        for wanted, trouble in zip(found, troubles, strict=True):
            if trouble is not None:
                failed.setdefault(trouble.trouble, (trouble, []))[1].append(wanted)
                continue
            self._metrics.fetched.labels(self._source.name).inc()
            if wanted.key not in self._queue:  # otherwise it was changed again since
                self._clerk.ledger.completed(self._source.name, *wanted.key)
        for trouble, alike in failed.values():
            self._failed(alike, trouble)
        missing = [wanted for one, wanted in wanted_by_id.items() if one not in records]
        if missing:
            self._failed(missing, FetchFailed(Trouble.MISSING, f"the API has no such {name}"))

    async def _complete(self, wanted: Wanted, record: object) -> FetchFailed | None:
        trouble = await self._produce(wanted.thin.object, record)
        if trouble is not None or wanted.key in self._queue:  # changed again since
            return trouble
        try:
            # Only now: whoever starts in between reads the record once more, which changes nothing.
            await self._clerk.complete(self._source, wanted.thin)
        except KafkaAway as away:
            return FetchFailed(Trouble.KAFKA, str(away))
        return None

    async def _produce(self, name: str, record: object) -> FetchFailed | None:
        read = VENDORS[self._source.kind].record
        assert read is not None, "a kind with a fetcher reads records"
        now_ms = self._clerk.clock.now_ms()
        body = msgspec.json.encode(record)
        original = Delivery("GET", "", {}, "application/json", body, now_ms, {"object": name})
        try:
            outcomes: list[Outcome] = list(read(name, record, self._source))
        except Unreadable as error:
            outcomes = [error.unusable]
        if any(isinstance(outcome, Thin) for outcome in outcomes):
            return FetchFailed(Trouble.UNREADABLE, f"a {name} that was read back still lacks values")
        try:
            await self._clerk.take(outcomes, self._source, original=original)
        except KafkaAway as away:
            return FetchFailed(Trouble.KAFKA, str(away))
        except Exception:
            log.exception(fields("a fetched record could not be read", source=self._source.name, object=name))
            return FetchFailed(Trouble.UNEXPECTED, "please report it")
        return None

    # --- what was not -------------------------------------------------------------------------------

    def _failed(self, batch: Sequence[Wanted], failed: FetchFailed) -> None:
        now = self._loop.time()
        trouble = failed.trouble
        self._metrics.failures.labels(self._source.name, trouble).inc(len(batch))
        if trouble in OF_ALL or failed.retry_after:
            self._failed_in_a_row += 1
            pause = max(failed.retry_after, wait_seconds(self._failed_in_a_row, self._pace))
            self._paused_until = max(self._paused_until, now + pause)
        split = failed.status in (400, 422) and len(batch) > 1
        given_up = []
        for wanted in batch:
            wanted.alone = wanted.alone or split
            again = trouble in PASSING or split
            again = again or (trouble is Trouble.MISSING and wanted.failures + 1 < _MISSING_TRIES)
            if not (again and self._queue.back(wanted, now)):
                given_up.append(wanted.thin)
        if given_up:
            self._gave_up(given_up, trouble, str(failed))
        elif trouble is not Trouble.MISSING:
            self._say("records not fetched yet", len(batch), trouble, str(failed))

    def _gave_up(self, thins: Sequence[Thin], trouble: Trouble, detail: str) -> None:
        self._metrics.given_up.labels(self._source.name, trouble).inc(len(thins))
        self._say("records not fetched, they stay incomplete", len(thins), trouble, detail)

    def _say(self, what: str, records: int, trouble: Trouble, detail: str) -> None:
        """A token that is refused is refused again and again: once in a while is enough to know."""
        now = self._loop.time()
        if now - self._said_at.get(trouble, -_SAID_EVERY_SECONDS) >= _SAID_EVERY_SECONDS:
            self._said_at[trouble] = now
            log.warning(
                fields(what, source=self._source.name, records=records, reason=trouble, detail=detail)
            )

    def _counted(self) -> None:
        self._metrics.waiting.labels(self._source.name).set(self.waiting)


@asynccontextmanager
async def fetching(
    clerk: Clerk, sources: Iterable[Source], apis: Mapping[str, Api], pace: Pace | None = None
) -> AsyncIterator[dict[str, SourceFetcher]]:
    """Fetch for the clerk as long as the context lasts: for the sources that have an API, by name."""
    running: dict[str, SourceFetcher] = {}
    metrics = FetchMetrics(clerk.ledger.registry) if apis else None
    async with AsyncExitStack() as parts:
        if metrics is not None:
            http = await parts.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
            for source in sources:
                if source.name in apis:
                    client = ApiClient(http, FETCHERS[source.kind], apis[source.name], clerk.clock)
                    running[source.name] = SourceFetcher(source, client, clerk, metrics, pace or Pace())
        tasks = [asyncio.create_task(one.run(), name=f"fetch for {name}") for name, one in running.items()]
        clerk.fetches.update({name: one.want for name, one in running.items()})
        try:
            yield running
        finally:
            for name in running:
                del clerk.fetches[name]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            left = sum(one.waiting for one in running.values())
            if left:
                log.warning(
                    fields("stopped with records not fetched; the next start fetches them", records=left)
                )
