"""`python -m tests.chaos`: scenarios on real parts; prints what came out, and how to repeat a failure."""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import randrange

from tests.chaos import (
    deployments,
    kafka_cluster_scenarios,
    kafka_scenarios,
    kafka_topic_scenarios,
    redis_scenarios,
    scrape_scenarios,
    sentinel_scenarios,
    soak,
    worker_scenarios,
)
from tests.chaos.report import as_json, table
from tests.chaos.runner import Plan, Result, Runner
from tests.chaos.stage import SCENARIOS, Scenario

PLAYS = (
    deployments,
    worker_scenarios,
    redis_scenarios,
    sentinel_scenarios,
    scrape_scenarios,
    kafka_scenarios,
    kafka_topic_scenarios,
    kafka_cluster_scenarios,
    soak,
)
"""The modules whose scenarios there are; importing them declares these."""

TOOLS = {"java": "openjdk-17-jre-headless", "mvn": "maven", "redis-server": "redis-server"}


def main() -> int:
    asked = _arguments()
    if asked.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:32} rows {' '.join(map(str, scenario.rows)):10} {scenario.holds}")
        return 0
    chosen = _chosen(asked)
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        sys.exit(f"{', '.join(missing)} missing; on Debian: apt-get install {' '.join(TOOLS.values())}")
    directory = Path(tempfile.mkdtemp(prefix="salesfloor-chaos."))
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f}] {text}", file=sys.stderr, flush=True)

    # Our own clients meet the faults, too, and try again by themselves.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    plan = Plan(directory, asked.seed, asked.rate, not asked.short, asked.minutes, say)
    try:
        results = asyncio.run(_played(plan, chosen))
    except asyncio.CancelledError:
        print(f"ended before its time; logs: {directory}", file=sys.stderr)
        return 130
    print(as_json(results, seed=asked.seed) if asked.json else table(results))
    failed = [result.scenario for result in results if result.failure]
    if failed:
        short = " --short" if asked.short else ""
        repeat = f"{' '.join(failed)} --seed {asked.seed} --rate {asked.rate:g}{short}"
        print(f'repeat: make chaos ARGS="{repeat}"\nlogs: {directory}', file=sys.stderr)
    elif not asked.keep:
        shutil.rmtree(directory)
    return 1 if failed else 0


async def _played(plan: Plan, chosen: list[Scenario]) -> list[Result]:
    """Play them; SIGINT and SIGTERM end every process that was started, too."""
    task = asyncio.current_task()
    assert task is not None
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await Runner(plan).run(chosen)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help="all but the soak if none is named; see --list")
    parser.add_argument(
        "--short", action="store_true", help="CI's form: the short scenarios, few faults each"
    )
    parser.add_argument(
        "--seed", type=int, default=randrange(1 << 30), help="the same again: load and faults"
    )
    parser.add_argument("--rate", type=float, help="records a second (500; in the short form 250)")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak takes (30)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run that went well, too")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    asked = parser.parse_args()
    if asked.rate is None:
        asked.rate = 250.0 if asked.short else 500.0
    return asked


def _chosen(asked: argparse.Namespace) -> list[Scenario]:
    if unknown := [name for name in asked.scenarios if name not in SCENARIOS]:
        sys.exit(f"no scenario is called {', '.join(unknown)}; --list names them")
    if asked.scenarios:
        return [SCENARIOS[name] for name in asked.scenarios]
    found = [each for each in SCENARIOS.values() if not each.only_by_name and (each.short or not asked.short)]
    # What needs an empty floor comes last: the others share one, and its history grows.
    return sorted(found, key=lambda each: (each.brokers, bool(each.kafka), each.fresh, each.proxied))


if __name__ == "__main__":
    sys.exit(main())
