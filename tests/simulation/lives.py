"""Seeds in; how many lives, what those that failed say, and what all of them met out."""

from collections import Counter
from collections.abc import Sequence

from tests.simulation.checks import Violated
from tests.simulation.world import run

Lived = tuple[int, list[str], Counter[str]]


def live(seeds: Sequence[int]) -> Lived:
    hits: Counter[str] = Counter()
    failed = []
    for seed in seeds:
        try:
            run(seed, hits)
        except Violated as violated:
            failed.append(str(violated))
    return len(seeds), failed, hits
