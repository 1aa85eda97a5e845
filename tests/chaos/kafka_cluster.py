"""Several Apache Kafka brokers that are one cluster, each its own process and a controller of the quorum.

Looks like one broker to the floor; `bootstrap` names them all. There is no proxy before them.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.chaos.kafka import Kafka

_GIVEN_UP_AFTER_MS = 3_000
"""A broker silent for so long leads nothing any more."""


class KafkaCluster(Kafka):
    """The first broker, and the others."""

    def __init__(self, directory: Path, brokers: int, **settings: str) -> None:
        self.brokers: list[Kafka] = [self]
        safe = str(brokers - 1)
        for number in range(1, brokers + 1):
            own = settings | {
                "node_id": str(number),
                "default_replication_factor": str(brokers),
                "min_insync_replicas": safe,
                "offsets_topic_replication_factor": str(brokers),
                "broker_session_timeout_ms": str(_GIVEN_UP_AFTER_MS),
                "broker_heartbeat_interval_ms": str(_GIVEN_UP_AFTER_MS // 6),
            }
            place = directory / f"kafka-{number}"
            place.mkdir()
            if number == 1:
                super().__init__(place, **own)
            else:
                self.brokers.append(Kafka(place, **own))
        voters = ",".join(f"{n}@127.0.0.1:{each.controller_port}" for n, each in enumerate(self.brokers, 1))
        self.cluster_id = self.new_cluster_id()
        for each in self.brokers:
            each.cluster_id = self.cluster_id
            each.settings = {**each.settings, "controller_quorum_voters": voters}

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{each.port}" for each in self.brokers)

    @property
    def replication(self) -> int:
        return len(self.brokers)

    async def start(self) -> None:
        await asyncio.gather(super().start(), *(each.start() for each in self.brokers[1:]))

    async def stop(self) -> None:
        await asyncio.gather(super().stop(), *(each.stop() for each in self.brokers[1:]))

    async def start_again(self, broker: Kafka) -> None:
        await (super().start() if broker is self else broker.start())

    async def coordinator_of(self, group: str) -> Kafka | None:
        """Return who coordinates the group; None while nobody can say."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await client.start()
            number: int = await client.find_coordinator(group)
        except KafkaError:
            return None
        finally:
            await client.close()
        return self.brokers[number - 1]

    async def partitions(self) -> list[Mapping[str, Any]]:
        """Return every partition of every topic: its leader, replicas and those in sync; nothing while nobody
        can say."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await client.start()
            topics = await client.describe_topics(await client.list_topics())
            return [{"topic": topic["topic"], **each} for topic in topics for each in topic["partitions"]]
        except KafkaError:
            return []
        finally:
            await client.close()

    async def is_whole(self) -> bool:
        """Say whether every partition has all its replicas in sync."""
        found = await self.partitions()
        return bool(found) and all(len(each["isr"]) == self.replication for each in found)
