"""Commission estimates as told in, where they differ from the oracle's out. Pure."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Final

from metrics.labels import label_value
from metrics.leaderboard import NOBODY
from oracle.commissions import Part, Version, earned, parts_of, rounded
from oracle.numbers import Answer, Sample
from oracle.targets import has_opinion
from oracle.windows import Span
from streams.verify import Comparison, Place
from streams.verify_beside import Expected, Told

_ROUNDING: Final = Fraction(1, 10**14)
"""So exactly is an amount known that no float holds: which of two minor units is nearer may then be open."""
_NOT_EXACT: Final = "a commission's period cannot be told exactly"
_TOO_EARLY: Final = "a commission's period reaches before the oldest record that is left"


def compare_commissions(told: Told, expected: Expected, found: Comparison) -> None:
    """Add to `found` what every rep earns by every plan, in the plans' running periods."""
    if told.wanted.windows is not None or "rep" not in (told.wanted.levels or ("rep",)):
        return
    at_ms, wanted = told.snapshot.as_of_ms, told.wanted.kpis
    estimates = {each.plan.name: each.by_rep for each in told.commissions}
    plans: dict[str, list[Part]] = {}
    for name, versions in groupby(sorted(expected.plans, key=_plan_of), key=_plan_of):
        own = list(versions)
        if wanted is not None and not any(version.kpi in wanted for version in own):
            continue
        if why := _why_not(parts := parts_of(own, at_ms, expected.floor), told, expected):
            found.not_told[why] += 1
        else:
            plans[name] = parts
    spans = {_name(part): part.span for parts in plans.values() for part in parts}
    known = expected.answers(at_ms, ("rep",), spans=spans)[0] if spans else {}
    for name, parts in plans.items():
        by_rep = {rep: Fraction(amount) for rep, amount in estimates.get(name, {}).items()}
        _compare_plan(f"commission of {name}", by_rep, parts, known, expected, found)


def _plan_of(version: Version) -> str:
    return version.plan


def _name(part: Part) -> str:
    return f"{part.version.plan} since {part.version.valid_from}"


def _why_not(parts: Sequence[Part], told: Told, expected: Expected) -> str:
    for part in parts:
        if not has_opinion(part.version.kpi, expected.custom.own):
            return f"no second opinion on commission on {part.version.kpi}"
        if not _is_exact(part.span, told):
            return _NOT_EXACT
        if expected.lacks(part.span.start_ms):
            return _TOO_EARLY
    return ""


def _is_exact(span: Span, told: Told) -> bool:
    edges, at_ms = told.edges, told.snapshot.as_of_ms
    ends = (span.start_ms,) if span.end_ms == at_ms else (span.start_ms, span.end_ms)
    return edges is None or all(edges.aligned_ms(each) == each for each in ends)


def _compare_plan(
    name: str,
    told: Mapping[str, Fraction],
    parts: Sequence[Part],
    known: Mapping[Sample, Answer],
    expected: Expected,
    found: Comparison,
) -> None:
    sold: dict[str, list[tuple[Version, Fraction]]] = {}
    for part in parts:
        for sample, answer in known.items():
            if (sample.kpi, sample.window) == (part.version.kpi, _name(part)):
                rep = label_value(sample.key)
                if rep not in NOBODY:
                    sold.setdefault(rep, []).append((part.version, answer.value or Fraction(0)))
    whose = parts[-1].version.reps if parts else ()
    exact = {rep: earned(own) for rep, own in sold.items() if not whose or rep in whose}
    currency = expected.floor.currency
    for rep in sorted({*told, *exact}):
        amount = exact.get(rep, Fraction(0))
        room = _ROUNDING * sum((abs(each) for _, each in sold.get(rep, ())), Fraction(0))
        least, most = rounded(amount - room, currency), rounded(amount + room, currency)
        nearest = min(max(told.get(rep, Fraction(0)), least), most)
        value = told.get(rep)
        found.add(Place(name, "rep", rep, ""), None if value is None else float(value), nearest)
