"""Contributions of entities in, the entries that make up one number out: which record counts, with how much.

Pure. Uses the very contributions that were folded, so what is listed adds up to what is shown, except for
what has left memory: an activity past its horizon stays in the sums and is no longer listed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Final, NamedTuple

from metrics.known import Ground
from metrics.labels import label_value
from metrics.listed import EVERY_NAME, Listed
from metrics.measures import (
    BY_NAME,
    HINDSIGHT_KEY_MIN,
    NUMBERS,
    Kind,
    Measure,
    Unit,
    bucket_value,
    split_hindsight_key,
    split_histogram_key,
)
from metrics.money import exponent_of
from metrics.panes import Cell
from metrics.rates import Rates
from metrics.reference import Reference
from metrics.roster import Roster
from metrics.stages import StageChances
from streams.entities import State

_MILLION: Final = 1_000_000
WEIGHTED: Final = BY_NAME["open_weighted"]
_MILLIONTHS: Final = "open_weighted_millionths"
_UNRATED: Final = BY_NAME["open_unrated"].number
_ACTIVE: Final = BY_NAME["accounts_active"].number
_AT_START: Final = Measure(-1, "accounts_at_start", Unit.COUNT)
_LEFT: Final = Measure(-2, "accounts_left", Unit.COUNT)
_OF_NAME: Final = BY_NAME | {measure.name: measure for measure in (_AT_START, _LEFT)}
"""What a formula names that records make up: the measures, and what follows from when an account stayed."""
_DETAILS: Final = (
    "status", "stage", "kind", "outcome", "duration_seconds", "score", "scale", "category", "amount",
    "currency", "source", "account_id", "deal_id", "lead_id",
)  # fmt: skip


class Counted(NamedTuple):
    """One contribution and whose it is."""

    kind: str
    id: str
    cell: Cell
    time_ms: int
    values: Mapping[int, int]
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One measure of the number's formula, and on which side of its quotient it stands.

    `at` is the window or year behind an `@`, "" for the window that is asked for.
    """

    measure: Measure
    sides: tuple[str, ...]
    at: str = ""

    @property
    def name(self) -> str:
        return named(self.measure.name, self.at)


@dataclass(frozen=True)
class Question:
    """What belongs to the number: whose, when, at which rate; by the reference records as they are."""

    parts: tuple[Part, ...]
    level: str
    key: str
    start_ms: int
    end_ms: int
    references: tuple[Reference, ...]
    ground: Ground
    listed: Listed = EVERY_NAME
    """Which names count for themselves; records keep their own."""

    @cached_property
    def _roster(self) -> Roster:
        return Roster(self.references, self.ground.calendar)

    @cached_property
    def _rates(self) -> Rates:
        return Rates(self.references, self.ground.currency, self.ground.calendar)

    @cached_property
    def _chances(self) -> StageChances:
        return StageChances(self.references, self.ground.stage_probability)

    def placed(self, cell: Cell, time_ms: int) -> Cell:
        """Return the cell in the roster's team and region at the time, where it names none itself."""
        spell = None if cell.team and cell.region else self._roster.at(cell.rep, time_ms)
        if spell is None:
            return cell
        return cell._replace(team=cell.team or spell.team, region=cell.region or spell.region)

    def holds(self, cell: Cell) -> bool:
        if self.level == "floor":
            return True
        return label_value(getattr(self.listed.cell(cell), self.level)) == self.key

    def worth(self, currency: str, time_ms: int) -> Fraction | None:
        """Return what a minor unit is in minor units of the reporting currency; None without a rate."""
        if currency in ("", self.ground.currency):
            return Fraction(1)
        rate, theirs = self._rates.rate(currency, time_ms), exponent_of(currency)
        ours = exponent_of(self.ground.currency)
        return (
            None if rate is None or theirs is None or ours is None else rate * Fraction(10) ** (ours - theirs)
        )

    def weighted(self, values: Mapping[int, int], stage: str) -> Fraction:
        """Return an open amount times its probability: its own, else its stage's."""
        own = values.get(WEIGHTED.number, 0) + Fraction(values.get(BY_NAME[_MILLIONTHS].number, 0), _MILLION)
        chance = round(self._chances.of_stage.get(stage, 0) * _MILLION)
        return own + Fraction(values.get(_UNRATED, 0) * chance, _MILLION)


@dataclass(slots=True)
class Entry:
    kind: str
    id: str
    time_ms: int
    cell: Cell
    details: Mapping[str, str]
    values: dict[str, Fraction] = field(default_factory=dict)
    """Measure -> what it adds: minor units, milliseconds, counts. Of a histogram, the value in its bucket."""


@dataclass(slots=True)
class Listing:
    entries: list[Entry]
    sums: dict[str, Fraction]
    """Measure -> sum of what is listed; of distinct members and histograms, how many."""
    unrated: int = 0
    """Contributions of money in a currency without a rate, which the number leaves out."""


def details_of(state: State) -> dict[str, str]:
    """Return what helps people recognise a record."""
    found = {name: getattr(state, name, None) for name in _DETAILS}
    return {name: str(value) for name, value in found.items() if value is not None}


def list_entries(counted: Iterable[Counted], question: Question) -> Listing:
    """Return the entries in order of time, and their sums."""
    listing = Listing([], {part.measure.name: Fraction(0) for part in question.parts})
    wanted = {part.measure.number: part.measure for part in question.parts}
    levels: dict[tuple[str, str], Entry] = {}
    members: dict[str, set[int]] = {}
    stays: dict[str, list[Counted]] = {}
    for one in counted:
        if one.time_ms >= question.end_ms:
            continue
        one = _known_by(one, question.end_ms)
        if _ACTIVE in one.values:
            stays.setdefault(one.id, []).append(one)
        _add_levels(one, question, wanted, levels, listing)
        if one.time_ms >= question.start_ms:
            _add_flows(one, question, wanted, members, listing)
    for entry in levels.values():
        entry.values = {name: value for name, value in entry.values.items() if value}
        if entry.values:
            listing.entries.append(entry)
            for name, value in entry.values.items():
                listing.sums[name] += value
    for name, seen in members.items():
        listing.sums[name] = Fraction(len(seen))
    if _AT_START.number in wanted or _LEFT.number in wanted:
        for rows in stays.values():
            _add_stay(rows, question, wanted, listing)
    listing.entries.sort(key=lambda each: (each.time_ms, each.kind, each.id))
    return listing


def _known_by(one: Counted, end_ms: int) -> Counted:
    """Leave out what came to be known only at the end or after it."""
    if max(one.values, default=0) < HINDSIGHT_KEY_MIN:
        return one
    values: dict[int, int] = {}
    for key, value in one.values.items():
        number, lag_ms = split_hindsight_key(key) if key >= HINDSIGHT_KEY_MIN else (key, 0)
        if one.time_ms + lag_ms < end_ms:
            values[number] = values.get(number, 0) + value
    return one._replace(values=values)


def _add_levels(
    one: Counted,
    question: Question,
    wanted: Mapping[int, Measure],
    levels: dict[tuple[str, str], Entry],
    listing: Listing,
) -> None:
    """A level is where its +x and -x leave it, valued and placed at the instant."""
    given: dict[str, Fraction] = {
        measure.name: Fraction(value)
        for key, value in one.values.items()
        if (measure := wanted.get(key)) is not None and measure.kind is Kind.LEVEL and measure is not WEIGHTED
    }
    if WEIGHTED.number in wanted:
        given[WEIGHTED.name] = question.weighted(one.values, one.cell.stage)
    cell = question.placed(one.cell, question.end_ms - 1) if given else one.cell
    if not given or not question.holds(cell):
        return
    worth = question.worth(one.cell.currency, question.end_ms - 1)
    entry = levels.setdefault((one.kind, one.id), _entry(one, cell))
    rises = False
    for name, value in given.items():
        if BY_NAME[name].unit is Unit.MONEY:
            if worth is None:
                listing.unrated += 1
                continue
            value *= worth
        rises = rises or value > 0
        entry.values[name] = entry.values.get(name, Fraction(0)) + value
    if rises and one.time_ms >= entry.time_ms:
        entry.time_ms, entry.cell = one.time_ms, cell


def _add_flows(
    one: Counted,
    question: Question,
    wanted: Mapping[int, Measure],
    members: dict[str, set[int]],
    listing: Listing,
) -> None:
    cell = question.placed(one.cell, one.time_ms)
    if not question.holds(cell):
        return
    entry: Entry | None = None
    for key, value in one.values.items():
        spread = key >= NUMBERS
        measure = wanted.get(split_histogram_key(key)[0] if spread else key)
        if measure is None or measure.kind is Kind.LEVEL or not value:
            continue
        # Few measures tell the stage.
        if question.level == "stage" and not measure.by_stage:
            continue
        worth = question.worth(one.cell.currency, one.time_ms) if measure.unit is Unit.MONEY else Fraction(1)
        if worth is None:
            listing.unrated += 1
            continue
        if entry is None:
            entry = _entry(one, cell)
            listing.entries.append(entry)
        name = measure.name
        if measure.kind is Kind.HISTOGRAM:
            entry.values[name] = Fraction(round(bucket_value(split_histogram_key(key)[1])))
            listing.sums[name] += value
        elif measure.kind is Kind.DISTINCT:
            entry.values[name] = Fraction(1)
            members.setdefault(name, set()).add(key)
        else:
            entry.values[name] = entry.values.get(name, Fraction(0)) + value * worth
            listing.sums[name] += value * worth


def _add_stay(
    rows: Sequence[Counted], question: Question, wanted: Mapping[int, Measure], listing: Listing
) -> None:
    """Count an account, by the rows that say when it was active, where it was when the window began.

    An empty window ends before anything of the instant it begins at.
    """
    before = [one for one in rows if one.time_ms < question.start_ms]
    if sum(one.values[_ACTIVE] for one in before) <= 0:
        return
    began, newest = before[0], max(rows, key=lambda one: one.time_ms)
    cell = question.placed(began.cell, min(question.start_ms, question.end_ms - 1))
    if not question.holds(cell):
        return
    counts = {_AT_START: True, _LEFT: newest.values[_ACTIVE] < 0}
    told = [measure for measure, so in counts.items() if so and measure.number in wanted]
    if told:
        entry = _entry(newest if _LEFT in told else began, cell)
        entry.values = {measure.name: Fraction(1) for measure in told}
        listing.entries.append(entry)
        for measure in told:
            listing.sums[measure.name] += 1


def _entry(one: Counted, cell: Cell) -> Entry:
    return Entry(one.kind, one.id, one.time_ms, cell, one.details)


Term = tuple[str, str]
"""The name of a measure, and what stands behind its `@`."""


def named(measure: str, at: str) -> str:
    """Return what the measure is called in an answer, as in a formula."""
    return f"{measure}@{at}" if at else measure


def parts_of(sides: Sequence[tuple[str, Iterable[Term]]]) -> tuple[Part, ...]:
    """Return the measures, each once for each window, with every side it stands on."""
    found: dict[Term, list[str]] = {}
    for side, terms in sides:
        for name, at in terms:
            if name in _OF_NAME and name != _MILLIONTHS:  # whole and millionths are one
                found.setdefault((name, at), []).append(side)
    return tuple(
        Part(_OF_NAME[name], tuple(found[name, at]), at) for name, at in sorted(found, key=_own_window_first)
    )


def _own_window_first(term: Term) -> tuple[str, int]:
    name, at = term
    return at, _OF_NAME[name].number


def merged(listings: Iterable[tuple[str, Listing]]) -> Listing:
    """Return the listings of all windows as one; a record that counts in several has one entry."""
    whole, by_place = Listing([], {}), dict[tuple[object, ...], Entry]()
    for at, listing in listings:
        seen: Counter[tuple[object, ...]] = Counter()
        for entry in listing.entries:
            place = (entry.kind, entry.id, entry.time_ms, entry.cell)
            seen[place] += 1
            same = by_place.setdefault((*place, seen[place]), replace(entry, values={}))
            same.values |= {named(name, at): value for name, value in entry.values.items()}
        whole.sums |= {named(name, at): value for name, value in listing.sums.items()}
        whole.unrated += listing.unrated
    whole.entries = sorted(by_place.values(), key=lambda each: (each.time_ms, each.kind, each.id))
    return whole
