"""Our own redis-server: killed, emptied, rolled back, frozen; reached directly or through a proxy."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.process import Part
from tests.chaos.proxy import Proxy
from tests.ports import free_port


class RedisServer:
    def __init__(self, directory: Path, *options: str, name: str = "redis") -> None:
        """`options` are given to redis-server after ours, and win."""
        self.data = directory / f"{name}-data"
        self.port, outer = free_port(), free_port()
        self.proxy = Proxy(outer, self.port)
        ours = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.data), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        self.part = Part(name, ["redis-server", *ours, *durable, *options], directory / f"{name}.log", {})
        self.client: Redis = Redis(port=self.port, protocol=2)
        """Ours, past the proxy."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def proxied(self) -> str:
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    async def start(self) -> None:
        self.data.mkdir(exist_ok=True)
        if self.proxy._server is None:
            await self.proxy.start()
        self.part.spawn()
        await self.part.until_answers(self.port)
        while not await self._loaded():
            pass

    async def _loaded(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (RedisError, OSError):
            return False

    def kill(self) -> None:
        self.part.kill()

    def forget_everything(self) -> None:
        """Delete its files while it is down."""
        shutil.rmtree(self.data)

    async def stop(self) -> None:
        await self.client.aclose()
        await self.proxy.stop()
        self.part.kill()

    def save_files(self, to: Path) -> None:
        """Copy its files as they are on disk at this moment: what a power loss would leave."""
        shutil.rmtree(to, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.data), str(to)], check=True)

    def restore_files(self, saved: Path) -> None:
        """Put the older files in place while it is down."""
        self.forget_everything()
        shutil.copytree(saved, self.data)

    async def ask(self, *command: str | int) -> Any:
        return await self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def keys(self) -> int:
        return int(await self.ask("DBSIZE"))
