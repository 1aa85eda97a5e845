"""How well the alerts judge: `python -m bench backtest [--quick] [--json | --markdown] [--seed N]`.

Simulates lives of floors of several sizes, months each, twice: as they are, and with a fall of the rate at
some moment. Prints for each rule how often it cries wolf and how long it takes to notice. The shipped rules
stand beside what people write first: "below 80 % of the same hour last week", and a z-test of one day.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.backtest_floors import FloorSize
from bench.backtest_lives import DROPS, PLAN, SIZES, Verdict, backtest
from bench.backtest_rules import NAIVE, RULES
from metrics.alerts.plan import CUSUM, DROUGHT, FAST, SLOW


def false_alarm_rows(found: Sequence[Verdict]) -> Iterator[list[str]]:
    """Yield one row for each floor: its size, and false alarms per four weeks under each rule."""
    for size in SIZES:
        own = {v.rule: v.told() for v in found if (v.trials_per_week, v.rate) == _key(size)}
        cells = [f"{own[rule]['false_alarms_per_4_weeks']:.2f}" for rule in RULES]
        yield [str(size.trials_per_week), f"{size.rate:g}", *cells]


def detection_rows(found: Sequence[Verdict]) -> Iterator[list[str]]:
    """Yield one row for each floor and drop: median days, and shares found within 5 and 10 days."""
    for size, drop in product(SIZES, DROPS):
        own = {v.rule: v.told()["drops"] for v in found if (v.trials_per_week, v.rate) == _key(size)}
        row = [str(size.trials_per_week), f"{size.rate:g}", f"{100 * drop:.0f} %"]
        for rule in RULES:
            drops = own[rule]
            assert isinstance(drops, dict)
            told = drops.get(f"{drop:g}")
            if rule != NAIVE:
                row.append("–" if told is None else _found(told))
        yield row


def _found(told: Mapping[str, float | None]) -> str:
    days = told["days_median"]
    shares = (f"{100 * (told[f'found_within_{n}_days'] or 0):.0f}" for n in (5, 10))
    return f"{'> 20' if days is None else f'{days:.1f}'} ({' / '.join(shares)} %)"


def _key(size: FloorSize) -> tuple[int, float]:
    return size.trials_per_week, size.rate


SHORT = {FAST: "Fast", SLOW: "Slow", DROUGHT: "Drought", CUSUM: "CUSUM"}
FALSE_ALARMS = ["trials a week", "rate", *(SHORT.get(rule, rule) for rule in RULES)]
DETECTION = ["trials a week", "rate", "drop", *(SHORT.get(rule, rule) for rule in RULES if rule != NAIVE)]


def markdown(heads: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _table(title: str, heads: Sequence[str], rows: Iterator[list[str]]) -> Table:
    table = Table(*heads, title=title)
    for row in rows:
        table.add_row(*row)
    return table


def show(found: Sequence[Verdict], form: str) -> None:
    if form == "json":
        print(json.dumps({"plan": asdict(PLAN), "verdicts": [v.told() for v in found]}, indent=2))
    elif form == "markdown":
        print(markdown(FALSE_ALARMS, false_alarm_rows(found)))
        print()
        print(markdown(DETECTION, detection_rows(found)))
    else:
        console = Console()
        console.print(_table("False alarms in four weeks", FALSE_ALARMS, false_alarm_rows(found)))
        title = "Business days until a fall is noticed, median (found within 5 / 10 days)"
        console.print(_table(title, DETECTION, detection_rows(found)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench backtest", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="which floors: the same seed gives the same figures"
    )
    parser.add_argument("--lives", type=int, default=300, help="floors of each size (300)")
    parser.add_argument("--quick", action="store_true", help="20 lives: rough figures in seconds")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many work at once")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_const", dest="form", const="json", help="all figures as JSON")
    shown.add_argument("--markdown", action="store_const", dest="form", const="markdown", help="for the docs")
    options = parser.parse_args()
    if options.lives < 1 or options.processes < 1 or options.seed < 0:
        parser.error("--lives and --processes are at least 1, --seed at least 0")
    try:
        with Progress(console=Console(stderr=True)) as progress:
            lives = 20 if options.quick else options.lives
            found = backtest(options.seed, lives, options.processes, progress)
    except KeyboardInterrupt:
        sys.exit(130)
    show(found, options.form)


if __name__ == "__main__":
    main()
