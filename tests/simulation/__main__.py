"""Run lives of the simulated floor: one (`python -m tests.simulation 42`), many (`--seeds 100000 --jobs 2`).

Prints each life that violates something, with the command that repeats it, and at the end how often each
fault was met.
"""

import argparse
import multiprocessing
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.simulation.coverage import summary
from tests.simulation.lives import Lived, live

CHUNK = 50
PROGRESS_SECONDS = 10.0
SHOWN_MAX = 10
"""So many lives that failed are told in full; who breaks everything sees it from the first."""


def _all(start: int, count: int, jobs: int) -> Iterator[Lived]:
    chunks = [range(at, min(at + CHUNK, start + count)) for at in range(start, start + count, CHUNK)]
    if jobs == 1:
        yield from map(live, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=100) as pool:
        yield from pool.imap_unordered(live, chunks)


def many(start: int, count: int, jobs: int) -> int:
    hits: Counter[str] = Counter()
    lives = failed = 0
    began = told = time.monotonic()
    print(f"{count:,} lives from seed {start} on {jobs} cores", flush=True)
    for done, wrong, met in _all(start, count, jobs):
        lives, failed, hits = lives + done, failed + len(wrong), hits + met
        for each in wrong[: max(0, SHOWN_MAX - failed + len(wrong))]:
            print(each, flush=True)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            rate = lives / (told - began)
            left = (count - lives) / rate
            print(
                f"{lives:,} lives, {failed} failed, {rate:.0f}/s, {left:,.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    print(summary(hits))
    print(f"{lives:,} lives from seed {start}, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def one(seed: int) -> int:
    lived, failed, hits = live([seed])
    assert lived == 1
    print(failed[0] if failed else f"seed {seed}: nothing violated")
    print(summary(hits))
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="only this one")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many lives")
    parser.add_argument("--start", type=int, help="the first seed; by default a new one each time")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes to share them")
    options = parser.parse_args()
    if options.seed is not None:
        return one(options.seed)
    start = secrets.randbelow(1 << 32) if options.start is None else options.start
    try:
        return many(start, options.seeds, max(1, options.jobs))
    except KeyboardInterrupt:
        print(f"interrupted; go on with --start {start}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
