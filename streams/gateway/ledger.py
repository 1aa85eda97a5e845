"""What became of each part of each delivery in; counters, a tail and the list of incomplete records out.

Holds names, ids and reasons: never a body, a value, or anything of a secret.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.gateway.model import Thin
from streams.logs import fields

log = logging.getLogger(__name__)

_WAITING_MAX: Final = 1000
"""Lines that a slow follower may be behind; older ones are dropped for it."""
INCOMPLETE_MAX: Final = 10_000
_SAID_EVERY_SECONDS: Final = 30.0
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Fate(StrEnum):
    """A closed set: it is a metric label."""

    ACCEPTED = "accepted"
    SKIPPED = "skipped"  # understood and not wanted
    INCOMPLETE = "incomplete"  # an id without values, waiting for a fetch
    DEAD_LETTER = "dead_letter"  # kept in sales.dead-letters
    REFUSED = "refused"  # the whole request: who sends it must do something
    UNAVAILABLE = "unavailable"  # Kafka is away: the sender will come again
    FAILED = "failed"  # our own fault


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that became of a delivery, as `salesfloor gateway --tail` shows it."""

    at_ms: int
    source: str
    fate: Fate
    reason: str = ""
    type: str = ""
    id: str = ""
    detail: str = ""


Tell = Callable[[Line], None]


class Incomplete(msgspec.Struct, frozen=True):
    source: str
    object: str
    id: str
    op: str
    time_ms: int


class Ledger:
    def __init__(
        self, tell: Tell | None = None, *, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._now_seconds = now_seconds
        self._said_at: dict[tuple[str, str], float] = {}
        self._followers: set[asyncio.Queue[Line | None]] = set()
        self._incomplete: OrderedDict[tuple[str, str, str], Incomplete] = OrderedDict()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, open files
        self._events = Counter(
            "salesfloor_gateway_events",
            "Parts of deliveries by what became of them",
            ["source", "fate", "reason"],
            registry=self.registry,
        )
        self._deliveries = Counter(
            "salesfloor_gateway_deliveries",
            "Requests by the status they were answered with",
            ["source", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "salesfloor_gateway_answer_seconds",
            "Time from a request's arrival to its answer",
            ["source"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._accepted_at = Gauge(
            "salesfloor_gateway_last_accepted_timestamp_seconds",
            "When a source's newest event was accepted; a source that is silent for long may be cut off",
            ["source"],
            registry=self.registry,
        )
        self._behind = Gauge(
            "salesfloor_gateway_topic_records_behind",
            "Records of a source's topics that are not taken yet, in the partitions of the newest batch",
            ["source"],
            registry=self.registry,
        )
        self._waiting = Gauge(
            "salesfloor_gateway_incomplete_records",
            "Records known by their id only, listed at /incomplete",
            registry=self.registry,
        )
        Gauge(
            "salesfloor_gateway_incomplete_since_timestamp_seconds",
            "When the CRM told of the oldest of them; 0 when there is none",
            registry=self.registry,
        ).set_function(self._incomplete_since_seconds)

    def note(self, line: Line) -> None:
        self._events.labels(line.source, line.fate, line.reason).inc()
        if line.fate is Fate.ACCEPTED:
            self._accepted_at.labels(line.source).set(line.at_ms / 1000)
        elif line.fate in (Fate.REFUSED, Fate.UNAVAILABLE, Fate.FAILED, Fate.DEAD_LETTER):
            self._say(line)
        if self._tell is not None:
            self._tell(line)
        self._pass_on(line)

    def close(self) -> None:
        """Tell every follower that nothing more will come."""
        self._pass_on(None)

    def _pass_on(self, line: Line | None) -> None:
        for follower in self._followers:
            if follower.full():
                follower.get_nowait()
            follower.put_nowait(line)

    def answered(self, source: str, status: int, seconds: float) -> None:
        self._deliveries.labels(source, str(status)).inc()
        self._seconds.labels(source).observe(seconds)

    def behind(self, source: str, records: int) -> None:
        self._behind.labels(source).set(records)

    def _say(self, line: Line) -> None:
        """A sender with a wrong secret tries again and again: once in a while is enough to know."""
        what, now = (line.source, line.reason), self._now_seconds()
        if now - self._said_at.get(what, -_SAID_EVERY_SECONDS) >= _SAID_EVERY_SECONDS:
            self._said_at[what] = now
            log.warning(fields(line.fate, source=line.source, reason=line.reason, detail=line.detail))

    @property
    def followers(self) -> int:
        return len(self._followers)

    @contextmanager
    def followed(self) -> Iterator[asyncio.Queue[Line | None]]:
        """Yield a queue that gets every line from now on, and None at the end."""
        queue: asyncio.Queue[Line | None] = asyncio.Queue(_WAITING_MAX)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)

    # --- records without values ---------------------------------------------------------------------

    def wait_for(self, source: str, thin: Thin) -> None:
        """Remember that a record's values are missing; the oldest make way when there are too many."""
        key = (source, thin.object, thin.entity_id)
        self._incomplete[key] = Incomplete(*key, thin.op, thin.time_ms)
        self._incomplete.move_to_end(key)
        if len(self._incomplete) > INCOMPLETE_MAX:
            self._incomplete.popitem(last=False)
        self._waiting.set(len(self._incomplete))

    def completed(self, source: str, object_name: str, entity_id: str) -> None:
        self._incomplete.pop((source, object_name, entity_id), None)
        self._waiting.set(len(self._incomplete))

    def waits_for(self, source: str, thin: Thin) -> bool:
        return (source, thin.object, thin.entity_id) in self._incomplete

    def _incomplete_since_seconds(self) -> float:
        return min((one.time_ms for one in self._incomplete.values()), default=0) / 1000

    def incomplete(self) -> list[Incomplete]:
        """Return what waits for values, oldest first."""
        return list(self._incomplete.values())
