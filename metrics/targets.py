"""Target records in, checked targets and the problems of the others out; then actuals in, pacing figures out.

Pure and exact: everything is a fraction until it is shown. Reads no clock and no pane; where the actual
numbers come from is `metrics.target_snapshot`'s part.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final, NamedTuple

from metrics.calendar import Calendar
from metrics.due import Due
from metrics.formula import KpiUnit, divides, names_in
from metrics.kpi import LEVELS, Catalogue, Kpi
from metrics.labels import label_value
from metrics.money import exponent_of
from metrics.pacing import Progress
from metrics.periods import Period, YearNamedBy, parse_period
from metrics.rates import Rates
from metrics.reference import Reference, ReferenceProblem, RosterSpell, Target

FORECAST_KPI: Final = "revenue"
"""Only of this KPI do open deals say what is still to come."""


class FigureKind(NamedTuple):
    """What a figure means; `unit` None is the unit of the target's KPI."""

    name: str
    sentence: str
    formula: str
    unit: KpiUnit | None = None

    def gauge_name(self, level: str) -> str:
        ratio = "_ratio" if self.unit is KpiUnit.RATIO else ""
        return f"salesfloor_{level}_{self.name}{ratio}"


FIGURES: Final = (
    FigureKind("quota", "Target of the running period.", "target"),
    FigureKind("quota_actual", "The KPI over the period so far.", "actual"),
    FigureKind("quota_attainment", "Share of the target that is reached.", "actual ÷ target", KpiUnit.RATIO),
    FigureKind(
        "pace_expected", "What would be reached by now at an even pace over business days.",
        "target × elapsed ÷ total weight",
    ),
    FigureKind("pace_delta", "How far ahead of that pace, or behind it.", "actual − pace_expected"),
    FigureKind(
        "required_per_day", "What each business day left must bring; absent once the target is met.",
        "(target − actual) ÷ business days left",
    ),
    FigureKind(
        "forecast_pace", "Where the period ends if it goes on as so far.", "actual × total ÷ elapsed weight"
    ),
    FigureKind(
        "forecast_weighted", "Won so far, and the open deals due in the period times their probability.",
        "revenue + weighted pipeline due in the period",
    ),
    FigureKind(
        "forecast_commit", "Won so far, and the open deals due in the period that are all but won.",
        "revenue + open deals due with probability ≥ commit_probability",
    ),
    FigureKind(
        "forecast_best_case", "Won so far, and the open deals due in the period that may well be won.",
        "revenue + open deals due with probability ≥ best_case_probability",
    ),
    FigureKind(
        "pipeline_coverage", "Open pipeline per amount still missing; absent once the target is met.",
        "pipeline_value ÷ (target − revenue)", KpiUnit.RATIO,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """A target that can be evaluated. `label` is its key as levels show it, "" for the floor."""

    record: Target
    kpi: Kpi
    label: str
    period: Period
    start_ms: int
    end_ms: int
    quota: Fraction
    began_on: date | None = None
    """First day of the rep it is for, if that is known: from there on the ramp grows."""

    def runs_at(self, time_ms: int) -> bool:
        return self.start_ms <= time_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Actual:
    """What is known of a target's key at the instant; None where there is no number."""

    value: Fraction | None
    pipeline: Fraction | None = None
    due: Due | None = None


class TargetRules(NamedTuple):
    """What decides whether a target can be used."""

    catalogue: Catalogue
    calendar: Calendar
    currency: str
    year_named_by: YearNamedBy = "end"


def why_unusable(target: Target, rules: TargetRules) -> tuple[str, str] | None:
    """Return the field that is wrong and why, with the fix; None for a target that can be used."""
    catalogue = rules.catalogue
    if target.kpi not in catalogue:
        return "kpi", f"unknown KPI{_near(target.kpi, [kpi.name for kpi in catalogue])}"
    kpi = catalogue[target.kpi]
    if target.level not in LEVELS:
        return "level", f"unknown level{_near(target.level, LEVELS)}"
    if target.level not in kpi.levels:
        return "level", f"{kpi.name} is not known by {target.level}; use {', '.join(kpi.levels)}"
    if (target.level == "floor") is bool(target.key):
        said = "a target of the floor has no key" if target.key else f"say which {target.level} is meant"
        return "key", said
    try:
        parse_period(target.period, rules.calendar, year_named_by=rules.year_named_by)
    except ValueError as error:
        return "period", str(error)
    if target.value is not None and target.value <= 0:
        return "value", "a target is above 0"
    return _wrong_currency(target, kpi)


def _wrong_currency(target: Target, kpi: Kpi) -> tuple[str, str] | None:
    if kpi.unit is KpiUnit.MONEY and target.currency is None:
        return "currency", f"{kpi.name} is money; say in which currency, such as 'EUR'"
    if target.currency is not None and exponent_of(target.currency) is None:
        return "currency", "not an ISO 4217 code; use three capital letters such as 'EUR'"
    if kpi.unit is not KpiUnit.MONEY and target.currency is not None:
        return "currency", f"{kpi.name} is no money; leave the currency out"
    return None


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=2)
    return f"; did you mean {' or '.join(close)}?" if close else f"; use one of {', '.join(known)}"


def plan_targets(
    targets: Iterable[Target],
    references: Iterable[Reference],
    rules: TargetRules,
) -> tuple[list[PlannedTarget], list[ReferenceProblem]]:
    """Check every target. `targets` come from the settings; a record of the same id replaces one."""
    references = list(references)
    rates = Rates(references, rules.currency, rules.calendar)
    by_id = {target.id: target for target in targets}
    by_id |= {record.id: record for record in references if isinstance(record, Target)}
    began_on = _first_days(references)
    planned: list[PlannedTarget] = []
    problems: list[ReferenceProblem] = []
    for target in by_id.values():
        if target.value is None:
            continue
        found = why_unusable(target, rules)
        if found is not None:
            field, why = found
            problems.append(ReferenceProblem(target.id, f"{field} = {shown_field(target, field)}: {why}"))
            continue
        usable = _planned(target, rules, rates, began_on)
        if usable is None:
            ours = rules.currency
            problem = (
                f"currency = {target.currency!r}: there is no rate into {ours} on the first day of"
                f" {target.period}; send sales.rate.set, or give the target in {ours}"
            )
            problems.append(ReferenceProblem(target.id, problem))
            continue
        planned.append(usable)
    return planned, problems


def shown_field(target: Target, field: str) -> str:
    value = getattr(target, field)
    return f"{value}" if field == "value" else repr(value)


def _planned(
    target: Target, rules: TargetRules, rates: Rates, began_on: Mapping[str, date | None]
) -> PlannedTarget | None:
    """Return the target, its money valued on its period's first day; None without a rate for that."""
    period = parse_period(target.period, rules.calendar, year_named_by=rules.year_named_by)
    start_ms, end_ms = period.bounds_ms(rules.calendar)
    assert target.value is not None
    rate = Fraction(1) if target.currency is None else rates.rate(target.currency, start_ms)
    if rate is None:
        return None
    return PlannedTarget(
        record=target,
        kpi=rules.catalogue[target.kpi],
        label=label_value(target.key) if target.key else "",
        period=period,
        start_ms=start_ms,
        end_ms=end_ms,
        quota=Fraction(target.value) * rate,
        began_on=began_on.get(target.key) if target.level == "rep" else None,
    )


def _first_days(references: Iterable[Reference]) -> dict[str, date | None]:
    """Return each rep's first day on the roster; None for one who has always been there."""
    first: dict[str, date | None] = {}
    for spell in references:
        if isinstance(spell, RosterSpell):
            known = first.get(spell.rep_id, spell.active_from)
            both = known is not None and spell.active_from is not None
            first[spell.rep_id] = min(known, spell.active_from) if both else None  # type: ignore[type-var]
    return first


def can_be_paced(kpi: Kpi, catalogue: Catalogue) -> bool:
    """Say whether the KPI adds up over days: a share of its target can be expected by today."""
    return is_sum(kpi, catalogue) and not catalogue.is_level(kpi)


def is_sum(kpi: Kpi, catalogue: Catalogue) -> bool:
    """Say whether the KPI is 0 for somebody of whom no event speaks, and not unknown."""
    return not kpi.quantiles and not _divides(kpi, catalogue)


def _divides(kpi: Kpi, catalogue: Catalogue) -> bool:
    inner = (catalogue[name] for name in names_in(kpi.expression) if name in catalogue)
    return divides(kpi.expression) or any(_divides(each, catalogue) for each in inner)


def figures_of(
    target: PlannedTarget, actual: Actual, progress: Progress, *, paced: bool
) -> dict[str, Fraction]:
    """Return every figure of a running target that has a value, by name."""
    quota, value = target.quota, actual.value
    found: dict[str, Fraction | None] = {"quota": quota, "quota_actual": value}
    found["quota_attainment"] = None if value is None else value / quota
    if paced and value is not None:
        found |= _paced(quota, value, progress)
    if target.kpi.name == FORECAST_KPI and value is not None:
        if actual.due is not None:
            found["forecast_weighted"] = value + actual.due.weighted
            found["forecast_commit"] = value + actual.due.commit
            found["forecast_best_case"] = value + actual.due.best_case
        if actual.pipeline is not None and value < quota:
            found["pipeline_coverage"] = actual.pipeline / (quota - value)
    return {name: figure for name, figure in found.items() if figure is not None}


def _paced(quota: Fraction, value: Fraction, progress: Progress) -> dict[str, Fraction | None]:
    expected = quota * progress.elapsed / progress.total if progress.total else None
    left = progress.business_days_left
    return {
        "pace_expected": expected,
        "pace_delta": None if expected is None else value - expected,
        "required_per_day": (quota - value) / left if left and value < quota else None,
        "forecast_pace": value * progress.total / progress.elapsed if progress.elapsed else None,
    }


@dataclass(frozen=True, slots=True)
class TargetStanding:
    """A running target and its figures at the instant, rounded once; those without a value are not there."""

    target: PlannedTarget
    figures: dict[str, float]
