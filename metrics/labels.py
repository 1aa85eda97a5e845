"""Names of teams, reps, products… in, safe label values out, and few enough of them. Knows no KPI."""

import hashlib
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNASSIGNED: Final = "unassigned"
OTHER: Final = "other"

# Longer values are cut: one absurd id must not widen every line of every scrape.
LABEL_CHARACTERS_MAX: Final = 128
_HASH_CHARACTERS: Final = 8

# Control characters break lines and terminals, surrogates cannot be encoded, direction overrides
# make one name look like another. Joiners stay: Persian and Indic names need them.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@lru_cache(maxsize=65_536)
def label_value(name: str) -> str:
    """Return the name as a label value; two different names stay different when they are cut."""
    if not name.isprintable():
        name = "".join("\ufffd" if _refused(character) else character for character in name)
    name = name.strip()
    if len(name) > LABEL_CHARACTERS_MAX:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_CHARACTERS]
        name = f"{name[: LABEL_CHARACTERS_MAX - _HASH_CHARACTERS - 1]}~{digest}"
    return name or UNASSIGNED


def _refused(character: str) -> bool:
    return unicodedata.category(character) in _REFUSED_CATEGORIES or character in _DIRECTION_CONTROLS


class LabelPlan(NamedTuple):
    """Which label each candidate is shown under."""

    labels: tuple[str, ...]
    index_of: NDArray[np.intp]
    """Candidate -> position in `labels`, -1 for one that is not shown."""
    over_budget: int
    """How many candidates share `other` for lack of room."""


def plan_labels(
    candidates: Sequence[str],
    exists: NDArray[np.bool_],
    contributions: NDArray[np.int64],
    keys_max: int,
    known: NDArray[np.bool_] | None = None,
) -> LabelPlan:
    """Choose at most `keys_max` of the candidates, which are sorted; the rest share `other`.

    Whom the roster knows comes first, so that no flood of made-up names hides a real one; then most
    contributions, then by name.
    """
    present, over_budget = np.flatnonzero(exists), 0
    kept = present.tolist()
    if len(present) > keys_max:
        strange = np.zeros(len(present), dtype=np.bool_) if known is None else ~known[present]
        ranked = present[np.lexsort((-contributions[present], strange))[: keys_max - 1]].tolist()
        kept = sorted(i for i in ranked if candidates[i] != OTHER)
        over_budget = len(present) - len(kept)
    labels = [candidates[i] for i in kept]
    index_of = np.full(len(candidates), -1, dtype=np.intp)
    if over_budget:
        index_of[present] = len(labels)
        labels.append(OTHER)
    index_of[kept] = np.arange(len(kept))
    return LabelPlan(tuple(labels), index_of, over_budget)
