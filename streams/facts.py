"""Entity state in, its fact out: all that any number needs to know of it. Pure.

A slot writes the fact of each of its deals, leads and accounts to its board; `streams.fact_contributions`
makes numbers of each of them, `streams.joins` of several together. An entity that counts nowhere has none;
one that was merged away says only into which it went. Of activities there is one fact per slot for each lead
and each deal they touch (streams.touches).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from metrics.money import exponent_of, to_minor
from metrics.panes import Cell
from metrics.reference import Stage
from streams.entities import FIELDS, STAGE_WRITES_MAX, AccountState, DealState, LeadState, StageWrite, State
from streams.events import DealStatus, EntityKind
from streams.rules import FoldRules
from streams.touches import Touches


class DealFact(Struct, frozen=True, array_like=True, gc=False):
    cell: Cell
    opened_at_ms: int
    """When it was created, else first heard of."""
    created_at_ms: int | None = None
    closed_at_ms: int | None = None
    """Set for a won or lost deal only."""
    status: DealStatus = "open"
    amount_minor: int = 0
    """In the cell's currency."""
    account_id: str = ""
    lead_id: str = ""
    products: tuple[str, ...] = ()
    merged_into: str = ""
    probability: float | None = None
    due_on: int = 0
    """Day on which it is expected to close, as `date.toordinal`; 0 when nobody said."""
    stage: str = ""
    pipeline: str = ""
    stages: tuple[tuple[int, str], ...] = ()
    """When it came into which stage, oldest first; "" is none."""
    cost_minor: int | None = None
    """In the cell's currency; None when nobody said."""


class LeadFact(Struct, frozen=True, array_like=True, gc=False):
    cell: Cell
    opened_at_ms: int
    created_at_ms: int | None = None
    qualified_at_ms: int | None = None
    converted_at_ms: int | None = None
    deal_id: str = ""
    account_id: str = ""
    merged_into: str = ""


class AccountFact(Struct, frozen=True, array_like=True, gc=False):
    cell: Cell
    active_from_ms: int | None = None
    churned_at_ms: int | None = None
    products: tuple[str, ...] | None = None
    merged_into: str = ""
    deleted: bool = False
    """A deleted account counts nowhere; its deals are no purchases of a customer."""


Fact = DealFact | LeadFact | AccountFact | Touches | Stage

FACTS: Final[dict[EntityKind, type[Fact]]] = {
    EntityKind.DEAL: DealFact,
    EntityKind.LEAD: LeadFact,
    EntityKind.ACCOUNT: AccountFact,
    EntityKind.ACTIVITY: Touches,
    EntityKind.REFERENCE: Stage,
}
OF_ENTITY: Final = frozenset((EntityKind.DEAL, EntityKind.LEAD, EntityKind.ACCOUNT))
"""Kinds whose every entity has a fact. Touches go by whom they touch; stages are on the board anyway."""

_NOWHERE: Final = Cell()
_STATUS_INDEX: Final = FIELDS[EntityKind.DEAL].index("status")


def fact_of(state: State, rules: FoldRules) -> DealFact | LeadFact | AccountFact | None:
    if type(state) is AccountState:
        return _account(state)
    if state.deleted:
        return None
    if type(state) is DealState:
        return _deal(state, rules)
    if type(state) is LeadState:
        return _lead(state)
    return None


def _deal(deal: DealState, rules: FoldRules) -> DealFact:
    if deal.merged_into is not None:
        return DealFact(_NOWHERE, deal.first_seen_ms, merged_into=deal.merged_into)
    created_at_ms, products = deal.created_at_ms, deal.products
    currency = deal.currency or rules.currency
    cell = cell_of(
        deal.rep_id or "",
        deal.team_id or "",
        "" if not products else products[0] if len(products) == 1 else "several",
        deal.source or "",
        deal.region or "",
        currency,
        "",
    )
    # By position: one is made for every deal of a commit, and names cost three times as much.
    return DealFact(
        cell,
        deal.first_seen_ms if created_at_ms is None else created_at_ms,
        created_at_ms,
        _closed_at_ms(deal),
        deal.status or "open",
        0 if deal.amount is None else minor_of(deal.amount, currency),
        deal.account_id or "",
        deal.lead_id or "",
        products or (),
        "",
        deal.probability,
        0 if deal.expected_close_on is None else deal.expected_close_on.toordinal(),
        deal.stage or "",
        deal.pipeline or "",
        _stages(deal.stage_writes),
        None if deal.cost is None else minor_of(deal.cost, currency),
    )


def cell_of(*values: str) -> Cell:
    """Return a cell of all seven values; by the class's own way it costs three times as much."""
    return tuple.__new__(Cell, values)


def minor_of(amount: Decimal, currency: str) -> int:
    """Return an amount of an entity in its currency's minor units."""
    exponent = exponent_of(currency)
    assert exponent is not None, "decode and settings let only ISO 4217 codes in"
    return to_minor(amount, exponent)


def _closed_at_ms(deal: DealState) -> int | None:
    """Return when a won or lost deal closed: its closing time, else when its status was last written."""
    if deal.status not in ("won", "lost"):
        return None
    if deal.closed_at_ms is not None:
        return deal.closed_at_ms
    return deal.stamps[deal.stamp_of[_STATUS_INDEX]].time_ms


def _stages(writes: Sequence[StageWrite]) -> tuple[tuple[int, str], ...]:
    """Leave out what says the stage again. If older writes were forgotten, the oldest left only says
    where the deal was, not when it came there."""
    if not writes:
        return ()
    if len(writes) == 1:
        first = writes[0]
        return ((first.time_ms, first.stage),) if first.stage else ()
    moves: list[tuple[int, str]] = []
    stage = ""
    for write in writes:
        if write.stage != stage:
            stage = write.stage
            moves.append((write.time_ms, stage))
    return tuple(moves[1:] if len(writes) == STAGE_WRITES_MAX else moves)


def _lead(lead: LeadState) -> LeadFact:
    if lead.merged_into is not None:
        return LeadFact(_NOWHERE, lead.first_seen_ms, merged_into=lead.merged_into)
    return LeadFact(
        cell=Cell(
            rep=lead.rep_id or "", team=lead.team_id or "", source=lead.source or "", region=lead.region or ""
        ),
        opened_at_ms=lead.first_seen_ms if lead.created_at_ms is None else lead.created_at_ms,
        created_at_ms=lead.created_at_ms,
        qualified_at_ms=lead.qualified_at_ms,
        converted_at_ms=lead.converted_at_ms,
        deal_id=lead.deal_id or "",
        account_id=lead.account_id or "",
    )


def _account(account: AccountState) -> AccountFact:
    cell = Cell(rep=account.rep_id or "", team=account.team_id or "", region=account.region or "")
    return AccountFact(
        cell=cell,
        active_from_ms=account.active_from_ms,
        churned_at_ms=account.churned_at_ms,
        products=account.products,
        merged_into=account.merged_into or "",
        deleted=bool(account.deleted),
    )
