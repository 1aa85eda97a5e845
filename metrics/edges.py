"""Windows and pane widths in, windows that cut no pane and the reasons for the others out. Sums nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from metrics.calendar import Calendar, rfc3339
from metrics.panes import UNBOUNDED_PAST_MS, Resolution, edge_is_exact, pane_start_ms
from metrics.windows import Window, windows_at

# Each pass moves the edge into a coarser width or ends; there are five widths.
_PASSES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`window` None stands for the levels (what is open now); `previous_only` keeps the window itself."""

    window: str | None
    reason: str
    previous_only: bool = False


@dataclass(frozen=True, slots=True)
class ShownWindow:
    window: Window
    has_previous: bool = True


@dataclass(frozen=True, slots=True)
class WindowPlan:
    shown: tuple[ShownWindow, ...]
    left_out: tuple[LeftOut, ...]
    levels_shown: bool = True


class PaneEdges:
    """What all slots together say about an instant as an edge."""

    def __init__(self, resolutions: Sequence[Resolution], calendar: Calendar) -> None:
        self._resolutions = tuple(dict.fromkeys(resolutions))
        self._day_start = calendar.day_start_ms
        # Each slot forgets for itself; a window is whole only where no slot has begun to forget.
        self.kept_since_ms = max((r.since_ms[-1] for r in self._resolutions), default=UNBOUNDED_PAST_MS)

    def refusal(self, edge_ms: int) -> str | None:
        """Return why the instant cannot be an edge; None if it can."""
        if edge_ms < self.kept_since_ms:
            return f"{rfc3339(edge_ms)} lies before {rfc3339(self.kept_since_ms)}, where the kept panes begin"
        for resolution in self._resolutions:
            if not edge_is_exact(edge_ms, resolution, day_start=self._day_start):
                start_ms = self._pane_start_ms(edge_ms, resolution)
                return f"{rfc3339(edge_ms)} lies inside the coarser pane that begins {rfc3339(start_ms)}"
        return None

    def aligned_ms(self, edge_ms: int) -> int:
        """Return the last instant at or before the edge that cuts no pane of any slot."""
        for _ in range(_PASSES_MAX):
            aligned_ms = min((self._pane_start_ms(edge_ms, r) for r in self._resolutions), default=edge_ms)
            if aligned_ms == edge_ms:
                break
            edge_ms = aligned_ms
        return edge_ms

    def _pane_start_ms(self, edge_ms: int, resolution: Resolution) -> int:
        return pane_start_ms(edge_ms, tier=resolution.tier_at(edge_ms), day_start=self._day_start)


def plan_windows(
    as_of_ms: int,
    calendar: Calendar,
    names: Iterable[str],
    resolutions: Sequence[Resolution],
    *,
    strict: bool,
    extra: Iterable[Window] = (),
) -> WindowPlan:
    """Return the windows to show: `strict` leaves out what is not exact, else edges move to a pane's.

    `extra` are windows beside the named ones; they too end at the instant or before it.
    """
    edges = PaneEdges(resolutions, calendar)
    windows = (*windows_at(as_of_ms, calendar, names), *extra)
    if not strict:
        return WindowPlan(tuple(ShownWindow(_aligned(window, edges)) for window in windows), ())
    refusal = edges.refusal(as_of_ms)
    if refusal:
        everything = [LeftOut(window.name, f"its end {refusal}") for window in windows]
        return WindowPlan((), (*everything, LeftOut(None, f"the instant {refusal}")), levels_shown=False)
    return _strict(windows, edges)


def _aligned(window: Window, edges: PaneEdges) -> Window:
    return replace(
        window,
        start_ms=edges.aligned_ms(window.start_ms),
        previous_start_ms=edges.aligned_ms(window.previous_start_ms),
        previous_end_ms=edges.aligned_ms(window.previous_end_ms),
    )


def _strict(windows: Iterable[Window], edges: PaneEdges) -> WindowPlan:
    shown: list[ShownWindow] = []
    left_out: list[LeftOut] = []
    for window in windows:
        refusal = edges.refusal(window.start_ms)
        if refusal:
            left_out.append(LeftOut(window.name, f"its start {refusal}"))
            continue
        refusal = edges.refusal(window.previous_start_ms) or edges.refusal(window.previous_end_ms)
        if refusal:
            reason = f"an edge of its previous twin {refusal}"
            left_out.append(LeftOut(window.name, reason, previous_only=True))
        shown.append(ShownWindow(window, has_previous=refusal is None))
    return WindowPlan(tuple(shown), tuple(left_out))
