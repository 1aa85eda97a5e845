"""A snapshot and the oracle's answers for the same cut in, where they differ out. Pure; reads nothing.

The product's numbers are told as `snapshot` tells them. What cannot be compared is said, never passed over:
windows that reach before the records that are left, and keys that only their labels make one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from metrics.kpi_snapshot import JsonValue, KpiSnapshot
from metrics.labels import label_value
from oracle.numbers import ERROR_OF_QUANTILE, Answer, Sample

_NAMED: Final[Mapping[tuple[str, float | None], str]] = {("sales_cycle", None): "sales_cycle_mean"}
"""What the oracle calls by the KPI's name alone, the catalogue lists as a KPI of its own."""
_ERRORS: Final = frozenset(ERROR_OF_QUANTILE.values())
LOOK_ELSEWHERE: Final = frozenset(
    (
        "average_deal_size_growth", "pipeline_velocity", "clv", "deals_per_customer_year",
        "customer_lifetime_years", "win_rate_cohort_age",
    )
)  # fmt: skip
"""They need another window or the events' own times, which old panes may no longer tell."""


class Place(NamedTuple):
    """Which number is meant. `window` is "" for what is so now; `previous` is the window's twin before."""

    kpi: str
    level: str
    key: str
    window: str
    quantile: float | None = None
    previous: bool = False


@dataclass(frozen=True)
class Difference:
    place: Place
    told: float | None
    recomputed: float | None

    def to_json_obj(self) -> dict[str, JsonValue]:
        place = self.place
        found: dict[str, JsonValue] = {
            "kpi": place.kpi,
            "level": place.level,
            "key": {place.level: place.key} if place.key else {},
            "window": place.window or None,
            "previous": place.previous,
            "value": self.told,
            "recomputed": self.recomputed,
        }
        return found if place.quantile is None else {**found, "quantile": place.quantile}


@dataclass
class Comparison:
    by_kpi: Counter[str] = field(default_factory=Counter)
    """How many numbers of each KPI were compared."""
    differences: list[Difference] = field(default_factory=list)
    not_told: Counter[str] = field(default_factory=Counter)
    """Why -> how many numbers could not be compared."""

    def add(
        self, place: Place, told: float | None, exact: Fraction | None, slack: Fraction | None = None
    ) -> None:
        """Compare one number with the recomputed one, which it may be off from by so much."""
        self.by_kpi[place.kpi] += 1
        if not _equal(place, told, exact, slack):
            self.differences.append(Difference(place, told, None if exact is None else float(exact)))

    @property
    def compared(self) -> int:
        return self.by_kpi.total()


@dataclass(frozen=True)
class Scope:
    """What may be compared: windows that begin too early are not."""

    windows: Mapping[str, tuple[int, int | None]]
    """Name -> start of the window, and of its twin; None where the twin is not told."""
    whole_since_ms: int | None = None
    """Records that arrived earlier are not all there."""
    only_now: frozenset[str] = frozenset()
    """KPIs of which nothing is recomputed for the window before."""


def scope_of(snapshot: KpiSnapshot, whole_since_ms: int | None) -> Scope:
    alone = {left_out.window for left_out in snapshot.left_out if left_out.previous_only}
    starts = {
        each.name: (each.start_ms, None if each.name in alone else each.previous_start_ms)
        for each in snapshot.windows
    }
    return Scope(starts, whole_since_ms)


def compare(snapshot: KpiSnapshot, answers: Mapping[Sample, Answer], scope: Scope) -> Comparison:
    """Compare every number that the snapshot tells, or should tell, with the recomputed one."""
    told = dict(_told(snapshot))
    expected, errors = _expected(answers)
    shown = {(series.kpi.name, series.level) for series in snapshot.series}
    known = {place.kpi for place in expected}
    found = Comparison()
    for place in sorted({*told, *expected}, key=str):
        if (place.kpi, place.level) not in shown or (place.window and place.window not in scope.windows):
            continue
        why_not = _why_not(place, scope)
        if place.kpi not in known:
            why_not = f"no second opinion on {place.kpi}"
        if why_not is not None:
            found.not_told[why_not] += 1
            continue
        value, exact = told.get(place), expected.get(place)
        if place.kpi in LOOK_ELSEWHERE and value is None and exact is not None:
            found.not_told["absent where panes no longer tell another window"] += 1
            continue
        found.add(place, value, exact, errors.get(place))
    return found


def _told(snapshot: KpiSnapshot) -> Iterator[tuple[Place, float | None]]:
    for series in snapshot.series:
        for column, label in enumerate(snapshot.keys[series.level].labels):
            key = "" if series.level == "floor" else label
            for line, window in enumerate(series.lines):
                place = Place(series.kpi.name, series.level, key, window or "", series.quantile)
                yield place, _number(float(series.values[line, column]))
                if series.previous is not None:
                    before = _number(float(series.previous[line, column]))
                    yield place._replace(previous=True), before


def _number(value: float) -> float | None:
    return None if value != value else value


def _expected(
    answers: Mapping[Sample, Answer],
) -> tuple[dict[Place, Fraction | None], dict[Place, Fraction]]:
    """Return the answers by the product's names and labels, and how far a quantile may be from them."""
    expected: dict[Place, Fraction | None] = {}
    errors: dict[Place, Fraction] = {}
    for sample, answer in answers.items():
        if sample.kpi in _ERRORS:
            continue
        name = _NAMED.get((sample.kpi, sample.quantile), sample.kpi)
        key = label_value(sample.key) if sample.level != "floor" else ""
        place = Place(name, sample.level, key, sample.window, sample.quantile)
        allowed = answers.get(sample._replace(kpi=ERROR_OF_QUANTILE.get(sample.kpi, "")))
        numbers = [(place, answer.value, allowed and allowed.value)]
        if sample.window:
            numbers.append((place._replace(previous=True), answer.previous, allowed and allowed.previous))
        for at, value, error in numbers:
            expected[at] = value
            if error is not None:
                errors[at] = error
    return expected, errors


def _why_not(place: Place, scope: Scope) -> str | None:
    if place.previous and place.kpi in scope.only_now:
        return f"no second opinion on the window before of {place.kpi}"
    if place.window:
        start_ms, before_ms = scope.windows[place.window]
        begins_ms = before_ms if place.previous else start_ms
        if begins_ms is None:
            return "the window before is not told"
        if scope.whole_since_ms is not None and begins_ms < scope.whole_since_ms:
            return "the window reaches before the oldest record that is left"
        return None
    if scope.whole_since_ms is not None:
        return "what is open now may rest on records that are gone"
    return None


def _equal(place: Place, told: float | None, exact: Fraction | None, error: Fraction | None) -> bool:
    if told is None or exact is None:
        # Who did nothing may be missing from either side; the floor may not.
        nothing = place.level != "floor" and not exact and not told
        return (told is None and exact is None) or nothing
    if error is not None:
        return abs(Fraction(told) - exact) <= error
    return told == float(exact)


def both(first: Comparison, second: Comparison) -> Comparison:
    """Keep what differs either way: where it is open whether a record counts, either answer is right."""
    places = {each.place for each in second.differences}
    kept = [each for each in first.differences if each.place in places]
    return Comparison(first.by_kpi, kept, first.not_told)
