"""Accounts with the deals won with them: who became a customer, came back, bought more, stayed. Pure.

An account that was merged into another is that other: its purchases and its deals count there. Purchases
are in order of closing time, ties by deal id. Nothing of a deleted account counts, nor of no account ("").
"""

from collections.abc import Iterable, Iterator
from typing import Final

from metrics.measures import BY_NAME, MEMBERS_MAX, distinct_key, hindsight_key
from metrics.panes import Cell
from streams.events import EntityKind
from streams.facts import AccountFact, DealFact
from streams.joins.base import FactChange, Facts, Joined

REPEAT_MS: Final = 90 * 86_400_000
"""A second purchase so long after the first, or sooner, makes a repeating customer."""

NEW = BY_NAME["customers_new"].number
REPEATING = BY_NAME["customers_new_repeating"].number
AFTER_FIRST = BY_NAME["won_after_first"].number
EXPANSION = BY_NAME["expansion_amount"].number
ACTIVE = BY_NAME["accounts_active"].number
ACTIVATED = BY_NAME["accounts_activated"].number
CHURNED = BY_NAME["accounts_churned"].number
ADOPTED = BY_NAME["products_adopted"].number
BUYING = BY_NAME["accounts_buying"]
CHANGED = BY_NAME["accounts_changed"]


class Customers:
    """Joined entities are accounts by the id that survived all merges."""

    def __init__(self) -> None:
        self._won_with: dict[str, set[str]] = {}
        self._merged_from: dict[str, set[str]] = {}
        self._members = _Numbers()

    def learn(self, change: FactChange, facts: Facts) -> Iterable[str]:
        if change.kind is EntityKind.DEAL:
            before, after = _customer_of(change.before), _customer_of(change.after)
            if not before and not after:
                return ()
            if before != after:
                _forget(self._won_with, before, change.id)
                _note(self._won_with, after, change.id)
            return {_survivor(account, facts) for account in (before, after) if account}
        if change.kind is not EntityKind.ACCOUNT:
            return ()
        targets = [
            each.merged_into if type(each) is AccountFact else "" for each in (change.before, change.after)
        ]
        if targets[0] != targets[1]:
            _forget(self._merged_from, targets[0], change.id)
            _note(self._merged_from, targets[1], change.id)
        return {_survivor(change.id, facts, {change.id: target}) for target in targets}

    def contributions(self, joined_id: str, facts: Facts) -> list[Joined]:
        account = facts.account(joined_id)
        if _survivor(joined_id, facts) != joined_id or (
            account is not None and account.deleted and not account.merged_into
        ):
            return self._none(joined_id)
        purchases = self._purchases(joined_id, facts)
        from_ms = None if account is None else account.active_from_ms
        if from_ms is None and purchases:
            from_ms = purchases[0][0]
        if from_ms is None:
            return self._none(joined_id)
        member = self._members.of(joined_id)
        return [
            *_bought(purchases, member),
            *_stayed(from_ms, account, purchases, member),
        ]

    def _none(self, joined_id: str) -> list[Joined]:
        self._members.free(joined_id)
        return []

    def _purchases(self, survivor: str, facts: Facts) -> list[tuple[int, DealFact]]:
        found: list[tuple[int, str, DealFact]] = []
        waiting, seen = [survivor], {survivor}
        while waiting:
            account = waiting.pop()
            for deal_id in self._won_with.get(account, ()):
                deal = facts.deal(deal_id)
                assert deal is not None
                assert deal.closed_at_ms is not None
                found.append((deal.closed_at_ms, deal_id, deal))
            more = self._merged_from.get(account, set()) - seen
            seen |= more
            waiting += more
        found.sort(key=lambda each: each[:2])
        return [(time_ms, deal) for time_ms, _, deal in found]


def _bought(purchases: list[tuple[int, DealFact]], member: int) -> Iterator[Joined]:
    """Return what each purchase is: the first, a repeated one, one that adds to what was bought before."""
    known: set[str] = set()
    last_amount: dict[str, int] = {}
    for number, (time_ms, deal) in enumerate(purchases):
        values = {distinct_key(BUYING, member): 1}
        if number == 0:
            values[NEW] = 1
            if len(purchases) > 1 and purchases[1][0] - time_ms <= REPEAT_MS:
                values[hindsight_key(REPEATING, purchases[1][0] - time_ms)] = 1
        else:
            values[AFTER_FIRST] = 1
            adds_volume = deal.amount_minor > last_amount.get(deal.cell.currency, deal.amount_minor)
            if deal.amount_minor and (adds_volume or not known.issuperset(deal.products)):
                values[EXPANSION] = deal.amount_minor
        known.update(deal.products)
        last_amount[deal.cell.currency] = deal.amount_minor
        yield Joined(deal.cell, time_ms, values)


def _stayed(
    from_ms: int, account: AccountFact | None, purchases: list[tuple[int, DealFact]], member: int
) -> Iterator[Joined]:
    """Return the span over which the account is active, and how many products it has in it."""
    cell = _cell_of(account, purchases)
    churned_ms = None if account is None else account.churned_at_ms
    if churned_ms is not None and churned_ms <= from_ms:
        churned_ms = None  # it left in an earlier life
    adopted: dict[int, int] = {}
    for time_ms, products in _products(account, purchases):
        at_ms = max(time_ms, from_ms)
        if products and (churned_ms is None or at_ms < churned_ms):
            adopted[at_ms] = adopted.get(at_ms, 0) + products
    yield Joined(cell, from_ms, {ACTIVE: 1, ACTIVATED: 1, distinct_key(CHANGED, member): 1})
    for at_ms, products in adopted.items():
        yield Joined(cell, at_ms, {ADOPTED: products})
    if churned_ms is not None:
        yield Joined(cell, churned_ms, {ACTIVE: -1, CHURNED: 1, distinct_key(CHANGED, member): 1})
        if adopted:
            yield Joined(cell, churned_ms, {ADOPTED: -sum(adopted.values())})


def _products(
    account: AccountFact | None, purchases: list[tuple[int, DealFact]]
) -> Iterator[tuple[int, int]]:
    """Return how many products came when: as the account's record lists them, else as they were bought."""
    if account is not None and account.products is not None:
        yield (0, len(set(account.products)))
        return
    known: set[str] = set()
    for time_ms, deal in purchases:
        new = set(deal.products) - known
        known |= new
        yield time_ms, len(new)


def _cell_of(account: AccountFact | None, purchases: list[tuple[int, DealFact]]) -> Cell:
    """Return whose the account is: as its own record says, else whoever won it."""
    first = purchases[0][1].cell if purchases else Cell()
    own = Cell() if account is None else account.cell
    people = own if own.rep or own.team else first
    return Cell(people.rep, people.team, source=first.source, region=own.region or first.region)


def _customer_of(fact: object) -> str:
    if type(fact) is not DealFact or fact.status != "won" or fact.closed_at_ms is None:
        return ""
    return fact.account_id


def _survivor(account_id: str, facts: Facts, instead: dict[str, str] | None = None) -> str:
    """Follow merges to the account that is left; of accounts merged in a circle, to the least id.

    `instead` says of some accounts into which they went, whatever `facts` shows.
    """
    path: dict[str, None] = {}
    while account_id not in path:
        path[account_id] = None
        if instead is not None and account_id in instead:
            target = instead[account_id]
        else:
            fact = facts.account(account_id)
            target = "" if fact is None else fact.merged_into
        if not target:
            return account_id
        account_id = target
    circle = list(path)[list(path).index(account_id) :]
    return min(circle)


def _note(index: dict[str, set[str]], key: str, entity_id: str) -> None:
    if key:
        index.setdefault(key, set()).add(entity_id)


def _forget(index: dict[str, set[str]], key: str, entity_id: str) -> None:
    if key:
        index[key].discard(entity_id)
        if not index[key]:
            del index[key]


class _Numbers:
    """Numbers for accounts, as small as can be; a number is given again once its account is none any more."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}
        self._free: list[int] = []

    def of(self, account_id: str) -> int:
        number = self._of.get(account_id)
        if number is None:
            number = self._free.pop() if self._free else len(self._of)
            if number >= MEMBERS_MAX:
                raise OverflowError(f"more than {MEMBERS_MAX} customers; lower worker.retention_days")
            self._of[account_id] = number
        return number

    def free(self, account_id: str) -> None:
        number = self._of.pop(account_id, None)
        if number is not None:
            self._free.append(number)
