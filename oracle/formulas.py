"""A floor's own KPIs, the slow way: formulas and the numbers they speak of in, exact fractions out.

Reads a formula with Python's own parser and works it out for one number after another. What needs more than
the numbers at hand (quantiles, another window of the window before) has no second opinion: `Unknown`.
Shares no line with the product.
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from oracle.numbers import NOTHING, Answer, Sample

Value = Fraction | None
Names = Callable[[str, str], Value]
"""A name, and the window behind its `@` or "", to its value."""

SAME_AS: Mapping[str, str] = {
    "won": "deals_won", "lost": "deals_lost", "created": "deals_created", "won_amount": "revenue",
    "won_without_amount": "deals_won_without_amount", "won_amount_with_cost": "revenue_with_cost",
    "created_won": "deals_created_won", "open": "open_deals", "open_amount": "pipeline_value",
    "overdue": "deals_overdue", "overdue_amount": "pipeline_overdue", "stalled": "stalled_deals",
    "leads_new": "leads_created", "leads_qualified_total": "leads_qualified",
    "leads_converted_total": "leads_converted", "leads_new_converted": "leads_created_converted",
    "leads_new_won": "leads_created_won", "leads_reached_out_to": "leads_contacted",
    "lead_sla_decided": "lead_sla_due", "lead_sla_kept": "lead_sla_met", "calls_done": "calls",
    "calls_with_conversation": "calls_connected", "talk_duration": "talk_time", "emails_done": "emails",
    "meetings_done": "meetings", "demos_done": "demos", "proposals_done": "proposals",
    "appointments_done": "appointments_set", "one_on_ones_done": "one_on_ones", "trainings_done": "trainings",
    "activities_done": "activities", "meetings_took_place": "meetings_held",
    "demos_put_in_calendar": "demos_booked", "demos_planned": "demos_due",
    "demos_planned_and_held": "demos_held", "follow_ups_planned": "follow_ups_due",
    "follow_ups_in_time": "follow_ups_on_time", "customers_new": "new_customers",
    "accounts_buying": "buying_customers", "won_after_first": "deals_after_first_sale",
    "customers_new_repeating": "repeat_customers", "accounts_active": "active_customers",
    "accounts_at_start": "customers_at_start", "accounts_left": "customers_lost",
    "expansion_amount": "expansion_revenue", "spend_amount": "spend", "csat_good": "csat_satisfied",
    "csat_answers": "csat_responses", "nps_answers": "nps_responses", "enps_answers": "enps_responses",
    "pulse_answers": "pulse_responses", "calls_on_closed_deals": "calls_on_closed",
}  # fmt: skip
"""Measures that say what a KPI says."""
NOW = frozenset(
    (
        *("open_deals", "pipeline_value", "weighted_pipeline", "deals_overdue", "pipeline_overdue"),
        *("stalled_deals", "active_customers", "products_per_customer"),
    )
)
"""They tell what is so now; beside a window, what is so at its end."""
ABOUT = frozenset(("sales_cycle", "lead_response_time", "pipeline_velocity"))
"""They are within 1 %, and so is what is made of them."""


class Unknown(Exception):
    """The formula speaks of something that is not at hand."""


class Own(NamedTuple):
    """A KPI of the floor's own, as its settings say it."""

    name: str
    formula: str
    levels: Sequence[str]
    quantiles: Sequence[float] = ()


def own_answers(
    kpis: Iterable[Own], known: Mapping[Sample, Answer], windows: Sequence[str]
) -> tuple[dict[Sample, Answer], set[str]]:
    """Return what can be said of these KPIs, at every level and key that anything is known of, and the names
    of those of which nothing can be said of the window before."""
    formulas = {kpi.name: kpi.formula for kpi in kpis if not kpi.quantiles}
    keys: dict[str, set[str]] = {}
    for sample in known:
        keys.setdefault(sample.level, set()).add(sample.key)
    found: dict[Sample, Answer] = {}
    only_now: set[str] = set()
    for kpi in kpis:
        if kpi.name not in formulas:
            continue
        is_now = all(name in NOW for name in names_in(kpi.formula, formulas))
        for level in kpi.levels:
            for key in keys.get(level, ()):
                for window in ("",) if is_now else windows:
                    asked = _Asked(known, formulas, level, key, window)
                    try:
                        now = asked.worked_out(kpi.formula)
                    except Unknown:
                        continue
                    before = None
                    try:
                        before = None if is_now else asked.before().worked_out(kpi.formula)
                    except Unknown:
                        only_now.add(kpi.name)
                    found[Sample(kpi.name, level, key, window)] = Answer(now, before)
    return found, only_now


def windows_in(kpis: Iterable[Own]) -> set[str]:
    """Return the windows that the formulas name behind an `@`."""
    return {at for kpi in kpis for _, at in _AT.findall(kpi.formula)} - {"year_before"}


def may_be_unknown(formula: str) -> bool:
    """Say whether a formula itself may have no value: a divisor may be 0, or too few."""
    for node in ast.walk(parsed(formula)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if not (isinstance(node.right, ast.Constant) and node.right.value):
                return True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "at_least":
            return True
    return False


class _Asked:
    def __init__(
        self,
        known: Mapping[Sample, Answer],
        formulas: Mapping[str, str],
        level: str,
        key: str,
        window: str,
        is_before: bool = False,
    ) -> None:
        self._known, self._formulas = known, formulas
        self._at = level, key, window
        self._is_before = is_before

    def before(self) -> "_Asked":
        return _Asked(self._known, self._formulas, *self._at, is_before=True)

    def worked_out(self, formula: str) -> Value:
        return work_out(formula, self._named)

    def _named(self, name: str, at: str) -> Value:
        level, key, window = self._at
        if name in self._formulas:
            if at:
                return _Asked(self._known, self._formulas, level, key, at).worked_out(self._formulas[name])
            return self.worked_out(self._formulas[name])
        name = SAME_AS.get(name, name)
        if name in ABOUT or at == "year_before" or (self._is_before and (at or name in NOW)):
            raise Unknown(name)
        sample = Sample(name, level, key, "" if name in NOW else at or window)
        if sample not in self._known:
            if (name, None) not in NOTHING:
                raise Unknown(name)
            return NOTHING[name, None]
        answer = self._known[sample]
        return answer.previous if self._is_before else answer.value


_AT = re.compile(r"\b([a-z_]\w*)\s*@\s*(\w+)", re.ASCII)


def words_in(formula: str) -> set[str]:
    """Return what a formula names itself, in the words of KPIs."""
    names = {node.id for node in ast.walk(parsed(formula)) if isinstance(node, ast.Name)}
    return {SAME_AS.get(name, name) for name in names - {"at", "max", "min", "at_least", "quantile"}}


def names_in(formula: str, formulas: Mapping[str, str]) -> set[str]:
    """Return the KPIs that a formula comes down to."""
    found: set[str] = set()
    for name in words_in(formula):
        found |= names_in(formulas[name], formulas) if name in formulas else {name}
    return found


def parsed(formula: str) -> ast.expr:
    """Return the formula as Python's parser sees it, `name@window` as `at(name, 'window')`."""
    return ast.parse(_AT.sub(r"at(\1, '\2')", formula.strip()), mode="eval").body


def work_out(formula: str, named: Names) -> Value:
    """Return the formula's value; None where a part has none or there is nothing to divide by."""

    def value(node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Fraction(Decimal(repr(number)))
            case ast.Name(id=name):
                return named(name, "")
            case ast.Call(func=ast.Name(id="at"), args=[ast.Name(id=name), ast.Constant(value=str() as at)]):
                return named(name, at)
            case ast.UnaryOp(op=ast.USub(), operand=of):
                negated = value(of)
                return None if negated is None else -negated
            case ast.UnaryOp(op=ast.UAdd(), operand=of):
                return value(of)
            case ast.BinOp(left=left, op=operator, right=right):
                return _combined(operator, value(left), value(right))
            case ast.Call(func=ast.Name(id="max" | "min" | "at_least" as function), args=arguments):
                return _called(function, [value(each) for each in arguments])
        raise Unknown(ast.unparse(node))

    return value(parsed(formula))


def _combined(operator: ast.operator, left: Value, right: Value) -> Value:
    if left is None or right is None:
        return None
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right if right else None
    raise Unknown(type(operator).__name__)


def _called(function: str, values: Sequence[Value]) -> Value:
    known = [each for each in values if each is not None]
    if len(known) < len(values):
        return None
    if function == "at_least":
        least, count, of = known
        return of if count >= least else None
    return max(known) if function == "max" else min(known)
