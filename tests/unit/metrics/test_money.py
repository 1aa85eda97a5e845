"""Money goes to minor units and back without a cent gained or lost."""

from decimal import Decimal

import pytest

from metrics.money import exponent_of, from_minor, minor_to_float, to_minor


@pytest.mark.parametrize(
    ("currency", "exponent"),
    [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XAU", None), ("eur", None), ("", None), ("ZZZ", None)],
)
def test_the_exponent_is_that_of_the_standard(currency: str, exponent: int | None) -> None:
    assert exponent_of(currency) == exponent


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("12500.00", 1_250_000),
        ("0.005", 0),
        ("0.015", 2),
        ("-1.005", -100),
        ("0.0050001", 1),
        ("1e2", 10_000),
    ],
)
def test_a_tie_between_two_minor_units_goes_to_the_even_one(amount: str, minor: int) -> None:
    assert to_minor(Decimal(amount), 2) == minor


def test_a_long_amount_is_rounded_once() -> None:
    assert to_minor(Decimal("9007199254740993.004999999999999999999999999999"), 2) == 900719925474099300


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e40", "1e999999999"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="not finite or beyond"):
        to_minor(Decimal(amount), 2)


def test_minor_units_become_the_exact_amount_again() -> None:
    assert str(from_minor(1_250_050, 2)) == "12500.50"
    assert minor_to_float(1_250_050, 2) == 12500.5
    assert from_minor(7, 0) == 7
