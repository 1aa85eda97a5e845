"""What counts, read off the events the slow, obvious way: CloudEvents in, books of deals, leads and work out.

After corrections, deletions and merges; keeps every event and sorts nothing. Shares no line with the product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from oracle.activities import Activity, activity_of
from oracle.currencies import MINOR_DIGITS
from oracle.customers import CustomerBooks, customers_of, feedback_of, spend_of
from oracle.joins import (
    DealStory,
    LeadStory,
    StageEntry,
    attempts_for,
    entries_of,
    story_of_deal,
    work_by_deal,
)
from oracle.levels import Here, Moments, Roster, key_of, places_of, product_of
from oracle.listed import count_together
from oracle.records import CloudEvent, Record, records_of
from oracle.reference import NOTHING_KNOWN, Reference
from oracle.windows import Floor, instant_of

KINDS = ("deal", "lead", "activity", "feedback", "spend")


@dataclass(frozen=True)
class Deal:
    rep: str
    team: str
    stage: str
    status: str  # open, won or lost
    first_ms: int  # time of its first event
    created_ms: int | None
    closed_ms: int | None  # when it was won or lost
    amount: Fraction  # in the reporting currency, at the rate of its closing; 0 without one
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
    source: str = ""
    region: str = ""
    own_chance: float | None = None  # what the deal says itself, whatever its stage
    here: Here = None

    @cached_property
    def moments(self) -> Moments:
        return {"created": self.created_ms, "closed": None if self.status == "open" else self.closed_ms}

    def at(self, moment: str) -> int | None:
        """Return a moment if it counts here."""
        return self.moments[moment] if self.here is None or moment in self.here else None

    @property
    def product(self) -> str:
        return product_of(self.products)

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
    source: str = ""
    region: str = ""
    product: str = ""
    here: Here = None

    @cached_property
    def moments(self) -> Moments:
        own = {"created": self.created_ms, "qualified": self.qualified_ms, "converted": self.converted_ms}
        return own if self.story is None else own | dict(self.story.moments)

    def at(self, moment: str) -> int | None:
        """Return a moment if it counts here."""
        return self.moments[moment] if self.here is None or moment in self.here else None


@dataclass
class Books:
    """Everything that counts, after corrections, deletions and merges."""

    deals: list[Deal] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    customers: CustomerBooks = field(default_factory=CustomerBooks)
    known: Reference = field(default_factory=Reference)


# ---- from events to books -------------------------------------------------------------------------


def books_of(
    events: Iterable[CloudEvent],
    floor: Floor,
    known: Reference = NOTHING_KNOWN,
    *,
    roster_only: Sequence[str] = (),
) -> Books:
    """Return what counts; at the levels of `roster_only`, who is not on the roster shares one name."""
    books = Books(known=known)
    records = records_of(events)
    count_together(list(records.values()), roster_only, known)
    alive: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
    accounts: dict[str, Record] = {}
    for (kind, name), record in records.items():
        if kind == "account":
            accounts[name] = record
        elif not record.get("deleted") and not record.get("merged_into"):
            alive[kind][name] = record
    books.activities = [activity_of(record) for record in alive["activity"].values()]
    won: dict[str, int] = {}
    work = work_by_deal(books.activities)
    for name, record in alive["deal"].items():
        deal = _deal(name, record, floor, known)
        story = story_of_deal(record, work.get(name, ()))
        books.deals.append(replace(deal, story=story, entries=entries_of(story, deal.status, deal.closed_ms)))
        if deal.status == "won" and deal.closed_ms is not None:
            for named in (f"deal {name}", f"lead {record.text('lead_id')}"):
                won[named] = min(deal.closed_ms, won.get(named, deal.closed_ms))
    attempts = attempts_for(books.activities)
    for name, record in alive["lead"].items():
        lead = _lead(record)
        won_ms = [won[each] for each in (f"lead {name}", f"deal {record.text('deal_id')}") if each in won]
        story_of_lead = LeadStory(lead.created_ms, min(won_ms, default=None), attempts.get(name, ()), floor)
        books.leads.append(replace(lead, story=story_of_lead))
    books.customers = CustomerBooks(
        customers_of(accounts, books.deals),
        [answer for record in alive["feedback"].values() if (answer := feedback_of(record)) is not None],
        [day for record in alive["spend"].values() for day in spend_of(record, floor, known)],
        known.placed(floor),
    )
    return books


def _deal(deal_id: str, record: Record, floor: Floor, known: Reference) -> Deal:
    status = record.text("status") or "open"
    closed_ms = None
    if status != "open":
        status_write = record.newest("status")
        assert status_write is not None
        closed_ms = record.instant("closed_at")
        closed_ms = status_write.time_ms if closed_ms is None else closed_ms
    assert record.first_ms is not None
    stage, own = record.text("stage"), record.get("probability")
    chance = known.chances.get(stage, floor.stage_probability.get(stage, 0)) if own is None else own
    expected = record.get("expected_close_on")
    overdue_ms = None
    if expected is not None:
        next_day = datetime.fromisoformat(str(expected)) + timedelta(days=1)
        overdue_ms = instant_of(next_day, floor)
    currency = record.text("currency") or floor.currency
    amount = _whole_minor_units(record.get("amount"), currency)
    cost = None if record.get("cost") is None else _whole_minor_units(record.get("cost"), currency)
    rate = Fraction(0)
    if closed_ms is not None:
        rate = known.rate(currency, closed_ms, floor) or Fraction(0)
    elif currency == floor.currency:
        rate = Fraction(1)
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
        amount=amount * rate,
        probability=Fraction(round(Fraction(Decimal(str(chance))) * 10**6), 10**6),
        has_amount=amount != 0,
        overdue_ms=overdue_ms,
        id=deal_id,
        account=record.text("account_id"),
        products=tuple(products or ()),
        currency=currency,
        own_amount=amount,
        cost=None if cost is None else cost * rate,
        source=record.text("source"),
        region=record.text("region"),
        own_chance=None if own is None else float(str(own)),
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
        source=record.text("source"),
        region=record.text("region"),
    )


def split(books: Books, level: str) -> dict[str, Books]:
    """Return each key's own part of the books: what has a moment that counts for it."""
    parts: dict[str, Books] = {"": Books()} if level == "floor" else {}
    roster = books.customers.roster
    for deal in books.deals:
        for key, here in places_of(deal, deal.moments, level, roster).items():
            own = deal if here is None else replace(deal, here=here)
            parts.setdefault(key, Books()).deals.append(own)
    for lead in books.leads if level != "stage" else ():
        for key, here in places_of(lead, lead.moments, level, roster).items():
            if here is not None:
                assert lead.story is not None
                lead = replace(lead, here=here, story=replace(lead.story, here=here))
            parts.setdefault(key, Books()).leads.append(lead)
    for activity in books.activities if level != "stage" else ():
        for key, here in places_of(activity, activity.moments, level, roster).items():
            parts.setdefault(key, Books()).activities.append(
                activity if here is None else replace(activity, here=here)
            )
    return parts


def split_now(deals: Iterable[Deal], level: str, as_of_ms: int, roster: Roster) -> dict[str, list[Deal]]:
    """Return the open deals of each key: what is open counts where its rep is at the instant."""
    parts: dict[str, list[Deal]] = {}
    for deal in deals:
        parts.setdefault(key_of(deal, level, as_of_ms - 1, roster), []).append(deal)
    return parts
