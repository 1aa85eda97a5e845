"""Salesforce's record ids in, the one form of each out. A leaf; pure."""

import re
from typing import Final

_CHECKS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT: Final = 15
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", re.ASCII)

QUEUE: Final = "00G"
"""Ids of queues begin so: what a queue owns is nobody's yet."""
PREFIXES: Final = {"001": "Account", "003": "Contact", "006": "Opportunity", "00Q": "Lead"}
"""An id begins with what it is of, wherever in the world the organisation lies."""


def object_of(record_id: str) -> str:
    return PREFIXES.get(record_id[:3], "")


def long_id(record_id: str) -> str:
    """Return the form of 18 characters: the last three say which of the letters are capitals, for programs
    that confuse them. Other texts stay as they are."""
    if len(record_id) != _SHORT or not _ID.fullmatch(record_id):
        return record_id
    return record_id + "".join(
        _CHECKS[sum(record_id[start + place].isupper() << place for place in range(5))]
        for start in (0, 5, 10)
    )


def short_id(record_id: str) -> str:
    """Return the form of 15 characters, which are the id; "" for what is no id or contradicts its check."""
    if not _ID.fullmatch(record_id):
        return ""
    short = record_id[:_SHORT]
    return short if len(record_id) == _SHORT or long_id(short) == record_id else ""
