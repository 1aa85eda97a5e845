"""A whole floor as a user starts it, in a process of its own, and the other commands run against it."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
SALESFLOOR = (sys.executable, "-c", "from streams.cli import main; main()")
STOP_SECONDS = 30.0
COMMAND_SECONDS = 100.0

Json = dict[str, object]


class Process:
    """A running command; its output is read until something is found, and kept for the report."""

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.told: list[str] = []
        self._reader: threading.Thread | None = None
        self._process = subprocess.Popen(
            [*SALESFLOOR, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, pattern: str) -> str:
        """Read on until a line has the pattern; return its first group."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append(line)
            if found := re.search(pattern, line):
                return found.group(1)
        raise AssertionError(f"the process ended without telling {pattern!r}:\n" + "".join(self.told))

    def drain(self) -> None:
        """Go on reading in the background, so that the process never waits for a reader."""
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=_read_all, args=(self._process.stdout, self.told))
        self._reader.start()

    def stop(self) -> int:
        assert self._process.stdout is not None
        self._process.send_signal(SIGINT)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            if self._reader is not None:
                self._reader.join()
            self._process.stdout.close()


def _read_all(output: IO[str], told: list[str]) -> None:
    told.extend(output)


class RunningFloor(Process):
    """`salesfloor run --embedded --clock event` on free ports."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ports = ("kafka", "redis", "metrics", "gateway", "worker")
        free = [argument for port in ports for argument in (f"--{port}-port", "0")]
        super().__init__("run", "--embedded", "--clock", "event", "--no-live", *free, environment=environment)
        try:
            self.metrics = self.wait_for(r"(http://\S+)/metrics")
            exports = self.wait_for(r"export (SALESFLOOR_KAFKA=.*)")
        except BaseException:
            self.stop()
            raise
        self.drain()
        self.environment |= dict(export.split("=", 1) for export in exports.split())

    def command(self, *arguments: str) -> str:
        """Run another command against this floor; return what it prints."""
        done = subprocess.run(
            [*SALESFLOOR, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (
            f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def snapshot(self, at: str) -> Json:
        told = json.loads(self.command("snapshot", "--at", at, "--json"))
        assert isinstance(told, dict)
        return told


@contextmanager
def running_floor(**environment: str) -> Iterator[RunningFloor]:
    floor = RunningFloor(environment)
    try:
        yield floor
    finally:
        code = floor.stop()
    assert code == 0, "".join(floor.told)
