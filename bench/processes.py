"""salesfloor's roles as processes of their own on embedded parts, for benches. Measures nothing."""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

STARTS_WITHIN_SECONDS = 600.0
STOPS_WITHIN_SECONDS = 60.0
SALESFLOOR = ("-c", "from streams.cli import main; main()")
SAID_BYTES = 4_000
"""So much of the end of what a process said is shown."""


@asynccontextmanager
async def role(
    name: str, ready_url: str, *, run: Sequence[str] = SALESFLOOR, **environment: str
) -> AsyncIterator[Process]:
    """Run `salesfloor NAME` and give it once it says that it is ready; one that ends by itself is told of.

    `run` are Python's arguments before the name, for a program that runs roles another way.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *run,
            name,
            env=os.environ | environment,
            stdout=log,
            stderr=STDOUT,
        )
        try:
            await until_ready(ready_url, process)
            yield process
        finally:
            if process.returncode is not None:
                log.seek(0)
                last = log.read()[-SAID_BYTES:].decode(errors="replace")
                print(f"{name} ended by itself with {process.returncode}:\n{last}", file=sys.stderr)
            await _stopped(name, process)


async def _stopped(name: str, process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOPS_WITHIN_SECONDS):
            await process.wait()
    except TimeoutError:
        print(f"{name} did not stop within {STOPS_WITHIN_SECONDS:g} s and was killed", file=sys.stderr)
        process.kill()
        await process.wait()


async def until_ready(url: str, process: Process) -> None:
    async with aiohttp.ClientSession() as client, asyncio.timeout(STARTS_WITHIN_SECONDS):
        while True:
            try:
                async with client.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            if process.returncode is not None:
                sys.exit(f"the process ended with {process.returncode} before it was ready at {url}")
            await asyncio.sleep(0.02)
