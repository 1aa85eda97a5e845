"""Currency codes and amounts in, exact integer minor units out, and back. A leaf: never rounds twice."""

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal

import iso4217

# scaleb only moves the decimal point; an unlimited context keeps it from rounding a long amount first.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)

# A 10**40 amount is no money; without a bound, "1e999999" would become an integer of a million digits.
_DIGITS_MAX = 40


_EXPONENT_OF: dict[str, int] = {
    code: int(str(entry["CcyMnrUnts"]))
    for code, entry in iso4217.raw_table.items()
    if str(entry["CcyMnrUnts"]).isdigit()
}


CURRENCIES = frozenset(_EXPONENT_OF)
"""ISO 4217 codes of what has a smallest unit."""
_SCALE_OF = {exponent: Decimal(10**exponent) for exponent in {*_EXPONENT_OF.values()}}


def exponent_of(currency: str) -> int | None:
    """Return the number of decimals of an ISO 4217 currency; None for a code that is none or has none."""
    return _EXPONENT_OF.get(currency)


def to_minor(amount: Decimal, exponent: int) -> int:
    """Return the amount in minor units; a tie between two goes to the even one.

    Raises ValueError for an amount that is not finite or has more than 40 digits before the point.
    """
    if not amount.is_finite() or amount.adjusted() >= _DIGITS_MAX:
        raise ValueError("amount is not finite or beyond any currency")
    # Nearly all amounts have no more decimals than their currency. A product that had to be rounded to 28
    # digits before it came out whole is nearer to that whole number than to any tie.
    scale = _SCALE_OF.get(exponent)
    if scale is not None:
        scaled = amount * scale
        minor = int(scaled)
        if minor == scaled:
            return minor
    return round(_EXACT.scaleb(amount, exponent))


def from_minor(minor: int, exponent: int) -> Decimal:
    """Return the exact amount in major units, with the currency's number of decimals."""
    return _EXACT.scaleb(Decimal(minor), -exponent)


def minor_to_float(minor: int, exponent: int) -> float:
    """Return the float nearest to the amount in major units."""
    scale: int = 10**exponent
    return minor / scale
