"""Ranks the slow, obvious way: everybody's score in, the ranks that each may have out.

Written from the sentences that define them; shares no line with the product.
"""

from collections.abc import Mapping
from fractions import Fraction

FORMS = {"wtd": "week", "mtd": "month", "qtd": "quarter", "ytd": "year"}
"""The window a board by target is over -> the kind of period whose targets it ranks."""


def form_of(period: str) -> str:
    """Return which kind of period a name names; "" for a stretch of its own."""
    rest = period.partition("-")[2]
    if "/" in period:
        return ""
    if not rest:
        return "year"
    return {"W": "week", "Q": "quarter"}.get(rest[:1], "month")


def ranks(
    key: str, scores: Mapping[str, Fraction], slack: Mapping[str, Fraction], better: str
) -> tuple[int, int]:
    """Return the best and the worst rank of a key: one more than the number of those who are strictly better.

    They are the same but where a score is known only within `slack`.
    """
    sign = 1 if better == "higher" else -1
    own, own_slack = sign * scores[key], slack.get(key, Fraction(0))
    surely = possibly = 0
    for other, score in scores.items():
        if other == key:
            continue
        room = own_slack + slack.get(other, Fraction(0))
        surely += sign * score > own + room
        possibly += sign * score > own if not room else sign * score >= own - room
    return 1 + surely, 1 + possibly
