"""The commands as processes: a floor that lives, says where to look, and leaves nothing behind."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

START_SECONDS = 60.0
FREE_PORTS = [f"--{name}-port=0" for name in ("metrics", "gateway", "worker")]
EMBEDDED = ["--kafka-port=0", "--redis-port=0", *FREE_PORTS]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SALESFLOOR_")},
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "PYTHONUNBUFFERED": "1",
}

pytestmark = pytest.mark.timeout(180)


class Command:
    """A running `salesfloor` command; `said` is everything it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            async with self._more:
                self.said += chunk.decode()
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()

    async def until(self, pattern: str) -> re.Match[str]:
        """Return the first match in what it prints; fail when it ends or stays silent."""
        async with asyncio.timeout(START_SECONDS), self._more:
            await self._more.wait_for(lambda: self._reading.done() or re.search(pattern, self.said))
        match = re.search(pattern, self.said)
        assert match is not None, f"ended without saying {pattern!r}:\n{self.said}"
        return match

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            code = await self.process.wait()
            await self._reading
        return code


@asynccontextmanager
async def salesfloor(*arguments: str, cwd: Path) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from streams.cli import main; main()",
        *arguments,
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    command = Command(process)
    try:
        yield command
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await command._reading


async def gauges(metrics: str, name: str) -> float:
    """Return the sum of a metric's samples, 0 while there is none."""
    async with aiohttp.ClientSession() as session, session.get(f"{metrics}/metrics") as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))


async def until(met: Callable[[float], bool], metrics: str, name: str) -> float:
    async with asyncio.timeout(START_SECONDS):
        while not met(value := await gauges(metrics, name)):
            await asyncio.sleep(0.2)
    return value


def listens(address: str) -> bool:
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def test_demo_lives_answers_other_commands_and_leaves_nothing(tmp_path: Path) -> None:
    async with salesfloor("demo", *EMBEDDED, cwd=tmp_path) as demo:
        metrics = (await demo.until(r"gauges +(http://[\d.:]+)/metrics"))[1]
        gateway = (await demo.until(r"POST (http://[\d.:]+)/events"))[1]
        exported = await demo.until(r"SALESFLOOR_KAFKA=(\S+) SALESFLOOR_REDIS=redis://(\S+)/0")
        children = psutil.Process(demo.process.pid).children(recursive=True)
        assert children

        # Its history is folded, then the present moves the numbers on.
        first = await until(lambda value: value > 0, metrics, "salesfloor_events_total")
        await until(lambda value: value > first, metrics, "salesfloor_events_total")
        await until(lambda value: value > 0, metrics, "salesfloor_floor_open_deals")
        await demo.until(r"revenue today .* events/s")

        addresses = ["--kafka", exported[1], "--redis", f"redis://{exported[2]}/0"]
        async with salesfloor("snapshot", "--json", "--level=floor", *addresses, cwd=tmp_path) as asked:
            assert await asked.end(signal.SIGCONT) == 0, asked.said
            assert json.loads(asked.said)["values"]

        assert await demo.end() == 0, demo.said
        assert not [child for child in children if child.is_running()]
        assert [place for place in (metrics, gateway, exported[1], exported[2]) if listens(place)] == []
        assert os.listdir(tmp_path) == []


async def test_ctrl_c_while_the_history_is_folded_ends_cleanly_too(tmp_path: Path) -> None:
    async with salesfloor("demo", *EMBEDDED, cwd=tmp_path) as demo:
        metrics = (await demo.until(r"gauges +(http://[\d.:]+)/metrics"))[1]
        await until(lambda value: value > 1000, metrics, "salesfloor_events_total")
        assert await demo.end() == 0, demo.said
        assert "did not stop in time" not in demo.said


async def test_port_that_is_taken_ends_run_with_the_option_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [*EMBEDDED, f"--metrics-port={port}"]
        async with salesfloor("run", "--embedded", *arguments, cwd=tmp_path) as run:
            await run.until("Error:.*")
            assert await run.end(signal.SIGCONT) == 1
    assert f"metrics cannot listen on 127.0.0.1:{port}" in run.said
    assert "--metrics-port" in run.said
    assert "Traceback" not in run.said


@pytest.mark.parametrize("role", ["worker", "metrics", "gateway"])
async def test_role_without_kafka_and_redis_waits_unready_and_ends_on_sigterm(
    role: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    kafka, redis, port = (unused_tcp_port_factory() for _ in range(3))
    away = ["--kafka", f"127.0.0.1:{kafka}", "--redis", f"redis://127.0.0.1:{redis}/0", f"--port={port}"]
    async with salesfloor(role, *away, cwd=tmp_path) as running:
        await running.until(rf"salesfloor {role}")
        await running.until(rf"127.0.0.1:({kafka}|{redis})")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/-/ready") as response:
                assert response.status == 503
            async with session.get(f"http://127.0.0.1:{port}/-/healthy") as response:
                assert response.status == 200
        assert await running.end(signal.SIGTERM) == 0, running.said
        assert "Traceback" not in running.said
