"""The KPI language: text in, a checked expression tree out, and its value over arrays. Never runs Python.

A formula is arithmetic (`+ - * /`, parentheses) over numbers, names of measures or other KPIs, and
`quantile(0.9, histogram)`, `max(a, b)`, `min(a, b)`, and `at_least(5, count, value)`: the value where the
count reaches 5, else none. `name@90d` is the value over that window, whatever window is asked for, and
`name@year_before` that of the same window a year before. Each part has a dimension, so that money is never
added to a count.
"""

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np

from metrics.exact import Exact, FloatArray
from metrics.given import GIVEN
from metrics.measures import BY_NAME, Kind, Unit
from metrics.windows import WINDOW_NAMES

FORMULA_CHARACTERS_MAX: Final = 1000
FORMULA_DEPTH_MAX: Final = 50
QUANTILE_PARAMETER: Final = "q"
YEAR_BEFORE: Final = "year_before"
ELSEWHEN: Final = (*WINDOW_NAMES, YEAR_BEFORE)
"""What may stand behind `@`."""
_NAMES_SAID_MAX: Final = 20


class FormulaError(ValueError):
    """A formula cannot be used. The message names the KPI, the place and the fix."""


class KpiUnit(StrEnum):
    COUNT = "count"
    MONEY = "money"
    MONEY_PER_DAY = "money per day"
    SECONDS = "seconds"
    RATIO = "ratio"
    POINTS = "points"  # a scale of its own, such as -100..100


MONEY_UNITS: Final = (KpiUnit.MONEY, KpiUnit.MONEY_PER_DAY)


class Dimension(NamedTuple):
    """What a value is made of: powers of money and time; without either, what kind of plain number it is."""

    money: int = 0
    time: int = 0
    plain: Literal["count", "ratio", "number"] = "number"

    def __str__(self) -> str:
        if not self.money and not self.time:
            return self.plain
        parts = [
            f"{name}^{power}" if power != 1 else name
            for name, power in (("money", self.money), ("time", self.time))
            if power
        ]
        return "·".join(parts)


_OF_MEASURE: Final = {
    Unit.COUNT: Dimension(plain="count"),
    Unit.MONEY: Dimension(money=1),
    Unit.DURATION: Dimension(time=1),
}
OF_UNIT: Final = {
    KpiUnit.COUNT: Dimension(plain="count"),
    KpiUnit.MONEY: Dimension(money=1),
    KpiUnit.MONEY_PER_DAY: Dimension(money=1, time=-1),
    KpiUnit.SECONDS: Dimension(time=1),
    KpiUnit.RATIO: Dimension(plain="ratio"),
    KpiUnit.POINTS: Dimension(plain="ratio"),
}


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    """`at` is the window or year behind an `@`, "" for the window that is asked for."""

    name: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Negative:
    of: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    operator: Literal["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Quantile:
    """`fraction` None stands for each quantile the KPI lists."""

    fraction: float | None
    histogram: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    function: Literal["max", "min", "at_least"]
    arguments: tuple["Expression", ...]


Expression = Number | Name | Negative | Binary | Quantile | Call

_ARGUMENTS: Final[dict[Literal["max", "min", "at_least"], int]] = {"max": 2, "min": 2, "at_least": 3}

_OPERATORS: Final[dict[type[ast.operator], Literal["+", "-", "*", "/"]]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
}  # fmt: skip

# Python's grammar has no `name@90d`; for its parser it becomes a call of this name.
_AT: Final = "_at_"
_WITH_AT: Final = re.compile(r"(?:\b([a-z_]\w*)|(quantile\([^()]*\)))\s*@\s*(\w+)", re.ASCII | re.IGNORECASE)


def _as_calls(text: str) -> str:
    return _WITH_AT.sub(lambda match: f"{_AT}({match[1] or match[2]}, {match[3]!r})", text)


def parse(text: str) -> Expression:
    """Return the formula as a tree; raise `FormulaError` for anything outside the language."""
    if len(text) > FORMULA_CHARACTERS_MAX:
        raise FormulaError(f"is {len(text)} characters long; keep it below {FORMULA_CHARACTERS_MAX}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            readable = _as_calls(text.strip())
            tree = ast.parse(readable, mode="eval")
        return _Parser(readable).expression(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, FormulaError):
            raise
        reason = error.msg if isinstance(error, SyntaxError) else "too deeply nested or not a number"
        raise FormulaError(f"{text!r} is not a formula: {reason}") from None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def expression(self, node: ast.expr, depth: int = 0) -> Expression:
        if depth > FORMULA_DEPTH_MAX:
            raise FormulaError(
                f"is nested more than {FORMULA_DEPTH_MAX} deep; name a part as a KPI of its own"
            )
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Number(self._fraction(node, value))
            case ast.Name(id=name):
                return Name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.expression(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand, depth + 1)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return Binary(
                    _OPERATORS[type(op)], self.expression(left, depth + 1), self.expression(right, depth + 1)
                )
            case ast.Call(func=ast.Name(id="quantile"), args=[fraction, ast.Name(id=histogram)], keywords=[]):
                return Quantile(self._quantile(fraction), histogram)
            case ast.Call(func=ast.Name(id=name), args=[of, ast.Constant(value=str() as at)]) if name == _AT:
                return self._elsewhen(of, at, depth)
            case ast.Call(
                func=ast.Name(id="max" | "min" | "at_least" as function), args=given, keywords=[]
            ) if len(given) == _ARGUMENTS[function]:
                return Call(function, tuple(self.expression(each, depth + 1) for each in given))
        raise self._refusal(node)

    def _fraction(self, node: ast.expr, value: float) -> Fraction:
        if value != value or value in (float("inf"), float("-inf")):
            raise self._refusal(node)
        return Fraction(Decimal(repr(value)))

    def _elsewhen(self, node: ast.expr, at: str, depth: int) -> Expression:
        if at not in ELSEWHEN:
            raise FormulaError(f"{at!r} is no window; use {', '.join(ELSEWHEN)}")
        of = self.expression(node, depth + 1)
        if isinstance(of, Name | Quantile) and not of.at:
            return replace(of, at=at)
        raise self._refusal(node)

    def _quantile(self, node: ast.expr) -> float | None:
        match node:
            case ast.Name(id=name) if name == QUANTILE_PARAMETER:
                return None
            case ast.Constant(value=int() | float() as value) if 0 <= value <= 1 and value is not True:
                return float(value)
        raise FormulaError(f"{ast.unparse(node)!r} is no quantile; use a number from 0 to 1")

    def _refusal(self, node: ast.expr) -> FormulaError:
        part = ast.get_source_segment(self._text, node) or self._text
        return FormulaError(
            f"{part!r} is not part of the language; use + - * /, parentheses, numbers, names of measures"
            " and KPIs, name@90d, quantile(0.9, histogram), max(a, b), min(a, b), at_least(5, count, value)"
        )


def leaves_in(expression: Expression) -> Iterator[Name | Quantile]:
    """Yield every name and quantile a formula refers to, as often as it does."""
    match expression:
        case Name() | Quantile():
            yield expression
        case Negative(of):
            yield from leaves_in(of)
        case Binary(_, left, right):
            yield from leaves_in(left)
            yield from leaves_in(right)
        case Call(_, arguments):
            for each in arguments:
                yield from leaves_in(each)
        case _:
            return


def names_in(expression: Expression, *, elsewhen: bool = True) -> frozenset[str]:
    """Return the names a formula refers to, histograms left out, and without `elsewhen` those with `@`."""
    return frozenset(
        leaf.name for leaf in leaves_in(expression) if isinstance(leaf, Name) and (elsewhen or not leaf.at)
    )


def histograms_in(expression: Expression) -> frozenset[tuple[float | None, str]]:
    return frozenset(
        (leaf.fraction, leaf.histogram) for leaf in leaves_in(expression) if isinstance(leaf, Quantile)
    )


def elsewhen_in(expression: Expression) -> dict[str, frozenset[str]]:
    """Return what stands behind each `@`, and the names before it."""
    found: dict[str, frozenset[str]] = {}
    for leaf in leaves_in(expression):
        if leaf.at:
            own = frozenset((leaf.name,)) if isinstance(leaf, Name) else frozenset[str]()
            found[leaf.at] = found.get(leaf.at, frozenset()) | own
    return found


def divides(expression: Expression) -> bool:
    """Say whether the formula may have no value: a quantile, a divisor that is no number, the market."""
    match expression:
        case Quantile():
            return True
        case Name(name, _):
            return name in GIVEN and GIVEN[name].may_be_absent
        case Negative(of):
            return divides(of)
        case Binary(operator, left, right):
            own = operator == "/" and not (isinstance(right, Number) and right.value)
            return own or divides(left) or divides(right)
        case Call(function, arguments):
            return function == "at_least" or any(divides(each) for each in arguments)
        case _:
            return False


# --- dimensions


def dimension_of(expression: Expression, kpi_units: dict[str, KpiUnit]) -> Dimension:
    """Return what the formula's value is made of; raise `FormulaError` for an unknown name or a clash."""
    match expression:
        case Number():
            return Dimension()
        case Name(name, _):
            return _dimension_of_name(name, kpi_units)
        case Negative(of):
            return dimension_of(of, kpi_units)
        case Quantile(_, histogram, _):
            measure = BY_NAME.get(histogram)
            if measure is None or measure.kind is not Kind.HISTOGRAM:
                known = [m.name for m in BY_NAME.values() if m.kind is Kind.HISTOGRAM]
                raise FormulaError(f"{histogram!r} is no histogram; {_meant(histogram, known)}")
            return _OF_MEASURE[measure.unit]
        case Binary(operator, left, right):
            return _combine(operator, dimension_of(left, kpi_units), dimension_of(right, kpi_units))
        case Call("at_least", (least, count, of)):
            _combine("-", dimension_of(count, kpi_units), dimension_of(least, kpi_units))
            return dimension_of(of, kpi_units)
        case Call(_, (left, right)):
            return _combine("-", dimension_of(left, kpi_units), dimension_of(right, kpi_units))
        case _:
            raise AssertionError("the parser counts a function's arguments")


def _dimension_of_name(name: str, kpi_units: dict[str, KpiUnit]) -> Dimension:
    if name in kpi_units:
        return OF_UNIT[kpi_units[name]]
    if name in GIVEN:
        return _OF_MEASURE[GIVEN[name].unit]
    measure = BY_NAME.get(name)
    if measure is None:
        raise FormulaError(f"unknown name {name!r}; {_meant(name, [*kpi_units, *BY_NAME, *GIVEN])}")
    if measure.kind is Kind.LEVEL_BY_DAY:
        raise FormulaError(f"{name!r} is told by the day it is due on; only targets' forecasts speak of it")
    if measure.kind is Kind.HISTOGRAM:
        raise FormulaError(f"{name!r} is a histogram; write quantile(0.5, {name})")
    return _OF_MEASURE[measure.unit]


def _meant(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if len(names) > _NAMES_SAID_MAX:
        return "docs/kpis.md lists all names"
    return f"known are {', '.join(names)}"


def _combine(operator: str, left: Dimension, right: Dimension) -> Dimension:
    if operator in "+-":
        if (left.money, left.time) != (right.money, right.time) or (
            left.plain != right.plain and "number" not in (left.plain, right.plain)
        ):
            raise FormulaError(f"unit clash: {left} {operator} {right}; both sides need the same unit")
        return right if left.plain == "number" and not left.money and not left.time else left
    sign = 1 if operator == "*" else -1
    money, time = left.money + sign * right.money, left.time + sign * right.time
    if money or time:
        return Dimension(money, time)
    if left.plain == right.plain == "number" and not (left.money or left.time):
        return Dimension()
    if operator == "/":
        whole = left.plain == "count" and right.plain != "count"
    else:
        whole = "count" in (left.plain, right.plain)
    return Dimension(plain="count" if whole else "ratio")


# --- values

Value = Exact | FloatArray


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where a formula's names get their arrays from; all of one shape. The last argument is the `at`."""

    value_of: Callable[[str, str], Value]
    quantile_of: Callable[[float, str, str], FloatArray]


def evaluate(expression: Expression, inputs: Inputs, quantile: float | None = None) -> Value:
    """Return the formula's value for every element: exact unless a quantile takes part."""
    match expression:
        case Number(value):
            return Exact.literal(value)
        case Name(name, at):
            return inputs.value_of(name, at)
        case Negative(of):
            return -evaluate(of, inputs, quantile)
        case Quantile(fraction, histogram, at):
            chosen = quantile if fraction is None else fraction
            assert chosen is not None, "the catalogue lists the quantiles of a formula with q"
            return inputs.quantile_of(chosen, histogram, at)
        case Binary(operator, left, right):
            return _combined(operator, evaluate(left, inputs, quantile), evaluate(right, inputs, quantile))
        case Call(function, arguments):
            return _called(function, [evaluate(each, inputs, quantile) for each in arguments])


def to_float(value: Value, scale: Fraction | int = 1) -> FloatArray:
    """Return floats, divided by the scale; NaN where there is no value."""
    if not isinstance(value, Exact):
        return value / float(scale)
    exact = Fraction(scale)
    if exact.denominator == 1:
        return value.to_float(exact.numerator)
    return (value * Exact.literal(Fraction(exact.denominator))).to_float(exact.numerator)


def _called(function: Literal["max", "min", "at_least"], given: list[Value]) -> Value:
    exact = [each for each in given if isinstance(each, Exact)]
    if len(exact) < len(given):
        floats = [to_float(each) for each in given]
        if function == "at_least":
            return np.asarray(np.where(floats[1] >= floats[0], floats[2], np.nan))
        return np.asarray(np.maximum(*floats) if function == "max" else np.minimum(*floats))
    match function:
        case "max":
            return exact[0].larger(exact[1])
        case "min":
            return -(-exact[0]).larger(-exact[1])
        case "at_least":
            return exact[2].where_at_least(exact[0], exact[1])


def _combined(operator: str, a: Value, b: Value) -> Value:
    """Return floats unless both are exact; a quotient has no value where there is nothing to divide by."""
    if isinstance(a, Exact) and isinstance(b, Exact):
        return _applied(operator, a, b)
    left, right = to_float(a), to_float(b)
    return _applied(operator, left, np.where(right == 0, np.nan, right) if operator == "/" else right)


_Operand = TypeVar("_Operand", Exact, FloatArray)


def _applied(operator: str, a: _Operand, b: _Operand) -> _Operand:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case _:
            return a / b
