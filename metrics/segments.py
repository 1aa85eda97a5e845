"""Planned windows and those that formulas look at beside them in, all edges and each line's place out.

A *line* is one row of a result: a window, then each previous twin; of what is open now there is one line.
`name@90d` and `name@year_before` are lines of their own, one for each line of the windows asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.calendar import Calendar
from metrics.edges import PaneEdges, WindowPlan
from metrics.formula import YEAR_BEFORE
from metrics.sums import Index
from metrics.windows import WINDOW_NAMES, a_year_before_ms, windows_at


class Place(NamedTuple):
    """Where a formula's names are looked up: over windows or now, and what stands behind the `@`."""

    now: bool = False
    at: str = ""


OVER_WINDOWS: Final = Place()
NOW: Final = Place(now=True)


class Span(NamedTuple):
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Lines:
    """Positions among the edges; `absent` marks lines whose window the panes cannot tell."""

    starts: Index
    ends: Index
    absent: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True)
class Segments:
    edges_ms: Index
    lines: Mapping[Place, Lines]

    def first(self, place: Place) -> Span | None:
        """Return the first line's span; None where the panes cannot tell it."""
        lines = self.lines[place]
        if lines.absent[0]:
            return None
        return Span(int(self.edges_ms[lines.starts[0]]), int(self.edges_ms[lines.ends[0]]))

    @classmethod
    def of(
        cls,
        plan: WindowPlan,
        as_of_ms: int,
        *,
        elsewhen: Iterable[str],
        calendar: Calendar,
        edges: PaneEdges,
        strict: bool,
    ) -> "Segments":
        windows = [shown.window for shown in plan.shown]
        asked = [Span(w.start_ms, w.end_ms) for w in windows]
        asked += [Span(w.previous_start_ms, w.previous_end_ms) for w in windows]
        spans: dict[Place, list[Span | None]] = {OVER_WINDOWS: [*asked], NOW: [Span(as_of_ms, as_of_ms)]}
        for at in sorted(elsewhen):
            over, now = _elsewhen(at, plan, as_of_ms, asked, calendar)
            usable = [[_usable(span, edges, strict=strict) for span in each] for each in (over, now)]
            spans[Place(at=at)], spans[Place(now=True, at=at)] = usable
        instants = {time_ms for each in spans.values() for span in each if span for time_ms in span}
        edges_ms = np.array(sorted(instants | {as_of_ms}), dtype=np.int64)
        return cls(edges_ms, {place: _lines(each, edges_ms) for place, each in spans.items()})


def _elsewhen(
    at: str, plan: WindowPlan, as_of_ms: int, asked: list[Span], calendar: Calendar
) -> tuple[list[Span | None], list[Span | None]]:
    """Return the spans for the windows asked for, and for now."""
    if at != YEAR_BEFORE:
        return [_window(at, span.end_ms, calendar) for span in asked], [_window(at, as_of_ms, calendar)]
    then_ms = _year_before_ms(as_of_ms, calendar)
    if then_ms is None:
        return [None] * len(asked), [None]
    over: list[Span | None] = []
    twins: list[Span | None] = []
    for shown in plan.shown:
        window = shown.window
        if window.name in WINDOW_NAMES:
            [then] = windows_at(then_ms, calendar, (window.name,))
            over.append(Span(then.start_ms, then.end_ms))
            twins.append(Span(then.previous_start_ms, then.previous_end_ms))
        else:
            over.append(_shifted(Span(window.start_ms, window.end_ms), calendar))
            twins.append(_shifted(Span(window.previous_start_ms, window.previous_end_ms), calendar))
    return over + twins, [Span(then_ms, then_ms)]


def _window(name: str, end_ms: int, calendar: Calendar) -> Span | None:
    try:
        [window] = windows_at(end_ms, calendar, (name,))
    except ValueError:  # beyond the years a calendar knows
        return None
    return Span(window.start_ms, window.end_ms)


def _year_before_ms(time_ms: int, calendar: Calendar) -> int | None:
    try:
        then_ms = a_year_before_ms(time_ms, calendar)
        windows_at(then_ms, calendar, ())
    except ValueError:
        return None
    return then_ms


def _shifted(span: Span, calendar: Calendar) -> Span | None:
    start_ms, end_ms = (_year_before_ms(time_ms, calendar) for time_ms in span)
    return None if start_ms is None or end_ms is None else Span(start_ms, end_ms)


def _usable(span: Span | None, edges: PaneEdges, *, strict: bool) -> Span | None:
    """Return the span, at panes' edges unless that would not be exact; None where nothing is kept of it."""
    if span is None or span.start_ms < edges.kept_since_ms:
        return None
    if strict:
        return None if edges.refusal(span.start_ms) or edges.refusal(span.end_ms) else span
    return Span(edges.aligned_ms(span.start_ms), edges.aligned_ms(span.end_ms))


def _lines(spans: list[Span | None], edges_ms: Index) -> Lines:
    nothing = Span(int(edges_ms[0]), int(edges_ms[0]))
    starts, ends = zip(*(span or nothing for span in spans), strict=True) if spans else ((), ())
    return Lines(
        np.searchsorted(edges_ms, np.array(starts, dtype=np.int64)),
        np.searchsorted(edges_ms, np.array(ends, dtype=np.int64)),
        np.array([span is None for span in spans], dtype=np.bool_),
    )
