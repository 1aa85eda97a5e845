"""Source topics must have the same number of partitions; the error says what to run."""

import pytest

from streams.admin import TopicsError, check_co_partitioning, partitions_for_new
from streams.settings import KafkaSettings
from streams.topics import ACTIVITIES, DEALS, LEADS, SOURCES


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
