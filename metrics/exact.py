"""Exact vector arithmetic: integer sums in, fractions while a formula runs, one rounding at the end.

A value is numerator / denominator, element by element. A zero denominator means "no value" and stays
so through every operation. int64 where it surely fits, Python integers where it might not.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64] | NDArray[np.object_]
FloatArray = NDArray[np.float64]

# Sums of two such numbers still fit into an int64.
_INT64_SAFE: Final = 1 << 62
# Up to here every integer is a float, so one float division rounds once and correctly.
_FLOAT_EXACT: Final = 1 << 53


def ints(value: int) -> IntArray:
    """Return one integer as an array without dimensions."""
    small = abs(value) < _INT64_SAFE
    return np.array(value, dtype=np.int64) if small else np.array(value, dtype=object)


def zeros(shape: tuple[int, ...] | int, values: IntArray) -> IntArray:
    """Return zeros to add the values into, of a type in which no sum of them can overflow."""
    total = float(np.abs(values.astype(np.float64)).sum())
    return np.zeros(shape, dtype=np.int64 if total < float(_INT64_SAFE) else object)


def _magnitude(a: IntArray) -> int:
    return max(abs(int(a.max())), abs(int(a.min()))) if a.size else 0


def _wide(a: IntArray) -> NDArray[np.object_]:
    return a.astype(object)


def multiplied(a: IntArray, b: IntArray) -> IntArray:
    """Return the products, in Python integers where int64 might not do."""
    product: Any
    if _is_one(a):
        return b
    if _is_one(b):
        return a
    if a.dtype == b.dtype == np.int64 and _magnitude(a) * _magnitude(b) < _INT64_SAFE:
        product = a * b
    else:
        product = _wide(a) * _wide(b)
    return np.asarray(product)


def exact_sum(a: IntArray, b: IntArray) -> IntArray:
    """Return the sums, in Python integers where int64 might not do."""
    total: Any
    if a.dtype == b.dtype == np.int64 and _magnitude(a) + _magnitude(b) < _INT64_SAFE:
        total = a + b
    else:
        total = _wide(a) + _wide(b)
    return np.asarray(total)


def _is_one(a: IntArray) -> bool:
    return a.ndim == 0 and int(a) == 1


@dataclass(frozen=True, slots=True)
class Exact:
    numerator: IntArray
    denominator: IntArray

    @classmethod
    def of(cls, numerator: IntArray) -> Self:
        return cls(numerator, ints(1))

    @classmethod
    def parts(cls, numerator: IntArray, parts: int) -> Self:
        """Return numbers given in that many parts of one."""
        return cls(numerator, ints(parts))

    def without(self, absent: NDArray[np.bool_]) -> "Exact":
        """Return the same with no value where `absent` says so."""
        return Exact(self.numerator, np.where(absent, 0, self.denominator))

    @classmethod
    def literal(cls, value: Fraction) -> Self:
        return cls(ints(value.numerator), ints(value.denominator))

    def __add__(self, other: "Exact") -> "Exact":
        if _is_one(self.denominator) and _is_one(other.denominator):
            return Exact(exact_sum(self.numerator, other.numerator), self.denominator)
        if self.denominator.ndim == other.denominator.ndim == 0:
            mine, others = int(self.denominator), int(other.denominator)
            if mine and others:
                common = lcm(mine, others)
                a = multiplied(self.numerator, ints(common // mine))
                b = multiplied(other.numerator, ints(common // others))
                return Exact(exact_sum(a, b), ints(common))
        crossed = exact_sum(
            multiplied(self.numerator, other.denominator), multiplied(other.numerator, self.denominator)
        )
        return Exact(crossed, multiplied(self.denominator, other.denominator))

    def __neg__(self) -> "Exact":
        return Exact(np.negative(self.numerator), self.denominator)

    def __sub__(self, other: "Exact") -> "Exact":
        return self + -other

    def __mul__(self, other: "Exact") -> "Exact":
        return Exact(
            multiplied(self.numerator, other.numerator), multiplied(self.denominator, other.denominator)
        )

    def __truediv__(self, other: "Exact") -> "Exact":
        if self.denominator.ndim == other.denominator.ndim == 0 and self.denominator == other.denominator:
            return Exact(self.numerator, np.where(self.denominator == 0, 0, other.numerator))
        denominator = multiplied(self.denominator, other.numerator)
        if other.denominator.ndim:
            # Turned over, a missing value would become a zero numerator: keep it missing.
            denominator = np.where(other.denominator == 0, 0, denominator)
        return Exact(multiplied(self.numerator, other.denominator), denominator)

    def larger(self, other: "Exact") -> "Exact":
        """Return the larger of the two; no value where either has none."""
        difference = self - other
        larger = difference.numerator * np.sign(difference.denominator) >= 0
        denominator = np.where(larger, self.denominator, other.denominator)
        return Exact(
            np.where(larger, self.numerator, other.numerator),
            np.where(difference.denominator == 0, 0, denominator),
        )

    def where_at_least(self, least: "Exact", count: "Exact") -> "Exact":
        """Return this value where the count reaches `least`, and none where it does not."""
        difference = count - least
        reached = difference.numerator * np.sign(difference.denominator) >= 0
        there = reached & (difference.denominator != 0)
        return Exact(self.numerator, np.where(there, self.denominator, 0))

    def to_float(self, scale: int = 1) -> FloatArray:
        """Return numerator / (denominator x scale), rounded once; NaN where there is no value."""
        numerator, denominator = self.numerator, multiplied(self.denominator, ints(scale))
        narrow = numerator.dtype == denominator.dtype == np.int64
        if narrow and max(_magnitude(numerator), _magnitude(denominator)) <= _FLOAT_EXACT:
            with np.errstate(divide="ignore", invalid="ignore"):
                quotient = numerator / denominator
            return np.asarray(np.where(denominator == 0, np.nan, quotient), dtype=np.float64)
        top, bottom = (each.ravel() for each in np.broadcast_arrays(numerator, denominator))
        # Zeros are most of what there is, and need no long division.
        quotient = np.where(bottom == 0, np.nan, 0.0)
        at = np.flatnonzero((top != 0) & (bottom != 0))
        quotient[at] = [a / b for a, b in zip(top[at].tolist(), bottom[at].tolist(), strict=True)]
        return quotient.reshape(np.broadcast_shapes(numerator.shape, denominator.shape))
