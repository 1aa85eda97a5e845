"""The newest snapshot and the panes in, leaderboards, contests and commission estimates out. Keeps nothing.

What the snapshot holds already is taken from it; windows of their own (a contest's, a commission
period's) are computed beside it, only while there is something to compute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from metrics.commission import Plan, PlanPart, PlanVersion, commission
from metrics.contest import Contest, ContestStanding, Stage, contest_standing
from metrics.gauges import Gauge, GaugeBlock, Labels
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.leaderboard import Entry, Leaderboard, Standing, standing_of, values_in
from metrics.snapshot import Filters, PaneImage, SnapshotConfig, Snapshotter
from metrics.windows import Window

Kept = Mapping[str, Mapping[str, JsonValue]]
"""Results of contests that are over, by the contest's id."""

COMPETING_LEVELS: Final = ("team", "rep")


@dataclass(frozen=True)
class RewardRules:
    """From the settings: every board, contest and plan there is."""

    leaderboards: tuple[Leaderboard, ...] = ()
    contests: tuple[Contest, ...] = ()
    plans: tuple[Plan, ...] = ()


@dataclass(frozen=True)
class CommissionEstimate:
    plan: PlanVersion
    since_ms: int
    by_rep: Mapping[str, Decimal]


@dataclass(frozen=True)
class RewardReport:
    as_of_ms: int = 0
    currency: str = ""
    standings: tuple[Standing, ...] = ()
    contests: tuple[ContestStanding, ...] = ()
    commissions: tuple[CommissionEstimate, ...] = ()
    """Those that everybody may see; the others are in no report, only in the answer to who may see them."""


class _Ask(NamedTuple):
    """One KPI at one level over a window of its own."""

    level: str
    kpi: str
    window: Window


class RewardTaker:
    """Takes one report after another."""

    def __init__(self, config: SnapshotConfig, rules: RewardRules) -> None:
        self._config = config
        self._rules = rules
        # Everybody takes part, also who is beyond the budget of labels.
        self._beside = Snapshotter(config.for_everybody())

    def take(self, image: PaneImage, snapshot: KpiSnapshot, kept: Kept) -> RewardReport:
        """Return the report for everybody: of commissions, those that everybody may see."""
        as_of_ms = snapshot.as_of_ms
        plans = [parts for parts in self._parts(as_of_ms) if parts[-1].version.visible == "all"]
        contests = self._rules.contests
        asks = [
            *(_Ask(c.level, c.kpi, w) for c in contests if c.id not in kept and (w := c.window_at(as_of_ms))),
            *_asks_of(plans),
        ]
        own = self._over(image, as_of_ms, asks)
        return RewardReport(
            as_of_ms,
            snapshot.reporting_currency,
            tuple(self._standing(board, image, snapshot) for board in self._rules.leaderboards),
            tuple(_contest(contest, own, as_of_ms, kept) for contest in contests),
            tuple(self._estimate(parts, own) for parts in plans if own is not None),
        )

    def commissions(self, image: PaneImage, as_of_ms: int) -> tuple[CommissionEstimate, ...]:
        """Return the estimates of every plan, for who knows which rep is asking."""
        plans = list(self._parts(as_of_ms))
        own = self._over(image, as_of_ms, _asks_of(plans))
        return tuple(self._estimate(parts, own) for parts in plans if own is not None)

    def _standing(self, board: Leaderboard, image: PaneImage, snapshot: KpiSnapshot) -> Standing:
        shown = board.level in self._config.levels and board.window in self._config.windows
        if board.by != "target" and not shown:
            filters = Filters(levels=(board.level,), kpis=(board.kpi,), windows=(board.window,))
            snapshot = self._beside.take_kpis(image, snapshot.as_of_ms, filters=filters)
        return standing_of(board, snapshot)

    def _over(self, image: PaneImage, as_of_ms: int, asks: Sequence[_Ask]) -> KpiSnapshot | None:
        """Answer all asks by one snapshot; None when there is nothing to ask."""
        if not asks:
            return None
        levels = tuple(dict.fromkeys(ask.level for ask in asks))
        kpis = tuple(dict.fromkeys(ask.kpi for ask in asks))
        windows = {ask.window.name: ask.window for ask in asks}
        filters = Filters(levels=levels, kpis=kpis, windows=())
        return self._beside.take_kpis(image, as_of_ms, filters=filters, extra_windows=tuple(windows.values()))

    def _parts(self, as_of_ms: int) -> Iterator[tuple[PlanPart, ...]]:
        for plan in self._rules.plans:
            if parts := plan.parts_at(as_of_ms, self._config.calendar):
                yield parts

    def _estimate(self, parts: Sequence[PlanPart], own: KpiSnapshot) -> CommissionEstimate:
        amounts = [
            (part.version, values_in(own, part.version.kpi, "rep", part.window.name)[0]) for part in parts
        ]
        plan = parts[-1].version
        reps = sorted(set().union(*(found for _, found in amounts)))
        by_rep = {
            rep: commission(
                [(version, Decimal(repr(found.get(rep, 0.0)))) for version, found in amounts],
                self._config.exponent,
            )
            for rep in reps
            if not plan.reps or rep in plan.reps
        }
        return CommissionEstimate(plan, parts[0].start_ms, by_rep)


def _asks_of(plans: Iterable[Sequence[PlanPart]]) -> list[_Ask]:
    return [_Ask("rep", part.version.kpi, part.window) for parts in plans for part in parts]


def _contest(contest: Contest, own: KpiSnapshot | None, as_of_ms: int, kept: Kept) -> ContestStanding:
    if contest.id in kept:
        return ContestStanding(contest, Stage.FINAL, as_of_ms, (), kept[contest.id])
    if own is None or contest.window_at(as_of_ms) is None:
        return ContestStanding(contest, contest.stage_at(as_of_ms), as_of_ms, ())
    return contest_standing(contest, own)


def to_be_kept(report: RewardReport) -> Iterator[ContestStanding]:
    """Yield the standings whose settling time is over and that nobody has written down yet."""
    for standing in report.contests:
        if standing.stage is Stage.FINAL and not standing.final:
            yield standing


# --- gauges


def reward_gauge_labels() -> dict[str, set[str]]:
    """Return every gauge's name with its labels."""
    found = {f"salesfloor_{level}_rank": {"board", level} for level in COMPETING_LEVELS}
    found |= {f"salesfloor_{level}_contest_rank": {"contest", level} for level in COMPETING_LEVELS}
    found["salesfloor_rep_commission_estimate"] = {"plan", "rep", "currency"}
    return found


def reward_gauges(report: RewardReport) -> Iterator[Gauge]:
    """Yield the ranks that are shown, and the commissions that everybody may see."""
    for level in COMPETING_LEVELS:
        boards = [standing for standing in report.standings if standing.board.level == level]
        yield Gauge(
            f"salesfloor_{level}_rank",
            "Place on a leaderboard; ties share one.",
            "",
            tuple(_ranks(level, ("board", each.board.name), each.shown) for each in boards),
        )
        contests = [standing for standing in report.contests if standing.contest.level == level]
        yield Gauge(
            f"salesfloor_{level}_contest_rank",
            "Place in a contest that is running or settling; ties share one.",
            "",
            tuple(_ranks(level, ("contest", each.contest.name), each.entries) for each in contests),
        )
    yield Gauge(
        "salesfloor_rep_commission_estimate",
        "Estimated commission of the running period, of plans that everybody may see.",
        "",
        tuple(_commission_block(each, report.currency) for each in report.commissions),
    )


def _ranks(level: str, name: tuple[str, str], entries: Iterable[Entry]) -> GaugeBlock:
    entries = tuple(entries)
    labels: list[Labels] = [tuple(sorted((name, (level, entry.key)))) for entry in entries]
    return GaugeBlock(labels, np.array([entry.rank for entry in entries], dtype=np.float64))


def _commission_block(estimate: CommissionEstimate, currency: str) -> GaugeBlock:
    labels: list[Labels] = [
        (("currency", currency), ("plan", estimate.plan.name), ("rep", rep)) for rep in estimate.by_rep
    ]
    return GaugeBlock(labels, np.array([float(value) for value in estimate.by_rep.values()]))
