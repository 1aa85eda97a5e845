"""Seeds in, verdicts on every rule out: lives of floors as they are, and with a fall of the rate within them.

A floor's months are judged twice, quiet and fallen, on the same closings. Prints nothing.
"""

import math
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from multiprocessing import Pool

import numpy as np
from rich.progress import Progress

from bench.backtest_counts import Looks, exported, looks_of
from bench.backtest_floors import FIRST_DAY, WARM_UP_WEEKS, Bools, FloorSize, business_days, history_of
from bench.backtest_rules import RULES, alarms, firing
from metrics.alerts.plan import AlertPlan

SIZES = tuple(FloorSize(trials, rate) for rate, trials in product((0.25, 0.05), (40, 200, 800)))
DROPS = (0.4, 0.25)
JUDGED_WEEKS = 12
FOLLOWED_DAYS = 20
"""Business days after a fall within which it may be found; later, the baseline has got used to it."""
STEP_SECONDS = 600
PLAN = AlertPlan()


@dataclass(frozen=True)
class Life:
    """What one floor's months were like under one rule."""

    notices: int
    alarms: int
    share_firing: float
    delays: dict[float, float | None]
    """Drop -> business days until it fired, infinite for never; None when it was firing already."""


@dataclass
class Verdict:
    """All lives of one size under one rule."""

    trials_per_week: int
    rate: float
    rule: str
    lives: int = 0
    notices: int = 0
    alarms: int = 0
    share_firing: float = 0.0
    delays: dict[float, list[float]] = field(default_factory=dict)

    def add(self, life: Life) -> None:
        self.lives += 1
        self.notices += life.notices
        self.alarms += life.alarms
        self.share_firing += life.share_firing
        for drop, delay in life.delays.items():
            if delay is not None:
                self.delays.setdefault(drop, []).append(delay)

    def told(self) -> dict[str, object]:
        """Return the figures as JSON holds them."""
        months = self.lives * JUDGED_WEEKS / 4
        falls = {}
        for drop, delays in self.delays.items():
            median = float(np.median(delays))
            falls[f"{drop:g}"] = {
                "falls": len(delays),
                "days_median": None if math.isinf(median) else round(median, 2),
                "found_within_5_days": round(float(np.mean(np.array(delays) <= 5)), 4),
                "found_within_10_days": round(float(np.mean(np.array(delays) <= 10)), 4),
            }
        return {
            "trials_per_week": self.trials_per_week,
            "rate": self.rate,
            "rule": self.rule,
            "lives": self.lives,
            "false_alarms_per_4_weeks": round(self.alarms / months, 4),
            "false_notices_per_4_weeks": round(self.notices / months, 4),
            "share_of_time_firing": round(self.share_firing / self.lives, 4),
            "drops": falls,
        }


@cache
def all_looks(step_seconds: int) -> tuple[Looks, int]:
    """Return the looks of all judged weeks, and how many a day has."""
    days = [
        day
        for day in business_days(FIRST_DAY, WARM_UP_WEEKS + JUDGED_WEEKS)
        if (day - FIRST_DAY).days >= 7 * WARM_UP_WEEKS
    ]
    looks = looks_of(days, step_seconds)
    return looks, int((looks.day == 0).sum())


def live(size: FloorSize, seed: Sequence[int], step_seconds: int = STEP_SECONDS) -> dict[str, Life]:
    """Return what each rule made of one life. The same seed gives the same life."""
    random = np.random.default_rng(list(seed))
    looks, per_day = all_looks(step_seconds)
    history = history_of(size, WARM_UP_WEEKS + JUDGED_WEEKS, random)
    quiet = firing(exported(history, looks), looks, PLAN, step_seconds)
    falls_at = int(random.integers(5 * per_day, len(looks.at_ms) - FOLLOWED_DAYS * per_day))
    since = falls_at - 2 * per_day
    after = looks.part(since, falls_at + FOLLOWED_DAYS * per_day)
    delays: dict[str, dict[float, float | None]] = {rule: {} for rule in RULES}
    for drop in DROPS:
        fallen = history.fallen(int(looks.at_ms[falls_at]), (1 - drop) * size.rate)
        for rule, fired in firing(exported(fallen, after), after, PLAN, step_seconds).items():
            delays[rule][drop] = _delay(fired, falls_at - since, per_day)
    lives = {}
    for rule in RULES:
        found = alarms(quiet[rule], 3600 // step_seconds)
        share = found.looks_firing / len(looks.at_ms)
        lives[rule] = Life(found.notices, found.alarms, share, delays[rule])
    return lives


def _delay(fired: Bools, falls_at: int, per_day: int) -> float | None:
    if fired[falls_at]:
        return None
    found = np.flatnonzero(fired[falls_at:])
    return float(found[0]) / per_day if len(found) else math.inf


def verdicts(sizes: Sequence[FloorSize], results: Iterator[tuple[int, dict[str, Life]]]) -> list[Verdict]:
    found = {
        (number, rule): Verdict(size.trials_per_week, size.rate, rule)
        for number, size in enumerate(sizes)
        for rule in RULES
    }
    for number, lives in results:
        for rule, life in lives.items():
            found[number, rule].add(life)
    return list(found.values())


def _job(job: tuple[int, int, int]) -> tuple[int, dict[str, Life]]:
    number, seed, life = job
    return number, live(SIZES[number], (seed, number, life))


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def backtest(seed: int, lives: int, processes: int, progress: Progress) -> list[Verdict]:
    jobs = [(number, seed, life) for life in range(lives) for number in range(len(SIZES))]
    task = progress.add_task("lives of floors", total=len(jobs))

    def results(done: Iterator[tuple[int, dict[str, Life]]]) -> Iterator[tuple[int, dict[str, Life]]]:
        for each in done:
            progress.advance(task)
            yield each

    with Pool(processes, _ignore_interrupts) as pool:
        return verdicts(SIZES, results(pool.imap(_job, jobs, chunksize=4)))
