"""The newest snapshot's gauges in, the bytes of a scrape out: made for the first that asks, then copied.

A snapshot that nobody scrapes is never rendered, and a scrape shows the newest there is. On a floor so huge
that rendering takes long, scrapes grow older instead of taking more than half of a core.
"""

import gzip
import threading
import time
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
from metrics.self_metrics import feed_families, process_families, snapshot_families

# Label text is so repetitive that higher levels take three times the time for little.
_GZIP_LEVEL: Final = 1

# A rendering that took longer than this is kept as long again, though a newer snapshot is there.
_LONG_SECONDS: Final = 0.1


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


@dataclass(frozen=True)
class _Shown:
    snapshot: KpiSnapshot
    gauges: Callable[[], Sequence[Gauge]]


@dataclass(frozen=True)
class _Kept:
    rendered: Rendered
    shown: _Shown
    rests_until: float
    """As `monotonic`: before it no newer one is made."""


class Scrapes:
    """Used from several threads: ticks show, scrapes are answered."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._label_text = LabelText()
        self._shown: _Shown | None = None
        self._kept: dict[bool, _Kept] = {}

    def show(self, snapshot: KpiSnapshot, gauges: Callable[[], Sequence[Gauge]]) -> None:
        """Take over a snapshot; its gauges are made when they are rendered, by one thread at a time."""
        self._shown = _Shown(snapshot, gauges)

    def answer(self, state: FeedState, *, openmetrics: bool) -> Rendered:
        """Return the newest snapshot's rendering; without any snapshot, what `state` says of the pipeline."""
        with self._lock:
            shown, kept = self._shown, self._kept.get(openmetrics)
            if shown is None:
                return _rendered(
                    b"", _own_lines(state, None, openmetrics=openmetrics), openmetrics=openmetrics
                )
            if kept is None or (kept.shown is not shown and self._monotonic() >= kept.rests_until):
                began = self._monotonic()
                rendered = self._render(shown, openmetrics=openmetrics)
                ended = self._monotonic()
                took = ended - began
                rest = took if took > _LONG_SECONDS else 0.0
                kept = self._kept[openmetrics] = _Kept(rendered, shown, ended + rest)
            return kept.rendered

    def _render(self, shown: _Shown, *, openmetrics: bool) -> Rendered:
        kpis = kpi_lines(shown.gauges(), self._label_text, openmetrics=openmetrics)
        own = _own_lines(shown.snapshot.state, shown.snapshot, openmetrics=openmetrics)
        return _rendered(kpis, own, openmetrics=openmetrics)


def _own_lines(state: FeedState, snapshot: KpiSnapshot | None, *, openmetrics: bool) -> bytes:
    of_snapshot = snapshot_families(snapshot) if snapshot else ()
    families = [*of_snapshot, *feed_families(state), *process_families()]
    return family_lines(families, openmetrics=openmetrics)


def _rendered(kpis: bytes, own: bytes, *, openmetrics: bool) -> Rendered:
    content_type = CONTENT_TYPE_OPENMETRICS if openmetrics else CONTENT_TYPE_TEXT
    return Rendered(content_type, scrape(kpis, own, openmetrics=openmetrics))
