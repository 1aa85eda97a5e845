"""The same log through Kafka Streams on a JVM, with its default durable store: a peer of `bench fold`.

Comes in: the address of the broker and the number of events in the topic. Goes out: the time that
`jvm/StreamsPeer.java` took, with the JVM's start or from the first event on. Never installs Java: without a
JDK and Maven it raises FileNotFoundError, which `bench fold` prints. Jars are fetched once, into `.cache`.
"""

import asyncio
import json
import shutil
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.stopwatch import Seconds
from streams.topics import DEALS

WITHIN_SECONDS = 300.0
SOURCES = Path(__file__).parent / "jvm"
JARS = Path(__file__).parents[1] / ".cache" / "kafka-streams"


async def _run(*command: str | Path) -> bytes:
    # Its standard input stays open until we end, however that is: the JVM watches it.
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{command[0]} was not through within {WITHIN_SECONDS:.0f} s") from None
    if process.returncode:
        said = (err or out).decode(errors="replace").strip().splitlines() or [""]
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said[0][:300]}")
    return out


async def _jars() -> Path:
    """Return the folder of Kafka Streams' jars; Maven fetches them when they are not there yet."""
    pom, complete = SOURCES / "pom.xml", JARS / ".complete"
    if not complete.is_file() or complete.read_bytes() != pom.read_bytes():
        shutil.rmtree(JARS, ignore_errors=True)
        goal = ("dependency:copy-dependencies", f"-DoutputDirectory={JARS}")
        await _run("mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom, *goal)
        shutil.copyfile(pom, complete)
    return JARS


def kafka_streams(by: str, *, timed: str = "work") -> Callable[[str, int, int], Awaitable[Seconds]]:
    """Sum by "rep" or by record "key"; `timed` from the first event on ("work"), or the "whole" process."""

    async def run(kafka: str, _partitions: int, events: int) -> Seconds:
        for tool in ("java", "javac", "mvn"):
            if shutil.which(tool) is None:
                raise FileNotFoundError(f"{tool} is missing; Kafka Streams wants a JDK 17 and Maven")
        with tempfile.TemporaryDirectory(prefix="salesfloor-bench-", ignore_cleanup_errors=True) as folder:
            path = f"{folder}:{await _jars()}/*"
            await _run("javac", "-cp", path, "-d", folder, SOURCES / "StreamsPeer.java")
            program = ("StreamsPeer", kafka, DEALS, str(events), f"{folder}/state", by)
            told = json.loads(await _run("java", "-cp", path, *program))
        return Seconds(*told[timed])

    return run
