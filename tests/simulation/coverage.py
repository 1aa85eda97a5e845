"""What lives have met, by name: a table for people, and the names that none of them met."""

from collections import Counter
from collections.abc import Iterable

from tests.simulation.faults import HITS, OPERATOR_STEPS, RECORDS, SEEN, STEPS, WEIGHTS


def hits_at(steps: Iterable[str]) -> list[str]:
    return [f"{hit} at {step}" for step in steps for hit in HITS]


GROUPS = {
    "actions and faults": tuple(WEIGHTS),
    "records": ("plain", *RECORDS),
    "met on the way": (*SEEN, "oracle"),
    "a worker is hit": tuple(hits_at(STEPS)),
    "a rebuild is hit": tuple(hits_at(OPERATOR_STEPS)),
}


def never(hits: Counter[str], *groups: str) -> list[str]:
    """Return what was never met of these groups, or of all."""
    return [name for group in groups or GROUPS for name in GROUPS[group] if not hits[name]]


def summary(hits: Counter[str]) -> str:
    lines = []
    for group, names in GROUPS.items():
        lines.append(f"{group}: " + ", ".join(f"{name} {hits[name]:,}" for name in names))
    missed = never(hits)
    lines.append("never met: " + (", ".join(missed) or "nothing"))
    return "\n".join(lines)
