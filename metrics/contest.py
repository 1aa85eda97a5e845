"""A contest's rules and an instant in, where it stands out: upcoming, running, settling or final. Pure.

A contest counts `[start, end)`. From its end until the settling time is over, corrections still move the
standing; then the result is frozen and kept as it was, whatever is corrected later.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from metrics.calendar import rfc3339
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.leaderboard import Better, Entry, entries_of, values_in
from metrics.windows import Window


class Stage(StrEnum):
    UPCOMING = "upcoming"
    RUNNING = "running"
    SETTLING = "settling"
    FINAL = "final"


@dataclass(frozen=True)
class Contest:
    """From the settings. Without `keys` every team or rep takes part."""

    name: str
    kpi: str
    start_ms: int
    end_ms: int
    level: str = "rep"
    keys: tuple[str, ...] = ()
    prize: str = ""
    settling_ms: int = 0
    better: Better = "higher"
    quantile: float | None = None

    @property
    def settled_ms(self) -> int:
        return self.end_ms + self.settling_ms

    @property
    def id(self) -> str:
        """Name the contest by everything that decides its result: another rule is another contest."""
        rules = [
            self.name, self.kpi, self.start_ms, self.end_ms, self.level, sorted(self.keys),
            self.settling_ms, self.better, self.quantile,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16]

    def stage_at(self, time_ms: int) -> Stage:
        if time_ms < self.start_ms:
            return Stage.UPCOMING
        if time_ms < self.end_ms:
            return Stage.RUNNING
        return Stage.SETTLING if time_ms < self.settled_ms else Stage.FINAL

    def window_at(self, time_ms: int) -> Window | None:
        """Return `[start, min(time, end))`; None before the start."""
        end_ms = min(time_ms, self.end_ms)
        if end_ms <= self.start_ms:
            return None
        return Window(f"contest:{self.id}", self.start_ms, end_ms, self.start_ms, self.start_ms)


@dataclass(frozen=True)
class ContestStanding:
    contest: Contest
    stage: Stage
    as_of_ms: int
    entries: tuple[Entry, ...]
    frozen: Mapping[str, JsonValue] | None = field(default=None)
    """The kept result, as it was written down when the settling time was over."""

    @property
    def final(self) -> bool:
        return self.frozen is not None


def contest_standing(contest: Contest, snapshot: KpiSnapshot) -> ContestStanding:
    """Return the live standing in a snapshot that holds the contest's window."""
    stage = contest.stage_at(snapshot.as_of_ms)
    window = contest.window_at(snapshot.as_of_ms)
    values: dict[str, float] = {}
    if window is not None:
        values, _ = values_in(snapshot, contest.kpi, contest.level, window.name, contest.quantile)
    if contest.keys:
        values = {key: value for key, value in values.items() if key in contest.keys}
    entries = entries_of(values, {}, better=contest.better)
    return ContestStanding(contest, stage, snapshot.as_of_ms, entries)


def result_of(standing: ContestStanding) -> dict[str, JsonValue]:
    """Return what is kept of a contest: its rules and its standing, as JSON."""
    contest = standing.contest
    return {
        "contest": contest.name,
        "id": contest.id,
        "kpi": contest.kpi,
        "level": contest.level,
        "start": rfc3339(contest.start_ms),
        "end": rfc3339(contest.end_ms),
        "settled": rfc3339(contest.settled_ms),
        "prize": contest.prize,
        "as_of": rfc3339(standing.as_of_ms),
        "standings": [
            {"rank": entry.rank, "key": entry.key, "value": entry.value} for entry in standing.entries
        ],
    }
