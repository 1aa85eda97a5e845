"""What counts in, the instants at which each of it counts out: what a funnel of one's own is made of.

Only of KPIs that are known at the instant they count at. Shares no line with the product.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from oracle.activities import KPI_OF_ACTIVITY, Activity
from oracle.books import Books, Deal, Lead
from oracle.conversion import Outcome
from oracle.formulas import SAME_AS, Unknown, parsed, words_in
from oracle.levels import Placed, key_of

Moment = tuple[Placed, int | None]
Weights = dict[str, Fraction]

_OF_DEAL: Mapping[str, Callable[[Deal], int | None]] = {
    "deals_created": lambda deal: deal.created_ms,
    "deals_won": lambda deal: deal.closed_ms if deal.status == "won" else None,
    "deals_lost": lambda deal: deal.closed_ms if deal.status == "lost" else None,
}
_OF_LEAD: Mapping[str, Callable[[Lead], int | None]] = {
    "leads_created": lambda lead: lead.created_ms,
    "leads_qualified": lambda lead: lead.qualified_ms,
    "leads_converted": lambda lead: lead.converted_ms,
}
_OF_ACTIVITY: Mapping[str, Callable[[Activity], int | None]] = {
    "activities": lambda each: each.completed_ms,
    "calls_connected": lambda each: (
        each.completed_ms if each.kind == "call" and each.outcome == "connected" else None
    ),
    "meetings_held": lambda each: each.completed_ms if each.kind == "meeting" and each.took_place else None,
    "demos_booked": lambda each: each.booked_ms if each.kind == "demo" else None,
    "demos_due": lambda each: each.planned_ms if each.kind == "demo" else None,
    "follow_ups_due": lambda each: each.due_ms if each.kind == "follow_up" else None,
    "follow_ups_on_time": lambda each: each.due_ms if each.kind == "follow_up" and each.was_in_time else None,
}
_KIND_OF_KPI = {kpi: kind for kind, kpi in KPI_OF_ACTIVITY.items()}


def _moments(kpi: str, books: Books) -> Iterator[Moment]:
    if kpi in _OF_DEAL:
        yield from ((deal, _OF_DEAL[kpi](deal)) for deal in books.deals)
    elif kpi in _OF_LEAD:
        yield from ((lead, _OF_LEAD[kpi](lead)) for lead in books.leads)
    elif kpi in _OF_ACTIVITY:
        yield from ((each, _OF_ACTIVITY[kpi](each)) for each in books.activities)
    elif kpi in _KIND_OF_KPI:
        yield from ((a, a.completed_ms) for a in books.activities if a.kind == _KIND_OF_KPI[kpi])
    else:
        raise Unknown(kpi)


def own_outcomes(kpi: str, formulas: Mapping[str, str], books: Books) -> list[Outcome]:
    """Return everything that a ratio KPI counts, each for the team it belonged to at its time.

    `formulas` are those of all KPIs as they are listed. Raises `Unknown` where they come down to something
    that is counted at another instant than it is known at.
    """
    formula = parsed(formulas[kpi])
    if not (isinstance(formula, ast.BinOp) and isinstance(formula.op, ast.Div)):
        raise Unknown(kpi)
    successes, trials = _weights(formula.left, formulas), _weights(formula.right, formulas)
    found: list[Outcome] = []
    for name in sorted({**successes, **trials}):
        won, tried = (int(side.get(name, Fraction(0))) for side in (successes, trials))
        for member, time_ms in _moments(name, books):
            if time_ms is not None:
                team = key_of(member, "team", time_ms, books.customers.roster)
                found.append(Outcome(time_ms, team, won, tried))
    return found


def _weights(node: ast.expr, formulas: Mapping[str, str]) -> Weights:
    """Return how often each KPI counts in a sum of counts."""
    match node:
        case ast.Name(id=name):
            name = SAME_AS.get(name, name)
            if name in _OF_DEAL or name in _OF_LEAD or name in _OF_ACTIVITY or name in _KIND_OF_KPI:
                return {name: Fraction(1)}
            if name in formulas and words_in(formulas[name]) != {name}:
                return _weights(parsed(formulas[name]), formulas)
        case ast.UnaryOp(op=ast.USub(), operand=of):
            return _times(_weights(of, formulas), Fraction(-1))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sum(_weights(left, formulas), _weights(right, formulas))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _sum(_weights(left, formulas), _times(_weights(right, formulas), Fraction(-1)))
        case ast.BinOp(left=ast.Constant(value=int() as by), op=ast.Mult(), right=of):
            return _times(_weights(of, formulas), Fraction(by))
        case ast.BinOp(left=of, op=ast.Mult(), right=ast.Constant(value=int() as by)):
            return _times(_weights(of, formulas), Fraction(by))
    raise Unknown(ast.unparse(node))


def _times(weights: Weights, by: Fraction) -> Weights:
    return {name: weight * by for name, weight in weights.items()}


def _sum(a: Weights, b: Weights) -> Weights:
    return {name: a.get(name, Fraction(0)) + b.get(name, Fraction(0)) for name in {**a, **b}}
