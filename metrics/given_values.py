"""Roster, calendar and market in, the values of a formula's given names (`metrics.given`) out. No clock."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from metrics.business_time import BusinessTime
from metrics.exact import Exact, IntArray
from metrics.given_accounts import AccountRows, GivenAccounts
from metrics.groups import LevelGroups
from metrics.market import Market
from metrics.places import Places
from metrics.segments import Lines, Segments
from metrics.sums import COLUMN_OF, Index, Rows, RunningTotals

_ACTIVITIES = COLUMN_OF["activities_done"]
_CREATED = COLUMN_OF["created"]


class GivenValues:
    """What is the same for all levels of one snapshot."""

    def __init__(
        self,
        segments: Segments,
        places: Places,
        rep_of_cell: Index,
        rows: Rows,
        accounts: AccountRows,
        *,
        market: Market,
        time: BusinessTime,
        exact_since_ms: int,
    ) -> None:
        self._segments = segments
        self._places = places
        self._market = market
        self._rows = rows.only(np.flatnonzero(rows.column == _ACTIVITIES))
        self._created = rows.only(np.flatnonzero((rows.column == _CREATED) & (rows.segment > 0)))
        self._exact_since_ms = exact_since_ms
        """From here on the times of rows are those of the events themselves."""
        self._rep_of_cell = rep_of_cell
        """Which rep a cell is of; -1 where it says none."""
        self._time = time
        self._business: tuple[Index, int] | None = None
        self._accounts = GivenAccounts(accounts, places, segments.edges_ms)

    def of(self, name: str, lines: Lines, groups: LevelGroups, totals: RunningTotals) -> Exact:
        """Return one line per window and a column per group, or one column for all.

        `totals` are the level's own, of the same groups.
        """
        if name == "accounts_at_start":
            return Exact.of(self._accounts.at_start(totals, lines, groups))
        known: dict[str, Callable[[Lines, LevelGroups], Exact]] = {
            "window_time": self._window_time,
            "rostered_time": self._rostered_time,
            "rep_business_days": self._rep_business_days,
            "market_size": self._market_size,
            "created_age": self._created_age,
            "accounts_left": lambda lines, groups: Exact.of(self._accounts.left(lines, groups)),
        }
        return known[name](lines, groups)

    def _window_time(self, lines: Lines, groups: LevelGroups) -> Exact:
        edges_ms = self._segments.edges_ms
        return Exact.of((edges_ms[lines.ends] - edges_ms[lines.starts])[:, None])

    def _rostered_time(self, lines: Lines, groups: LevelGroups) -> Exact:
        spells = self._places.spells
        edges_ms = self._segments.edges_ms
        starts = np.clip([spell.start_ms for spell in spells], edges_ms[0], edges_ms[-1])
        ends = np.clip([spell.end_ms for spell in spells], edges_ms[0], edges_ms[-1])
        return Exact.of(self._over_spells(edges_ms, starts, ends, lines, groups))

    def _over_spells(
        self, at_edges: Index, starts: Index, ends: Index, lines: Lines, groups: LevelGroups
    ) -> IntArray:
        """Return, per line and group, how much of each of its spells lies in the window."""
        group = groups.group_of_cell[self._places.cell_of_spell]
        shown = group >= 0
        passed = np.clip(at_edges[:, None], starts[None, shown], ends[None, shown]) - starts[None, shown]
        before = np.zeros((groups.count, len(at_edges)), dtype=np.int64)
        np.add.at(before, group[shown], passed.T)
        between: IntArray = (before[:, lines.ends] - before[:, lines.starts]).T
        return between

    def _rep_business_days(self, lines: Lines, groups: LevelGroups) -> Exact:
        at_edges, parts = self._business_days()
        spells = self._places.spells
        if spells:
            edges_ms = self._segments.edges_ms
            starts, ends = (
                self._at(np.clip(np.array(times), edges_ms[0], edges_ms[-1]))
                for times in ([s.start_ms for s in spells], [s.end_ms for s in spells])
            )
            return Exact.parts(self._over_spells(at_edges, starts, ends, lines, groups), parts)
        days = (at_edges[lines.ends] - at_edges[lines.starts])[:, None]
        return Exact.of(self._reps_seen(lines, groups)) * Exact.parts(days, parts)

    def _reps_seen(self, lines: Lines, groups: LevelGroups) -> NDArray[np.int64]:
        rows = self._rows
        rep, group = self._rep_of_cell[rows.cell], groups.group_of_cell[rows.cell]
        kept = (rep >= 0) & (group >= 0)
        reps = int(self._rep_of_cell.max(initial=0)) + 1
        pairs, pair = np.unique(group[kept] * reps + rep[kept], return_inverse=True)
        sums = np.zeros((len(self._segments.edges_ms), len(pairs)), dtype=np.int64)
        np.add.at(sums, (rows.segment[kept], pair), rows.value[kept].astype(np.int64))
        np.cumsum(sums, axis=0, out=sums)
        seen = (sums[lines.ends] - sums[lines.starts]) > 0
        found = np.zeros((groups.count, len(lines)), dtype=np.int64)
        np.add.at(found, pairs // reps, seen.T.astype(np.int64))
        return found.T

    def _created_age(self, lines: Lines, groups: LevelGroups) -> Exact:
        edges_ms, rows = self._segments.edges_ms, self._created
        group = groups.group_of_cell[rows.cell]
        shown = group >= 0
        at = (rows.segment[shown], group[shown])
        value = rows.value[shown].astype(np.int64)
        deals = np.zeros((len(edges_ms), groups.count), dtype=np.int64)
        times = deals.copy()
        np.add.at(deals, at, value)
        np.add.at(times, at, value * (rows.start_ms[shown] - edges_ms[0]))
        for sums in (deals, times):
            np.cumsum(sums, axis=0, out=sums)
        ends_ms = (edges_ms[lines.ends] - edges_ms[0])[:, None]
        age = ends_ms * (deals[lines.ends] - deals[lines.starts]) - (times[lines.ends] - times[lines.starts])
        return Exact.of(age).without((edges_ms[lines.starts] < self._exact_since_ms)[:, None])

    def _business_days(self) -> tuple[Index, int]:
        """Return the business days before each edge, and the parts a day has."""
        if self._business is None:
            days = self._time.days_before(self._instants())
            self._days_before = dict(zip(self._instants(), days.before, strict=True))
            self._business = self._at(self._segments.edges_ms), days.parts
        return self._business

    def _instants(self) -> list[int]:
        edges = self._segments.edges_ms.tolist()
        low, high = edges[0], edges[-1]
        ends = {time_ms for spell in self._places.spells for time_ms in (spell.start_ms, spell.end_ms)}
        return sorted({*edges, *(time_ms for time_ms in ends if low < time_ms < high)})

    def _at(self, instants_ms: Index) -> Index:
        return np.array([self._days_before[time_ms] for time_ms in instants_ms.tolist()], dtype=np.int64)

    def _market_size(self, lines: Lines, groups: LevelGroups) -> Exact:
        edges_ms = self._segments.edges_ms
        spans = zip(edges_ms[lines.starts].tolist(), edges_ms[lines.ends].tolist(), strict=True)
        sizes = [self._market.size(start_ms, end_ms) for start_ms, end_ms in spans]
        numerators = [0 if size is None else size.numerator for size in sizes]
        denominators = [0 if size is None else size.denominator for size in sizes]
        return Exact(
            np.array(numerators, dtype=object).reshape(-1, 1),
            np.array(denominators, dtype=object).reshape(-1, 1),
        )
