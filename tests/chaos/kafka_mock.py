"""librdkafka's mock Kafka brokers, driven through ctypes: faults that no real broker gives on demand.

Comes in: topics, error codes to answer, brokers to take down. Goes out: an address that any Kafka client
connects to. Keeps records in memory, knows no admin requests; judges nothing.

The library lies in the wheel of confluent-kafka, whose Python interface does not show the mock.
"""

import ctypes
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from streams.topics import SOURCES, TOLD

ERROR_BYTES = 512


class Api(IntEnum):
    """The requests whose answers can be scripted."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14


class MockKafka:
    """A cluster of mock brokers in this process, with salesfloor's topics."""

    def __init__(self, library: ctypes.CDLL, cluster: int, brokers: int) -> None:
        self._library, self._cluster = library, cluster
        self.brokers = range(1, brokers + 1)
        self.address = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    def create_topics(self, partitions: int) -> None:
        for topic in (*SOURCES, *TOLD):
            self._call("topic_create", topic.encode(), partitions, 1)

    def answer(self, api: Api, errors: Sequence[int]) -> None:
        """Answer the next requests of this kind, whoever sends them, with these codes; 0 is no error."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(api), ctypes.c_size_t(len(errors)), codes
        )

    def answer_always(self, api: Api, error: int) -> None:
        """Answer so many requests with the code that none is left over within a test."""
        self.answer(api, [error] * 10_000)

    def forgive(self, api: Api) -> None:
        """Answer requests of this kind properly again."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, ctypes.c_int16(api))

    def down(self, broker: int) -> None:
        """Drop the broker's connections and refuse new ones."""
        self._call("broker_set_down", broker)

    def up(self, broker: int) -> None:
        self._call("broker_set_up", broker)

    def slow(self, broker: int, milliseconds: int) -> None:
        """Let each answer of this broker take so long."""
        self._call("broker_set_rtt", broker, milliseconds)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Make the broker the partition's leader; the old one answers that it is not."""
        self._call("partition_set_leader", topic.encode(), partition, broker)

    def coordinate(self, group: str, broker: int) -> None:
        """Make the broker the group's coordinator; the old one answers that it is not."""
        self._call("coordinator_set", b"group", group.encode(), broker)

    def _call(self, name: str, *args: bytes | int) -> None:
        error = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *args)
        assert error == 0, f"the mock refused {name}{args}: error {error}"


@contextmanager
def mock_kafka(*, brokers: int = 1, partitions: int) -> Iterator[MockKafka]:
    """Run a mock cluster with salesfloor's topics until the block ends."""
    library = _library()
    why = ctypes.create_string_buffer(ERROR_BYTES)
    handle = library.rd_kafka_new(0, library.rd_kafka_conf_new(), why, ERROR_BYTES)
    assert handle, why.value.decode()
    cluster = library.rd_kafka_mock_cluster_new(handle, brokers)
    try:
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 100)
        kafka = MockKafka(library, cluster, brokers)
        kafka.create_topics(partitions)
        yield kafka
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(handle)


def _library() -> ctypes.CDLL:
    found = sorted((Path(sysconfig.get_path("platlib")) / "confluent_kafka.libs").glob("librdkafka*"))
    assert found, "confluent-kafka is not installed as a wheel: pip install 'salesfloor[test]'"
    library = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, ctypes.c_int]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, number]),
        ("rd_kafka_mock_topic_create", ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
        (
            "rd_kafka_mock_push_request_errors_array",
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
        ("rd_kafka_mock_clear_request_errors", None, [pointer, ctypes.c_int16]),
        ("rd_kafka_mock_broker_set_down", ctypes.c_int, [pointer, number]),
        ("rd_kafka_mock_broker_set_up", ctypes.c_int, [pointer, number]),
        ("rd_kafka_mock_broker_set_rtt", ctypes.c_int, [pointer, number, ctypes.c_int]),
        ("rd_kafka_mock_partition_set_leader", ctypes.c_int, [pointer, text, number, number]),
        ("rd_kafka_mock_coordinator_set", ctypes.c_int, [pointer, text, text, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
