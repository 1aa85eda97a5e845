"""One KPI's values by team or rep in, ranks out: leaderboards and the standing of a contest. Pure.

Ties share a rank and the next rank counts them: 1, 2, 2, 4. Who has no value has no rank; "unassigned"
and "other" are nobody and compete with nobody.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import OTHER, UNASSIGNED

Better = Literal["higher", "lower"]
RankedBy = Literal["value", "target", "gain"]

NOBODY: Final = frozenset({UNASSIGNED, OTHER})

# The to-date window a target's period is measured over, by the form of the period's name.
PERIOD_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "wtd": re.compile(r"\d{4}-W\d{2}", re.ASCII),
    "mtd": re.compile(r"\d{4}-\d{2}", re.ASCII),
    "qtd": re.compile(r"\d{4}-Q\d", re.ASCII),
    "ytd": re.compile(r"\d{4}", re.ASCII),
}


@dataclass(frozen=True)
class Leaderboard:
    """From the settings: who is ranked by what. `top` entries are shown; ranks know everybody."""

    name: str
    kpi: str
    window: str
    level: str = "rep"
    by: RankedBy = "value"
    better: Better = "higher"
    top: int = 10
    quantile: float | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """`score` is what ranks: the value, the share of the target, or the gain over the previous twin."""

    rank: int
    key: str
    score: float
    value: float
    previous: float | None = None
    rank_change: int | None = None
    """Ranks climbed since the previous twin; None for who was not in it."""


@dataclass(frozen=True)
class Standing:
    """A leaderboard at one instant, best first, ties by name; `shown` is the part people see."""

    board: Leaderboard
    entries: tuple[Entry, ...]

    @property
    def shown(self) -> tuple[Entry, ...]:
        """Return the top entries, and who ties with the last of them unless all they have is 0."""
        top = self.entries[: self.board.top]
        if not top:
            return ()
        rest = self.entries[self.board.top :]
        return (*top, *(entry for entry in rest if entry.rank == top[-1].rank and entry.score))


def ranks_of(scores: Mapping[str, float], better: Better = "higher") -> dict[str, int]:
    """Return everybody's rank: one more than the number of those who are strictly better."""
    ordered = sorted(scores.values(), reverse=better == "higher")
    first: dict[float, int] = {}
    for place, score in enumerate(ordered, start=1):
        first.setdefault(score, place)
    return {key: first[score] for key, score in scores.items()}


def entries_of(
    values: Mapping[str, float],
    previous: Mapping[str, float],
    *,
    by: RankedBy = "value",
    better: Better = "higher",
    shares: Mapping[str, float] | None = None,
) -> tuple[Entry, ...]:
    """Rank everybody, best first; of equal ones the earlier name stands first."""
    scores = _scores(values, previous, by, better, shares or {})
    ranks = ranks_of(scores, "higher" if by == "gain" else better)
    before: dict[str, int] = {}
    if by == "value":
        before = ranks_of(previous, better)
    found = [
        Entry(
            ranks[key],
            key,
            score,
            values[key],
            previous.get(key),
            before[key] - ranks[key] if key in before else None,
        )
        for key, score in scores.items()
    ]
    return tuple(sorted(found, key=lambda entry: (entry.rank, entry.key)))


def _scores(
    values: Mapping[str, float],
    previous: Mapping[str, float],
    by: RankedBy,
    better: Better,
    shares: Mapping[str, float],
) -> dict[str, float]:
    if by == "target":
        return dict(shares)
    if by == "gain":
        sign = 1 if better == "higher" else -1
        return {key: sign * (value - previous[key]) for key, value in values.items() if key in previous}
    return dict(values)


def standing_of(board: Leaderboard, snapshot: KpiSnapshot) -> Standing:
    """Return the board's standing in a snapshot that holds its level, KPI and window."""
    if board.by == "target":
        actuals, shares = _attainments(board, snapshot)
        entries = entries_of(actuals, {}, by="target", better=board.better, shares=shares)
        return Standing(board, entries)
    values, previous = values_in(snapshot, board.kpi, board.level, board.window, board.quantile)
    return Standing(board, entries_of(values, previous, by=board.by, better=board.better))


def _attainments(board: Leaderboard, snapshot: KpiSnapshot) -> tuple[dict[str, float], dict[str, float]]:
    """Return actual and share of every target whose period the window is the elapsed part of."""
    form = PERIOD_FORMS[board.window]
    actuals: dict[str, float] = {}
    shares: dict[str, float] = {}
    for standing in snapshot.targets:
        target, figures = standing.target, standing.figures
        meant = (target.kpi.name, target.record.level) == (board.kpi, board.level)
        if meant and form.fullmatch(target.period.name) and "quota_attainment" in figures:
            actuals[target.label], shares[target.label] = figures["quota_actual"], figures["quota_attainment"]
    return actuals, shares


def values_in(
    snapshot: KpiSnapshot, kpi: str, level: str, window: str, quantile: float | None = None
) -> tuple[dict[str, float], dict[str, float]]:
    """Return everybody's value and that of the previous twin, without those who have none."""
    for series in snapshot.series:
        if (series.kpi.name, series.level, series.quantile) != (kpi, level, quantile):
            continue
        lines = series.lines
        line = 0 if lines == (None,) else lines.index(window) if window in lines else None
        if line is None:
            continue
        labels = snapshot.keys[level].labels
        before = None if series.previous is None else series.previous[line].tolist()
        return _known(labels, series.values[line].tolist()), {} if before is None else _known(labels, before)
    return {}, {}


def _known(labels: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    pairs = zip(labels, values, strict=True)
    return {label: value for label, value in pairs if label not in NOBODY and not math.isnan(value)}
