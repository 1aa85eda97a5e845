"""Panes: disjoint slices of event time that hold partial sums. What a reader of them may ask.

Panes are kept as fine as the event times themselves as long as there is room ("exact"), and merge
into wider ones as they age. So every window is exact on a normal floor at any instant, and memory
stays bounded on a huge one. Reads no clock, knows no store.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metrics.reference import Reference


class Cell(NamedTuple):
    """Whom and what a contribution belongs to. An empty string means "not said"."""

    rep: str = ""
    team: str = ""
    product: str = ""
    source: str = ""
    region: str = ""
    currency: str = ""  # ISO 4217 code; set for money, else ""
    stage: str = ""  # set on open-pipeline contributions only


class Tier(NamedTuple):
    """One pane width. `width_ms` 0 stands for one local day."""

    width_ms: int
    keep_ms: int
    """Panes of this width are needed this long by the live windows and their previous twins."""


_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
DAY_MS = 86_400_000

# From fine to coarse. 15 minutes, not 1 hour: every zone's midnight lies on it, half-hour zones too.
TIERS: tuple[Tier, ...] = (
    Tier(1, 0),
    Tier(10_000, 3 * _HOUR_MS),
    Tier(_MINUTE_MS, 3 * DAY_MS),
    Tier(15 * _MINUTE_MS, 200 * DAY_MS),
    Tier(0, 800 * DAY_MS),
)
EXACT, DAY_TIER = 0, len(TIERS) - 1

DayStart = Callable[[int], int]
"""Event time in ms -> start of its local day in ms."""


class Resolution(NamedTuple):
    """How fine one slot's panes are: tier t holds times in [since_ms[t], since_ms[t-1]); tier 0 has no end.

    `since_ms` falls from fine to coarse; its last entry is the start of everything kept.
    """

    since_ms: tuple[int, ...]

    def tier_at(self, time_ms: int) -> int:
        for tier, since_ms in enumerate(self.since_ms):
            if time_ms >= since_ms:
                return tier
        return DAY_TIER


# Everything exact from the beginning of time: what a new slot starts with.
UNBOUNDED_PAST_MS = -(1 << 62)
FINEST = Resolution((UNBOUNDED_PAST_MS,) * len(TIERS))


def pane_start_ms(time_ms: int, *, tier: int, day_start: DayStart) -> int:
    """Return the start of the pane [start, end) of this tier that holds the time.

    Widths below a day are aligned to the Unix epoch in UTC, the day to the floor's zone.
    """
    if tier == EXACT:
        return time_ms
    if tier == DAY_TIER:
        return day_start(time_ms)
    return time_ms - time_ms % TIERS[tier].width_ms


def edge_is_exact(edge_ms: int, resolution: Resolution, *, day_start: DayStart) -> bool:
    """Say whether a window may begin or end here without cutting through a pane."""
    tier = resolution.tier_at(edge_ms)
    return pane_start_ms(edge_ms, tier=tier, day_start=day_start) == edge_ms


class Hindsight(NamedTuple):
    """Rows of what counts at one time and is known only from a later one on. Columns of equal length.

    A window counts them where it holds `start_ms` and ends after `known_ms`, which lies after `start_ms`.
    """

    start_ms: NDArray[np.int64]
    known_ms: NDArray[np.int64]
    cell: NDArray[np.int32]
    key: NDArray[np.int32]  # number of a scalar flow
    value: NDArray[np.int64]


_TIMES, _NUMBERS = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
NO_HINDSIGHT = Hindsight(_TIMES, _TIMES, _NUMBERS, _NUMBERS, _TIMES)


class PaneLog(NamedTuple):
    """All panes of all slots as columns of equal length n. A row is one measure of one pane.

    Several rows may speak of the same pane and measure: they add up. Zero rows may occur.
    """

    start_ms: NDArray[np.int64]
    cell: NDArray[np.int32]  # index into `PaneReader.cells()`
    key: NDArray[np.int32]  # measure number, or histogram key (metrics.measures)
    value: NDArray[np.int64]
    hindsight: Hindsight = NO_HINDSIGHT
    epoch: int | None = None
    """Of two logs of one epoch the longer one begins with the rows of the other. None: nobody says."""


BEHIND_MS: Final = 30_000
"""Records that wait behind events this old are a backlog; behind younger ones, a busy floor."""


@dataclass(frozen=True)
class FeedState:
    """Where the panes stand, from the same read as the panes themselves."""

    offsets: dict[str, dict[int, int]] = field(default_factory=dict)  # topic -> partition -> next offset
    newest_event_ms: int | None = None  # greatest event time folded; None before the first event
    definition_version: str = ""
    rebuilding: bool = False
    behind_event_ms: int | None = None
    """Where records are known to wait unfolded: the oldest of the newest event times before them."""
    slots_expected: int = 0
    slots_loaded: int = 0
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    """Exact pipeline totals, committed with the panes: {"accepted": {topic: n}, "unchanged": {topic: n},
    "rejected": {reason: n}, "ignored": {"unknown_type": n, "unknown_field": n}, "gaps": {topic: n},
    "lost": {topic: n}}"""

    @property
    def ready(self) -> bool:
        return self.slots_expected > 0 and self.slots_loaded == self.slots_expected

    def is_behind(self, now_ms: int) -> bool:
        """Say whether history is being worked off: of a rebuild, or of records that waited for a worker."""
        waits = self.behind_event_ms is not None and now_ms - self.behind_event_ms > BEHIND_MS
        return self.rebuilding or waits


class PaneReader(Protocol):
    """What `metrics` is given. All answers between two `refresh` calls speak of the same instant."""

    def version(self) -> int:
        """Return a number that grows with every change of the panes; equal means unchanged."""

    def cells(self) -> Sequence[Cell]: ...

    def log(self) -> PaneLog: ...

    def resolutions(self) -> Sequence[Resolution]:
        """Return one resolution per slot."""

    def references(self) -> Sequence[Reference]:
        """Return every reference record; ids are unique."""

    def state(self) -> FeedState: ...
