"""KPI definitions in, a catalogue that is known to be sound out. Computes no number.

The built-in definitions (`metrics.catalogue`) are written in the very language a floor's own KPIs are
written in; `Catalogue` checks both.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from metrics.formula import (
    OF_UNIT,
    Dimension,
    Expression,
    FormulaError,
    KpiUnit,
    dimension_of,
    divides,
    elsewhen_in,
    histograms_in,
    names_in,
    parse,
)
from metrics.given import GIVEN
from metrics.measures import BY_NAME, Kind

LEVELS: Final = ("floor", "team", "rep", "product", "source", "region", "stage")
PEOPLE: Final = ("floor", "team", "rep")
DEALS: Final = ("floor", "team", "rep", "product", "source", "region")
PIPELINE: Final = (*DEALS, "stage")
LEADS: Final = ("floor", "team", "rep", "source", "region")
ACTIVITIES: Final = ("floor", "team", "rep", "region")

_FORMULA_SHOWN_MAX: Final = 120

_SUFFIX: Final = {
    KpiUnit.COUNT: "",
    KpiUnit.MONEY: "",
    KpiUnit.MONEY_PER_DAY: "_per_day",
    KpiUnit.SECONDS: "_seconds",
    KpiUnit.RATIO: "_ratio",
    KpiUnit.POINTS: "",
}


@dataclass(frozen=True)
class Kpi:
    """`formula` speaks of sums over the window; with `quantiles`, its `q` stands for each of them in turn.

    `windows` are those it is exported for at every level; empty: those of the level.
    """

    name: str
    sentence: str
    formula: str
    unit: KpiUnit
    levels: tuple[str, ...] = PEOPLE
    quantiles: tuple[float, ...] = ()
    windows: tuple[str, ...] = ()

    @cached_property
    def expression(self) -> Expression:
        return parse(self.formula)

    @property
    def when_empty(self) -> str:
        """What is shown for a team or rep that exists but did nothing in the window."""
        return "absent" if divides(self.expression) else "0"

    def gauge_name(self, level: str, *, previous: bool = False) -> str:
        twin = "_previous" if previous else ""
        return f"salesfloor_{level}_{self.name}{twin}{_SUFFIX[self.unit]}"


@dataclass(frozen=True)
class Catalogue:
    """KPIs that are known to be sound: names unique and resolved, no cycle, units right."""

    kpis: tuple[Kpi, ...]
    _by_name: Mapping[str, Kpi] = field(init=False, repr=False, compare=False)
    _now: frozenset[str] = field(init=False, repr=False, compare=False)
    """KPIs that tell what is now: asked for each of them at every level of every snapshot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {kpi.name: kpi for kpi in self.kpis})
        seen: set[str] = set()
        for kpi in self.kpis:
            _check_name(kpi.name, seen)
            seen.add(kpi.name)
        units = {kpi.name: kpi.unit for kpi in self.kpis}
        for kpi in self.kpis:
            try:
                self._check(kpi, units)
            except FormulaError as error:
                raise FormulaError(f"KPI {kpi.name!r}, formula = {_shown(kpi.formula)}: {error}") from None
        _check_gauges(self.kpis)
        object.__setattr__(self, "_now", frozenset(kpi.name for kpi in self.kpis if self._tells_now(kpi)))

    def __iter__(self) -> Iterator[Kpi]:
        return iter(self.kpis)

    def __getitem__(self, name: str) -> Kpi:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def with_custom(self, kpis: Iterable[Kpi]) -> "Catalogue":
        return Catalogue((*self.kpis, *kpis))

    def measures_of(self, kpi: Kpi, *, elsewhen: bool = True) -> frozenset[str]:
        """Return the scalar measures and given names a KPI is made of, through other KPIs too.

        `elsewhen` False leaves out what is taken of another window.
        """
        found: set[str] = set()
        for name in names_in(kpi.expression, elsewhen=elsewhen):
            found |= self.measures_of(self[name], elsewhen=elsewhen) if name in self else {name}
        return frozenset(found)

    def is_level(self, kpi: Kpi) -> bool:
        """Say whether the KPI tells what is now, whatever the window."""
        return kpi.name in self._now if self._by_name.get(kpi.name) is kpi else self._tells_now(kpi)

    def _tells_now(self, kpi: Kpi) -> bool:
        measures = self.measures_of(kpi, elsewhen=False)
        return bool(measures) and all(
            name in BY_NAME and BY_NAME[name].kind is Kind.LEVEL for name in measures
        )

    def elsewhen_of(self, kpi: Kpi) -> frozenset[str]:
        """Return the other windows a KPI looks at, through other KPIs too."""
        found = set(elsewhen_in(kpi.expression))
        for name in names_in(kpi.expression):
            if name in self:
                found |= self.elsewhen_of(self[name])
        return frozenset(found)

    def _is_by_stage(self, kpi: Kpi) -> bool:
        measures = [BY_NAME.get(name) for name in self.measures_of(kpi)]
        return bool(measures) and all(
            each is not None and (each.kind is Kind.LEVEL or each.by_stage) for each in measures
        )

    def _check(self, kpi: Kpi, units: dict[str, KpiUnit]) -> None:
        dimension = dimension_of(kpi.expression, units)
        if not _shows_as(dimension, kpi.unit):
            raise FormulaError(f"the formula gives {dimension}, but its unit says {kpi.unit}; correct one")
        for level in kpi.levels:
            if level not in LEVELS:
                raise FormulaError(f"unknown level {level!r}; use {', '.join(LEVELS)}")
        parameters = {fraction is None for fraction, _ in histograms_in(kpi.expression)}
        if (True in parameters) != bool(kpi.quantiles):
            raise FormulaError("quantile(q, …) and a list of quantiles go together; give both or neither")
        self._check_references(kpi, (kpi.name,))
        if "stage" in kpi.levels and not self._is_by_stage(kpi):
            raise FormulaError(
                "only what is open now and what enters a stage is known by stage; take the level 'stage' out"
            )
        for name in sorted(self.measures_of(kpi) & GIVEN.keys()):
            for level in kpi.levels:
                if level not in GIVEN[name].levels:
                    raise FormulaError(f"{name!r} is not known by {level}; take the level {level!r} out")

    def _check_references(self, kpi: Kpi, path: tuple[str, ...]) -> None:
        elsewhen = frozenset[str]().union(*elsewhen_in(kpi.expression).values())
        for name in sorted(names_in(kpi.expression)):
            if name in path:
                raise FormulaError(f"refers to itself: {' → '.join((*path[path.index(name) :], name))}")
            if name in self:
                if name in elsewhen and self.elsewhen_of(self[name]):
                    raise FormulaError(
                        f"{name!r} looks at another window itself; write its formula out with @ on each name"
                    )
                if self[name].quantiles:
                    raise FormulaError(f"{name!r} has several quantiles; write quantile(0.5, …) instead")
                self._check_references(self[name], (*path, name))


def _shown(formula: str) -> str:
    text = repr(formula)
    return text if len(text) <= _FORMULA_SHOWN_MAX else f"{text[:_FORMULA_SHOWN_MAX]}…"


def _check_name(name: str, seen: set[str]) -> None:
    if name in seen:
        raise FormulaError(f"KPI {name!r} is defined twice; rename one")
    if name in BY_NAME or name in GIVEN:
        raise FormulaError(f"KPI {name!r} has the name of a measure; rename it")
    if not (name.isascii() and name.isidentifier() and name == name.lower()):
        raise FormulaError(f"KPI {name!r} is no name; use lower-case letters, digits and _")


def _check_gauges(kpis: Iterable[Kpi]) -> None:
    """Two KPIs may not end up as one gauge, such as `x_previous` and the twin of `x`."""
    owners: dict[str, Kpi] = {}
    for kpi in kpis:
        for gauge in (kpi.gauge_name("*"), kpi.gauge_name("*", previous=True)):
            owner = owners.setdefault(gauge, kpi)
            if owner is not kpi:
                raise FormulaError(
                    f"KPI {kpi.name!r} would have the gauge {gauge} of KPI {owner.name!r}; rename it"
                )


def _shows_as(dimension: Dimension, unit: KpiUnit) -> bool:
    wanted = OF_UNIT[unit]
    return (dimension.money, dimension.time) == (wanted.money, wanted.time)
