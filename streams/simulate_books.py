"""A made-up floor's books: roster, stages, targets, rates, spend, opinions in; their records out. Pure.

What stands when the floor opens, and what each local day adds. The same seed gives the same records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from metrics.money import exponent_of
from metrics.panes import DAY_MS
from metrics.reference import MarketSize, Rate, Reference, RosterSpell, Target
from metrics.reference import Stage as StageRecord
from streams.rfc3339 import local_offset_ms
from streams.simulate_record import HOUR_MS, SECOND_MS, Simulated, Teller
from streams.simulate_story import STAGES, TEAMS, Money, Rep, Story
from streams.topics import FEEDBACK, REFERENCE, SPEND

OLD_CUSTOMERS = 150
_REVENUE_PER_MONTH, _WINS_PER_MONTH = 300_000.0, 40.0
"""What a rep of skill 1 sells in a usual month is about a tenth less."""
_MARKET_SHARE: Final = 0.04
_MONTHLY_SPEND: Final = (
    ("ads", "paid_search", 120_000), ("events", "event", 45_000), ("partners", "partner", 30_000),
    ("content", "web", 25_000),
)  # fmt: skip
_TEAM_SPEND: Final = 80_000
# Units of a US dollar; near enough for a floor that does not exist.
_DOLLARS: Final = {
    "USD": 1.0, "EUR": 1.08, "GBP": 1.27, "MYR": 0.22, "SGD": 0.75, "CNY": 0.14, "TWD": 0.031,
    "JPY": 0.0066, "IDR": 0.000062, "IRR": 0.000024, "INR": 0.012, "BRL": 0.18, "CHF": 1.13,
}  # fmt: skip


def money_of(currency: str) -> Money:
    """Return the reporting currency and the second one in which some customers buy."""
    other = "USD" if currency == "EUR" else "EUR"
    return Money(currency, other, _DOLLARS[other] / _DOLLARS.get(currency, 1.0))


@dataclass(frozen=True, slots=True)
class Books:
    seed: int
    zone: ZoneInfo
    reps: Sequence[Rep]
    money: Money
    rate: float
    fiscal_year_start_month: int

    def opening(self, from_ms: int) -> list[Simulated]:
        """Return what is known when the floor opens: its records, its money and its customers of old."""
        today = self._local_day(from_ms)
        teller = self._teller("opening")
        for record in (*self._roster(today), *_stages(), self._rate_of(today)):
            _set(teller, record, from_ms)
        for record in (*self._month_targets(today), *self._quarter_targets(today), self._market(today.year)):
            _set(teller, record, from_ms)
        self._spend(teller, today, from_ms)
        records = teller.records
        for number in range(OLD_CUSTOMERS):
            random = Random(f"{self.seed}/customer/{number}")
            story = Story(
                random=random,
                name=f"old-{number}",
                zone=self.zone,
                live=False,
                reps=self.reps,
                money=self.money,
            )
            since_ms = from_ms - int(random.uniform(30, 900) * DAY_MS)
            records += story.customer(from_ms + number * SECOND_MS, since_ms)
        return records

    def hour(self, start_ms: int) -> list[Simulated]:
        """Return what a new local day brings if one begins within or right after this hour."""
        end_ms = start_ms + HOUR_MS
        today = self._local_day(end_ms)
        if self._local_day(start_ms) == today:
            return []
        teller = self._teller(today.isoformat())
        _set(teller, self._rate_of(today), end_ms)
        if today.day == 1:
            for record in self._month_targets(today):
                _set(teller, record, end_ms)
            self._spend(teller, today, end_ms)
            if _first_of_quarter(today) == today:
                for record in self._quarter_targets(today):
                    _set(teller, record, end_ms)
            if today.month == 1:
                _set(teller, self._market(today.year), end_ms)
        if today.isoweekday() == 5:
            self._opinions(teller, today, end_ms)
        return teller.records

    def _teller(self, name: str) -> Teller:
        random = Random(f"{self.seed}/books/{name}")
        return Teller(random=random, name=f"books-{name}", zone=self.zone, live=False)

    def _local_day(self, time_ms: int) -> date:
        moment = datetime.fromtimestamp((time_ms + local_offset_ms(time_ms, self.zone)) / 1000, UTC)
        return moment.date()

    def _roster(self, today: date) -> list[Reference]:
        """Everybody has been here for a while; one of each team came over from the next team last year."""
        random, teams, spells = Random(f"{self.seed}/roster"), list(TEAMS), list[Reference]()
        for number, rep in enumerate(self.reps):
            since = today - timedelta(days=random.randrange(60, 900))
            spells.append(RosterSpell(rep.rep_id, rep.rep_id, rep.team_id, rep.region, since))
            if number % 6 == 0:
                team = teams[(teams.index(rep.team_id) + 1) % len(teams)]
                before = since - timedelta(days=random.randrange(200, 600))
                spells.append(RosterSpell(rep.rep_id, rep.rep_id, team, TEAMS[team][0], before, since))
        return spells

    def _rate_of(self, day: date) -> Rate:
        wiggle = Random(f"{self.seed}/rate/{day}").uniform(0.99, 1.01)
        return Rate(self.money.other, _decimal(self.money.other_rate * wiggle, 6), day)

    def _month_targets(self, day: date) -> list[Reference]:
        return self._targets(f"{day:%Y-%m}", months=1)

    def _quarter_targets(self, day: date) -> list[Reference]:
        first = _first_of_quarter(day)
        if self.fiscal_year_start_month == 1:
            return self._targets(f"{first.year}-Q{first.month // 3 + 1}", months=3)
        after = _first_of_quarter(first + timedelta(days=100))
        return self._targets(f"{first}/{after}", months=3)

    def _targets(self, period: str, months: int) -> list[Reference]:
        """Return targets for revenue and wins of every rep and team and of the floor."""
        records: list[Reference] = []
        for kpi, usual, currency, step in (
            ("revenue", _REVENUE_PER_MONTH, self.money.reporting, 1_000),
            ("deals_won", _WINS_PER_MONTH, None, 1),
        ):
            sums: dict[tuple[str, str], int] = {}
            for rep in self.reps:
                value = max(1, round(usual * months * self.rate * rep.skill / step)) * step
                for level, key in (("rep", rep.rep_id), ("team", rep.team_id), ("floor", "")):
                    sums[level, key] = sums.get((level, key), 0) + value
            for (level, key), value in sums.items():
                records.append(Target(kpi, level, key, period, _decimal(value, 0), currency))
        return records

    def _market(self, year: int) -> MarketSize:
        value = 12 * len(self.reps) * _REVENUE_PER_MONTH * self.rate / _MARKET_SHARE
        return MarketSize(str(year), _decimal(value, 0), self.money.reporting)

    def _spend(self, teller: Teller, day: date, time_ms: int) -> None:
        """Write what the month of the day costs."""
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
        budgets: list[tuple[str, dict[str, object], int]] = [
            (category, {"source": source}, amount) for category, source, amount in _MONTHLY_SPEND
        ]
        budgets += [("salaries", {"team_id": team}, _TEAM_SPEND) for team in TEAMS]
        for number, (category, whose, amount) in enumerate(budgets):
            spend_id = f"S-{first:%Y-%m}-{number}"
            random = Random(f"{self.seed}/spend/{spend_id}")
            spent = amount * self.rate * random.uniform(0.85, 1.15)
            data = {
                "spend_id": spend_id, "category": category, **whose,
                "amount": f"{spent:.{exponent_of(self.money.reporting) or 0}f}",
                "currency": self.money.reporting, "from": f"{first}", "to": f"{after}",
            }  # fmt: skip
            teller.write(SPEND, "sales.spend.recorded", time_ms, spend_id, data)

    def _opinions(self, teller: Teller, day: date, time_ms: int) -> None:
        """On Fridays the reps are asked how they are, on the month's first one whether to recommend us."""
        for kind, scores, share in (
            ("pulse", (2, 3, 3, 4, 4, 5), 0.7),
            ("enps", (4, 6, 7, 8, 9, 9, 10), 0.8),
        ):
            if kind == "enps" and day.day > 7:
                continue
            for rep in self.reps:
                if teller.random.random() < share:
                    at = time_ms + int(teller.random.uniform(9, 18) * HOUR_MS)
                    feedback_id = f"F-{kind}-{day}-{rep.rep_id}"
                    data = {
                        "feedback_id": feedback_id, "kind": kind, "score": teller.random.choice(scores),
                        "rep_id": rep.rep_id, "team_id": rep.team_id, "region": rep.region,
                    }  # fmt: skip
                    teller.write(FEEDBACK, "sales.feedback.received", at, feedback_id, data)


def _stages() -> list[Reference]:
    return [StageRecord(stage.name, None, order, stage.probability) for order, stage in enumerate(STAGES, 1)]


def _first_of_quarter(day: date) -> date:
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def _decimal(value: float, digits: int) -> Decimal:
    return Decimal(f"{value:.{digits}f}")


_TYPES: Final = {
    Target: "sales.target.set", RosterSpell: "sales.rep.updated", Rate: "sales.rate.set",
    MarketSize: "sales.market.set", StageRecord: "sales.stage.set",
}  # fmt: skip


def _set(teller: Teller, record: Reference, time_ms: int) -> None:
    data = {name: getattr(record, name) for name in record.__struct_fields__}
    data = {name: value for name, value in data.items() if value not in (None, "")}
    teller.write(REFERENCE, _TYPES[type(record)], time_ms, record.id, data)
