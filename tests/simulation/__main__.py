"""Run more lives than the suite does: `python -m tests.simulation --seeds 10000`, or one: `--seed 42`."""

import argparse
import secrets
import sys
import time

from tests.simulation.world import Violated, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many lives")
    parser.add_argument("--start", type=int, help="the first seed; by default a new one each time")
    parser.add_argument("--seed", type=int, help="only this one")
    options = parser.parse_args()
    start = secrets.randbelow(1 << 32) if options.start is None else options.start
    seeds = [options.seed] if options.seed is not None else range(start, start + options.seeds)
    began = time.monotonic()
    failed = 0
    for seed in seeds:
        try:
            run(seed)
        except Violated as violated:
            failed += 1
            print(violated)
    print(f"{len(seeds)} lives from seed {seeds[0]}, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
