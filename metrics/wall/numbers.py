"""Snapshots in, the values a wall shows out, as they cross the wire: money in whole minor units. Pure.

What the newest snapshot does not hold (a window or level the settings leave out) comes from a second one of
the same instant.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from metrics.formula import MONEY_UNITS, KpiUnit
from metrics.kpi import Catalogue, Kpi
from metrics.kpi_snapshot import JsonValue, KpiSnapshot, Series
from metrics.money import to_minor
from metrics.snapshot import Filters, SnapshotConfig

Json = dict[str, JsonValue]


class Ask(NamedTuple):
    """One KPI at one level over a window; None is what is open now."""

    kpi: str
    level: str
    window: str | None


class Pair(NamedTuple):
    value: float | None = None
    previous: float | None = None


def missing(asks: Iterable[Ask], config: SnapshotConfig) -> Filters | None:
    """Return what a second snapshot must hold; None when the first has everything."""
    wanted = [
        ask
        for ask in asks
        if ask.level not in config.levels or (ask.window is not None and ask.window not in config.windows)
    ]
    if not wanted:
        return None
    return Filters(
        levels=tuple(dict.fromkeys(ask.level for ask in wanted)),
        kpis=tuple(dict.fromkeys(ask.kpi for ask in wanted)),
        windows=tuple(dict.fromkeys(ask.window for ask in wanted if ask.window is not None)),
    )


class Numbers:
    """Looks numbers up in the newest snapshot, then in the one beside it."""

    def __init__(self, snapshot: KpiSnapshot, beside: KpiSnapshot | None, config: SnapshotConfig) -> None:
        self.snapshot = snapshot
        self.beside = beside
        self.catalogue: Catalogue = config.catalogue
        self.currency = config.currency
        self.exponent = config.exponent
        self._columns: dict[tuple[int, str], dict[str, int]] = {}

    def holder(self, ask: Ask) -> KpiSnapshot:
        """Return the snapshot that holds what is asked; the newest one when none does."""
        for taken in (self.snapshot, self.beside):
            if taken is not None and _series(taken, ask, None, any_quantile=True) is not None:
                return taken
        return self.snapshot

    def pair(self, ask: Ask, key: str, quantile: float | None = None) -> Pair:
        """Return one number and its previous twin. The floor's key is ""."""
        for taken in (self.snapshot, self.beside):
            if taken is None:
                continue
            series = _series(taken, ask, quantile)
            if series is not None:
                return self._pair(taken, series, ask, key)
        return Pair()

    def _pair(self, taken: KpiSnapshot, series: Series, ask: Ask, key: str) -> Pair:
        columns = self._columns.get((id(taken), ask.level))
        if columns is None:
            columns = {label: number for number, label in enumerate(taken.keys[ask.level].labels)}
            self._columns[id(taken), ask.level] = columns
        column = 0 if ask.level == "floor" else columns.get(key)
        if column is None or (ask.level == "floor" and not columns):
            return Pair()
        line = series.lines.index(ask.window)
        value = float(series.values[line, column])
        before = float("nan") if series.previous is None else float(series.previous[line, column])
        return Pair(_known(value), _known(before))

    def wire(self, value: float | None, kpi: Kpi) -> float | int | None:
        """Return the value as it crosses the wire: money in minor units, counts whole where they are."""
        if value is None:
            return None
        if kpi.unit in MONEY_UNITS:
            return to_minor(Decimal(repr(value)), self.exponent)
        return int(value) if kpi.unit is KpiUnit.COUNT and value.is_integer() else value

    def unit(self, kpi: Kpi) -> Json:
        """Return what says how to show the KPI's values."""
        found: Json = {"unit": kpi.unit.value}
        if kpi.unit in MONEY_UNITS:
            found |= {"currency": self.currency, "exponent": self.exponent}
        return found

    def rep_names(self) -> Mapping[str, str]:
        return self.snapshot.names.get("rep", {})

    def teams_of_reps(self) -> dict[str, str]:
        """Return every rep's latest team."""
        for taken in (self.snapshot, self.beside):
            keys = None if taken is None else taken.keys.get("rep")
            if keys is not None and keys.teams is not None:
                return dict(zip(keys.labels, keys.teams, strict=True))
        return {}


def _series(
    taken: KpiSnapshot, ask: Ask, quantile: float | None, *, any_quantile: bool = False
) -> Series | None:
    for series in taken.series:
        same = (series.kpi.name, series.level) == (ask.kpi, ask.level)
        if same and (any_quantile or series.quantile == quantile) and ask.window in series.lines:
            return series
    return None


def _known(value: float) -> float | None:
    return value if value == value else None
