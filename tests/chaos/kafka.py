"""Our own Apache Kafka broker: started, killed, frozen, emptied; reached directly or through a proxy."""

import shutil
import subprocess
from pathlib import Path

from tests.chaos.process import ROOT, Part
from tests.chaos.proxy import Proxy
from tests.ports import free_port

CI = ROOT / ".ci" / "kafka"


class Kafka:
    """One broker, its own controller. `bootstrap` is direct, `proxied` leads through `proxy`.

    A client learns the brokers' addresses from the listener it came in by, so it stays behind the proxy.
    """

    def __init__(self, directory: Path, **settings: str) -> None:
        """`settings` are broker settings, with `_` for `.`: `log_retention_check_interval_ms="500"`."""
        self.directory, self.settings = directory, settings
        self.port, self.controller_port, self._behind, outer = (free_port() for _ in range(4))
        self.proxy = Proxy(outer, self._behind)
        self.cluster_id = ""
        """Of the cluster it is a part of; "" for one of its own."""
        self.data = directory / "kafka-data"
        self.config = directory / "kafka.properties"
        jars = subprocess.run([CI / "jars"], check=True, capture_output=True, text=True).stdout.strip()
        self._java = ["java", "-Xmx512m", f"-Dlog4j2.configurationFile={CI / 'log4j2.properties'}", "-cp"]
        self._java.append(f"{jars}/*")
        self.part = Part("kafka", [*self._java, "kafka.Kafka", str(self.config)], directory / "kafka.log", {})

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def proxied(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"

    @property
    def replication(self) -> int:
        """How many replicas its topics are to have."""
        return 1

    async def start(self) -> None:
        """Start it, on the data that is there or on none."""
        if not self.data.exists():
            self._format()
        if self.proxy._server is None:
            await self.proxy.start()
        self.part.spawn()
        await self.part.until_answers(self.port)

    def forget_everything(self) -> None:
        """Delete its data while it is down: it comes back empty, under another cluster id."""
        shutil.rmtree(self.data)

    async def stop(self) -> None:
        await self.proxy.stop()
        self.part.kill()

    def _format(self) -> None:
        outside, listeners = f"127.0.0.1:{self.port}", f"PROXIED://127.0.0.1:{self._behind}"
        lines = [
            (CI / "server.properties").read_text(),
            f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}",
            f"listeners=PLAINTEXT://{outside},{listeners},CONTROLLER://127.0.0.1:{self.controller_port}",
            f"advertised.listeners=PLAINTEXT://{outside},PROXIED://127.0.0.1:{self.proxy.port}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
            f"log.dirs={self.data}",
            *(f"{name.replace('_', '.')}={value}" for name, value in self.settings.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")
        cluster = self.cluster_id or self.new_cluster_id()
        tool = [*self._java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster]
        with self.part.log.open("ab") as log:
            subprocess.run([*tool, "--config", str(self.config)], check=True, stdout=log, stderr=log)

    def new_cluster_id(self) -> str:
        random = [*self._java, "kafka.tools.StorageTool", "random-uuid"]
        return subprocess.run(random, check=True, capture_output=True, text=True).stdout.strip()
