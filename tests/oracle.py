"""The numbers computed the slow, obvious way: a list of CloudEvents in, every KPI of every window out.

Written from the sentences that define the KPIs; shares no line and no constant with the product, so
that an error in one is not repeated in the other. It keeps every event, sorts nothing, adds up with
plain loops and answers in exact fractions. Money is in major units, durations are in seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tests.oracle_activities import Activity, activity_numbers, activity_of
from tests.oracle_customers import (
    CustomerBooks,
    customers_of,
    feedback_of,
    keys_of,
    lifetimes,
    ninety_days_to,
    present_numbers,
    spend_of,
    tallies,
)
from tests.oracle_customers import numbers_of as customer_numbers
from tests.oracle_joins import (
    DealStory,
    LeadStory,
    StageEntry,
    attempts_for,
    entries_of,
    is_stalled,
    lead_story_numbers,
    stage_numbers,
    story_of_deal,
)
from tests.oracle_people import growth, pair_a_year_before, people_numbers, velocity, velocity_error
from tests.oracle_quantiles import exact_quantile, quantile_error
from tests.oracle_records import CloudEvent, Record, records_of
from tests.oracle_windows import WINDOWS, Floor, Span, instant_of, window_pair

LEVELS = ("floor", "team", "rep")
KINDS = ("deal", "lead", "activity", "feedback", "spend")
NOBODY = "unassigned"
ERROR_OF_QUANTILE = {
    kpi: f"{kpi}_error_allowed" for kpi in ("sales_cycle", "lead_response_time", "pipeline_velocity")
}
"""Not KPIs: how far an approximate quantile may be from the exact one."""

MINOR_DIGITS: Mapping[str, int] = {"USD": 2, "EUR": 2, "BRL": 2, "GBP": 2, "JPY": 0, "KWD": 3}


class Sample(NamedTuple):
    """What one number is about. `window` is empty for what is open at the as-of instant."""

    kpi: str
    level: str
    key: str
    window: str
    quantile: float | None = None


class Answer(NamedTuple):
    """The number and its previous twin; None where there is nothing to divide by."""

    value: Fraction | None
    previous: Fraction | None


@dataclass(frozen=True)
class Deal:
    rep: str
    team: str
    stage: str
    status: str  # open, won or lost
    first_ms: int  # time of its first event
    created_ms: int | None
    closed_ms: int | None  # when it was won or lost
    amount: Fraction  # in the reporting currency; 0 when it has none or another currency
    probability: Fraction = Fraction(0)
    has_amount: bool = True
    overdue_ms: int | None = None  # from when on it is late if it is still open
    id: str = ""
    account: str = ""
    products: tuple[str, ...] = ()
    currency: str = ""
    own_amount: Fraction = Fraction(0)  # in its own currency
    cost: Fraction | None = None  # as the amount
    story: DealStory = field(default_factory=DealStory)
    entries: Sequence[StageEntry] = ()

    @property
    def start_ms(self) -> int:
        return self.first_ms if self.created_ms is None else self.created_ms


@dataclass(frozen=True)
class Lead:
    rep: str
    team: str
    created_ms: int | None
    qualified_ms: int | None
    converted_ms: int | None
    story: LeadStory | None = None

    @property
    def moments(self) -> tuple[int | None, ...]:
        own = (self.created_ms, self.qualified_ms, self.converted_ms)
        return own if self.story is None else (*own, self.story.reached_ms, self.story.decided_ms)


@dataclass
class Books:
    """Everything that counts, after corrections, deletions and merges."""

    deals: list[Deal] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    customers: CustomerBooks = field(default_factory=CustomerBooks)


# ---- from events to books -------------------------------------------------------------------------


def books_of(events: Iterable[CloudEvent], floor: Floor) -> Books:
    books = Books()
    alive: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
    accounts: dict[str, Record] = {}
    for (kind, name), record in records_of(events).items():
        if kind == "account":
            accounts[name] = record
        elif not record.get("deleted") and record.get("merged_into") is None:
            alive[kind][name] = record
    books.activities = [activity_of(record) for record in alive["activity"].values()]
    won: set[str] = set()
    for name, record in alive["deal"].items():
        deal = _deal(name, record, floor)
        story = story_of_deal(name, record, books.activities)
        books.deals.append(replace(deal, story=story, entries=entries_of(story, deal.status, deal.closed_ms)))
        if deal.status == "won":
            won |= {f"deal {name}", f"lead {record.text('lead_id')}"}
    attempts = attempts_for(books.activities)
    for name, record in alive["lead"].items():
        lead = _lead(record)
        is_won = bool(won & {f"lead {name}", f"deal {record.text('deal_id')}"})
        story_of_lead = LeadStory(lead.created_ms, is_won, attempts.get(name, ()), floor)
        books.leads.append(replace(lead, story=story_of_lead))
    books.customers = CustomerBooks(
        customers_of(accounts, books.deals),
        [answer for record in alive["feedback"].values() if (answer := feedback_of(record)) is not None],
        [day for record in alive["spend"].values() for day in spend_of(record, floor)],
    )
    return books


def _deal(deal_id: str, record: Record, floor: Floor) -> Deal:
    status = record.text("status") or "open"
    closed_ms = None
    if status != "open":
        status_write = record.newest("status")
        assert status_write is not None
        closed_ms = record.instant("closed_at")
        closed_ms = status_write.time_ms if closed_ms is None else closed_ms
    assert record.first_ms is not None
    stage, own = record.text("stage"), record.get("probability")
    chance = floor.stage_probability.get(stage, 0) if own is None else own
    expected = record.get("expected_close_on")
    overdue_ms = None
    if expected is not None:
        next_day = datetime.fromisoformat(str(expected)) + timedelta(days=1)
        overdue_ms = instant_of(next_day, floor)
    currency = record.text("currency") or floor.currency
    amount = _whole_minor_units(record.get("amount"), currency)
    cost = None if record.get("cost") is None else _whole_minor_units(record.get("cost"), currency)
    products = record.get("products")
    assert products is None or isinstance(products, list)
    return Deal(
        rep=record.text("rep_id"),
        team=record.text("team_id"),
        stage=stage,
        status=status,
        first_ms=record.first_ms,
        created_ms=record.instant("created_at"),
        closed_ms=closed_ms,
        amount=amount if currency == floor.currency else Fraction(0),
        probability=Fraction(Decimal(str(chance))),
        has_amount=amount != 0,
        overdue_ms=overdue_ms,
        id=deal_id,
        account=record.text("account_id"),
        products=tuple(products or ()),
        currency=currency,
        own_amount=amount,
        cost=cost if cost is None or currency == floor.currency else Fraction(0),
    )


def _whole_minor_units(amount: object, currency: str) -> Fraction:
    """Return the amount as the currency can pay it: a finer one is rounded, ties to the even unit."""
    if amount is None:
        return Fraction(0)
    scale = 10 ** MINOR_DIGITS[currency]
    return Fraction(round(Fraction(Decimal(str(amount))) * scale), scale)


def _lead(record: Record) -> Lead:
    return Lead(
        rep=record.text("rep_id"),
        team=record.text("team_id"),
        created_ms=record.instant("created_at"),
        qualified_ms=record.instant("qualified_at"),
        converted_ms=record.instant("converted_at"),
    )


# ---- from books to numbers ------------------------------------------------------------------------

Numbers = dict[tuple[str, float | None], Fraction | None]
NEVER = Span(0, 0)


def _in(span: Span, time_ms: int | None) -> bool:
    return time_ms is not None and span.holds(time_ms)


def _ratio(numerator: Fraction | int, denominator: Fraction | int) -> Fraction | None:
    return Fraction(numerator) / denominator if denominator else None


def deal_numbers(deals: Sequence[Deal], span: Span) -> Numbers:
    won = [deal for deal in deals if deal.status == "won" and _in(span, deal.closed_ms)]
    lost = [deal for deal in deals if deal.status == "lost" and _in(span, deal.closed_ms)]
    created = [deal for deal in deals if _in(span, deal.created_ms)]
    revenue = sum((deal.amount for deal in won), Fraction(0))
    lost_amount = sum((deal.amount for deal in lost), Fraction(0))
    calls = sum(deal.story.calls for deal in won + lost)
    return {
        ("revenue", None): revenue,
        ("deals_won", None): Fraction(len(won)),
        ("deals_lost", None): Fraction(len(lost)),
        ("deals_closed", None): Fraction(len(won) + len(lost)),
        ("deals_created", None): Fraction(len(created)),
        ("deals_created_won", None): Fraction(sum(deal.status == "won" for deal in created)),
        ("win_rate_cohort", None): _ratio(sum(deal.status == "won" for deal in created), len(created)),
        ("deals_won_without_amount", None): Fraction(sum(not deal.has_amount for deal in won)),
        ("closed_amount", None): revenue + lost_amount,
        ("average_deal_size", None): _ratio(revenue, len(won)),
        ("win_rate", None): _ratio(len(won), len(won) + len(lost)),
        ("calls_on_closed", None): Fraction(calls),
        ("calls_per_closed_deal", None): _ratio(calls, len(won) + len(lost)),
        ("win_rate_value", None): _ratio(revenue, revenue + lost_amount),
    } | _cycle_numbers(won)


def _cycle_numbers(won: Sequence[Deal]) -> Numbers:
    cycles_ms = sorted(
        deal.closed_ms - deal.created_ms
        for deal in won
        if deal.closed_ms is not None and deal.created_ms is not None
    )
    numbers: Numbers = {("sales_cycle", None): _ratio(sum(cycles_ms), 1000 * len(cycles_ms))}
    for quantile in (0.5, 0.9):
        exact = exact_quantile(cycles_ms, quantile) / 1000 if cycles_ms else None
        numbers["sales_cycle", quantile] = exact
        numbers[ERROR_OF_QUANTILE["sales_cycle"], quantile] = (
            quantile_error(cycles_ms, quantile) / 1000 if cycles_ms else None
        )
    return numbers


def lead_numbers(leads: Sequence[Lead], span: Span) -> Numbers:
    created = sum(_in(span, lead.created_ms) for lead in leads)
    converted = sum(_in(span, lead.converted_ms) for lead in leads)
    soon = sum(_in(span, lead.created_ms) and converted_soon(lead) for lead in leads)
    return {
        ("leads_created", None): Fraction(created),
        ("leads_qualified", None): Fraction(sum(_in(span, lead.qualified_ms) for lead in leads)),
        ("leads_converted", None): Fraction(converted),
        ("lead_conversion_period", None): _ratio(converted, created),
        ("leads_created_converted", None): Fraction(soon),
        ("lead_conversion", None): _ratio(soon, created),
    } | lead_story_numbers(
        [lead.story for lead in leads if lead.story is not None],
        span,
        ERROR_OF_QUANTILE["lead_response_time"],
    )


def converted_soon(lead: Lead) -> bool:
    """Say whether it was converted within 30 days of its creation."""
    if lead.created_ms is None or lead.converted_ms is None:
        return False
    return lead.converted_ms - lead.created_ms <= 30 * 24 * 3_600_000


def _calls_per_opportunity(numbers: Numbers) -> Numbers:
    calls, created = numbers["calls", None], numbers["deals_created", None]
    assert calls is not None
    assert created is not None
    return {("calls_per_opportunity", None): _ratio(calls, created)}


def open_deals(deals: Iterable[Deal], as_of_ms: int) -> list[Deal]:
    """Return what is open at the as-of instant: begun before it, and not closed before it."""
    found = []
    for deal in deals:
        if deal.closed_ms is not None and deal.closed_ms <= deal.start_ms:
            continue
        if deal.start_ms < as_of_ms and (deal.closed_ms is None or as_of_ms <= deal.closed_ms):
            found.append(deal)
    return found


def open_numbers(deals: Sequence[Deal], as_of_ms: int, floor: Floor) -> Numbers:
    stalled = sum(is_stalled(deal.story, deal.start_ms, as_of_ms, floor) for deal in deals)
    overdue = [deal for deal in deals if deal.overdue_ms is not None and deal.overdue_ms < as_of_ms]
    weighted = sum((deal.amount * deal.probability for deal in deals), Fraction(0))
    return {
        ("open_deals", None): Fraction(len(deals)),
        ("pipeline_value", None): sum((deal.amount for deal in deals), Fraction(0)),
        ("weighted_pipeline", None): weighted,
        ("stalled_deals", None): Fraction(stalled),
        ("deals_overdue", None): Fraction(len(overdue)),
        ("pipeline_overdue", None): sum((deal.amount for deal in overdue), Fraction(0)),
    }


def key_of(member: Deal | Lead | Activity, level: str) -> str:
    match level:
        case "floor":
            return ""
        case "team":
            return member.team or NOBODY
        case "rep":
            return member.rep or NOBODY
        case _:
            assert isinstance(member, Deal)
            return member.stage or NOBODY


def split(books: Books, level: str) -> dict[str, Books]:
    """Return each key's own part of the books."""
    parts: dict[str, Books] = {"": Books()} if level == "floor" else {}
    for deal in books.deals:
        parts.setdefault(key_of(deal, level), Books()).deals.append(deal)
    for lead in books.leads:
        parts.setdefault(key_of(lead, level), Books()).leads.append(lead)
    for activity in books.activities:
        parts.setdefault(key_of(activity, level), Books()).activities.append(activity)
    return parts


def within(books: Books, span: Span) -> Books:
    """Return what has any of its times in the span; the rest cannot count in it."""
    return Books(
        [deal for deal in books.deals if _in(span, deal.created_ms) or _in(span, deal.closed_ms)],
        [lead for lead in books.leads if any(_in(span, each) for each in lead.moments)],
        [activity for activity in books.activities if any(_in(span, each) for each in activity.moments)],
    )


def numbers_by_key(inside: Books, level: str, span: Span) -> dict[str, Numbers]:
    numbers_of: dict[str, Numbers] = {}
    for key, part in split(inside, level).items():
        numbers = deal_numbers(part.deals, span) | lead_numbers(part.leads, span)
        numbers |= activity_numbers(part.activities, span)
        numbers_of[key] = numbers | _calls_per_opportunity(numbers)
    return numbers_of


def people_answers(books: Books, as_of_ms: int, floor: Floor, windows: Sequence[str]) -> dict[Sample, Answer]:
    """Return what looks at business days, or at another window than the one asked for."""
    result: dict[Sample, Answer] = {}
    last_90_days = window_pair("90d", as_of_ms, floor).now
    pairs = {w: (window_pair(w, as_of_ms, floor), pair_a_year_before(w, as_of_ms, floor)) for w in windows}
    for level in LEVELS:
        for key, part in split(books, level).items():
            completed = [(activity.rep, activity.completed_ms) for activity in part.activities]
            for window, (pair, then) in pairs.items():
                both = []
                for span, before in ((pair.now, then.now), (pair.previous, then.previous)):
                    own, old = (deal_numbers(part.deals, each) for each in (span, before))
                    size = "average_deal_size", None
                    numbers = people_numbers(completed, span, floor)
                    both.append(numbers | {"average_deal_size_growth": growth(own[size], old[size])})
                for kpi, value in both[0].items():
                    result[Sample(kpi, level, key, window)] = Answer(value, both[1][kpi])
            result |= _velocity_answers(part.deals, level, key, as_of_ms, last_90_days)
    return result


def _velocity_answers(
    deals: Sequence[Deal], level: str, key: str, as_of_ms: int, last_90_days: Span
) -> dict[Sample, Answer]:
    of_90_days, still_open = deal_numbers(deals, last_90_days), len(open_deals(deals, as_of_ms))
    cycle = of_90_days["sales_cycle", 0.5]
    speed = velocity(still_open, of_90_days["win_rate", None], of_90_days["average_deal_size", None], cycle)
    error = velocity_error(speed, cycle, of_90_days[ERROR_OF_QUANTILE["sales_cycle"], 0.5])
    return {
        Sample("pipeline_velocity", level, key, ""): Answer(speed, None),
        Sample(ERROR_OF_QUANTILE["pipeline_velocity"], level, key, ""): Answer(error, None),
    }


def answers(
    books: Books, as_of_ms: int, floor: Floor, *, windows: Sequence[str] = WINDOWS
) -> dict[Sample, Answer]:
    """Return every KPI of every window, with its previous twin, for floor, teams and reps."""
    result: dict[Sample, Answer] = {}
    nothing = numbers_by_key(Books(), "floor", NEVER)[""]
    keys = {level: list({*split(books, level), *keys_of(books.customers, level)}) for level in LEVELS}
    worth: dict[tuple[str, int], dict[str, Numbers]] = {}
    for window in windows:
        pair = window_pair(window, as_of_ms, floor)
        inside_now, inside_before = within(books, pair.now), within(books, pair.previous)
        for level in LEVELS:
            now = numbers_by_key(inside_now, level, pair.now)
            before = numbers_by_key(inside_before, level, pair.previous)
            tallied_now = tallies(books.customers, inside_now.deals, level, pair.now)
            tallied_before = tallies(books.customers, inside_before.deals, level, pair.previous)
            for end_ms in (pair.now.end_ms, pair.previous.end_ms):
                if (level, end_ms) not in worth:
                    deals = within(books, ninety_days_to(end_ms)).deals
                    worth[level, end_ms] = lifetimes(books.customers, deals, level, end_ms, keys[level])
            worth_now, worth_before = worth[level, pair.now.end_ms], worth[level, pair.previous.end_ms]
            for key in keys[level]:
                values = now.get(key, nothing) | customer_numbers(tallied_now[key]) | worth_now[key]
                previous = (
                    before.get(key, nothing) | customer_numbers(tallied_before[key]) | worth_before[key]
                )
                for (kpi, quantile), value in values.items():
                    sample = Sample(kpi, level, key, window, quantile)
                    result[sample] = Answer(value, previous[kpi, quantile])
    entries: dict[str, list[StageEntry]] = {}
    for deal in books.deals:
        for entry in deal.entries:
            entries.setdefault(entry.stage, []).append(entry)
    for window in windows:
        pair = window_pair(window, as_of_ms, floor)
        for stage, of_stage in entries.items():
            before_too = stage_numbers(of_stage, pair.previous)
            for (kpi, _), value in stage_numbers(of_stage, pair.now).items():
                sample = Sample(kpi, "stage", stage, window)
                result[sample] = Answer(value, before_too[kpi, None])
    keys["stage"] = list(split(Books(books.deals), "stage"))
    still_open = Books(open_deals(books.deals, as_of_ms))
    for level in keys:
        parts = split(still_open, level)
        for key in keys[level]:
            for (kpi, _), value in open_numbers(parts.get(key, Books()).deals, as_of_ms, floor).items():
                result[Sample(kpi, level, key, "")] = Answer(value, None)
    for level in LEVELS:
        present = present_numbers(books.customers, level, as_of_ms)
        for key in keys[level]:
            for (kpi, _), value in present.get(key, {}).items():
                result[Sample(kpi, level, key, "")] = Answer(value, None)
    return result | people_answers(books, as_of_ms, floor, windows)
