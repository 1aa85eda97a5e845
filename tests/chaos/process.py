"""One process under our hands: a command line in; started, frozen, stopped, killed. Judges nothing."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SALESFLOOR = (sys.executable, "-c", "from streams.cli import main; main()")
STOP_SECONDS = 30.0
START_SECONDS = 90.0
LOOK_SECONDS = 0.05


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Part:
    """A process that can be started again; all its lives write to one log."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.command, self.log, self.environment = name, command, log, environment
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> None:
        assert not self.alive, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # SIGXFSZ stays ignored, as Python has it, so that `limit_files` is an error and no death.
                restore_signals=False,
            )

    async def until_answers(self, port: int) -> None:
        async with asyncio.timeout(START_SECONDS):
            while not answers(port):
                assert self.alive, f"{self.name} ended with {self.exit_code}; see {self.log}"
                await asyncio.sleep(LOOK_SECONDS)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def rss_mb(self) -> float:
        """Resident memory, 0 when it does not run."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def limit_files(self, size: int | None) -> None:
        """Let no file grow beyond so many bytes, as a full disk does: writes fail. None lifts the limit."""
        unlimited = resource.RLIM_INFINITY
        soft = unlimited if size is None else size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, unlimited))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> int:
        """Ask it to end; kill it when it does not. Return its exit code."""
        if self.alive:
            self.process.terminate()
        return await self.ended(STOP_SECONDS)

    async def ended(self, within_seconds: float) -> int:
        try:
            return await asyncio.to_thread(self.process.wait, within_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {within_seconds} s; see {self.log}"
            ) from None
