"""Customers, cost and satisfaction the slow, obvious way: what counts in, their numbers of a span out.

Written from the sentences that define the KPIs; shares no line with the product. A customer is an account
with its purchases: the deals won with it, or with an account that was merged into it, in order of time.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from oracle.currencies import MINOR_DIGITS
from oracle.levels import NO_ROSTER, Placed, Roster, key_of
from oracle.records import Record
from oracle.reference import Reference
from oracle.windows import Floor, Span, instant_of

Numbers = dict[tuple[str, float | None], Fraction | None]
NINETY_DAYS_MS = 90 * 24 * 3_600_000


class WonDeal(Placed, Protocol):
    """What is asked of a deal here; `amount` and `cost` are in the reporting currency."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def closed_ms(self) -> int | None: ...
    @property
    def amount(self) -> Fraction: ...
    @property
    def own_amount(self) -> Fraction: ...
    @property
    def currency(self) -> str: ...
    @property
    def cost(self) -> Fraction | None: ...
    @property
    def account(self) -> str: ...
    @property
    def products(self) -> tuple[str, ...]: ...


@dataclass
class Customer:
    id: str
    rep: str = ""
    team: str = ""
    from_ms: int | None = None
    churned_ms: int | None = None
    listed: frozenset[str] | None = None
    purchases: list[WonDeal] = field(default_factory=list)
    repeats_ms: int | None = None
    """When a second purchase came soon after the first."""
    expanding: set[int] = field(default_factory=set)
    """Which of the purchases, by their place, add a product or volume."""
    source: str = ""
    region: str = ""
    product: str = ""

    def is_active(self, at_ms: int) -> bool:
        if self.from_ms is None or self.from_ms >= at_ms:
            return False
        return self.churned_ms is None or self.churned_ms >= at_ms

    def products(self, at_ms: int) -> int:
        if self.listed is not None:
            return len(self.listed)
        bought = [deal.products for deal in self.purchases if when(deal) < at_ms]
        return len({product for products in bought for product in products})


@dataclass(frozen=True)
class Feedback:
    rep: str
    team: str
    kind: str
    score: Fraction
    scale: str
    time_ms: int
    region: str = ""
    source: str = ""
    product: str = ""


@dataclass(frozen=True)
class SpendOfDay:
    rep: str
    team: str
    time_ms: int
    amount: Fraction
    source: str = ""
    region: str = ""
    product: str = ""


def when(deal: WonDeal) -> int:
    assert deal.closed_ms is not None
    return deal.closed_ms


# ---- what counts ----------------------------------------------------------------------------------


def customers_of(accounts: Mapping[str, Record], deals: Iterable[WonDeal]) -> list[Customer]:
    """Return every account that survived, with the purchases of all that were merged into it."""

    def survivor(account: str) -> str:
        path: list[str] = []
        while account not in path:
            path.append(account)
            if account not in accounts or not accounts[account].text("merged_into"):
                return account
            account = accounts[account].text("merged_into")
        return min(path[path.index(account) :])  # of accounts merged in a circle the least is left

    customers: dict[str, Customer] = {}
    for deal in deals:
        if deal.status == "won" and deal.account:
            account = survivor(deal.account)
            customers.setdefault(account, Customer(account)).purchases.append(deal)
    for account, record in accounts.items():
        if survivor(account) != account:
            continue
        if record.get("deleted"):
            customers.pop(account, None)
            continue
        customer = customers.setdefault(account, Customer(account))
        customer.rep, customer.team = record.text("rep_id"), record.text("team_id")
        customer.region = record.text("region")
        customer.from_ms, customer.churned_ms = record.instant("active_from"), record.instant("churned_at")
        products = record.get("products")
        assert products is None or isinstance(products, list)
        customer.listed = None if products is None else frozenset(products)
    for customer in customers.values():
        _complete(customer)
    return list(customers.values())


def _complete(customer: Customer) -> None:
    """Put the purchases in order and say from them what the account's own record left open."""
    customer.purchases.sort(key=lambda deal: (when(deal), deal.id))
    if customer.purchases:
        first = customer.purchases[0]
        if not customer.rep and not customer.team:
            customer.rep, customer.team = first.rep, first.team
        customer.source, customer.region = first.source, customer.region or first.region
        if customer.from_ms is None:
            customer.from_ms = when(first)
        again = [when(deal) for deal in customer.purchases[1:] if when(deal) - when(first) <= NINETY_DAYS_MS]
        customer.repeats_ms = min(again, default=None)
        customer.expanding = {
            number
            for number, deal in enumerate(customer.purchases)
            if number and _expands(deal, customer.purchases[:number])
        }
    if customer.churned_ms is not None and customer.churned_ms <= (customer.from_ms or customer.churned_ms):
        customer.churned_ms = None


def _expands(deal: WonDeal, earlier: Sequence[WonDeal]) -> bool:
    """Say whether it has a product none of the earlier ones had, or more amount than the last of them."""
    had = {product for each in earlier for product in each.products}
    in_currency = [each.own_amount for each in earlier if each.currency == deal.currency]
    return bool(set(deal.products) - had) or (bool(in_currency) and deal.own_amount > in_currency[-1])


def feedback_of(record: Record) -> Feedback | None:
    received_ms, score, kind = record.instant("received_at"), record.get("score"), record.text("kind")
    if received_ms is None or score is None or not kind:
        return None
    scale = record.text("scale") or {"csat": "1-5", "pulse": "1-5"}.get(kind, "0-10")
    exact = Fraction(Decimal(str(score)))
    who = record.text("rep_id"), record.text("team_id")
    return Feedback(*who, kind, exact, scale, received_ms, record.text("region"))


def spend_of(record: Record, floor: Floor, known: Reference) -> Iterator[SpendOfDay]:
    """Spread the amount over its days; what does not divide goes to the first ones, a unit each."""
    currency = record.text("currency") or floor.currency
    amount = record.get("amount")
    if amount is None:
        return
    unit = 10 ** MINOR_DIGITS[currency]
    units = round(Fraction(Decimal(str(amount))) * unit)
    first, end = (_day(record.get(name)) for name in ("from", "to"))
    days = [first + timedelta(days=n) for n in range((end - first).days)] if first and end else []
    if days:
        times_ms = [_midnight(day, floor) for day in days]
    elif first:
        times_ms = [_midnight(first, floor)]
    else:
        recorded_ms = record.instant("recorded_at")
        times_ms = [] if recorded_ms is None else [recorded_ms]
    for number, time_ms in enumerate(times_ms):
        each = units // len(times_ms) + (1 if number < units % len(times_ms) else 0)
        place = record.text("source"), record.text("region")
        worth = Fraction(each, unit) * (known.rate(currency, time_ms, floor) or 0)
        yield SpendOfDay(record.text("rep_id"), record.text("team_id"), time_ms, worth, *place)


def _day(value: object) -> date | None:
    return None if value is None else date.fromisoformat(str(value))


def _midnight(day: date, floor: Floor) -> int:
    return instant_of(datetime(day.year, day.month, day.day), floor)  # noqa: DTZ001 - a wall time is meant


# ---- their numbers --------------------------------------------------------------------------------


@dataclass
class Tally:
    """Everything that is counted of one key in one span."""

    new: int = 0
    repeating: int = 0
    after_first: int = 0
    buyers: set[str] = field(default_factory=set)
    expansion: Fraction = Fraction(0)
    at_start: int = 0
    retained: int = 0
    """Of those at the start, the ones that are active at the end too, wherever they belong by then."""
    won: int = 0
    revenue: Fraction = Fraction(0)
    with_cost: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    spend: Fraction = Fraction(0)
    answers: dict[str, list[Feedback]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class CustomerBooks:
    customers: list[Customer] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    spend: list[SpendOfDay] = field(default_factory=list)
    roster: Roster = NO_ROSTER


def keys_of(books: CustomerBooks, level: str) -> set[str]:
    owned: list[tuple[Placed, int]] = [(each, each.time_ms) for each in books.feedback]
    owned += [(each, each.time_ms) for each in books.spend]
    for customer in books.customers:
        if customer.from_ms is not None:
            spells = books.roster.spells.get(customer.rep, ())
            moves = {time_ms for spell in spells for time_ms in (spell.start_ms, spell.end_ms)}
            owned += [(customer, time_ms) for time_ms in (customer.from_ms, *moves)]
    return {key_of(each, level, time_ms, books.roster) for each, time_ms in owned}


def tallies(
    books: CustomerBooks, deals: Sequence[WonDeal], level: str, span: Span
) -> defaultdict[str, Tally]:
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for customer in books.customers:
        _tally_purchases(customer, found, level, span, books.roster)
        _tally_stay(customer, found, level, span, books.roster)
    for deal in deals:
        if deal.status == "won" and span.holds(when(deal)):
            tally = found[key_of(deal, level, when(deal), books.roster)]
            tally.won += 1
            tally.revenue += deal.amount
            if deal.cost is not None:
                tally.with_cost += deal.amount
                tally.cost += deal.cost
    for spend in books.spend:
        if span.holds(spend.time_ms):
            found[key_of(spend, level, spend.time_ms, books.roster)].spend += spend.amount
    for answer in books.feedback:
        if span.holds(answer.time_ms):
            key = key_of(answer, level, answer.time_ms, books.roster)
            found[key].answers[answer.kind].append(answer)
    return found


def _tally_stay(
    customer: Customer, found: defaultdict[str, Tally], level: str, span: Span, roster: Roster
) -> None:
    """Count it where it belonged when the span began, if it was active then.

    A span that has only just begun ends before anything of its first instant.
    """
    if customer.is_active(span.start_ms):
        tally = found[key_of(customer, level, min(span.start_ms, span.end_ms - 1), roster)]
        tally.at_start += 1
        tally.retained += customer.is_active(span.end_ms)


def _tally_purchases(
    customer: Customer, found: defaultdict[str, Tally], level: str, span: Span, roster: Roster
) -> None:
    for number, deal in enumerate(customer.purchases):
        if not span.holds(when(deal)):
            continue
        tally = found[key_of(deal, level, when(deal), roster)]
        tally.buyers.add(customer.id)
        if number == 0:
            tally.new += 1
            tally.repeating += customer.repeats_ms is not None and customer.repeats_ms < span.end_ms
        else:
            tally.after_first += 1
            tally.expansion += deal.amount if number in customer.expanding else 0


def _ratio(numerator: Fraction | int, denominator: Fraction | int) -> Fraction | None:
    return Fraction(numerator) / denominator if denominator else None


def numbers_of(tally: Tally) -> Numbers:
    retention = _ratio(tally.retained, tally.at_start)
    numbers: dict[str, Fraction | int | None] = {
        "new_customers": tally.new,
        "buying_customers": len(tally.buyers),
        "average_basket": _ratio(tally.revenue, len(tally.buyers)),
        "deals_after_first_sale": tally.after_first,
        "repeat_customers": tally.repeating,
        "repeat_purchase_rate": _ratio(tally.repeating, tally.new),
        "customers_at_start": tally.at_start,
        "customers_retained": tally.retained,
        "customer_retention": retention,
        "customer_churn": None if retention is None else 1 - retention,
        "customers_lost": tally.at_start - tally.retained,
        "expansion_revenue": tally.expansion,
        "spend": tally.spend,
        "cac": _ratio(tally.spend, tally.new),
        "revenue_with_cost": tally.with_cost,
        "gross_profit": tally.with_cost - tally.cost,
        "gross_margin": _ratio(tally.with_cost - tally.cost, tally.with_cost),
        "gross_margin_coverage": _ratio(tally.with_cost, tally.revenue),
    } | _feedback_numbers(tally.answers)
    return {(kpi, None): None if number is None else Fraction(number) for kpi, number in numbers.items()}


def ninety_days_to(end_ms: int) -> Span:
    return Span(end_ms - NINETY_DAYS_MS, end_ms)


def lifetime_numbers(tally: Tally, active: int) -> Numbers:
    """Return what an account is worth, from the 90 days' tally and the accounts active at their end."""
    deals_a_year = _ratio((tally.new + tally.after_first) * Fraction(365, 90), active)
    years = None
    if tally.at_start:
        churn_a_year = Fraction(tally.at_start - tally.retained, tally.at_start) * Fraction(365, 90)
        years = Fraction(10) if churn_a_year * 10 <= 1 else 1 / churn_a_year
    size = _ratio(tally.revenue, tally.won)
    margin = _ratio(tally.with_cost - tally.cost, tally.with_cost)
    worth = None
    if size is not None and margin is not None and deals_a_year is not None and years is not None:
        worth = size * deals_a_year * margin * years
    return {
        ("deals_per_customer_year", None): deals_a_year,
        ("customer_lifetime_years", None): years,
        ("clv", None): worth,
    }


LIFETIME_KPIS = ("deals_per_customer_year", "customer_lifetime_years", "clv")
"""They need the 90 days up to the window's end, whatever the window."""


def lifetimes(
    books: CustomerBooks, deals: Sequence[WonDeal], level: str, end_ms: int, keys: Iterable[str]
) -> dict[str, Numbers]:
    tallied = tallies(books, deals, level, ninety_days_to(end_ms))
    active = present_numbers(books, level, end_ms)
    found: dict[str, Numbers] = {}
    for key in keys:
        count = active.get(key, {}).get(("active_customers", None)) or Fraction(0)
        found[key] = lifetime_numbers(tallied[key], int(count))
    return found


def _feedback_numbers(answers: Mapping[str, list[Feedback]]) -> dict[str, Fraction | int | None]:
    csat, pulse = answers.get("csat", []), answers.get("pulse", [])
    satisfied = sum(answer.score >= 4 for answer in csat)
    numbers: dict[str, Fraction | int | None] = {
        "csat_responses": len(csat),
        "csat_satisfied": satisfied,
        "csat": _ratio(satisfied, len(csat)),
        "pulse_responses": len(pulse),
        "pulse_total": None,
        "pulse": None,
    }
    if len(pulse) >= 5:
        total = sum((_scaled(answer) for answer in pulse), Fraction(0))
        numbers["pulse_total"], numbers["pulse"] = total, total / len(pulse)
    for kind, at_least in (("nps", 1), ("enps", 5)):
        scores = [answer.score for answer in answers.get(kind, [])]
        balance = sum(score >= 9 for score in scores) - sum(score <= 6 for score in scores)
        numbers[f"{kind}_responses"] = len(scores)
        numbers[kind] = Fraction(100 * balance, len(scores)) if len(scores) >= at_least else None
    return numbers


def _scaled(answer: Feedback) -> Fraction:
    low, high = (int(end) for end in answer.scale.split("-"))
    return (answer.score - low) / (high - low)


def present_numbers(books: CustomerBooks, level: str, as_of_ms: int) -> dict[str, Numbers]:
    """Return what is so at the instant, by key."""
    active: defaultdict[str, int] = defaultdict(int)
    products: defaultdict[str, int] = defaultdict(int)
    for customer in books.customers:
        key = key_of(customer, level, as_of_ms - 1, books.roster)
        active[key] += customer.is_active(as_of_ms)
        if customer.is_active(as_of_ms):
            products[key] += customer.products(as_of_ms)
    return {
        key: {
            ("active_customers", None): Fraction(count),
            ("products_per_customer", None): _ratio(products[key], count),
        }
        for key, count in active.items()
    }
