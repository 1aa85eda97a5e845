"""The faults by name: what can go wrong, how often a life tries it, and at which steps a worker can be hit.

Not survived, so not made: a log that was truncated and then grew past what was folded of it before anybody
looked (offsets cannot tell), and a clock so far ahead or behind that the times of good events are refused
(they become dead letters, which is counted and can be published again).
"""

from collections.abc import Mapping
from typing import Final, Literal

Hit = Literal["dies", "freezes", "is refused", "is slow"]

HITS: Final[tuple[Hit, ...]] = ("dies", "freezes", "is refused", "is slow")

STEPS: Final = (
    "announce", "claim", "claimed", "earliest", "ends", "seek", "sought", "fetch", "fetched",
    "letters", "letters sent", "commit", "committed", "report", "reported", "compare",
)  # fmt: skip
"""Every await of a worker that touches the outside. The second of a pair lies after the step was applied and
before its answer; `letters sent` lies between the dead letters and the commit, `report` after the commit."""

COMMIT_STEPS: Final = ("letters", "letters sent", "commit", "committed", "report", "reported")

OPERATOR_STEPS: Final = (
    "rebuild: claim", "rebuild: claimed", "rebuild: commit", "rebuild: committed", "rebuild: read",
    "rebuild: switch", "rebuild: switched", "rebuild: discard",
)  # fmt: skip

WEIGHTS: Final[Mapping[str, int]] = {
    "produce": 12,
    "wait": 6,
    "kill": 3,
    "start": 4,
    "freeze": 3,
    "thaw": 4,
    "rebalance": 3,
    "trap": 6,
    "expire": 2,
    "look": 5,
    "fail before": 2,
    "fail after": 3,
    "store away": 1,
    "store back": 3,
    "store slow": 1,
    "roll back": 2,
    "lose all": 1,
    "lose entities": 1,
    "notices lost": 1,
    "retention": 2,
    "truncation": 1,
    "clock ahead": 1,
    "clock behind": 1,
    "clock stepped": 1,
    "clock years ahead": 1,
    "rebuild": 1,
    "switch": 1,
}

ALWAYS: Final = frozenset({"produce", "wait", "start", "thaw", "store back", "look"})
"""In every life; of the others each life has some, so that rare mixes come about, too."""

QUIET: Final[Mapping[str, int]] = {"produce": 12, "wait": 12, "rebalance": 2, "start": 2, "look": 3}
"""A life in which nothing goes wrong but what a test asks for."""

RARE: Final = {"truncation": 0.08, "rebuild": 0.2, "switch": 0.25, "retention": 0.3, "clock years ahead": 0.3}
"""Chance that a life has it at all; half for what is not named."""

RECORDS: Final = (
    "duplicate", "late duplicate", "gap", "no json", "empty", "wrong topic", "unknown type", "unknown field",
    "no number", "future", "too old", "leap second", "reference",
)  # fmt: skip
"""Kinds of records beside the plain ones."""

SEEN: Final = (
    "zombie's commit", "zombie's claim", "rolled back", "already done", "stale", "foreign state",
    "gap judged", "read again", "out of range", "stopped", "records lost", "too many reloads", "switched",
    "rebuilt", "rebuild failed", "half loaded", "shown under other settings", "worker waited",
)  # fmt: skip
"""What a life may meet on the way: proof that the faults reach the code that is there for them."""
