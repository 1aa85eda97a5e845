"""Settings in; topics that exist and fit together out. Creates what is missing, never deletes or alters."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.kafka_client import client_options
from streams.settings import KafkaSettings, Settings
from streams.topics import DEAD_LETTERS, SOURCES

ADMIN_TIMEOUT_MS = 10_000
"""A broker that does not answer an administrative request within 10 s counts as away; the caller retries."""

_NO_ERROR = 0
_TOPIC_ALREADY_EXISTS = TopicAlreadyExistsError.errno


class TopicsError(Exception):
    """The topics cannot carry the slots. The message names the fix."""


async def describe_topics(settings: Settings) -> dict[str, int]:
    """Return the partition count of each of salesfloor's topics that exists."""
    async with _admin(settings.kafka) as admin:
        return await _partition_counts(admin)


async def ensure_topics(settings: Settings) -> dict[str, int]:
    """Create missing topics, check that the source topics fit together; return all partition counts."""
    async with _admin(settings.kafka) as admin:
        counts = await _partition_counts(admin)
        missing = [topic for topic in (*SOURCES, DEAD_LETTERS) if topic not in counts]
        if missing:
            await _create(
                admin, missing, partitions_for_new(counts, settings.kafka), settings.kafka.replication
            )
            counts = {**dict.fromkeys(missing, partitions_for_new(counts, settings.kafka)), **counts}
    check_co_partitioning(counts)
    return counts


def partitions_for_new(counts: Mapping[str, int], kafka: KafkaSettings) -> int:
    """Return how many partitions a new topic gets: as many as the source topics that are there already."""
    return max((counts[topic] for topic in SOURCES if topic in counts), default=kafka.partitions)


def check_co_partitioning(counts: Mapping[str, int]) -> None:
    """Raise `TopicsError` unless all source topics have the same number of partitions."""
    found = {topic: counts.get(topic, 0) for topic in SOURCES}
    if len(set(found.values())) > 1:
        most = max(found.values())
        short = [topic for topic, count in found.items() if count < most]
        shown = ", ".join(f"{topic} has {count}" for topic, count in found.items())
        raise TopicsError(
            f"the source topics must have the same number of partitions, but {shown}; "
            + "fix: "
            + "; ".join(f"kafka-topics.sh --alter --topic {topic} --partitions {most}" for topic in short)
        )


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        **client_options(kafka, client_id="salesfloor-admin"), request_timeout_ms=ADMIN_TIMEOUT_MS
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    # All topics are listed: asking for one by name would create it where the broker auto-creates.
    wanted = {*SOURCES, DEAD_LETTERS}
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted and topic["error_code"] == _NO_ERROR
    }


async def _create(
    admin: AIOKafkaAdminClient, topics: Iterable[str], partitions: int, replication: int
) -> None:
    new = [NewTopic(topic, num_partitions=partitions, replication_factor=replication) for topic in topics]
    answer = await admin.create_topics(new)
    for topic, code, *_message in answer.topic_errors:
        if code not in (_NO_ERROR, _TOPIC_ALREADY_EXISTS):
            raise TopicsError(
                f"topic {topic} cannot be created: {for_code(code).__name__}; create it with {partitions} "
                "partitions yourself, or allow this user to create topics"
            )
