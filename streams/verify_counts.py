"""The alert's counts, baselines and CUSUM as told in, where they differ from the oracle's out. Pure.

Where panes are coarser than the instant, the product begins a week at a pane's edge, and so does the count
here. A CUSUM goes through single outcomes: it is compared where panes still tell each by itself.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from metrics.conversion_counts import ConversionReport, WindowCounts
from metrics.labels import label_value
from oracle.conversion import FUNNELS, Outcome, baseline, cusum, newest, outcomes_of, tally, trailing
from oracle.formulas import Unknown
from oracle.moments import own_outcomes
from oracle.windows import Span
from streams.verify import Comparison, Place
from streams.verify_beside import Expected, Told

_DAYS: Final = {"1bd": 1, "5bd": 5}
_CUSUM_OVER: Final = "5bd"
_BASELINE_SUCCESSES: Final = 10
_ROUNDING: Final = Fraction(1, 10**9)
_TOO_EARLY: Final = "the weeks of the alert reach before the oldest record that is left"
_COARSE: Final = "panes no longer tell the outcomes of a CUSUM one by one"

Counts = tuple[int, int, int, int]
NOTHING: Final[Counts] = (0, 0, 0, 0)


def compare_counts(told: Told, expected: Expected, found: Comparison) -> None:
    """Add to `found` what was compared of the alert's raw material, for the floor and every team."""
    if told.conversion is None:
        return
    for funnel in FUNNELS:
        _Funnel(funnel, outcomes_of(funnel, expected.books), told, told.conversion, expected).compare(found)
    for funnel, kpi in told.own_funnels.items():
        try:
            outcomes = own_outcomes(kpi, expected.formulas, expected.books)
        except Unknown:
            found.not_told[f"no second opinion on the funnel {funnel}"] += 1
            continue
        _Funnel(funnel, outcomes, told, told.conversion, expected).compare(found)


class _Funnel:
    def __init__(
        self,
        name: str,
        outcomes: Iterable[Outcome],
        told: Told,
        report: ConversionReport,
        expected: Expected,
    ) -> None:
        self._name, self._report, self._expected = name, report, expected
        self._edges = told.edges
        self._at_ms = told.snapshot.as_of_ms
        self._levels = told.wanted.levels or ("floor", "team")
        self._outcomes = [
            Outcome(each.time_ms, label_value(each.team), each.won, each.tried)
            for each in outcomes
            if each.time_ms < self._at_ms
        ]
        self._counts = {each.window: each for each in report.counts if each.funnel == name}
        self._teams: list[str | None] = [None] if "floor" in self._levels else []
        if "team" in self._levels:
            self._teams += sorted({*report.teams, *(each.team for each in self._outcomes)})

    def compare(self, found: Comparison) -> None:
        if not self._counts:
            found.not_told[f"no counts of the funnel {self._name}"] += 1
            return
        base: dict[str | None, tuple[int, int]] = {}
        spans: list[Span] = []
        for window, days in _DAYS.items():
            now, before = self._spans(days)
            if any(self._expected.lacks(span.start_ms) for span in (now, *before)):
                found.not_told[_TOO_EARLY] += len(self._teams)
                return
            spans += [now, *before]
            for team in self._teams:
                exact = (*tally(self._outcomes, [now], team), *tally(self._outcomes, before, team))
                self._compare_counts(window, team, exact, found)
                base[team] = exact[2:]
        self._compare_cusums(min(span.start_ms for span in spans), base, found)

    def _spans(self, days: int) -> tuple[Span, list[Span]]:
        floor = self._expected.floor
        now = Span(trailing(self._at_ms, days, floor), self._at_ms)
        before = baseline(self._at_ms, days, floor)
        if self._edges is None:
            return now, before
        aligned = self._edges.aligned_ms
        moved = [Span(aligned(span.start_ms), aligned(span.end_ms)) for span in before]
        return Span(aligned(now.start_ms), now.end_ms), moved

    def _compare_counts(self, window: str, team: str | None, exact: Counts, found: Comparison) -> None:
        names = ("successes", "trials", "baseline_successes", "baseline_trials")
        for name, told, value in zip(names, self._told(self._counts[window], team), exact, strict=True):
            found.add(self._place(f"conversion_{name}", team, window), float(told), Fraction(value))

    def _told(self, counts: WindowCounts, team: str | None) -> Counts:
        if team is not None and team not in self._report.teams:
            return NOTHING
        group = 0 if team is None else 1 + self._report.teams.index(team)
        return (
            int(counts.successes[group]),
            int(counts.trials[group]),
            int(counts.base_successes[group]),
            int(counts.base_trials[group]),
        )

    def _compare_cusums(
        self, since_ms: int, base: Mapping[str | None, tuple[int, int]], found: Comparison
    ) -> None:
        recent = [each for each in self._outcomes if each.time_ms >= since_ms]
        for team, (x, n) in base.items():
            if not _BASELINE_SUCCESSES <= x < n:
                exact = None
            elif not self._each_by_itself(newest(recent, team)):
                found.not_told[_COARSE] += 1
                continue
            else:
                exact = Fraction(cusum(newest(recent, team), team, x / n))
            told = math.nan
            if team is None or team in self._report.teams:
                group = 0 if team is None else 1 + self._report.teams.index(team)
                told = float(self._report.cusum[self._name][group])
            slack = None if exact is None else _ROUNDING * (1 + len(recent))
            place = self._place("conversion_cusum", team, _CUSUM_OVER)
            found.add(place, None if math.isnan(told) else told, exact, slack)

    def _each_by_itself(self, outcomes: Sequence[Outcome]) -> bool:
        edges = self._edges
        return edges is None or all(edges.aligned_ms(each.time_ms) == each.time_ms for each in outcomes)

    def _place(self, name: str, team: str | None, window: str) -> Place:
        return Place(f"{name} of {self._name}", "floor" if team is None else "team", team or "", window)
