"""Topics as a broker keeps them: created with the retention a rebuild needs, told when they are not."""

import re

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.admin import describe_unfit, ensure_topics, topic_configs
from streams.embedded import embedded_kafka
from streams.settings import Settings, load_settings
from streams.topics import DEALS, REFERENCE, SOURCES


def settings_of(kafka: str) -> Settings:
    return load_settings(overrides={"kafka": {"bootstrap": kafka}})


async def stored_configs(kafka: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    ((_code, _message, _type, name, entries),) = answer.resources
    assert name == topic
    return {entry[0]: entry[1] for entry in entries}


@pytest.mark.timeout(120)
async def test_topics_are_created_with_the_retention_a_rebuild_needs() -> None:
    async with embedded_kafka() as broker:
        settings = settings_of(broker.kafka)
        await ensure_topics(settings)
        for topic in (DEALS, REFERENCE):
            stored = await stored_configs(broker.kafka, topic)
            assert stored.items() >= topic_configs(topic, settings).items()
        assert await describe_unfit(settings) == []


@pytest.mark.timeout(120)
async def test_topics_of_somebodys_own_that_lose_history_are_told_and_left_as_they_are() -> None:
    week = {"cleanup.policy": "delete", "retention.ms": "604800000"}
    async with embedded_kafka() as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.kafka)
        await admin.start()
        try:
            new = [NewTopic(topic, 2, 1, topic_configs=week) for topic in (DEALS, REFERENCE)]
            await admin.create_topics(new)
        finally:
            await admin.close()
        settings = settings_of(broker.kafka)
        counts = await ensure_topics(settings)
        assert {counts[topic] for topic in SOURCES} == {2}
        warnings = await describe_unfit(settings)
        assert len(warnings) == 2
        assert re.match(r"sales\.deals keeps 604800000 ms .* fix: .*retention\.ms=", warnings[0])
        assert re.match(r"sales\.reference .* fix: .*cleanup\.policy=compact", warnings[1])
        assert (await stored_configs(broker.kafka, DEALS))["retention.ms"] == "604800000"
