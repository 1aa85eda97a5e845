"""Exact quantiles of a list, and how far an approximate one may be from them."""

from collections.abc import Sequence
from fractions import Fraction


def exact_quantile(ordered: Sequence[int], quantile: float) -> Fraction:
    """Return the quantile by linear interpolation between the two closest ranks."""
    below, above, share = _ranks(ordered, quantile)
    return below * (1 - share) + above * share


def quantile_error(ordered: Sequence[int], quantile: float) -> Fraction:
    """Return what an answer that is 1 % off in both of those ranks may be off."""
    below, above, share = _ranks(ordered, quantile)
    return (abs(below) * (1 - share) + abs(above) * share) / 100


def _ranks(ordered: Sequence[int], quantile: float) -> tuple[int, int, Fraction]:
    position = Fraction(str(quantile)) * (len(ordered) - 1)
    rank = int(position)
    return ordered[rank], ordered[min(rank + 1, len(ordered) - 1)], position - rank
