"""An image and the rules in, what the product makes of it beside the KPIs out; and where that is wrong. Pure.

Targets, leaderboards, contests and what the falling-conversion alert is made of: taken with the product's own
code, only where panes tell their windows exactly, and held against the oracle's books.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from metrics.beside import BesideRules
from metrics.commission import Plan
from metrics.contest import Contest, ContestStanding, contest_standing
from metrics.conversion_counts import ConversionReport, Funnel, built_in_funnels, count_conversions
from metrics.edges import PaneEdges
from metrics.kpi_snapshot import KpiSnapshot
from metrics.leaderboard import Leaderboard, Standing, standing_of
from metrics.places import Places
from metrics.rewards import CommissionEstimate, RewardRules, RewardTaker
from metrics.roster import Roster
from metrics.snapshot import EVERYTHING, Filters, PaneImage, SnapshotConfig, Snapshotter
from oracle.books import Books
from oracle.commissions import Version
from oracle.formulas import own_answers, windows_in
from oracle.numbers import Answer, Sample, answers
from oracle.targets import Custom, Goal, with_means
from oracle.windows import Floor, Span

_ALL_TEAMS: Final = 1 << 30


@dataclass(frozen=True)
class Told:
    """What the product tells beside the KPIs, at one instant."""

    snapshot: KpiSnapshot
    """It holds the windows of boards and contests that panes tell exactly, and every running target."""
    boards: tuple[Standing, ...] = ()
    contests: tuple[ContestStanding, ...] = ()
    conversion: ConversionReport | None = None
    edges: PaneEdges | None = None
    own_funnels: Mapping[str, str] = field(default_factory=dict)
    """Name -> its KPI."""
    commissions: tuple[CommissionEstimate, ...] = ()
    wanted: Filters = EVERYTHING


@dataclass(frozen=True)
class Expected:
    """What the oracle has to answer from."""

    books: Books
    floor: Floor
    custom: Custom
    goals: Sequence[Goal]
    contests: Mapping[str, Span]
    """Name -> what it counts, from its first instant to its end."""
    plans: Sequence[Version] = ()
    """Every version of every commission plan."""
    formulas: Mapping[str, str] = field(default_factory=dict)
    """Of every KPI, as they are listed."""
    whole_since_ms: int | None = None
    """Records that arrived earlier are not all there."""

    def answers(
        self,
        at_ms: int,
        levels: Sequence[str],
        *,
        windows: Sequence[str] = (),
        spans: Mapping[str, Span] = {},
    ) -> tuple[dict[Sample, Answer], set[str]]:
        """Return every KPI of these windows and spans, the floor's own too; and the names of those of which
        nothing is said of the window before."""
        own = self.custom.own
        others = windows_in(own) - set(windows)
        found = with_means(
            answers(
                self.books, at_ms, self.floor, windows=(*windows, *sorted(others)), levels=levels, spans=spans
            )
        )
        of_own, only_now = own_answers(own, found, (*windows, *spans))
        return {**found, **of_own}, only_now

    def lacks(self, start_ms: int) -> bool:
        return self.whole_since_ms is not None and start_ms < self.whole_since_ms


def told_beside(
    image: PaneImage, as_of_ms: int, config: SnapshotConfig, rules: BesideRules, wanted: Filters
) -> Told:
    """Take what is wanted. What has a window of its own is left out where windows are asked for."""

    def wants(level: str, kpi: str) -> bool:
        return level in (wanted.levels or (level,)) and kpi in (wanted.kpis or (kpi,))

    boards = [each for each in rules.rewards.leaderboards if wants(each.level, each.kpi)]
    boards = [each for each in boards if each.window in (wanted.windows or (each.window,))]
    contests = [each for each in rules.rewards.contests if wants(each.level, each.kpi)]
    contests = [each for each in contests if wanted.windows is None]
    plans = [each for each in rules.rewards.plans if wanted.windows is None and _wants_plan(each, wants)]
    who: list[Leaderboard | Contest] = [*boards, *contests]
    snapshotter = Snapshotter(config)
    everybody = snapshotter.take(image, as_of_ms, filters=Filters(windows=()), strict=True)
    ranked = snapshotter.take_kpis(
        image,
        as_of_ms,
        filters=Filters(
            tuple(dict.fromkeys(each.level for each in who)),
            tuple(dict.fromkeys(each.kpi for each in who)),
            tuple(dict.fromkeys(each.window for each in boards)),
        ),
        strict=True,
        extra_windows=[window for each in contests if (window := each.window_at(as_of_ms))],
    )
    snapshot = replace(
        ranked,
        targets=everybody.targets,
        reference_problems=everybody.reference_problems,
        left_out=(*everybody.left_out, *ranked.left_out),
    )
    told = Told(
        snapshot,
        tuple(standing_of(board, snapshot) for board in boards),
        tuple(contest_standing(contest, snapshot) for contest in contests),
        wanted=wanted,
        edges=PaneEdges(image.resolutions, config.calendar),
        commissions=RewardTaker(config, RewardRules(plans=tuple(plans))).commissions(image, as_of_ms),
    )
    if wanted.windows is not None or wanted.kpis is not None:
        return told
    return replace(
        told,
        conversion=_conversion(image, as_of_ms, config, rules.funnels),
        own_funnels={funnel.name: funnel.kpi for funnel in rules.funnels},
    )


def _wants_plan(plan: Plan, wants: Callable[[str, str], bool]) -> bool:
    return any(wants("rep", version.kpi) for version in plan.versions)


def _conversion(
    image: PaneImage, as_of_ms: int, config: SnapshotConfig, own: Sequence[Funnel]
) -> ConversionReport:
    places = Places(image.cells, Roster(image.references, config.calendar))
    return count_conversions(
        places, image.log, image.resolutions, as_of_ms, config.calendar,
        (*built_in_funnels(config.catalogue), *own), teams_max=_ALL_TEAMS,
    )  # fmt: skip
