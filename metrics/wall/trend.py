"""The panes and a KPI's window in, how the KPI stood at earlier instants out: the line beside a number.

Every point is computed from the panes as they are now, so that corrections move past points too and a
restart changes nothing. Points stand at marks of the local clock: between two there is little to do.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from metrics.calendar import Calendar
from metrics.kpi import Catalogue, Kpi
from metrics.kpi_snapshot import KpiSnapshot
from metrics.labels import label_value
from metrics.snapshot import Filters, PaneImage, SnapshotConfig, Snapshotter
from metrics.windows import Window, windows_at

POINTS_MAX: Final = 60
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_REFRESH_MS: Final = 60_000
"""A correction of the past is seen on a line so late at most."""
_REFRESH_LOADING_MS, _LOADING_SHARE = 5_000, 0.01
"""While history pours in, which is seen by the panes' growth, lines follow sooner."""
_ROWS_AT_ONCE: Final = 200_000
"""With more rows than this, one line family is computed per tick, so that no tick waits for all of them."""

_ROLLING: Final = {
    "5m": (_MINUTE_MS, 59), "1h": (5 * _MINUTE_MS, 48), "24h": (_HOUR_MS, 48), "1bd": (_HOUR_MS, 48),
    "7d": (6 * _HOUR_MS, 56), "5bd": (6 * _HOUR_MS, 56), "30d": (24 * _HOUR_MS, 45),
    "90d": (24 * _HOUR_MS, 59),
}  # fmt: skip
"""Window -> the time between two points, and how many of them."""
_TO_DATE: Final = {
    "today": _HOUR_MS // 2, "wtd": 3 * _HOUR_MS, "mtd": 24 * _HOUR_MS, "qtd": 48 * _HOUR_MS,
    "ytd": 168 * _HOUR_MS,
}  # fmt: skip
"""Window -> the time between two points; the first is where the period begins."""
_OPEN_NOW: Final = (24 * _HOUR_MS, 30)


class TrendKey(NamedTuple):
    """Whose line it is: of a KPI, over a window or (None) of what is open."""

    kpi: str
    window: str | None
    level: str = "floor"
    key: str = ""
    quantile: float | None = None


def marks_of(window: str | None, as_of_ms: int, calendar: Calendar) -> tuple[int, ...]:
    """Return the instants before `as_of_ms` that a window's line has points at, oldest first."""
    today = calendar.date_of(as_of_ms)
    if window in _TO_DATE:
        [whole] = windows_at(as_of_ms, calendar, (window,))
        first, step_ms, count = calendar.date_of(whole.start_ms), _TO_DATE[window], POINTS_MAX - 1
    else:
        step_ms, count = _OPEN_NOW if window is None else _ROLLING[window]
        first = today - timedelta(days=count * step_ms // (24 * _HOUR_MS) + 1)
    return tuple(_marks(first, today, step_ms, as_of_ms, calendar))[-count:]


def _marks(first: date, last: date, step_ms: int, before_ms: int, calendar: Calendar) -> Iterator[int]:
    """Yield every instant that lies a number of steps after a local midnight, or every so many midnights."""
    days = max(1, step_ms // (24 * _HOUR_MS))
    day = first
    while day <= last:
        at_ms, next_ms = calendar.instant_ms(day), calendar.instant_ms(day + timedelta(days=1))
        while at_ms < min(next_ms, before_ms):
            yield at_ms
            at_ms += step_ms
        day += timedelta(days=days)


class _OverWindows(Catalogue):
    """The same KPIs, but what is open is told at the end of every window, not only now."""

    def is_level(self, kpi: Kpi) -> bool:
        return False


@dataclass
class _Family:
    """All lines of one level and window: they are computed together."""

    marks: tuple[int, ...]
    taken_ms: int
    rows: int
    keys: frozenset[TrendKey]


class Trends:
    """Keeps as many lines as there are widgets with one, each at most `POINTS_MAX` points long."""

    def __init__(self, config: SnapshotConfig) -> None:
        self._calendar = config.calendar
        catalogue = _OverWindows(config.catalogue.kpis)
        self._snapshotter = Snapshotter(replace(config.for_named(), catalogue=catalogue))
        self._families: dict[tuple[str, str | None], _Family] = {}
        self._lines: dict[TrendKey, list[float | None]] = {}

    def line(self, key: TrendKey) -> Sequence[float | None]:
        """Return the points at the marks before now, oldest first; empty while they are not computed yet."""
        return self._lines.get(key, ())

    def refresh(self, image: PaneImage, as_of_ms: int, keys: Iterable[TrendKey]) -> None:
        """Bring the lines up to date, those of other keys are forgotten."""
        wanted = sorted(set(keys), key=lambda key: (key.level, key.window or "", *map(str, key)))
        self._lines = {key: self._lines[key] for key in wanted if key in self._lines}
        families = {
            family: frozenset(own) for family, own in groupby(wanted, lambda key: (key.level, key.window))
        }
        self._families = {name: kept for name, kept in self._families.items() if name in families}
        at_once = len(families) if len(image.log.value) < _ROWS_AT_ONCE else 1
        for (level, window), own in families.items():
            if at_once and self._refresh(image, as_of_ms, level, window, own):
                at_once -= 1

    def _refresh(
        self, image: PaneImage, as_of_ms: int, level: str, window: str | None, keys: frozenset[TrendKey]
    ) -> bool:
        """Compute one family if it is due; say whether it was."""
        marks, rows = marks_of(window, as_of_ms, self._calendar), len(image.log.value)
        kept = self._families.get((level, window))
        if kept is not None and kept.keys == keys and kept.marks == marks:
            loading = abs(rows - kept.rows) > _LOADING_SHARE * rows
            if 0 <= as_of_ms - kept.taken_ms < (_REFRESH_LOADING_MS if loading else _REFRESH_MS):
                return False
        self._families[level, window] = _Family(marks, as_of_ms, rows, keys)
        spans = [_ending_at(mark, window, self._calendar) for mark in marks]
        filters = Filters(
            levels=(level,),
            kpis=tuple(sorted({key.kpi for key in keys})),
            windows=(),
            keys=frozenset((level, label_value(key.key)) for key in keys),
        )
        taken = self._snapshotter.take_kpis(image, as_of_ms, filters=filters, extra_windows=spans)
        for key in keys:
            self._lines[key] = _line(taken, key)
        return True


def _ending_at(mark_ms: int, window: str | None, calendar: Calendar) -> Window:
    start_ms = mark_ms
    if window is not None:
        start_ms = windows_at(mark_ms, calendar, (window,))[0].start_ms
    return Window(f"at:{mark_ms}", start_ms, mark_ms, start_ms, start_ms)


def _line(taken: KpiSnapshot, key: TrendKey) -> list[float | None]:
    for series in taken.series:
        if (series.kpi.name, series.quantile) == (key.kpi, key.quantile):
            labels = taken.keys[key.level].labels
            label = "" if key.level == "floor" else label_value(key.key)
            column = 0 if key.level == "floor" else labels.index(label) if label in labels else None
            if column is not None and labels:
                return [value if value == value else None for value in series.values[:, column].tolist()]
    return []
