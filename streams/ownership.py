"""Who owns a slot and which fetched batches it may fold: facts and times in, verdicts out. Does no I/O.

Life of a slot in one worker (any other step is a bug and raises `IllegalStep`):

                 load              loaded
    ASSIGNED ──────────▶ LOADING ──────────▶ OWNING
                          ▲   ▲                │ disowned (fenced, rolled back) or faulted
                     load │   │ load           ▼
                          │   └──────────── WAITING     backoff; the 4th time within 60 s is fatal
                          │
    LOADING, OWNING ── truncated ──▶ STOPPED ── replaced: an operator has decided ──▶ WAITING

    every phase but REVOKED ── revoke ──▶ REVOKED ── assign ──▶ ASSIGNED

LOADING goes back to WAITING (`unavailable`, not counted) when the store or Kafka does not answer.
Only an OWNING slot folds and commits.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

RELOADS_MAX = 3
RELOAD_WINDOW_SECONDS = 60.0
"""Three reloads a minute let a zombie and a store's failover sort themselves out; a fourth is a fault that
reloading does not cure, so the worker gives up its place to a fresh process."""


class Phase(Enum):
    ASSIGNED = auto()
    LOADING = auto()
    OWNING = auto()
    WAITING = auto()
    STOPPED = auto()
    REVOKED = auto()


class Step(Enum):
    ASSIGN = auto()
    LOAD = auto()
    LOADED = auto()
    UNAVAILABLE = auto()
    DISOWNED = auto()
    FAULTED = auto()
    TRUNCATED = auto()
    REPLACED = auto()
    REVOKE = auto()


TRANSITIONS: dict[tuple[Phase, Step], Phase] = {
    (Phase.REVOKED, Step.ASSIGN): Phase.ASSIGNED,
    (Phase.ASSIGNED, Step.LOAD): Phase.LOADING,
    (Phase.WAITING, Step.LOAD): Phase.LOADING,
    (Phase.LOADING, Step.LOADED): Phase.OWNING,
    (Phase.LOADING, Step.UNAVAILABLE): Phase.WAITING,
    (Phase.LOADING, Step.FAULTED): Phase.WAITING,
    (Phase.LOADING, Step.TRUNCATED): Phase.STOPPED,
    (Phase.OWNING, Step.TRUNCATED): Phase.STOPPED,
    (Phase.STOPPED, Step.REPLACED): Phase.WAITING,
    (Phase.OWNING, Step.DISOWNED): Phase.WAITING,
    (Phase.OWNING, Step.FAULTED): Phase.WAITING,
    (Phase.ASSIGNED, Step.REVOKE): Phase.REVOKED,
    (Phase.LOADING, Step.REVOKE): Phase.REVOKED,
    (Phase.OWNING, Step.REVOKE): Phase.REVOKED,
    (Phase.WAITING, Step.REVOKE): Phase.REVOKED,
    (Phase.STOPPED, Step.REVOKE): Phase.REVOKED,
}


class IllegalStep(Exception):
    """A slot was asked for a step its phase does not allow. A bug in salesfloor; please report it."""


class TooManyReloads(Exception):
    """A slot had to be reloaded again and again. The worker must stop, so that another one takes over."""


class Verdict(Enum):
    """What to do with a fetched batch, judged by the slot's next offset."""

    SKIP = auto()  # every record was folded before
    ACCEPT = auto()  # it continues, or overlaps, what was folded
    RESEEK = auto()  # records are missing before it: fetch again from the next offset, once
    GAP = auto()  # they are missing in the log itself (compaction, transaction markers): go on, count


@dataclass(slots=True)
class Continuity:
    """Judges the batches of one partition. One object per partition: a shared memory of the last
    attempt makes two partitions with gaps re-seek for ever."""

    _tried: tuple[int, int] | None = None

    def judge(self, first_offset: int, last_offset: int, *, next_offset: int) -> Verdict:
        assert first_offset <= last_offset
        if last_offset < next_offset:
            return Verdict.SKIP
        if first_offset <= next_offset:
            self._tried = None
            return Verdict.ACCEPT
        if self._tried == (next_offset, first_offset):
            self._tried = None
            return Verdict.GAP
        self._tried = (next_offset, first_offset)
        return Verdict.RESEEK


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where to go on reading, and how many records are gone before it."""

    next_offset: int
    lost: int = 0


def within_log(next_offset: int, *, earliest: int) -> Bounds:
    """Compare the stored next offset with the log's beginning: what retention removed is lost."""
    if next_offset < earliest:
        return Bounds(earliest, lost=earliest - next_offset)
    return Bounds(next_offset)


def is_truncated(next_offset: int, *, high_watermark: int | None) -> bool:
    """Say whether the log ends before what was folded: truncated, or the topic was made anew.

    The high watermark must come from a fetch answer; None before the first one.
    """
    return high_watermark is not None and high_watermark < next_offset


@dataclass(slots=True)
class Ownership:
    """The phase of one slot, and how often it had to be reloaded lately."""

    slot: int
    phase: Phase = Phase.REVOKED
    claims: int = 0
    continuity: dict[str, Continuity] = field(default_factory=dict)
    _reloads: deque[float] = field(default_factory=deque)

    def step(self, step: Step) -> None:
        try:
            self.phase = TRANSITIONS[self.phase, step]
        except KeyError:
            raise IllegalStep(f"slot {self.slot} is {self.phase.name} and cannot {step.name}") from None
        if step is Step.LOADED:
            self.claims += 1
            self.continuity = {}

    def misfortune(self, step: Step, *, now_seconds: float) -> None:
        """Take a `DISOWNED` or `FAULTED` step and count it; raise `TooManyReloads` beyond the limit."""
        assert step in (Step.DISOWNED, Step.FAULTED)
        self.step(step)
        while self._reloads and self._reloads[0] <= now_seconds - RELOAD_WINDOW_SECONDS:
            self._reloads.popleft()
        self._reloads.append(now_seconds)
        if len(self._reloads) > RELOADS_MAX:
            raise TooManyReloads(
                f"slot {self.slot} was reloaded {RELOADS_MAX} times within {RELOAD_WINDOW_SECONDS:.0f} s "
                "and failed again; the log lines before this one name each cause"
            )

    def forgive(self) -> None:
        """Forget earlier reloads: the slot has got on since."""
        self._reloads.clear()

    def judge(self, topic: str, first_offset: int, last_offset: int, *, next_offset: int) -> Verdict:
        continuity = self.continuity.get(topic)
        if continuity is None:
            continuity = self.continuity[topic] = Continuity()
        return continuity.judge(first_offset, last_offset, next_offset=next_offset)
