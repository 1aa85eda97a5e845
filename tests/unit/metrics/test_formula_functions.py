"""max, min and at_least: exact, element by element, and absent where an argument has no value."""

import numpy as np
import pytest

from metrics.exact import Exact
from metrics.formula import FormulaError, Inputs, Value, dimension_of, divides, evaluate, parse, to_float

NAN = float("nan")
NAMES = {"won": [1, 6, 0, 2**62 + 1], "lost": [5, 3, 0, 2**62]}


def value_of(name: str, _at: str) -> Value:
    return Exact.of(np.array(NAMES[name], dtype=np.int64))


def no_quantile(fraction: float, histogram: str, _at: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([0.5, 3.5, NAN, 1.0])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("max(won, lost)", [5, 6, 0, float(2**62 + 1)]),
        ("max(won - lost, 0 - 1)", [-1, 3, 0, 1]),
        ("min(won, lost)", [1, 3, 0, float(2**62)]),
        ("max(won / lost, 1)", [1, 2, NAN, float((2**62 + 1) / 2**62)]),
        ("max(won / -lost, -1)", [-0.2, -1, NAN, -1]),
        ("at_least(5, won, won / lost)", [NAN, 2, NAN, 1]),
        ("at_least(5, lost, won)", [1, NAN, NAN, float(2**62 + 1)]),
        ("at_least(1, won / lost, won)", [NAN, 6, NAN, float(2**62 + 1)]),
        ("at_least(1, quantile(0.5, won_cycle), won)", [NAN, 6, NAN, float(2**62 + 1)]),
        ("max(quantile(0.5, won_cycle), 1)", [1, 3.5, NAN, 1]),
    ],
)
def test_a_function_answers_for_every_element(formula: str, expected: list[float]) -> None:
    found = to_float(evaluate(parse(formula), Inputs(value_of, no_quantile)))
    np.testing.assert_array_equal(found, expected)


def test_a_function_of_what_may_be_absent_may_be_absent() -> None:
    assert divides(parse("at_least(5, won, lost)"))
    assert divides(parse("max(won, won / lost)"))
    assert not divides(parse("max(won, lost)"))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("max(won_amount, won)", "unit clash: money - count"),
        ("at_least(5, won_amount, won)", "unit clash: money - number"),
        ("max(won)", "'max(won)' is not part of the language"),
        ("at_least(5, won)", "is not part of the language"),
        ("max(won, lost, created)", "is not part of the language"),
        ("max(won, lost, key=created)", "is not part of the language"),
        ("max(*won)", "is not part of the language"),
    ],
)
def test_a_function_wrongly_used_is_told_what_is_wrong(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        dimension_of(parse(formula), {})
    assert message in str(caught.value)
