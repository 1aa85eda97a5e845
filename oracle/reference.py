"""What reference data makes of facts, the slow, obvious way: rates, roster, stage chances, markets.

Written from the sentences of the KPIs; shares no line with the product. Facts come as plain records, all
answers are exact fractions of major units. Dates are the floor's local days.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from oracle.levels import Roster, Spell
from oracle.periods import days_of
from oracle.windows import WEEKDAYS, Floor, Span, instant_of, local_of

FOR_EVER_MS = 1 << 43


@dataclass(frozen=True)
class Fact:
    """A won deal (`amount`), an activity, or a deal open over [time, until); `cycle_ms` of won deals."""

    kind: str
    time_ms: int
    rep: str = ""
    team: str = ""
    region: str = ""
    currency: str = ""
    amount: Decimal = Decimal(0)
    until_ms: int = FOR_EVER_MS
    stage: str = ""
    chance: float | None = None


@dataclass(frozen=True)
class RosterEntry:
    rep: str
    team: str
    region: str
    first: date | None
    after: date | None


@dataclass
class Reference:
    rates: list[tuple[str, date, Decimal]] = field(default_factory=list)
    roster: list[RosterEntry] = field(default_factory=list)
    chances: dict[str, float] = field(default_factory=dict)
    markets: list[tuple[date, date, Decimal | Fraction]] = field(default_factory=list)

    def rate(self, currency: str, time_ms: int, floor: Floor) -> Fraction | None:
        """Return the rate of the latest record whose first day has begun by then."""
        if currency == floor.currency:
            return Fraction(1)
        since_of = [(since, rate) for code, since, rate in self.rates if code == currency]
        if not since_of:
            return None
        day = day_of(time_ms, floor)
        valid = [each for each in since_of if each[0] <= day]
        return Fraction(max(valid)[1]) if valid else None

    def placed(self, floor: Floor) -> Roster:
        """Return where each rep was when. Of two spells that overlap the one that begins first stands."""
        spells: dict[str, list[Spell]] = {}
        for entry in sorted(self.roster, key=lambda each: (each.rep, each.first or date.min)):
            start_ms = -FOR_EVER_MS if entry.first is None else midnight(entry.first, floor)
            end_ms = FOR_EVER_MS if entry.after is None else midnight(entry.after, floor)
            own = spells.setdefault(entry.rep, [])
            if not own or own[-1].end_ms <= start_ms:
                own.append(Spell(entry.team, entry.region, start_ms, end_ms))
        return Roster(spells)


NOTHING_KNOWN = Reference()


def day_of(time_ms: int, floor: Floor) -> date:
    """Return the last local day that has begun; a clock set back over midnight does not undo a day."""
    day = local_of(time_ms, floor).date()
    return day + timedelta(days=1) if time_ms >= midnight(day + timedelta(days=1), floor) else day


def midnight(day: date, floor: Floor) -> int:
    return instant_of(datetime(day.year, day.month, day.day), floor)  # noqa: DTZ001 - a naive wall time


class Books:
    def __init__(self, facts: Sequence[Fact], reference: Reference, floor: Floor) -> None:
        self.facts, self.reference, self.floor = facts, reference, floor

    def rate(self, currency: str, time_ms: int) -> Fraction | None:
        """Return the rate of the latest record whose first day has begun by then."""
        return self.reference.rate(currency, time_ms, self.floor)

    def entry(self, rep: str, time_ms: int) -> RosterEntry | None:
        day = day_of(time_ms, self.floor)
        for entry in self.reference.roster:
            begun = entry.first is None or entry.first <= day
            if entry.rep == rep and begun and (entry.after is None or day < entry.after):
                return entry
        return None

    def key(self, fact: Fact, level: str, time_ms: int) -> str:
        if level == "floor":
            return ""
        entry = self.entry(fact.rep, time_ms)
        said = {"rep": fact.rep, "team": fact.team, "region": fact.region, "stage": fact.stage}[level]
        if not said and entry is not None and level in ("team", "region"):
            said = entry.team if level == "team" else entry.region
        return said or "unassigned"

    def of(self, kind: str, level: str, key: str, span: Span) -> Iterable[Fact]:
        for fact in self.facts:
            if fact.kind == kind and span.holds(fact.time_ms) and self.key(fact, level, fact.time_ms) == key:
                yield fact

    def revenue(self, level: str, key: str, span: Span) -> Fraction:
        total = Fraction(0)
        for fact in self.of("won", level, key, span):
            rate = self.rate(fact.currency, fact.time_ms)
            total += Fraction(fact.amount) * rate if rate is not None else 0
        return total

    def won(self, level: str, key: str, span: Span) -> int:
        return sum(1 for _ in self.of("won", level, key, span))

    def average(self, level: str, key: str, span: Span) -> Fraction | None:
        won = self.won(level, key, span)
        return self.revenue(level, key, span) / won if won else None

    def activities(self, level: str, key: str, span: Span) -> int:
        return sum(1 for _ in self.of("activity", level, key, span))

    def open_now(self, as_of_ms: int) -> list[Fact]:
        return [f for f in self.facts if f.kind == "open" and f.time_ms < as_of_ms <= f.until_ms]

    def _open_sum(self, level: str, key: str, as_of_ms: int, weight: Callable[[Fact], Fraction]) -> Fraction:
        """Value what is open just before the instant at the rate and in the team of that moment."""
        total = Fraction(0)
        for fact in self.open_now(as_of_ms):
            rate = self.rate(fact.currency, as_of_ms - 1)
            if rate is not None and self.key(fact, level, as_of_ms - 1) == key:
                total += Fraction(fact.amount) * rate * weight(fact)
        return total

    def pipeline(self, level: str, key: str, as_of_ms: int) -> Fraction:
        return self._open_sum(level, key, as_of_ms, lambda _: Fraction(1))

    def weighted(self, level: str, key: str, as_of_ms: int) -> Fraction:
        return self._open_sum(level, key, as_of_ms, self._chance)

    def _chance(self, fact: Fact) -> Fraction:
        stage = self.reference.chances.get(fact.stage, self.floor.stage_probability.get(fact.stage, 0))
        chance = stage if fact.chance is None else fact.chance
        return Fraction(Decimal(str(chance)))

    def missing(self, as_of_ms: int) -> dict[str, int]:
        found: dict[str, int] = {}
        won = [(f, f.time_ms) for f in self.facts if f.kind == "won" and f.time_ms < as_of_ms]
        for fact, time_ms in (*won, *((f, as_of_ms - 1) for f in self.open_now(as_of_ms))):
            if self.rate(fact.currency, time_ms) is None:
                found[fact.currency] = found.get(fact.currency, 0) + 1
        return found

    # ---- roster and calendar

    def _days(self, span: Span) -> Iterable[tuple[date, int, int]]:
        day = day_of(span.start_ms, self.floor)
        while (start_ms := midnight(day, self.floor)) < span.end_ms:
            yield day, start_ms, midnight(day + timedelta(days=1), self.floor)
            day += timedelta(days=1)

    def _entries(self, level: str, key: str) -> list[RosterEntry]:
        def label(entry: RosterEntry) -> str:
            if level == "floor":
                return ""
            return {"rep": entry.rep, "team": entry.team, "region": entry.region}[level] or "unassigned"

        return [entry for entry in self.reference.roster if label(entry) == key]

    def _overlap(self, entry: RosterEntry, span: Span) -> int:
        start = (
            span.start_ms if entry.first is None else max(span.start_ms, midnight(entry.first, self.floor))
        )
        end = span.end_ms if entry.after is None else min(span.end_ms, midnight(entry.after, self.floor))
        return max(0, end - start)

    def reps(self, level: str, key: str, span: Span) -> Fraction | None:
        length = span.end_ms - span.start_ms
        if not length:
            return None
        return Fraction(sum(self._overlap(entry, span) for entry in self._entries(level, key)), length)

    def rep_days(self, level: str, key: str, span: Span) -> Fraction:
        days = Fraction(0)
        for day, start_ms, end_ms in self._days(span):
            if WEEKDAYS[day.weekday()] not in self.floor.business_days or day in self.floor.holidays:
                continue
            if end_ms == start_ms:  # a day that a zone skipped
                continue
            part = Span(max(start_ms, span.start_ms), min(end_ms, span.end_ms))
            if self.reference.roster:
                present = sum(self._overlap(entry, part) for entry in self._entries(level, key))
            else:
                done = [f for f in self.of("activity", level, key, span) if f.rep]
                present = len({f.rep for f in done}) * (part.end_ms - part.start_ms)
            days += Fraction(present, end_ms - start_ms)
        return days

    def market(self, span: Span) -> Fraction | None:
        """Go through the days; each holds its share of the shortest period that covers it."""
        total = Fraction(0)
        for day, start_ms, end_ms in self._days(span):
            covering = [m for m in self.reference.markets if m[0] <= day < m[1]]
            part = min(end_ms, span.end_ms) - max(start_ms, span.start_ms)
            if not covering:
                return None
            first, after, size = min(
                covering,
                key=lambda m: (midnight(m[1], self.floor) - midnight(m[0], self.floor), -m[0].toordinal()),
            )
            length = midnight(after, self.floor) - midnight(first, self.floor)
            total += Fraction(size) * part / length
        return total or None


# ---- from records ---------------------------------------------------------------------------------


def reference_of(records: Iterable[Mapping[str, object]], floor: Floor, year_named_by: str) -> Reference:
    """Return what the records say, each the newest of its id; one whose value is null is withdrawn."""
    known = Reference()
    chances: dict[str, tuple[str, float]] = {}
    markets: list[Mapping[str, object]] = []
    for record in records:
        match record["form"]:
            case "rate.set" if isinstance(record["rate"], Decimal):
                first = date.fromisoformat(str(record["valid_from"]))
                known.rates.append((str(record["currency"]), first, record["rate"]))
            case "rep.updated":
                days = [_optional_day(record.get(name)) for name in ("active_from", "active_to")]
                where = [str(record.get(name) or "") for name in ("team_id", "region")]
                known.roster.append(RosterEntry(str(record["rep_id"]), where[0], where[1], *days))
            case "stage.set" if isinstance(record.get("probability"), float):
                stage, pipeline = str(record["stage"]), str(record.get("pipeline") or "")
                own = (pipeline, float(str(record["probability"])))
                chances[stage] = min(chances.get(stage, own), own)
            case "market.set" if isinstance(record["value"], Decimal):
                markets.append(record)
    known.chances = {stage: chance for stage, (_, chance) in chances.items()}
    for record in markets:
        try:
            days_of_it = days_of(str(record["period"]), floor, year_named_by)
        except (ValueError, OverflowError):
            continue
        if not days_of_it:
            continue
        first, after = days_of_it[0], days_of_it[-1] + timedelta(days=1)
        rate = known.rate(str(record.get("currency") or floor.currency), midnight(first, floor), floor)
        if rate is not None:
            known.markets.append((first, after, Fraction(Decimal(str(record["value"]))) * rate))
    return known


def _optional_day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(str(value))
