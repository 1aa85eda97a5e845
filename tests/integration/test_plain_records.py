"""Records left plain say the same as those aiokafka makes, and only who asks gets them."""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from streams.embedded import embedded_kafka
from streams.plain_records import leave_plain

PLACE = TopicPartition("plain", 0)
FIELDS = ("offset", "timestamp", "timestamp_type", "key", "value")


async def read(bootstrap: str, count: int, *, plain: bool) -> list[ConsumerRecord[bytes, bytes]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    if plain:
        leave_plain(consumer)
    async with consumer:
        consumer.assign([PLACE])
        found: list[ConsumerRecord[bytes, bytes]] = []
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200, max_records=7)).values():
                found += records
        assert await consumer.position(PLACE) == count
        return found


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_plain_records_say_what_aiokafkas_own_do(compression: str | None) -> None:
    async with embedded_kafka() as broker:
        async with AIOKafkaProducer(
            bootstrap_servers=broker.kafka, compression_type=compression, linger_ms=20
        ) as producer:
            for number in range(60):
                key, value = b"k%d" % number, None if number % 9 == 0 else b"v%d" % number
                headers = [("trace", b"%d" % number)] if number % 5 == 0 else []
                await producer.send(
                    "plain", value=value, key=key if number % 7 or value is None else None, headers=headers,
                    partition=0, timestamp_ms=1_700_000_000_000 + number,
                )  # fmt: skip
            await producer.flush()
        plain = await read(broker.kafka, 60, plain=True)
        usual = await read(broker.kafka, 60, plain=False)
    assert {type(each) for each in usual} == {ConsumerRecord}
    assert ConsumerRecord not in {type(each) for each in plain}
    for one, other in zip(plain, usual, strict=True):
        assert [getattr(one, name) for name in FIELDS] == [getattr(other, name) for name in FIELDS]
        assert list(one.headers) == list(other.headers)
