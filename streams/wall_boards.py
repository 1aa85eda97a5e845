"""`[wall]` and `[[boards]]` in, the `WallRules` that metrics is given out; good boards where none is set.

Raises ValueError for a name that does not exist, with one line that names the board, the widget and the fix.
"""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from metrics.business_hours import BusinessHours, minute_of
from metrics.conversion_counts import FUNNEL_KPIS, LEAD_CONVERSION
from metrics.conversion_windows import ALERT_WINDOWS
from metrics.kpi import Catalogue, Kpi
from metrics.leaderboard import PERIOD_FORMS, Leaderboard, RankedBy
from metrics.wall.better import better_of
from metrics.wall.boards import (
    FEED_ITEMS_MAX,
    FEED_KINDS_SHOWN,
    PICTURES,
    ROWS_MAX,
    Better,
    Board,
    ContestWidget,
    ConversionWidget,
    FeedWidget,
    FunnelWidget,
    KpiWidget,
    PipelineWidget,
    RankingWidget,
    WallRules,
    Widget,
    WinRules,
)
from streams.settings_kpis import KpiSettings, catalogue_with
from streams.settings_rewards import ContestSettings, FunnelSettings, LeaderboardSettings
from streams.settings_wall import BoardSettings, WallSettings, WidgetSettings

PICTURE_TYPES: Final = (".jpg", ".jpeg", ".png", ".webp")
_MS: Final = 1000


class Around(NamedTuple):
    """What boards may speak of."""

    catalogue: Catalogue
    leaderboards: Sequence[Leaderboard] = ()
    contests: Sequence[str] = ()
    funnels: Sequence[str] = ()


def around_of(
    kpis: Sequence[KpiSettings],
    boards: Sequence[LeaderboardSettings],
    contests: Sequence[ContestSettings],
    funnels: Sequence[FunnelSettings],
) -> Around:
    return Around(
        catalogue_with(kpis),
        [board.as_board() for board in boards],
        [contest.name for contest in contests],
        [funnel.name for funnel in funnels],
    )


def wall_rules(
    wall: WallSettings, boards: Sequence[BoardSettings], around: Around, hours: BusinessHours | None = None
) -> WallRules:
    files = [] if wall.pictures_dir is None else list(_pictures_in(wall.pictures_dir))
    quiet = tuple(minute_of(text) for text in wall.quiet_hours)
    return WallRules(
        boards=boards_of(boards, around) if boards else default_boards(around),
        language=wall.language,
        theme=wall.theme,
        wins=WinRules(
            seconds=wall.celebration_seconds,
            sound=wall.sound,
            fresh_ms=wall.celebrate_within_seconds * _MS,
            quiet=(quiet[0], quiet[1]) if quiet else None,
        ),
        stale_after_ms=wall.stale_after_seconds * _MS,
        hours=hours,
        screens_max=wall.screens_max,
        embed_in=wall.embed_in,
        pictures={rep: PICTURES + name for rep, name, _ in files} | wall.pictures,
        picture_files={name: path for _, name, path in files},
    )


def _pictures_in(directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield rep, the name it is served under, and the file. Another content has another name."""
    for path in sorted(directory.expanduser().iterdir()):
        if path.suffix.lower() in PICTURE_TYPES and path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.stem, f"{digest[:32]}{path.suffix.lower()}", path


# --- boards of the settings


def boards_of(boards: Iterable[BoardSettings], around: Around) -> tuple[Board, ...]:
    found: dict[str, Board] = {}
    for board in boards:
        if board.name in found:
            raise ValueError(f"{board.name!r} is there twice; rename one")
        widgets = []
        for number, widget in enumerate(board.widgets, 1):
            try:
                widgets.append(_widget(widget, board, around))
            except ValueError as error:
                raise ValueError(f"{board.name!r}, widget {number} ({widget.kind}): {error}") from None
        found[board.name] = Board(
            board.name, tuple(widgets), board.title, board.seconds, board.since, board.until, board.team
        )
    return tuple(found.values())


def _widget(widget: WidgetSettings, board: BoardSettings, around: Around) -> Widget:
    match widget.kind:
        case "kpi":
            return _kpi_widget(widget, board, around.catalogue)
        case "leaderboard" | "most_improved":
            return RankingWidget(_ranking(widget, board, around), widget.title)
        case "pipeline":
            if board.team:
                raise ValueError("open deals by stage are known of the floor only; a team's board has none")
            return PipelineWidget(widget.title)
        case "funnel":
            return _funnel_widget(widget, board, around.catalogue)
        case "feed":
            kinds = widget.events or FEED_KINDS_SHOWN
            return FeedWidget(kinds, min(widget.top or FEED_ITEMS_MAX, FEED_ITEMS_MAX), widget.title)
        case "contest":
            _known("contest", widget.name, around.contests, "[[contests]] has none of that name")
            return ContestWidget(widget.name, widget.title)
        case "conversion":
            return _conversion_widget(widget, board, around)


def _kpi_widget(widget: WidgetSettings, board: BoardSettings, catalogue: Catalogue) -> KpiWidget:
    level, key = _whose(widget, board)
    kpi = _kpi(widget.kpi, level, widget.quantile, catalogue)
    window = None if catalogue.is_level(kpi) else widget.window or "mtd"
    return KpiWidget(kpi.name, window, level, key, widget.quantile, _better(widget, kpi), widget.title)


def _funnel_widget(widget: WidgetSettings, board: BoardSettings, catalogue: Catalogue) -> FunnelWidget:
    level, key = _whose(widget, board)
    for name in widget.kpis:
        kpi = _kpi(name, level, None, catalogue)
        if catalogue.is_level(kpi):
            raise ValueError(f"{name} tells what is now; choose KPIs that count over time")
    return FunnelWidget(widget.kpis, widget.window or "mtd", level, key, widget.title)


def _conversion_widget(widget: WidgetSettings, board: BoardSettings, around: Around) -> ConversionWidget:
    funnels = (*FUNNEL_KPIS, LEAD_CONVERSION, *around.funnels)
    _known("funnel", widget.funnel, funnels, "")
    window = widget.window or "5bd"
    if window not in ALERT_WINDOWS:
        raise ValueError(f"window = {window!r} is not counted for funnels; use {' or '.join(ALERT_WINDOWS)}")
    return ConversionWidget(widget.funnel, widget.team or board.team, window, widget.title)


def _ranking(widget: WidgetSettings, board: BoardSettings, around: Around) -> Leaderboard:
    if widget.name:
        known = {each.name: each for each in around.leaderboards}
        _known("leaderboard", widget.name, tuple(known), "[[leaderboards]] has none of that name")
        return replace(known[widget.name], top=min(known[widget.name].top, ROWS_MAX))
    level = widget.level or "rep"
    if level not in ("team", "rep"):
        raise ValueError(f"level = {level!r} does not compete; use team or rep")
    kpi = _kpi(widget.kpi, level, widget.quantile, around.catalogue)
    window = widget.window or "mtd"
    by: RankedBy = "gain" if widget.kind == "most_improved" else widget.by or "value"
    if by == "target" and window not in PERIOD_FORMS:
        raise ValueError(f"window = {window!r} belongs to no target's period; use {', '.join(PERIOD_FORMS)}")
    if by == "gain" and around.catalogue.is_level(kpi):
        raise ValueError(f"{kpi.name} tells what is now and gains nothing; choose another KPI")
    return Leaderboard(
        name=f"{board.name}-{kpi.name}",
        kpi=kpi.name,
        window=window,
        level=level,
        by=by,
        better="lower" if _better(widget, kpi) == "down" else "higher",
        top=min(widget.top or 10, ROWS_MAX),
        quantile=widget.quantile,
    )


def _better(widget: WidgetSettings, kpi: Kpi) -> Better:
    if widget.better is None:
        return better_of(kpi.name)
    return "down" if widget.better == "lower" else "up"


def _whose(widget: WidgetSettings, board: BoardSettings) -> tuple[str, str]:
    """Return level and key; on a team's board the team's, unless the widget says whose it is."""
    level = widget.level or ("team" if board.team and not widget.key else "floor")
    key = widget.key or (board.team if level == "team" else "")
    if (level == "floor") is bool(key):
        said = f"key = {key!r} goes with a level" if key else f"level = {level!r} needs a key"
        raise ValueError(f"{said}; say which, such as level = 'team', key = 'north'")
    return level, key


def _kpi(name: str, level: str, quantile: float | None, catalogue: Catalogue) -> Kpi:
    _known("KPI", name, [kpi.name for kpi in catalogue], "`salesfloor kpis` lists them all")
    kpi = catalogue[name]
    if level not in kpi.levels:
        raise ValueError(f"{name} is not known by {level}; use {', '.join(kpi.levels)}")
    if kpi.quantiles and quantile not in kpi.quantiles:
        known = " or ".join(map(str, kpi.quantiles))
        raise ValueError(f"{name} has several quantiles; say quantile = {known}")
    if quantile is not None and not kpi.quantiles:
        raise ValueError(f"{name} has no quantiles; leave quantile out")
    return kpi


def _known(what: str, name: str, known: Sequence[str], otherwise: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=2)
    listed = otherwise or f"use one of {', '.join(known)}"
    hint = f"did you mean {' or '.join(close)}?" if close else listed
    raise ValueError(f"unknown {what} {name!r}; {hint}")


# --- boards of a floor that sets none


def default_boards(around: Around) -> tuple[Board, ...]:
    """Return what every floor wants to see: sales, pipeline, activity, and its contests if it has any."""
    ranking = around.leaderboards[0] if around.leaderboards else _by_revenue("floor-revenue", "value")
    floor = Board(
        "floor",
        (
            _tile("revenue", "mtd"),
            _tile("revenue", "today"),
            _tile("deals_won", "today"),
            _tile("win_rate", "30d"),
            _tile("pipeline_value", None),
            RankingWidget(replace(ranking, top=min(ranking.top, ROWS_MAX))),
            FeedWidget(),
        ),
        seconds=30,
    )
    pipeline = Board(
        "pipeline",
        (
            _tile("pipeline_value", None),
            _tile("weighted_pipeline", None),
            _tile("open_deals", None),
            _tile("stalled_deals", None),
            PipelineWidget(),
            FunnelWidget(("leads_created", "leads_qualified", "leads_converted"), "30d"),
            ConversionWidget("deal_win"),
        ),
    )
    activity = Board(
        "activity",
        (
            _tile("leads_created", "today"),
            _tile("lead_response_sla", "7d"),
            _tile("calls", "today"),
            _tile("demos_booked", "today"),
            _tile("meetings_held", "today"),
            RankingWidget(Leaderboard("activity-calls", "activities", "today", "rep", top=10)),
            RankingWidget(_by_revenue("activity-improved", "gain")),
        ),
    )
    return (floor, pipeline, activity, *_contest_boards(around.contests))


def _contest_boards(contests: Sequence[str]) -> Iterator[Board]:
    if contests:
        widgets = tuple(ContestWidget(name) for name in contests[:3])
        yield Board("contest", (*widgets, RankingWidget(_by_revenue("contest-teams", "value", level="team"))))


def _by_revenue(name: str, by: RankedBy, *, level: str = "rep") -> Leaderboard:
    return Leaderboard(name, "revenue", "mtd", level, by, top=10)


def _tile(kpi: str, window: str | None) -> KpiWidget:
    return KpiWidget(kpi, window, better=better_of(kpi))
