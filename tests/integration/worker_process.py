"""A worker as a process of its own for the fault tests: settings from the environment in, exit code out.

`--count-wins` adds a Faust table that a batch hook of ours writes, to be as exact as the fold itself.
`--stumble` adds one that fails over every batch, with a record in its words.
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka.structs import TopicPartition

from streams.app import SalesfloorApp, WorkerFailed, run_worker
from streams.logs import configure_logging
from streams.settings import load_settings


def count_wins(app: SalesfloorApp) -> None:
    wins: Any = app.Table("wins", default=int)

    @app.on_batch
    def count(_place: TopicPartition, records: Any) -> None:
        for record in records:
            event = msgspec.json.decode(record.value)
            if event["type"] == "sales.deal.won":
                wins["all"] += 1


def stumble(app: SalesfloorApp) -> None:
    @app.on_batch
    def count(_place: TopicPartition, records: Any) -> None:
        raise ValueError(f"cannot count {records[-1].value!r}")


def extension() -> Callable[[SalesfloorApp], None] | None:
    if "--stumble" in sys.argv:
        return stumble
    return count_wins if "--count-wins" in sys.argv else None


async def main() -> int:
    configure_logging()
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    try:
        await run_worker(
            load_settings(),
            stop=stop,
            extend=extension(),
            on_listening=lambda port: print(f"listening {port}", flush=True),
        )
    except WorkerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
