"""Changes and how long computing took in, when the next snapshot is to begin out. Knows no clock: it is told.

All times are in seconds of one monotonic clock.
"""

from typing import Final

REST_SECONDS_MIN: Final = 0.02
"""Before a snapshot between the ticks, computing rests so long, and at least as long as it took of a
processor's time: half a core, also where it had to wait for one."""
SETTLE_SECONDS: Final = 0.01
SETTLE_SECONDS_MAX: Final = 0.05
"""The slots of a worker are committed together and told of one after another. Who begins at the first of them
shows the others one snapshot later; so he waits until none was told of for a moment."""


class Pace:
    """A snapshot begins with every tick, and in between once something changed, came to rest, and we did."""

    def __init__(self, tick_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._began = self._due = self._rested = 0.0
        self._changes: tuple[float, float] | None = None
        self._owed = 0.0

    def begins(self, now: float) -> None:
        """A snapshot begins: what changed until now is in it."""
        self._began, self._changes = now, None

    def ended(self, now: float, spent: float) -> None:
        """It ended, and took so many seconds of a processor."""
        paid = min(self._owed, spent)
        self._owed -= paid
        self._rested = now + max(REST_SECONDS_MIN, spent + paid)
        self._due = max(self._began + self._tick_seconds, now + spent + paid)

    def spent_beside(self, seconds: float) -> None:
        """So much of a processor was taken beside the snapshots: the next ones rest for it, at most twice as
        long each."""
        self._owed += seconds

    @property
    def owes(self) -> bool:
        return self._owed > 0

    def changed(self, now: float) -> None:
        """Something changed that is in no snapshot yet."""
        first = now if self._changes is None else self._changes[0]
        self._changes = first, now

    def seconds_left(self, now: float) -> float:
        """Return how long to wait if nothing changes; 0 when a snapshot is to begin."""
        begins = self._due
        if self._changes is not None:
            first, last = self._changes
            begins = min(begins, max(self._rested, min(last + SETTLE_SECONDS, first + SETTLE_SECONDS_MAX)))
        return max(0.0, begins - now)
