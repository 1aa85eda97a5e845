"""Kafka settings in, a connected producer out, with a producer id where the brokers give one. Sends nothing.

With an id the brokers know the producer's own repetitions and keep its order. Some brokers have no such ids
(the embedded one), some access rules refuse them; then it goes on without, for a record that is written twice
or out of order changes no number.
"""

import asyncio
import logging
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, IncompatibleBrokerVersion, KafkaError

from streams.kafka_client import client_options
from streams.settings import KafkaSettings

# Said as an error by the library; what it means is ours to say.
logging.getLogger("aiokafka.producer.sender").addFilter(
    lambda record: not str(record.msg).startswith("Unexpected error during InitProducerIdRequest")
)


class Connected(NamedTuple):
    producer: AIOKafkaProducer
    no_id: KafkaError | None
    """Why the brokers gave no producer id, if they were asked for one."""


async def connect(
    kafka: KafkaSettings, *, client_id: str, idempotent: bool = True, **options: Any
) -> Connected:
    """Return a started producer that waits for all in-sync replicas. Raises `KafkaError`, leaving nothing."""
    producer = AIOKafkaProducer(
        **client_options(kafka, client_id=client_id),
        acks="all",
        enable_idempotence=idempotent,
        **options,
    )
    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        if not idempotent or not isinstance(error, BrokerResponseError | IncompatibleBrokerVersion):
            raise
        plain = await connect(kafka, client_id=client_id, idempotent=False, **options)
        return Connected(plain.producer, error)
    except asyncio.CancelledError:
        await producer.stop()
        raise
    return Connected(producer, None)
