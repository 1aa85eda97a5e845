"""The newest snapshot's gauges in, ready-made scrapes out: what is asked for, ahead of the next asking.

A format that a scraper asked for lately is rendered with every tick, so that a scrape costs a copy.
A format nobody asks for costs nothing; its first scrape waits for its own rendering.
"""

import gzip
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from metrics.exposition import (
    CONTENT_TYPE_OPENMETRICS,
    CONTENT_TYPE_TEXT,
    LabelText,
    family_lines,
    kpi_lines,
    scrape,
)
from metrics.gauges import Gauge
from metrics.kpi_snapshot import KpiSnapshot
from metrics.panes import FeedState
from metrics.self_metrics import build_info, feed_families, snapshot_families

# Label text is so repetitive that higher levels take three times the time for little.
_GZIP_LEVEL: Final = 1

# Renderings a format is kept up without being asked for: at one a second, two scrapes a minute apart.
_UNASKED_MAX: Final = 120


class Rendered:
    """The bytes of one scrape; compressed when first asked for."""

    def __init__(self, content_type: str, body: bytes) -> None:
        self.content_type = content_type
        self.body = body
        self._gzipped: bytes | None = None

    @property
    def gzipped(self) -> bytes:
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.body, _GZIP_LEVEL, mtime=0)
        return self._gzipped

    @property
    def was_gzipped(self) -> bool:
        return self._gzipped is not None


@dataclass(frozen=True)
class _Shown:
    snapshot: KpiSnapshot
    gauges: Callable[[], Sequence[Gauge]]


@dataclass
class _Format:
    rendered: Rendered
    shown: _Shown
    unasked: int = 0


class Scrapes:
    """Used from two threads: ticks render ahead, the event loop answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._label_text = LabelText()
        self._shown: _Shown | None = None
        self._formats: dict[bool, _Format] = {}

    def show(self, snapshot: KpiSnapshot, gauges: Callable[[], Sequence[Gauge]]) -> None:
        """Take over a snapshot; its gauges are made when they are rendered, by one thread at a time."""
        self._shown = _Shown(snapshot, gauges)

    def render_ahead(self) -> None:
        """Render the newest snapshot in every format that was asked for lately."""
        shown = self._shown
        for openmetrics, kept in tuple(self._formats.items()):
            if shown is None or kept.shown is shown:
                continue
            if kept.unasked >= _UNASKED_MAX:
                self._formats.pop(openmetrics, None)
                continue
            rendered = self._render(shown, openmetrics=openmetrics)
            if kept.rendered.was_gzipped:
                rendered.gzipped  # noqa: B018  compressed here, so that the scraper need not wait
            self._formats[openmetrics] = _Format(rendered, shown, kept.unasked + 1)

    def answer(self, state: Callable[[], FeedState], *, openmetrics: bool) -> Rendered:
        """Return the newest rendering; without any snapshot, what `state` says of the pipeline."""
        kept = self._formats.get(openmetrics)
        if kept is None:
            shown = self._shown
            if shown is None:
                own = _own_lines(state(), None, openmetrics=openmetrics)
                return _rendered(b"", own, openmetrics=openmetrics)
            kept = self._formats[openmetrics] = _Format(self._render(shown, openmetrics=openmetrics), shown)
        kept.unasked = 0
        return kept.rendered

    def _render(self, shown: _Shown, *, openmetrics: bool) -> Rendered:
        with self._lock:
            kpis = kpi_lines(shown.gauges(), self._label_text, openmetrics=openmetrics)
        own = _own_lines(shown.snapshot.state, shown.snapshot, openmetrics=openmetrics)
        return _rendered(kpis, own, openmetrics=openmetrics)


def _own_lines(state: FeedState, snapshot: KpiSnapshot | None, *, openmetrics: bool) -> bytes:
    families = [*(snapshot_families(snapshot) if snapshot else ()), *feed_families(state), build_info()]
    return family_lines(families, openmetrics=openmetrics)


def _rendered(kpis: bytes, own: bytes, *, openmetrics: bool) -> Rendered:
    content_type = CONTENT_TYPE_OPENMETRICS if openmetrics else CONTENT_TYPE_TEXT
    return Rendered(content_type, scrape(kpis, own, openmetrics=openmetrics))
