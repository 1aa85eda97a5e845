"""Snapshots in, JSON answers out, each rendered once per tick however many ask. Knows no HTTP."""

import asyncio
import json
from dataclasses import replace
from typing import Protocol

from metrics.kpi import LEVELS, Catalogue, Kpi
from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.snapshot import Filters, PaneImage, SnapshotConfig
from metrics.targets import FIGURES, FigureKind

# More different questions than this within one tick are somebody trying things out; they are not kept.
_KEPT_MAX = 32


class NoSnapshot(Exception):
    """There is no number yet; the message says what is being waited for."""


class _Source(Protocol):
    @property
    def config(self) -> SnapshotConfig: ...
    def image(self) -> PaneImage: ...
    def at_image(self, image: PaneImage, as_of_ms: int, filters: Filters = ...) -> KpiSnapshot: ...
    def not_ready(self) -> str: ...


class SnapshotAnswers:
    """Answers questions about the present and the past, one at a time in a thread of their own."""

    def __init__(self) -> None:
        # One answer may cost a second of a core; a second one waits, and the ticks keep the other core.
        self._one_at_a_time = asyncio.Lock()
        self._of: KpiSnapshot | None = None
        self._kept: dict[tuple[Filters, str], bytes] = {}

    async def now(self, source: _Source, current: KpiSnapshot, filters: Filters) -> bytes:
        """Answer from the newest tick; what its gauges leave out is computed for the same instant."""
        not_ready = source.not_ready()
        async with self._one_at_a_time:
            if self._of is not current:
                self._of, self._kept = current, {}
            found = self._kept.get((filters, not_ready))
            if found is None:
                shown = _shown(source.config, filters)
                image = None if shown else source.image()
                found = await asyncio.to_thread(_render_now, source, current, image, filters, not_ready)
                if len(self._kept) < _KEPT_MAX:
                    self._kept[filters, not_ready] = found
            return found

    async def then(self, source: _Source, at_ms: int, filters: Filters) -> bytes:
        """Answer about an instant from what is read now; while not all of it is, the answer says so."""
        image, not_ready = source.image(), source.not_ready()
        async with self._one_at_a_time:
            return await asyncio.to_thread(_render_then, source, image, at_ms, filters, not_ready)

    async def targets(self, source: _Source, current: KpiSnapshot, filters: Filters) -> bytes:
        """Answer from the newest tick: every snapshot holds all running targets."""
        answer = {**_with_targets_of(current, filters).targets_json_obj(), "not_ready": source.not_ready()}
        return await asyncio.to_thread(_dumped, answer)

    async def targets_then(self, source: _Source, at_ms: int, filters: Filters) -> bytes:
        image, not_ready = source.image(), source.not_ready()
        async with self._one_at_a_time:
            return await asyncio.to_thread(_render_targets_then, source, image, at_ms, filters, not_ready)


def _shown(config: SnapshotConfig, filters: Filters) -> bool:
    return set(filters.levels or ()) <= set(config.levels) and set(filters.windows or ()) <= set(
        config.windows
    )


def _render_now(
    source: _Source, current: KpiSnapshot, image: PaneImage | None, filters: Filters, not_ready: str
) -> bytes:
    taken = current if image is None else source.at_image(image, current.as_of_ms, filters)
    return _dumped({**_cut(taken, filters), "not_ready": not_ready})


def _render_then(source: _Source, image: PaneImage, at_ms: int, filters: Filters, not_ready: str) -> bytes:
    answer = source.at_image(image, at_ms, filters).to_json_obj()
    return _dumped({**answer, "not_ready": not_ready})


def _render_targets_then(
    source: _Source, image: PaneImage, at_ms: int, filters: Filters, not_ready: str
) -> bytes:
    answer = source.at_image(image, at_ms, replace(filters, windows=())).targets_json_obj()
    return _dumped({**answer, "not_ready": not_ready})


def _with_targets_of(snapshot: KpiSnapshot, filters: Filters) -> KpiSnapshot:
    wanted = tuple(standing for standing in snapshot.targets if filters.wants(standing.target.record))
    return replace(snapshot, targets=wanted)


def _dumped(answer: dict[str, JsonValue]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def _cut(snapshot: KpiSnapshot, filters: Filters) -> dict[str, JsonValue]:
    """Return the snapshot's JSON with only what was asked for."""
    series = tuple(
        series
        for series in snapshot.series
        if (filters.levels is None or series.level in filters.levels)
        and (filters.kpis is None or series.kpi.name in filters.kpis)
    )
    answer = replace(_with_targets_of(snapshot, filters), series=series).to_json_obj()
    values = answer["values"]
    if filters.windows is not None and isinstance(values, list):
        wanted = {*filters.windows, None}
        answer["values"] = [
            value for value in values if isinstance(value, dict) and value.get("window") in wanted
        ]
    return answer


def described(catalogue: Catalogue) -> list[dict[str, JsonValue]]:
    """Return everything that can be asked for: the KPIs, then the figures of targets."""
    return [*map(describe, catalogue), *map(describe_figure, FIGURES)]


def describe(kpi: Kpi) -> dict[str, JsonValue]:
    """Return one entry of the catalogue as programs read it."""
    return {
        "name": kpi.name,
        "sentence": kpi.sentence,
        "formula": kpi.formula,
        "unit": kpi.unit.value,
        "levels": list(kpi.levels),
        "quantiles": list(kpi.quantiles),
        "gauges": [kpi.gauge_name(level) for level in kpi.levels],
    }


def describe_figure(figure: FigureKind) -> dict[str, JsonValue]:
    """The same for a figure of targets, which stands at every level a target is set for."""
    return {
        "name": figure.name,
        "sentence": figure.sentence,
        "formula": figure.formula,
        "unit": figure.unit.value if figure.unit else "as the KPI",
        "levels": list(LEVELS),
        "quantiles": [],
        "gauges": [figure.gauge_name(level) for level in LEVELS],
    }
