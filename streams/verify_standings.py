"""Targets, leaderboards and contests as told in, where they differ from the oracle's out. Pure.

A rank is compared beside the score that it follows from, so a fault of the ranking alone shows as one. Who
did nothing may be missing from a standing, or stand in it with nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Final, NamedTuple

from metrics.contest import Contest, ContestStanding, Stage
from metrics.labels import label_value
from metrics.leaderboard import NOBODY, Entry, Leaderboard, Standing
from oracle.formulas import Own
from oracle.numbers import ERROR_OF_QUANTILE, Answer, Sample
from oracle.ranks import FORMS, form_of, ranks
from oracle.targets import Figures, Goal, adds_up, figures, has_opinion, in_money_of, of_nothing, span_of
from oracle.windows import Span
from streams.verify import LOOK_ELSEWHERE, Comparison, Place
from streams.verify_beside import Expected, Told

_ROUNDING: Final = Fraction(1, 10**12)
"""Figures that no float holds exactly are right to so much of the largest number in them."""
_EXACT_BELOW: Final = Fraction(2**53, 100)
"""Up to here a float holds every cent."""
_OF_OPEN_DEALS: Final = frozenset(
    ("forecast_weighted", "forecast_commit", "forecast_best_case", "pipeline_coverage")
)
_TOO_EARLY: Final = "the window reaches before the oldest record that is left"
_OPEN: Final = "what is open now may rest on records that are gone"
_NOT_EXACT: Final = "the window cannot be told exactly"
_KEPT: Final = "the result of a contest that is over stays as it was written down"

_ELSEWHERE: Final = "absent where panes no longer tell another window"
_A_YEAR_BEFORE: Final = frozenset(("average_deal_size_growth",))
"""They look a year back from a window by its name; a period or a contest has none."""

Scores = dict[str, Fraction]


class _Scored(NamedTuple):
    """Everybody's score, and how far it may be off where it is only approximate."""

    scores: Scores
    slack: Scores

    def note(self, label: str, value: Fraction | None, slack: Fraction | None) -> None:
        if value is not None:
            self.scores[label] = value
            if slack is not None:
                self.slack[label] = slack


PlaceOf = tuple[str, str, str, str]
"""KPI, level, label and period of a target."""


def compare_standings(told: Told, expected: Expected, found: Comparison) -> None:
    """Add to `found` what was compared of targets, leaderboards and contests."""
    _Standings(told, expected, found).compare()


class _Standings:
    def __init__(self, told: Told, expected: Expected, found: Comparison) -> None:
        self._told, self._expected, self._found = told, expected, found
        self._at_ms = told.snapshot.as_of_ms
        left_out = told.snapshot.left_out
        self._not_exact = {each.window for each in left_out if not each.previous_only}
        self._without_twin = {each.window for each in left_out if each.previous_only}

    def compare(self) -> None:
        exact = self._figures() if self._wants_targets() else {}
        if self._told.wanted.windows is None:
            self._compare_targets(exact)
        for standing in self._told.boards:
            if standing.board.by == "target":
                self._compare_shares(standing, exact)
            else:
                self._compare_board(standing)
        for contest in self._told.contests:
            self._compare_contest(contest)

    def _skip(self, why: str) -> None:
        self._found.not_told[why] += 1

    # ---- targets

    def _figures(self) -> dict[PlaceOf, tuple[Goal, Figures]]:
        """Return the figures of every running target that can be used."""
        expected, running = self._expected, self._running()
        if not running:
            return {}
        known = self._known
        found: dict[PlaceOf, tuple[Goal, Figures]] = {}
        for goal in running:
            own = figures(goal, expected.books, self._at_ms, expected.floor, expected.custom, known)
            assert own is not None, "it runs"
            found[_place_of(goal)] = goal, own
        return found

    def _running(self) -> list[Goal]:
        expected = self._expected
        unusable = {problem.record for problem in self._told.snapshot.reference_problems}
        return [
            valued
            for goal in expected.goals
            if f"target:{goal.kpi}:{goal.level}:{goal.key}:{goal.period}" not in unusable
            and span_of(goal, expected.floor, expected.custom).holds(self._at_ms)
            and (valued := in_money_of(goal, expected.books.known, expected.floor, expected.custom))
        ]

    def _span(self, goal: Goal) -> Span:
        return span_of(goal, self._expected.floor, self._expected.custom)

    @property
    def _own(self) -> tuple[Own, ...]:
        return self._expected.custom.own

    @property
    def _known(self) -> dict[Sample, Answer]:
        return self._answers[0]

    @cached_property
    def _answers(self) -> tuple[dict[Sample, Answer], set[str]]:
        """Return the oracle's answers for all periods of targets, windows of boards and contests; and the
        KPIs of which nothing is said of the window before."""
        told, at_ms = self._told, self._at_ms
        goals = self._running() if self._wants_targets() else []
        contests = [each.contest for each in told.contests if each.stage is not Stage.FINAL]
        spans = {goal.period: Span(self._span(goal).start_ms, at_ms) for goal in goals}
        spans |= {f"contest {each.name}": self._contest_span(each) for each in contests}
        boards = [each.board for each in told.boards if each.board.by != "target"]
        who: list[Goal | Contest | Leaderboard] = [*goals, *contests, *boards]
        return self._expected.answers(
            at_ms,
            tuple(dict.fromkeys(each.level for each in who)),
            windows=tuple(dict.fromkeys(each.window for each in boards)),
            spans=spans,
        )

    def _wants_targets(self) -> bool:
        by_target = any(each.board.by == "target" for each in self._told.boards)
        return by_target or self._told.wanted.windows is None

    def _compare_targets(self, exact: Mapping[PlaceOf, tuple[Goal, Figures]]) -> None:
        wanted = self._told.wanted
        told = {
            (each.target.kpi.name, each.target.record.level, each.target.label, each.target.period.name): each
            for each in self._told.snapshot.targets
            if wanted.wants(each.target.record)
        }
        for place in {**told, **exact}:
            kpi, level, label, period = place
            if level not in (wanted.levels or (level,)) or kpi not in (wanted.kpis or (kpi,)):
                continue
            figures_told = told[place].figures if place in told else {}
            if place not in exact:
                self._found.add(Place(f"quota of {kpi}", level, label, period), figures_told["quota"], None)
                continue
            goal, own = exact[place]
            if not figures_told and level != "floor" and not own.get("quota_actual"):
                continue  # nobody has heard of whom it is for
            if why := self._why_not_target(goal):
                self._skip(why)
                continue
            if kpi in LOOK_ELSEWHERE and "quota_actual" in own.keys() - figures_told.keys():
                self._skip(_ELSEWHERE)
                continue
            for name in sorted({*figures_told, *own}):
                if name in _OF_OPEN_DEALS and self._expected.whole_since_ms is not None:
                    self._skip(_OPEN)
                    continue
                place_of_it = Place(f"{name} of {kpi}", level, label, period)
                self._found.add(
                    place_of_it, figures_told.get(name), own.get(name), self._slack(goal, own, name)
                )

    def _why_not_target(self, goal: Goal) -> str:
        within = goal.kpi in ERROR_OF_QUANTILE or goal.kpi in _A_YEAR_BEFORE
        if within or not has_opinion(goal.kpi, self._own):
            return f"no second opinion on targets of {goal.kpi}"
        if goal.period in self._not_exact:
            return _NOT_EXACT
        return _TOO_EARLY if self._expected.lacks(self._span(goal).start_ms) else ""

    # ---- ranks

    def _compare_shares(self, standing: Standing, exact: Mapping[PlaceOf, tuple[Goal, Figures]]) -> None:
        board = standing.board
        own = {
            label: each
            for (kpi, level, label, period), each in exact.items()
            if (kpi, level, form_of(period)) == (board.kpi, board.level, FORMS[board.window])
        }
        if why := next((why for goal, _ in own.values() if (why := self._why_not_target(goal))), ""):
            self._skip(why)
            return
        shares = {
            label: found["quota_attainment"]
            for label, (_, found) in own.items()
            if "quota_attainment" in found
        }
        slack = {label: self._slack(own[label][0], own[label][1], "quota_attainment") for label in shares}
        self._compare_ranks(
            f"leaderboard {board.name}", board, board.window, standing.entries, shares,
            {label: each or abs(shares[label]) * _ROUNDING for label, each in slack.items()},
        )  # fmt: skip

    def _compare_board(self, standing: Standing) -> None:
        board, name = standing.board, f"leaderboard {standing.board.name}"
        is_now = all(
            not series.windows for series in self._told.snapshot.series if series.kpi.name == board.kpi
        )
        window = "" if is_now else board.window
        if why := self._why_not_over(board, board.window, gains=board.by == "gain"):
            self._skip(why)
            return
        now, before = self._values(board, window)
        told = {each.key for each in standing.entries}
        if board.kpi in LOOK_ELSEWHERE and told < {key for key, score in now.scores.items() if score}:
            self._skip(_ELSEWHERE)
            return
        if board.by == "gain":
            sign = 1 if board.better == "higher" else -1
            both = [key for key in now.scores if key in before.scores]
            gains = {key: sign * (now.scores[key] - before.scores[key]) for key in both}
            slack = {
                key: max(abs(now.scores[key]), abs(before.scores[key])) * _ROUNDING
                + now.slack.get(key, 0)
                + before.slack.get(key, 0)
                for key in both
            }
            gaining = replace(board, better="higher")
            self._compare_ranks(name, gaining, window, standing.entries, gains, slack)
            return
        self._compare_ranks(name, board, window, standing.entries, now.scores, now.slack)
        if not is_now and board.window not in self._without_twin and board.kpi not in self._answers[1]:
            self._compare_climbs(standing, now, before)

    def _compare_climbs(self, standing: Standing, now: "_Scored", before: "_Scored") -> None:
        board, told = standing.board, {each.key: each for each in standing.entries}
        both = {
            key: score
            for key, score in before.scores.items()
            if key in told or score or of_nothing(board.kpi, self._own) is None
        }
        for key, entry in told.items():
            climbed = None
            if key in both and key in now.scores:
                best, worst = ranks(key, both, before.slack, board.better)
                climbed = Fraction(min(max((entry.rank_change or 0) + entry.rank, best), worst) - entry.rank)
            place = Place(f"rank change in leaderboard {board.name}", board.level, key, board.window)
            self._found.add(place, None if entry.rank_change is None else float(entry.rank_change), climbed)

    def _contest_span(self, contest: Contest) -> Span:
        span = self._expected.contests[contest.name]
        return Span(span.start_ms, min(span.end_ms, self._at_ms))

    def _compare_contest(self, standing: ContestStanding) -> None:
        contest, name = standing.contest, f"contest {standing.contest.name}"
        span = self._contest_span(contest)
        now = _Scored({}, {})
        if span.start_ms < span.end_ms:
            if standing.stage is Stage.FINAL:
                self._skip(_KEPT)
                return
            window = contest.window_at(self._at_ms)
            if why := self._why_not_over(contest, window.name if window else "", start_ms=span.start_ms):
                self._skip(why)
                return
            now, _ = self._values(contest, name)
        if contest.keys:
            own = {key: value for key, value in now.scores.items() if key in contest.keys}
            now = now._replace(scores=own)
        told = {each.key for each in standing.entries}
        if contest.kpi in LOOK_ELSEWHERE and told < {key for key, score in now.scores.items() if score}:
            self._skip(_ELSEWHERE)
            return
        self._compare_ranks(name, contest, "", standing.entries, now.scores, now.slack)

    def _why_not_over(
        self, what: Leaderboard | Contest, window: str, *, gains: bool = False, start_ms: int | None = None
    ) -> str:
        kpi = what.kpi
        over_a_span = kpi in _A_YEAR_BEFORE and start_ms is not None
        if over_a_span or not has_opinion(kpi, self._own) or (gains and kpi in self._answers[1]):
            return f"no second opinion on who leads by {kpi}"
        if window in self._not_exact or (gains and window in self._without_twin):
            return _NOT_EXACT
        begins = [each.start_ms for each in self._told.snapshot.windows if each.name == window]
        begins += [each.previous_start_ms for each in self._told.snapshot.windows if each.name == window]
        if start_ms is not None:
            begins = [start_ms]
        return _TOO_EARLY if any(map(self._expected.lacks, begins)) else ""

    def _values(self, what: Leaderboard | Contest, window: str) -> "tuple[_Scored, _Scored]":
        """Return everybody's value and that of the window before, without those who have none."""
        now, before = _Scored({}, {}), _Scored({}, {})
        wanted = (what.kpi, what.level, window, what.quantile)
        for sample, answer in self._known.items():
            if (sample.kpi, sample.level, sample.window, sample.quantile) != wanted:
                continue
            label = label_value(sample.key)
            if label not in NOBODY:
                error = self._known.get(sample._replace(kpi=ERROR_OF_QUANTILE.get(sample.kpi, "")))
                now.note(label, answer.value, error and error.value)
                before.note(label, answer.previous, error and error.previous)
        nothing = of_nothing(what.kpi, self._own)
        if nothing is not None:
            for series in self._told.snapshot.series:
                labels = self._told.snapshot.keys[what.level].labels if series.level == what.level else ()
                for label in labels:
                    if label not in NOBODY:
                        now.scores.setdefault(label, nothing)
                        before.scores.setdefault(label, nothing)
        return now, before

    def _compare_ranks(
        self,
        name: str,
        what: Leaderboard | Contest,
        window: str,
        entries: Sequence[Entry],
        scores: Scores,
        slack: Mapping[str, Fraction],
    ) -> None:
        """Compare everybody's score and rank; who has nothing competes only if the product says so."""
        told = {entry.key: entry for entry in entries}
        competing = {key: score for key, score in scores.items() if key in told or score}
        for key in sorted({*told, *competing}):
            entry, score = told.get(key), competing.get(key)
            own = None if entry is None else entry.score
            self._found.add(Place(f"score in {name}", what.level, key, window), own, score, slack.get(key))
            if entry is None or score is None:
                continue
            best, worst = ranks(key, competing, slack, what.better)
            rank = min(max(entry.rank, best), worst)
            self._found.add(
                Place(f"rank in {name}", what.level, key, window), float(entry.rank), Fraction(rank)
            )

    def _slack(self, goal: Goal, exact: Figures, name: str) -> Fraction | None:
        """Exact where the actual is a whole number of cents that a float holds; else to 12 digits."""
        actual = abs(exact.get("quota_actual", Fraction(0)))
        whole = adds_up(goal.kpi, self._own) and not any(each.name == goal.kpi for each in self._own)
        if name not in exact or (whole and actual < _EXACT_BELOW):
            return None
        return max(abs(exact[name]), goal.value, actual) * _ROUNDING


def _place_of(goal: Goal) -> PlaceOf:
    return goal.kpi, goal.level, label_value(goal.key) if goal.key else "", goal.period
