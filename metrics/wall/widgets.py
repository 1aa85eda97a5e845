"""One board's widgets and the newest numbers in, what the page draws out, as plain JSON. Pure.

The page formats everything by its language: no text is made here but names that people gave.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.beside import BesideReport
from metrics.contest import ContestStanding
from metrics.contest import Stage as ContestStage
from metrics.conversion import Z_SLOW, rate, wilson
from metrics.kpi_snapshot import JsonValue
from metrics.labels import label_value
from metrics.reference import Stage
from metrics.wall.boards import (
    Board,
    ContestWidget,
    ConversionWidget,
    FeedWidget,
    FunnelWidget,
    KpiWidget,
    PipelineWidget,
    RankingWidget,
    Widget,
)
from metrics.wall.feed import FeedItem, chosen
from metrics.wall.numbers import Ask, Json, Numbers
from metrics.wall.pace import target_of, target_part
from metrics.wall.ranking import contest_rows, ranking_rows
from metrics.wall.trend import TrendKey, Trends

PIPELINE_KPIS = ("open_deals", "pipeline_value")


@dataclass(frozen=True)
class Material:
    """Everything a board is built from, of one instant."""

    numbers: Numbers
    beside: BesideReport
    trends: Trends
    feed: Sequence[FeedItem]
    stages: Sequence[Stage]
    stage_probability: Mapping[str, float]


def asks_of(board: Board) -> Iterable[Ask]:
    """Yield the numbers that the board's widgets look up."""
    if board.team:
        yield Ask("revenue", "rep", "today")  # says who is in the team
    for widget in board.widgets:
        match widget:
            case KpiWidget():
                yield Ask(widget.kpi, widget.level, widget.window)
            case FunnelWidget():
                yield from (Ask(kpi, widget.level, widget.window) for kpi in widget.kpis)
            case RankingWidget(ranked) if ranked.by != "target":
                yield Ask(ranked.kpi, ranked.level, ranked.window)
            case PipelineWidget():
                yield from (Ask(kpi, "stage", None) for kpi in PIPELINE_KPIS)


def trend_keys_of(board: Board) -> Iterable[TrendKey]:
    for widget in board.widgets:
        if isinstance(widget, KpiWidget):
            yield TrendKey(widget.kpi, widget.window, widget.level, widget.key, widget.quantile)


def build_widgets(board: Board, material: Material) -> list[Json]:
    """Return the board's widgets in their order; ids stay the same from one tick to the next."""
    built: list[Json] = []
    for number, widget in enumerate(board.widgets):
        head: Json = {
            "id": f"{board.name}-{number}",
            "kind": kind_of(widget),
            "title_key": title_key_of(widget),
        }
        if widget.title:
            head["title"] = widget.title
        built.append(head | _BUILDERS[type(widget)](widget, board, material))
    return built


def kind_of(widget: Widget) -> str:
    match widget:
        case RankingWidget(ranked):
            return "most_improved" if ranked.by == "gain" else "leaderboard"
        case _:
            return type(widget).__name__.removesuffix("Widget").lower()


def title_key_of(widget: Widget) -> str:
    """Return the key of the page's own text: of a number, the number's name."""
    match widget:
        case KpiWidget():
            return f"kpi.{widget.kpi}"
        case RankingWidget(ranked) if ranked.by != "gain":
            return f"kpi.{ranked.kpi}"
        case _:
            return f"widget.{kind_of(widget)}"


def _kpi(widget: KpiWidget, _board: Board, material: Material) -> Json:
    numbers = material.numbers
    kpi = numbers.catalogue[widget.kpi]
    label = label_value(widget.key) if widget.key else ""
    value, previous = numbers.pair(Ask(widget.kpi, widget.level, widget.window), label, widget.quantile)
    found: Json = {
        "label": kpi.name,
        "kpi": kpi.name,
        "window": widget.window,
        "level": widget.level,
        "key": label,
        **numbers.unit(kpi),
        "better": widget.better,
        "value": numbers.wire(value, kpi),
        "previous": numbers.wire(previous, kpi),
    }
    if widget.quantile is not None:
        found["quantile"] = widget.quantile
    if value is None:
        found["why_null"] = "no_data"
    standing = target_of(numbers.snapshot, widget.kpi, widget.level, label, widget.window)
    found |= target_part(standing, kpi, numbers)
    key = TrendKey(widget.kpi, widget.window, widget.level, widget.key, widget.quantile)
    line = [numbers.wire(each, kpi) for each in material.trends.line(key)]
    # The line ends where the number stands now, however old its last point is.
    found["trend"] = [*line, numbers.wire(value, kpi)] if line else None
    return found


def _ranking(widget: RankingWidget, board: Board, material: Material) -> Json:
    numbers, ranked = material.numbers, widget.board
    kpi = numbers.catalogue[ranked.kpi]
    return {
        "label": kpi.name,
        "kpi": kpi.name,
        "window": ranked.window,
        "level": ranked.level,
        "by": ranked.by,
        **numbers.unit(kpi),
        "rows": ranking_rows(ranked, numbers, board.team),
    }


def _pipeline(_widget: PipelineWidget, _board: Board, material: Material) -> Json:
    numbers = material.numbers
    holder = numbers.holder(Ask("open_deals", "stage", None))
    keys = holder.keys.get("stage")
    order = {label_value(stage.stage): stage.order or 0 for stage in reversed(material.stages)}
    chance = {label_value(stage): share for stage, share in material.stage_probability.items()}
    value = numbers.catalogue["pipeline_value"]
    stages: list[Json] = []
    for label in () if keys is None else keys.labels:
        count = numbers.pair(Ask("open_deals", "stage", None), label).value
        amount = numbers.pair(Ask("pipeline_value", "stage", None), label).value
        if count:
            stages.append(
                {
                    "stage": label,
                    "name": label,
                    "count": int(count),
                    "amount_minor": numbers.wire(amount, value) or 0,
                    "probability": chance.get(label),
                }
            )
    # Stages that no record puts in order come last, by name.
    stages.sort(key=lambda each: (order.get(str(each["stage"]), 1 << 30), str(each["stage"])))
    return {**numbers.unit(value), "stages": [*stages]}


def _funnel(widget: FunnelWidget, _board: Board, material: Material) -> Json:
    numbers, label = material.numbers, label_value(widget.key) if widget.key else ""
    steps: list[JsonValue] = []
    before: float | None = None
    for name in widget.kpis:
        kpi = numbers.catalogue[name]
        value = numbers.pair(Ask(name, widget.level, widget.window), label).value
        share = value / before if value is not None and before else None
        steps.append({"label": name, "value": numbers.wire(value, kpi), "share_of_previous": share})
        before = value
    return {"window": widget.window, "level": widget.level, "key": label, "steps": steps}


def _feed(widget: FeedWidget, board: Board, material: Material) -> Json:
    members = _members(board, material.numbers)
    items = [
        item
        for item in material.feed
        if item.kind in widget.kinds and (members is None or item.rep in members)
    ]
    return {"items": [item.wire() for item in chosen(items, widget.top)]}


def _members(board: Board, numbers: Numbers) -> set[str] | None:
    if not board.team:
        return None
    team = label_value(board.team)
    return {rep for rep, its_team in numbers.teams_of_reps().items() if its_team == team}


def _contest(widget: ContestWidget, _board: Board, material: Material) -> Json:
    numbers = material.numbers
    for standing in material.beside.rewards.contests:
        contest = standing.contest
        if contest.name == widget.contest:
            kpi = numbers.catalogue[contest.kpi]
            return {
                "name": contest.name,
                "prize": contest.prize,
                "label": kpi.name,
                "kpi": kpi.name,
                "level": contest.level,
                **numbers.unit(kpi),
                "starts_ms": contest.start_ms,
                "ends_ms": contest.end_ms,
                "state": _state(standing),
                "rows": contest_rows(standing, numbers),
            }
    return {"name": widget.contest, "prize": "", "state": "upcoming", "rows": []}


def _state(standing: ContestStanding) -> str:
    # What is due but not written down yet may still move: it is not final before it is kept.
    due = standing.stage is ContestStage.FINAL and not standing.final
    return (ContestStage.SETTLING if due else standing.stage).value


def _conversion(widget: ConversionWidget, _board: Board, material: Material) -> Json:
    report = material.beside.conversion
    found: Json = {"funnel": widget.funnel, "team": widget.team or None, "window": widget.window}
    figures = dict.fromkeys(("rate", "lower", "upper", "baseline", "trials", "successes"))
    teams = ("", *report.teams)
    team = label_value(widget.team) if widget.team else ""
    for counts in report.counts:
        if (counts.funnel, counts.window) == (widget.funnel, widget.window) and team in teams:
            at = teams.index(team)
            x, n = int(counts.successes[at]), int(counts.trials[at])
            lower, upper = wilson(x, n, Z_SLOW)
            base = rate(counts.base_successes[at], counts.base_trials[at])
            return found | {
                "rate": _float(rate(x, n)),
                "lower": _float(lower),
                "upper": _float(upper),
                "baseline": _float(base),
                "trials": n,
                "successes": x,
            }
    return found | figures


def _float(value: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float | None:
    number = float(value)
    return number if number == number else None


_BUILDERS: Mapping[type, Callable[..., Json]] = {
    KpiWidget: _kpi,
    RankingWidget: _ranking,
    PipelineWidget: _pipeline,
    FunnelWidget: _funnel,
    FeedWidget: _feed,
    ContestWidget: _contest,
    ConversionWidget: _conversion,
}
