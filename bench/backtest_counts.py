"""A history and the instants of looking at it in, what the metrics role would export at each of them out.

A vectorised twin of `metrics.conversion_counts` for one funnel of one floor; a test holds the two together.
The windows are the product's own. Nothing is judged here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.backtest_floors import CALENDAR, History, Ints, opening_ms
from metrics.calendar import Calendar
from metrics.conversion import BASELINE_SUCCESSES_MIN, CUSUM_DROP
from metrics.conversion_counts import OUTCOMES_MAX
from metrics.conversion_windows import ALERT_WINDOWS, BASELINE_WEEKS, Interval, alert_windows
from metrics.exact import FloatArray

HOUR_MS: Final = 3_600_000
_CHUNK: Final = 256
_NOTHING: Final = Interval(0, 0)


@dataclass(frozen=True)
class Looks:
    """The instants at which rules are evaluated, and the edges of every window at each of them.

    Edges are shaped (look, interval, start and end); the first interval is the window itself, the others
    are its baseline.
    """

    at_ms: Ints
    day: Ints
    edges: dict[str, Ints]
    since_ms: Ints
    """From where on outcomes go through the CUSUM."""

    def part(self, start: int, end: int) -> "Looks":
        cut = slice(max(0, start), end)
        edges = {name: each[cut] for name, each in self.edges.items()}
        return Looks(self.at_ms[cut], self.day[cut], edges, self.since_ms[cut])


def looks_at(instants: Sequence[tuple[int, int]], calendar: Calendar = CALENDAR) -> Looks:
    """Return the looks for (number of the day, instant), in order."""
    edges: dict[str, list[list[Interval]]] = {name: [] for name in (*ALERT_WINDOWS, "hour")}
    since: list[int] = []
    for _, at_ms in instants:
        windows = alert_windows(at_ms, calendar)
        for window in windows:
            missing = [_NOTHING] * (BASELINE_WEEKS - len(window.baseline))
            edges[window.name].append([window.now, *window.baseline, *missing])
        since.append(min(each.start_ms for window in windows for each in (window.now, *window.baseline)))
        day, wall = calendar.date_of(at_ms), calendar.wall_time_of(at_ms)
        week_ago_ms = calendar.instant_ms(day - timedelta(days=7), wall)
        hours = (Interval(end_ms - HOUR_MS, end_ms) for end_ms in (at_ms, week_ago_ms))
        edges["hour"].append(list(hours))
    return Looks(
        np.array([at_ms for _, at_ms in instants]),
        np.array([day for day, _ in instants]),
        {name: np.array(each) for name, each in edges.items()},
        np.array(since),
    )


def looks_of(days: Sequence[date], step_seconds: int) -> Looks:
    """Return a look every so many seconds of each business day's opening hours, the first after one step."""
    instants: list[tuple[int, int]] = []
    for number, day in enumerate(days):
        opens_ms, closes_ms = opening_ms(day)
        step_ms = step_seconds * 1000
        instants += [(number, at_ms) for at_ms in range(opens_ms + step_ms, closes_ms + 1, step_ms)]
    return looks_at(instants)


@dataclass(frozen=True)
class Counts:
    """What a window holds at each look, and its baseline."""

    successes: Ints
    trials: Ints
    base_successes: Ints
    base_trials: Ints

    @property
    def four(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self.successes, self.trials, self.base_successes, self.base_trials


@dataclass(frozen=True)
class Exported:
    """What the rules compare, at each look."""

    windows: dict[str, Counts]
    cusum: FloatArray
    base_rate: FloatArray


def exported(history: History, looks: Looks) -> Exported:
    won_before = np.concatenate([[0], np.cumsum(history.won)])
    windows = {}
    for name, edges in looks.edges.items():
        place = np.searchsorted(history.time_ms, edges)
        trials = place[:, :, 1] - place[:, :, 0]
        successes = won_before[place[:, :, 1]] - won_before[place[:, :, 0]]
        windows[name] = Counts(
            successes[:, 0], trials[:, 0], successes[:, 1:].sum(axis=1), trials[:, 1:].sum(axis=1)
        )
    base_rate = _base_rates(windows[max(ALERT_WINDOWS, key=lambda name: ALERT_WINDOWS[name])])
    return Exported(windows, _cusums(history, won_before, looks, base_rate), base_rate)


def _base_rates(counts: Counts) -> FloatArray:
    x, n = counts.base_successes, counts.base_trials
    known = (x >= BASELINE_SUCCESSES_MIN) & (x < n)
    return np.where(known, x / np.maximum(n, 1), np.nan)


def _cusums(history: History, won_before: Ints, looks: Looks, rates: FloatArray) -> FloatArray:
    ends = np.searchsorted(history.time_ms, looks.at_ms)
    starts = np.maximum(np.searchsorted(history.time_ms, looks.since_ms), ends - OUTCOMES_MAX)
    chunks = pairwise([*range(0, len(ends), _CHUNK), len(ends)])
    found = [_heights(won_before, starts[a:b], ends[a:b], rates[a:b]) for a, b in chunks]
    return np.concatenate(found) if found else np.zeros(0)


def _heights(won_before: Ints, starts: Ints, ends: Ints, rates: FloatArray) -> FloatArray:
    """Return the walk's height above the lowest point it has been at, for each look."""
    fallen = (1 - CUSUM_DROP) * rates
    on_success = np.log(fallen / rates)[:, None]
    on_failure = np.log((1 - fallen) / (1 - rates))[:, None]
    # Positions between outcomes; those before the start stand at the start, where the walk is 0.
    steps = int((ends - starts).max(initial=0))
    at: NDArray[np.int64] = np.maximum(ends[:, None] - np.arange(steps, -1, -1), starts[:, None])
    successes = won_before[at] - won_before[starts][:, None]
    walk = successes * on_success + (at - starts[:, None] - successes) * on_failure
    return np.asarray(walk[:, -1] - walk.min(axis=1))
