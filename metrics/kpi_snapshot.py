"""All KPIs at one instant, immutable: what the gauges, the JSON API and the wall read. Computes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metrics.calendar import rfc3339
from metrics.edges import LeftOut
from metrics.exact import FloatArray
from metrics.formula import MONEY_UNITS, KpiUnit
from metrics.kpi import Kpi
from metrics.panes import FeedState
from metrics.reference import ReferenceProblem
from metrics.targets import TargetStanding
from metrics.windows import Window

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True)
class LevelKeys:
    """The groups of one level: `labels[i]` names group i; of a rep, `teams[i]` is the latest team."""

    labels: tuple[str, ...]
    teams: tuple[str, ...] | None = None
    over_budget: int = 0


@dataclass(frozen=True)
class Series:
    """One KPI (one quantile of it) at one level: a line per window, a column per group; NaN is absent.

    What is open now has no window: `windows` is empty and `values` has one line.
    """

    kpi: Kpi
    level: str
    windows: tuple[str, ...]
    values: FloatArray
    previous: FloatArray | None = None
    quantile: float | None = None

    @property
    def lines(self) -> tuple[str | None, ...]:
        """Return the window of each line of `values`."""
        return self.windows or (None,)


@dataclass(frozen=True, slots=True)
class KpiValue:
    kpi: Kpi
    level: str
    key: dict[str, str]
    window: str | None
    value: float | int
    quantile: float | None = None
    previous: float | int | None = None


@dataclass(frozen=True)
class KpiSnapshot:
    as_of_ms: int
    reporting_currency: str
    state: FeedState
    windows: tuple[Window, ...]
    left_out: tuple[LeftOut, ...]
    missing_rates: Mapping[str, int]
    """Currency -> deals won, lost or open, and postings of spend, whose amount no number contains."""
    data_age_seconds: float | None
    """Now minus the newest event time, 0 for events ahead of the clock; None before the first event."""
    keys: Mapping[str, LevelKeys]
    series: tuple[Series, ...]
    targets: tuple[TargetStanding, ...] = ()
    """The targets whose period runs at the instant."""
    reference_problems: tuple[ReferenceProblem, ...] = ()
    """Reference records that cannot be used, and why."""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Level -> key -> the name people call it by, where reference records give one."""

    def values(self) -> Iterator[KpiValue]:
        """Yield every number there is: by level, then KPI, window and group."""
        for series in self.series:
            labels = self.keys[series.level].labels
            keys = [{} if series.level == "floor" else {series.level: label} for label in labels]
            for line, window in enumerate(series.lines):
                before = [None] * len(keys) if series.previous is None else series.previous[line].tolist()
                for key, value, previous in zip(keys, series.values[line].tolist(), before, strict=True):
                    if value == value:
                        yield KpiValue(
                            series.kpi, series.level, key, window, _number(value, series.kpi.unit),
                            series.quantile, _previous(previous, series.kpi.unit),
                        )  # fmt: skip

    def value(
        self, kpi: str, level: str = "floor", key: str = "all", window: str | None = None,
        *, quantile: float | None = None,
    ) -> float | None:  # fmt: skip
        """Return one number, None when it is absent. The floor's only key is `all`."""
        for series in self.series:
            if (series.kpi.name, series.level, series.quantile) != (kpi, level, quantile):
                continue
            lines, labels = series.lines, self.keys[level].labels
            if window in lines and key in labels:
                value = float(series.values[lines.index(window), labels.index(key)])
                return value if value == value else None
        return None

    def to_json_obj(self) -> dict[str, JsonValue]:
        return {
            "as_of": rfc3339(self.as_of_ms),
            "reporting_currency": self.reporting_currency,
            "definition_version": self.state.definition_version,
            "partitions": {
                topic: {str(partition): offset for partition, offset in sorted(offsets.items())}
                for topic, offsets in sorted(self.state.offsets.items())
            },
            "values": [self._json_value(value) for value in self.values()],
            "windows": {
                w.name: {"start": rfc3339(w.start_ms), "end": rfc3339(w.end_ms)} for w in self.windows
            },
            **self._json_targets(),
            "names": {
                level: {label: names[label] for label in self.keys[level].labels if label in names}
                for level, names in self.names.items()
                if level in self.keys
            },
            "left_out": [_json_left_out(left_out) for left_out in self.left_out],
            "missing_rates": dict(sorted(self.missing_rates.items())),
            # The events of these are in no number: windows that hold their times are too low.
            "records_lost": dict(sorted(self.state.counters.get("lost", {}).items())),
            "rebuilding": self.state.rebuilding,
            "data_age_seconds": self.data_age_seconds,
        }

    def targets_json_obj(self) -> dict[str, JsonValue]:
        """Return the running targets alone."""
        periods = {standing.target.period.name for standing in self.targets}
        return {
            "as_of": rfc3339(self.as_of_ms),
            "reporting_currency": self.reporting_currency,
            **self._json_targets(),
            "left_out": [_json_left_out(each) for each in self.left_out if each.window in periods],
            "rebuilding": self.state.rebuilding,
            "data_age_seconds": self.data_age_seconds,
        }

    def _json_targets(self) -> dict[str, JsonValue]:
        return {
            "targets": [self._json_target(standing) for standing in self.targets],
            "reference_problems": [
                {"record": problem.record, "problem": problem.problem} for problem in self.reference_problems
            ],
        }

    def _json_target(self, standing: TargetStanding) -> JsonValue:
        target = standing.target
        level, unit = target.record.level, target.kpi.unit
        found: dict[str, JsonValue] = {
            "kpi": target.kpi.name,
            "level": level,
            "key": {} if level == "floor" else {level: target.label},
            "period": target.period.name,
            "start": rfc3339(target.start_ms),
            "end": rfc3339(target.end_ms),
        }
        if unit is KpiUnit.MONEY:
            found["currency"] = self.reporting_currency
        figures = {name: _number(figure, KpiUnit.COUNT) for name, figure in standing.figures.items()}
        return found | figures

    def _json_value(self, value: KpiValue) -> JsonValue:
        found: dict[str, JsonValue] = {"kpi": value.kpi.name, "level": value.level, "key": {**value.key}}
        if value.window is not None:
            found["window"] = value.window
        found["value"] = value.value
        if value.kpi.unit in MONEY_UNITS:
            found["currency"] = self.reporting_currency
        if value.quantile is not None:
            found["quantile"] = value.quantile
        if value.previous is not None:
            found["previous"] = value.previous
        return found


def _number(value: float, unit: KpiUnit) -> float | int:
    return int(value) if unit is KpiUnit.COUNT and value.is_integer() else value


def _previous(value: float | None, unit: KpiUnit) -> float | int | None:
    return None if value is None or value != value else _number(value, unit)


def _json_left_out(left_out: LeftOut) -> JsonValue:
    found: dict[str, JsonValue] = {"window": left_out.window, "reason": left_out.reason}
    if left_out.previous_only:
        found["previous_only"] = True
    return found
