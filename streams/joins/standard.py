"""The joins that salesfloor makes, in one list. Makes none itself."""

from streams.joins import Joins
from streams.rules import FoldRules


def standard_joins(rules: FoldRules) -> Joins:
    """Return all joins, with nothing learned yet. Every follower needs its own."""
    return Joins([])
