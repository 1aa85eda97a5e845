"""The numbers computed the slow, obvious way: a list of CloudEvents in, every KPI of every window out.

Written from the sentences that define the KPIs; shares no line and no constant with the product, so
that an error in one is not repeated in the other. It keeps every event, sorts nothing, adds up with
plain loops and answers in exact fractions. Money is in major units, durations are in seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from oracle.activities import activity_numbers
from oracle.books import Books, Deal, Lead, books_of, split, split_now
from oracle.customers import keys_of, lifetimes, ninety_days_to, present_numbers, tallies
from oracle.customers import numbers_of as customer_numbers
from oracle.joins import StageEntry, is_stalled, lead_story_numbers, stage_numbers
from oracle.levels import CARRIED, LEVELS, is_told
from oracle.people import Presence, growth, pair_a_year_before, velocity, velocity_error
from oracle.quantiles import exact_quantile, quantile_error
from oracle.reference import Reference
from oracle.windows import WINDOWS, Floor, Span, WindowPair, window_pair

__all__ = ["CARRIED", "LEVELS", "WINDOWS", "Answer", "Books", "Deal", "Lead", "Sample", "answers", "books_of"]

ERROR_OF_QUANTILE = {
    kpi: f"{kpi}_error_allowed" for kpi in ("sales_cycle", "lead_response_time", "pipeline_velocity")
}
"""Not KPIs: how far an approximate quantile may be from the exact one."""


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


# ---- from books to numbers ------------------------------------------------------------------------

Numbers = dict[tuple[str, float | None], Fraction | None]
NEVER = Span(0, 0)


def _in(span: Span, time_ms: int | None) -> bool:
    return time_ms is not None and span.holds(time_ms)


def _ratio(numerator: Fraction | int, denominator: Fraction | int) -> Fraction | None:
    return Fraction(numerator) / denominator if denominator else None


def deal_numbers(deals: Sequence[Deal], span: Span) -> Numbers:
    won = [deal for deal in deals if deal.status == "won" and _in(span, deal.at("closed"))]
    lost = [deal for deal in deals if deal.status == "lost" and _in(span, deal.at("closed"))]
    created = [deal for deal in deals if _in(span, deal.at("created"))]
    revenue = sum((deal.amount for deal in won), Fraction(0))
    lost_amount = sum((deal.amount for deal in lost), Fraction(0))
    calls = sum(deal.story.calls for deal in won + lost)
    return {
        ("revenue", None): revenue,
        ("deals_won", None): Fraction(len(won)),
        ("deals_lost", None): Fraction(len(lost)),
        ("deals_closed", None): Fraction(len(won) + len(lost)),
        ("deals_created", None): Fraction(len(created)),
        ("deals_created_won", None): Fraction(sum(_won_by(deal, span.end_ms) for deal in created)),
        ("win_rate_cohort_age", None): _mean_age([deal.created_ms for deal in created], span.end_ms),
        ("win_rate_cohort", None): _ratio(sum(_won_by(deal, span.end_ms) for deal in created), len(created)),
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


def _mean_age(created_ms: Sequence[int | None], end_ms: int) -> Fraction | None:
    ages = [Fraction(end_ms - each, 1000) for each in created_ms if each is not None]
    return sum(ages, Fraction(0)) / len(ages) if ages else None


def _won_by(deal: Deal, end_ms: int) -> bool:
    return deal.status == "won" and deal.closed_ms is not None and deal.closed_ms < end_ms


def lead_numbers(leads: Sequence[Lead], span: Span) -> Numbers:
    created = sum(_in(span, lead.at("created")) for lead in leads)
    converted = sum(_in(span, lead.at("converted")) for lead in leads)
    soon = sum(_in(span, lead.at("created")) and converted_soon(lead, span.end_ms) for lead in leads)
    return {
        ("leads_created", None): Fraction(created),
        ("leads_qualified", None): Fraction(sum(_in(span, lead.at("qualified")) for lead in leads)),
        ("leads_converted", None): Fraction(converted),
        ("lead_conversion_period", None): _ratio(converted, created),
        ("leads_created_converted", None): Fraction(soon),
        ("lead_conversion", None): _ratio(soon, created),
    } | lead_story_numbers(
        [lead.story for lead in leads if lead.story is not None],
        span,
        ERROR_OF_QUANTILE["lead_response_time"],
    )


def converted_soon(lead: Lead, end_ms: int) -> bool:
    """Say whether it was converted before the end, within 30 days of its creation."""
    if lead.created_ms is None or lead.converted_ms is None or lead.converted_ms >= end_ms:
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


def within(books: Books, span: Span) -> Books:
    """Return what has any of its times in the span; the rest cannot count in it."""
    return Books(
        [deal for deal in books.deals if _in(span, deal.created_ms) or _in(span, deal.closed_ms)],
        [lead for lead in books.leads if any(_in(span, each) for each in lead.moments.values())],
        [
            activity
            for activity in books.activities
            if any(_in(span, each) for each in activity.moments.values())
        ],
        books.customers,
        books.known,
    )


def numbers_by_key(inside: Books, level: str, span: Span) -> dict[str, Numbers]:
    numbers_of: dict[str, Numbers] = {}
    for key, part in split(inside, level).items():
        numbers = deal_numbers(part.deals, span) | lead_numbers(part.leads, span)
        numbers |= activity_numbers(part.activities, span)
        numbers_of[key] = numbers | _calls_per_opportunity(numbers)
    return numbers_of


NOTHING = numbers_by_key(Books(), "floor", NEVER)[""]


def people_answers(
    books: Books,
    as_of_ms: int,
    floor: Floor,
    pairs: Mapping[str, tuple[WindowPair, WindowPair]],
    levels: Sequence[str],
) -> dict[Sample, Answer]:
    """Return what looks at the roster, at business days, or at another window than the one asked for."""
    result: dict[Sample, Answer] = {}
    last_90_days = window_pair("90d", as_of_ms, floor).now
    presence = Presence(books.known, floor)
    now_open = open_deals(books.deals, as_of_ms)
    for level in levels:
        of_now = split_now(now_open, level, as_of_ms, books.customers.roster)
        parts = split(books, level)
        for key in {*parts, *presence.keys(level), *of_now}:
            part = parts.get(key, Books())
            completed = [(each.rep, each.at("completed"), each.kind) for each in part.activities]
            for window, (pair, then) in pairs.items():
                both = []
                for span, before in ((pair.now, then.now), (pair.previous, then.previous)):
                    revenue, own = _revenue_and_average(part.deals, span)
                    numbers = presence.numbers(completed, revenue, level, key, span)
                    old = _revenue_and_average(part.deals, before)[1]
                    both.append(numbers | {"average_deal_size_growth": growth(own, old)})
                for kpi, value in both[0].items():
                    result[Sample(kpi, level, key, window)] = Answer(value, both[1][kpi])
            still_open = len(of_now.get(key, ()))
            result |= _velocity_answers(part.deals, still_open, level, key, last_90_days)
    return result


def _revenue_and_average(deals: Sequence[Deal], span: Span) -> tuple[Fraction, Fraction | None]:
    amounts = [deal.amount for deal in deals if deal.status == "won" and _in(span, deal.at("closed"))]
    revenue = sum(amounts, Fraction(0))
    return revenue, _ratio(revenue, len(amounts))


def _velocity_answers(
    deals: Sequence[Deal], still_open: int, level: str, key: str, last_90_days: Span
) -> dict[Sample, Answer]:
    of_90_days = deal_numbers(deals, last_90_days)
    cycle = of_90_days["sales_cycle", 0.5]
    speed = velocity(still_open, of_90_days["win_rate", None], of_90_days["average_deal_size", None], cycle)
    error = velocity_error(speed, cycle, of_90_days[ERROR_OF_QUANTILE["sales_cycle"], 0.5])
    return {
        Sample("pipeline_velocity", level, key, ""): Answer(speed, None),
        Sample(ERROR_OF_QUANTILE["pipeline_velocity"], level, key, ""): Answer(error, None),
    }


def answers(
    books: Books,
    as_of_ms: int,
    floor: Floor,
    *,
    windows: Sequence[str] = WINDOWS,
    levels: Sequence[str] = LEVELS,
    spans: Mapping[str, Span] = {},
) -> dict[Sample, Answer]:
    """Return every KPI of these windows, with its previous twin, at these levels; and of further spans, by
    names of their own, of which nothing is said of the time before or a year before."""
    keys = {
        level: list({*split(books, level), *(keys_of(books.customers, level) if level != "stage" else ())})
        for level in levels
    }
    flowing = [level for level in levels if level != "stage"]
    pairs = {window: window_pair(window, as_of_ms, floor) for window in windows}
    pairs |= {name: WindowPair(span, NEVER) for name, span in spans.items()}
    years = {window: pair_a_year_before(window, as_of_ms, floor) for window in windows}
    result = _window_answers(books, pairs, {level: keys[level] for level in flowing})
    if "stage" in levels:
        result |= _stage_answers(books, pairs, keys["stage"])
    result |= _present_answers(books, as_of_ms, floor, keys)
    with_years = {name: (pair, years.get(name, WindowPair(NEVER, NEVER))) for name, pair in pairs.items()}
    result |= people_answers(books, as_of_ms, floor, with_years, flowing)
    return {sample: answer for sample, answer in result.items() if is_told(sample.kpi, sample.level)}


def _window_answers(
    books: Books, pairs: Mapping[str, WindowPair], keys: Mapping[str, Sequence[str]]
) -> dict[Sample, Answer]:
    result: dict[Sample, Answer] = {}
    worth: dict[tuple[str, int], dict[str, Numbers]] = {}
    for window, pair in pairs.items():
        inside = within(books, pair.now), within(books, pair.previous)
        for level in keys:
            both = []
            for part, span in zip(inside, (pair.now, pair.previous), strict=True):
                if (level, span.end_ms) not in worth:
                    deals = within(books, ninety_days_to(span.end_ms)).deals
                    worth[level, span.end_ms] = lifetimes(
                        books.customers, deals, level, span.end_ms, keys[level]
                    )
                both.append(_numbers_of_keys(books, part, level, span, worth[level, span.end_ms]))
            for key in keys[level]:
                for (kpi, quantile), value in both[0][key].items():
                    sample = Sample(kpi, level, key, window, quantile)
                    result[sample] = Answer(value, both[1][key][kpi, quantile])
    return result


def _numbers_of_keys(
    books: Books, inside: Books, level: str, span: Span, worth: Mapping[str, Numbers]
) -> dict[str, Numbers]:
    """Return all numbers of one span by key, for every key of `worth`."""
    found = numbers_by_key(inside, level, span)
    tallied = tallies(books.customers, inside.deals, level, span)
    return {
        key: found.get(key, NOTHING) | customer_numbers(tallied[key]) | of_life
        for key, of_life in worth.items()
    }


def _stage_answers(
    books: Books, pairs: Mapping[str, WindowPair], stages: Iterable[str]
) -> dict[Sample, Answer]:
    """Return what came into each stage: nothing into those of which no event says when a deal came there."""
    result: dict[Sample, Answer] = {}
    entries: dict[str, list[StageEntry]] = {stage: [] for stage in stages}
    for deal in books.deals:
        for entry in deal.entries:
            entries.setdefault(entry.stage, []).append(entry)
    for window, pair in pairs.items():
        for stage, of_stage in entries.items():
            before_too = stage_numbers(of_stage, pair.previous)
            for (kpi, _), value in stage_numbers(of_stage, pair.now).items():
                result[Sample(kpi, "stage", stage, window)] = Answer(value, before_too[kpi, None])
    return result


NO_CUSTOMERS: Numbers = {("active_customers", None): Fraction(0), ("products_per_customer", None): None}


def _present_answers(
    books: Books, as_of_ms: int, floor: Floor, keys: Mapping[str, Sequence[str]]
) -> dict[Sample, Answer]:
    result: dict[Sample, Answer] = {}
    still_open = [valued(deal, books.known, as_of_ms, floor) for deal in open_deals(books.deals, as_of_ms)]
    for level in keys:
        parts = split_now(still_open, level, as_of_ms, books.customers.roster)
        present = present_numbers(books.customers, level, as_of_ms) if level != "stage" else {}
        without = NO_CUSTOMERS if level != "stage" else {}
        for key in {*keys[level], *parts, *present}:
            numbers = open_numbers(parts.get(key, ()), as_of_ms, floor) | present.get(key, without)
            for (kpi, _), value in numbers.items():
                result[Sample(kpi, level, key, "")] = Answer(value, None)
    return result


def valued(deal: Deal, known: Reference, as_of_ms: int, floor: Floor) -> Deal:
    """Value what is open as a balance is: at the rate that is valid at the instant."""
    rate = known.rate(deal.currency or floor.currency, as_of_ms - 1, floor) or Fraction(0)
    return replace(deal, amount=deal.own_amount * rate)
