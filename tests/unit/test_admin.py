"""Topics must fit together and keep what a rebuild needs; where they do not, it is said what to run."""

import pytest

from streams.admin import TopicsError, check_co_partitioning, partitions_for_new, topic_configs, unfit
from streams.settings import KafkaSettings, Settings, WorkerSettings
from streams.topics import ACTIVITIES, DEAD_LETTERS, DEALS, INCOMPLETE, LEADS, REFERENCE, SOURCES

DAY_MS = 86_400_000


def test_equal_partition_counts_are_fine() -> None:
    check_co_partitioning({**dict.fromkeys(SOURCES, 6), "sales.dead-letters": 1})


def test_unequal_partition_counts_name_the_fix() -> None:
    with pytest.raises(TopicsError) as error:
        check_co_partitioning({DEALS: 6, LEADS: 4, ACTIVITIES: 6})
    assert "sales.leads has 4" in str(error.value)
    assert "--alter --topic sales.leads --partitions 6" in str(error.value)
    assert "--topic sales.deals" not in str(error.value)


def test_missing_topics_are_made_to_fit_those_that_are_there() -> None:
    kafka = KafkaSettings(partitions=4)
    assert partitions_for_new({}, kafka) == 4
    assert partitions_for_new({DEALS: 12, "sales.dead-letters": 1}, kafka) == 12


def test_source_topics_are_kept_as_long_as_their_events_count() -> None:
    settings = Settings(worker=WorkerSettings(retention_days=400))
    assert topic_configs(DEALS, settings)["retention.ms"] == str(401 * DAY_MS)
    assert topic_configs(DEALS, Settings(clock="event"))["retention.ms"] == "-1"
    for topic in SOURCES:
        compacted = topic_configs(topic, settings)["cleanup.policy"] == "compact"
        assert compacted == (topic == REFERENCE)
    assert "retention.ms" not in topic_configs(REFERENCE, settings)
    assert topic_configs(DEAD_LETTERS, settings) == {}


def test_incomplete_records_are_kept_by_key_for_as_long_as_their_events_would_count() -> None:
    settings = Settings(worker=WorkerSettings(retention_days=400))
    kept = {"cleanup.policy": "compact,delete", "retention.ms": str(401 * DAY_MS)}
    assert topic_configs(INCOMPLETE, settings) == kept


@pytest.mark.parametrize("clock", ["wall", "event"])
def test_topics_as_salesfloor_creates_them_are_fit(clock: str) -> None:
    settings = Settings.model_validate({"clock": clock})
    for topic in SOURCES:
        assert unfit(topic, topic_configs(topic, settings), settings) == []
        assert unfit(topic, {}, settings) == [], "a broker that tells nothing is taken to be right"


@pytest.mark.parametrize(
    ("topic", "configs", "said"),
    [
        (DEALS, {"cleanup.policy": "delete", "retention.ms": "604800000"}, f"retention.ms={801 * DAY_MS}"),
        (LEADS, {"cleanup.policy": "delete", "retention.bytes": "1000000"}, "retention.bytes=-1"),
        (LEADS, {"cleanup.policy": "compact", "retention.ms": "-1"}, "cleanup.policy=delete"),
        (REFERENCE, {"cleanup.policy": "delete", "retention.ms": "604800000"}, "cleanup.policy=compact"),
        (REFERENCE, {"cleanup.policy": "compact,delete", "retention.ms": "1"}, "cleanup.policy=compact"),
    ],
)
def test_a_topic_that_loses_history_is_named_with_the_fix(
    topic: str, configs: dict[str, str], said: str
) -> None:
    (warning,) = unfit(topic, configs, Settings())
    assert warning.startswith(topic)
    assert warning.endswith(said)
    assert f"--entity-name {topic} " in warning


def test_reference_records_that_are_only_deleted_by_nobody_are_fine() -> None:
    assert unfit(REFERENCE, {"cleanup.policy": "delete", "retention.ms": "-1"}, Settings()) == []
