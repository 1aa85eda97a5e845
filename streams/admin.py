"""Settings in; topics that exist, fit together and keep what a rebuild needs out.

Creates what is missing, never deletes or alters: an unfit topic of somebody's own is a warning with the fix.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from metrics.panes import DAY_MS
from streams.kafka_client import client_options, why_not
from streams.settings import KafkaSettings, Settings
from streams.topics import ALERTS, COMPACTED, INCOMPLETE, SOURCES, TOLD

ADMIN_TIMEOUT_MS = 10_000
"""A broker that does not answer an administrative request within 10 s counts as away; the caller retries."""

ALERTS_KEPT_DAYS = 35

_NO_ERROR = 0
_TOPIC_ALREADY_EXISTS = TopicAlreadyExistsError.errno


class TopicsError(Exception):
    """The topics cannot carry the slots. The message names the fix."""


async def describe_topics(settings: Settings) -> dict[str, int]:
    """Return the partition count of each of salesfloor's topics that exists."""
    async with connected(settings.kafka) as admin:
        return await _partition_counts(admin)


async def topic_names(kafka: KafkaSettings) -> set[str]:
    """Return the names of all topics that the brokers show us."""
    async with connected(kafka) as admin:
        return set(await admin.list_topics())


async def cluster_id(kafka: KafkaSettings) -> str:
    """Return the id that the brokers gave their cluster; "" where they tell none."""
    async with connected(kafka) as admin:
        return str((await admin.describe_cluster()).get("cluster_id") or "")


async def ensure_topics(settings: Settings) -> dict[str, int]:
    """Create missing topics, check that the source topics fit together; return all partition counts."""
    async with connected(settings.kafka) as admin:
        counts = await _partition_counts(admin)
        missing = [topic for topic in (*SOURCES, *TOLD) if topic not in counts]
        if missing:
            partitions = partitions_for_new(counts, settings.kafka)
            await _create(admin, missing, partitions, settings)
            counts = {**dict.fromkeys(missing, partitions), **counts}
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


def topic_configs(topic: str, settings: Settings) -> dict[str, str]:
    """Return how salesfloor creates a topic, so that a broker's default does not remove history unnoticed.

    Source topics keep records for as long as their events count, one day more since an event may come a
    day before its time. With the event clock the age of a record says nothing, so all are kept. Age is
    counted from arrival (LogAppendTime), whatever time a producer writes on its records. Dead letters are
    for people to look at soon: the broker's default is left to them. Alerts are kept for five weeks, as
    long as what they were about is compared with. Incomplete records are compacted, and forgotten when their
    events would not count any more.
    """
    if topic in COMPACTED:
        return {"cleanup.policy": "compact"}
    if topic == ALERTS:
        return {"cleanup.policy": "delete", "retention.ms": str(ALERTS_KEPT_DAYS * DAY_MS)}
    kept_ms = -1 if settings.clock == "event" else (settings.worker.retention_days + 1) * DAY_MS
    if topic == INCOMPLETE:
        return {"cleanup.policy": "compact,delete", "retention.ms": str(kept_ms)}
    if topic not in SOURCES:
        return {}
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(kept_ms),
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    }


async def describe_unfit(settings: Settings) -> list[str]:
    """Return, with the fix, how existing topics keep less than a rebuild needs. Brokers that do not tell
    their configuration are taken to be right."""
    async with connected(settings.kafka) as admin:
        topics = sorted((await _partition_counts(admin)).keys() & set(SOURCES))
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = await admin.describe_configs(resources) if resources else []
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, _message, _type, topic, entries in answer.resources:
            if code == _NO_ERROR:
                found[topic] = {entry[0]: entry[1] or "" for entry in entries}
    return [warning for topic in topics for warning in unfit(topic, found.get(topic, {}), settings)]


def unfit(topic: str, configs: Mapping[str, str], settings: Settings) -> list[str]:
    """Compare a topic's configuration with what salesfloor would have given it; say what is missing."""
    alter = f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
    policies = {policy.strip() for policy in configs.get("cleanup.policy", "").split(",")} - {""}
    if topic in COMPACTED:
        kept_for_ever = policies == {"compact"} or configs.get("retention.ms") == "-1"
        if policies and not kept_for_ever:
            why = "old targets, rates and rosters would be gone when numbers are rebuilt"
            return [f"{topic} is not only compacted: {why}; fix: {alter} cleanup.policy=compact"]
        return []
    warnings = []
    if "compact" in policies:
        why = "an event is a change, not a state, and compaction removes changes"
        warnings.append(f"{topic} is compacted: {why}; fix: {alter} cleanup.policy=delete")
    wanted = topic_configs(topic, settings)
    for name, unit in (("retention.ms", "ms"), ("retention.bytes", "bytes")):
        kept, needed = int(configs.get(name) or -1), int(wanted[name])
        if kept != -1 and (needed == -1 or kept < needed):
            why = f"keeps {kept} {unit} of history, less than a rebuild may need"
            warnings.append(f"{topic} {why}; fix: {alter} {name}={needed}")
    return warnings


@asynccontextmanager
async def connected(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a connected client for administrative requests."""
    admin = AIOKafkaAdminClient(
        **client_options(kafka, client_id="salesfloor-admin"), request_timeout_ms=ADMIN_TIMEOUT_MS
    )
    try:
        try:
            await admin.start()
        except KafkaConnectionError as error:
            raise await why_not(kafka) or error from None
        yield admin
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    # All topics are listed: asking for one by name would create it where the broker auto-creates.
    wanted = {*SOURCES, *TOLD}
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted and topic["error_code"] == _NO_ERROR
    }


async def _create(
    admin: AIOKafkaAdminClient, topics: Iterable[str], partitions: int, settings: Settings
) -> None:
    replication = settings.kafka.replication
    new = [
        NewTopic(topic, partitions, replication, topic_configs=topic_configs(topic, settings))
        for topic in topics
    ]
    answer = await admin.create_topics(new)
    for topic, code, *_message in answer.topic_errors:
        if code not in (_NO_ERROR, _TOPIC_ALREADY_EXISTS):
            configs = " ".join(f"{name}={value}" for name, value in topic_configs(topic, settings).items())
            raise TopicsError(
                f"topic {topic} cannot be created: {for_code(code).__name__}; create it with {partitions} "
                f"partitions{' and ' * bool(configs)}{configs} yourself, or allow this user to create topics"
            )
