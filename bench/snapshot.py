"""Panes of made-up floors in, the CPU time of one snapshot out: `python -m bench.snapshot`. Shows no number.

The second floor of each size has a roster on which every rep moves once, and three currencies with 500
daily rates each.
"""

import time
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from metrics.measures import BY_NAME, histogram_key
from metrics.panes import FINEST, Cell, FeedState, Hindsight, PaneLog
from metrics.reference import Rate, Reference, RosterSpell
from metrics.snapshot import PaneImage, SnapshotConfig, Snapshotter

ROWS = 300_000
NOW_MS, DAY_MS = 1_526_472_000_000, 86_400_000
FLOWS = ("created", "won", "won_amount", "lost", "lost_amount", "calls_done", "activities_done", "leads_new")
COHORTS = ("created_won", "leads_new_converted")


def floor_of(reps: int, references: Sequence[Reference] = ()) -> PaneImage:
    random = np.random.default_rng(1)
    codes = ("USD", "EUR", "JPY") if references else ("USD",)
    teams = ["" if references else f"T{rep % 20}" for rep in range(reps)]
    flows = [
        Cell(f"R{rep}", teams[rep], source=source, currency=code)
        for rep in range(reps)
        for source in ("web", "phone")
        for code in codes
    ]
    open_ = [
        Cell(f"R{rep}", teams[rep], currency=code, stage=stage)
        for rep in range(reps)
        for stage in ("new", "offer")
        for code in codes
    ]
    numbers = [BY_NAME[name].number for name in (*FLOWS, *COHORTS)] + [
        histogram_key(BY_NAME["won_cycle"], 10 * DAY_MS)
    ]
    key = random.choice(np.array(numbers), ROWS).astype(np.int32)
    cell = random.integers(0, len(flows), ROWS).astype(np.int32)
    is_open = random.random(ROWS) < 0.2
    levels = [BY_NAME["open"].number, BY_NAME["open_amount"].number]
    key[is_open] = random.choice(levels, int(is_open.sum()))
    cell[is_open] = random.integers(len(flows), len(flows) + len(open_), int(is_open.sum()))
    money = np.isin(key, [BY_NAME[name].number for name in ("won_amount", "lost_amount", "open_amount")])
    value = np.where(money, random.integers(1, 10**6, ROWS), 1).astype(np.int64)
    start_ms = NOW_MS - (random.random(ROWS) ** 2 * 400 * DAY_MS).astype(np.int64)
    cohort = np.isin(key, [BY_NAME[name].number for name in COHORTS])
    known_ms = start_ms + (random.random(ROWS) * 60 * DAY_MS).astype(np.int64)
    later = Hindsight(start_ms[cohort], known_ms[cohort], cell[cohort], key[cohort], value[cohort])
    log = PaneLog(start_ms[~cohort], cell[~cohort], key[~cohort], value[~cohort], later)
    return PaneImage((*flows, *open_), log, (FINEST,), tuple(references), FeedState())


def references_of(reps: int) -> list[Reference]:
    moved = date(2018, 2, 1)
    found: list[Reference] = []
    for rep in range(reps):
        found.append(RosterSpell(f"R{rep}", f"Rep {rep}", f"T{rep % 20}", None, None, moved))
        found.append(RosterSpell(f"R{rep}", f"Rep {rep}", f"T{(rep + 1) % 20}", None, moved))
    for code, rate in (("EUR", "1.1834"), ("JPY", "0.0091")):
        days = (date(2017, 1, 1) + timedelta(days=day) for day in range(500))
        found += [Rate(code, Decimal(rate), day) for day in days]
    return found


def cpu_seconds(snapshotter: Snapshotter, image: PaneImage) -> float:
    began = time.process_time()
    snapshotter.take(image, NOW_MS)
    return time.process_time() - began


def main() -> None:
    for reps in (200, 2_000, 20_000):
        for name, image in (
            ("one currency", floor_of(reps)),
            ("roster and rates", floor_of(reps, references_of(reps))),
        ):
            snapshotter = Snapshotter(SnapshotConfig())
            first = cpu_seconds(snapshotter, image)
            later = min(cpu_seconds(snapshotter, image) for _ in range(3))
            print(f"{reps} reps, {ROWS} rows, {name}: first {first:.2f} s, then {later:.2f} s of CPU")


if __name__ == "__main__":
    main()
