"""CPU of the fold alone: records in memory through `SlotTable.fold` and its commits, no Kafka, no Redis.

Run `python -m bench hot_path [--log LOG] [--profile]`. What a change to the hot path gains shows here
first, in seconds of one core and without a broker's noise. The logs:

    bench   what `bench fold` reads: 20,000 deals take turns, event times lie anywhere in two weeks
    floor   deals as they live: created, worked on, won or lost; times go up, 2 % come late, 1 % twice
    wide    every event is another deal's: nothing of a commit is written only once
"""

import argparse
import cProfile
import gc
import json
import pstats
import random
import time
from collections.abc import Callable, Iterator
from typing import Final

from aiokafka.structs import ConsumerRecord
from rich.console import Console
from rich.table import Table

from bench.fold import AS_OF_MS, event, new_tables
from streams.heap import look_seldom
from streams.rfc3339 import rfc3339
from streams.settings import load_settings
from streams.table import SlotTable
from streams.topics import DEALS

BATCH = 1_250
"""Records of one partition in a fetch of 5,000 over four."""
COMMIT_RECORDS: Final = 20_000
"""A fifth of a second at full speed."""

_STAGES: Final = ("new", "qualified", "proposal", "closing")


def floor(events: int) -> Iterator[tuple[int, bytes]]:
    """Lives of deals side by side, a few thousand at a time; (deal, event)."""
    chance = random.Random(7)
    living: list[list[int]] = []
    recent: list[tuple[int, bytes]] = []
    deals = 0
    for number in range(events):
        if recent and chance.random() < 0.01:
            yield chance.choice(recent)
            continue
        if len(living) < 4_000 or chance.random() < 0.15:
            living.append([deals, 0])
            deals += 1
            place = len(living) - 1
        else:
            place = chance.randrange(len(living))
        deal, step = living[place]
        living[place][1] += 1
        late_ms = chance.randrange(3_600_000) if chance.random() < 0.02 else 0
        time_ms = AS_OF_MS - (events - number) * 4_000 - late_ms
        type_, data = _step(chance, deal, step)
        if type_ in ("won", "lost"):
            living[place] = living[-1]
            living.pop()
        recent.append((deal, cloud_event(number, type_, time_ms, data)))
        del recent[:-500]
        yield recent[-1]


def _step(chance: random.Random, deal: int, step: int) -> tuple[str, dict[str, object]]:
    data: dict[str, object] = {"deal_id": f"D-{deal}"}
    if step == 0:
        return "created", data | {
            "amount": f"{chance.randrange(9_000)}.50",
            "currency": "USD",
            "stage": _STAGES[0],
            "rep_id": f"R-{deal % 40}",
            "team_id": f"T-{deal % 5}",
            "source": "web",
        }
    if step > 3 and chance.random() < 0.4:
        return ("won" if chance.random() < 0.3 else "lost"), data
    if chance.random() < 0.5:
        return "updated", data | {"stage": _STAGES[min(step, 3)]}
    return "updated", data | {"amount": f"{chance.randrange(9_000)}.50", "currency": "USD"}


def cloud_event(number: int, type_: str, time_ms: int, data: dict[str, object]) -> bytes:
    envelope = {
        "specversion": "1.0",
        "id": f"{number:x}",
        "source": "/crm/bench",
        "type": f"sales.deal.{type_}",
        "time": rfc3339(time_ms),
        "data": data,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


LOGS: Final[dict[str, Callable[[int], Iterator[tuple[int, bytes]]]]] = {
    "bench": lambda events: ((number % 20_000, event(number)) for number in range(events)),
    "floor": floor,
    "wide": lambda events: ((number, event(number, deals=events)) for number in range(events)),
}


def batches(log: str, events: int, slots: int) -> list[tuple[int, list[ConsumerRecord[bytes, bytes]]]]:
    """Return (slot, records) as fetches would bring them: each slot in turn."""
    logs: list[list[ConsumerRecord[bytes, bytes]]] = [[] for _ in range(slots)]
    for deal, value in LOGS[log](events):
        slot = deal % slots
        of_slot = logs[slot]
        of_slot.append(
            ConsumerRecord(DEALS, slot, len(of_slot), AS_OF_MS, 0, None, value, None, -1, len(value), ())
        )
    return [
        (slot, of_slot[at : at + BATCH])
        for at in range(0, max(map(len, logs)), BATCH)
        for slot, of_slot in enumerate(logs)
        if of_slot[at : at + BATCH]
    ]


def run(
    tables: list[SlotTable], fetched: list[tuple[int, list[ConsumerRecord[bytes, bytes]]]]
) -> list[float]:
    """Return the CPU seconds spent in folding, and in taking commits."""
    fold_seconds = commit_seconds = 0.0
    folded = 0
    for slot, records in fetched:
        began = time.process_time()
        tables[slot].fold(DEALS, records, now_ms=AS_OF_MS)
        fold_seconds += time.process_time() - began
        folded += len(records)
        if folded >= COMMIT_RECORDS:
            folded = 0
            commit_seconds += commit_all(tables)
    return [fold_seconds, commit_seconds + commit_all(tables)]


def commit_all(tables: list[SlotTable]) -> float:
    began = time.process_time()
    for table in tables:
        if table.take_commit() is not None:
            table.committed()
    return time.process_time() - began


def main(log: str, events: int, *, runs: int, profile: bool) -> None:
    settings = load_settings(overrides={"kafka": {"partitions": 4}})
    fetched = batches(log, events, settings.kafka.partitions)
    gc.collect()
    gc.freeze()  # the records are not the fold's
    look_seldom()
    best: list[float] = []
    for _ in range(runs):
        tables = new_tables(settings)
        seconds = run(tables, fetched)
        if not best or sum(seconds) < sum(best):
            best = seconds
        del tables
        gc.collect()
    show(f"{events:,} events, log {log!r}, best of {runs}", events, best)
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(run, new_tables(settings), fetched)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def show(title: str, events: int, seconds: list[float]) -> None:
    table = Table(title=title)
    for heading in ("part", "µs per event", "events per CPU s"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, each in zip(("fold", "commits", "both"), (*seconds, sum(seconds)), strict=True):
        table.add_row(part, f"{each / events * 1e6:.2f}", f"{events / each:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", choices=LOGS, default="bench")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="also say where the time went")
    asked = parser.parse_args()
    main(asked.log, asked.events, runs=asked.runs, profile=asked.profile)
