"""Records to be fetched in, batches that are due out: each once, in turn, within the vendor's limit.

Pure but for its memory: every "now" is given, in seconds of a clock that only goes forward.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from streams.gateway.fetchers.model import Batch, Limit
from streams.gateway.model import Thin

Key = tuple[str, str]
"""The vendor's word for the kind of record, and its id."""


@dataclass(slots=True)
class Wanted:
    """A record whose values are missing."""

    thin: Thin
    since: float
    due: float
    failures: int = 0
    alone: bool = False
    """A batch with it was refused: it is asked for by itself, so that it spoils no other again."""

    @property
    def key(self) -> Key:
        return self.thin.object, self.thin.entity_id

    @property
    def deleted(self) -> bool:
        return self.thin.op == "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient the fetcher is, in seconds."""

    linger: float = 0.5
    """So long a record waits for others of its kind: notifications come in bursts, and a batch costs what
    one record costs."""
    first: float = 1.0
    """After a first failure it waits up to so long, after each further one up to twice as long."""
    last: float = 300.0
    give_up: float = 6 * 3600.0
    request: float = 30.0
    waiting_max: int = 10_000


def wait_seconds(failures: int, pace: Pace, draw: Callable[[], float] = random.random) -> float:
    """Return how long to wait after so many failures: at random between half and all of a time that doubles,
    so that gateways that failed together do not come back together."""
    longest: float = min(pace.last, pace.first * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + draw() / 2)


class FetchQueue:
    def __init__(self, pace: Pace, batch_max: int) -> None:
        self._pace, self._batch_max = pace, batch_max
        self._waiting: OrderedDict[Key, Wanted] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Key) -> bool:
        return key in self._waiting

    def put(self, thin: Thin, now: float) -> bool:
        """Take a record in; one that waits already is told the newest. Return False when there is no room."""
        known = self._waiting.get((thin.object, thin.entity_id))
        if known is not None:
            if thin.time_ms >= known.thin.time_ms:
                known.thin = thin
            return True
        if len(self._waiting) >= self._pace.waiting_max:
            return False
        wanted = Wanted(thin, now, now + self._pace.linger)
        self._waiting[wanted.key] = wanted
        return True

    def back(self, wanted: Wanted, now: float, draw: Callable[[], float] = random.random) -> bool:
        """Take back one that could not be fetched. Return False if it has been tried for long enough."""
        if now - wanted.since >= self._pace.give_up:
            return False
        wanted.failures += 1
        wanted.due = now + wait_seconds(wanted.failures, self._pace, draw)
        # If it was told of again meanwhile, that one is newer and as good.
        self._waiting.setdefault(wanted.key, wanted)
        return True

    def take(self, now: float) -> list[Wanted]:
        """Take out the next batch: the first record that is due, and others of its kind that are."""
        batch: list[Wanted] = []
        for wanted in self._waiting.values():
            if wanted.due > now or (batch and not _together(batch[0], wanted)):
                continue
            batch.append(wanted)
            if wanted.alone or len(batch) == self._batch_max:
                break
        for wanted in batch:
            del self._waiting[wanted.key]
        return batch

    def next_due(self) -> float | None:
        """Return when something will be due; None if nothing waits."""
        return min((wanted.due for wanted in self._waiting.values()), default=None)


def _together(first: Wanted, other: Wanted) -> bool:
    same = first.thin.object == other.thin.object and first.deleted == other.deleted
    return same and not first.alone and not other.alone


def batch_of(wanted: Iterable[Wanted]) -> Batch:
    """Return a taken batch as a vendor's builder is told it."""
    listed = list(wanted)
    return Batch(listed[0].thin.object, [one.thin.entity_id for one in listed], listed[0].deleted)


_AT_ONCE: Final = 0.2


class Turnstile:
    """Keeps requests within a limit: a fifth of it may be used at once, the rest comes back evenly over the
    time, so that no such time, wherever it begins, sees more than the limit."""

    def __init__(self, limit: Limit, now: float) -> None:
        self._most = max(1.0, limit.requests * _AT_ONCE)
        self._each = limit.seconds / max(1.0, limit.requests - self._most)
        self._left, self._at = self._most, now

    def pass_at(self, now: float) -> float:
        """Take one place; return how many seconds to wait before using it."""
        self._left = min(self._most, self._left + (now - self._at) / self._each) - 1.0
        self._at = now
        return max(0.0, -self._left * self._each)
