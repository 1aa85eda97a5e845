"""Three sentinels over a master and a replica, each its own process; asks them, and judges nothing."""

from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.process import Part
from tests.chaos.redis import RedisServer
from tests.ports import free_port

NAME = "floor"
DOWN_AFTER_MS = 1_000
_CONFIG = """
bind 127.0.0.1
port {port}
dir {directory}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} {down_after}
sentinel failover-timeout {name} 5000
"""


class Sentinels:
    def __init__(self, directory: Path, master: RedisServer, count: int = 3) -> None:
        self.parts: list[Part] = []
        self.ports = [free_port() for _ in range(count)]
        for port in self.ports:
            place = directory / f"sentinel-{port}"
            place.mkdir()
            config = place / "sentinel.conf"
            text = _CONFIG.format(
                port=port, directory=place, name=NAME, master=master.port, down_after=DOWN_AFTER_MS
            )
            config.write_text(text)
            command = ["redis-server", str(config), "--sentinel"]
            self.parts.append(Part(f"sentinel-{port}", command, place / "log", {}))
        self._clients = [Redis(port=port, protocol=2, decode_responses=True) for port in self.ports]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    async def start(self) -> None:
        for part, port in zip(self.parts, self.ports, strict=True):
            part.spawn()
            await part.until_answers(port)

    async def agree_on(self, replicas: int) -> bool:
        """Say whether each of them knows all the others, and so many replicas."""
        for client in self._clients:
            states: Any = await client.sentinel_masters()
            state = states.get(NAME, {})
            if (state.get("num-other-sentinels"), state.get("num-slaves")) != (len(self.ports) - 1, replicas):
                return False
        return True

    async def master_port(self) -> int:
        """Return the master's port as most of them say; 0 while they do not agree."""
        said = []
        for client in self._clients:
            try:
                address: Any = await client.sentinel_get_master_addr_by_name(NAME)
                said.append(int(address[1]))
            except (RedisError, OSError, TypeError):
                said.append(0)
        return max(said, key=said.count)

    async def stop(self) -> None:
        for client in self._clients:
            await client.aclose()
        for part in self.parts:
            part.kill()
