"""Takes a topic that was truncated or made anew for the one of before: slots in, their offsets set back.

All numbers stay; the workers read the topic again from its first record. What was counted already changes
nothing, for folding an event again never does. Folds nothing itself, and changes no topic.

A claim takes each slot from its worker, which claims it again and reads on from the new offset: the same way
on which a slot moves between workers, so no number can count twice in between.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.admin import describe_topics
from streams.kafka_client import client_options, meaning_of
from streams.logs import fields
from streams.metrics_role import open_store
from streams.settings import KafkaSettings, Settings
from streams.stores.base import Commit, ForeignState, Outcome, SlotStore, StoreUnavailable
from streams.stores.known_topics import KnownTopics
from streams.topic_ids import topic_ids
from streams.topics import SOURCES

log = logging.getLogger(__name__)

TRIES = 20
TRY_SECONDS = 0.5
"""The slot's worker may claim it back between our claim and our commit; it settles within seconds."""


class AdoptFailed(Exception):
    """Nothing of the slot at hand was changed; the message names the fix. Run it again, it does no harm."""


@dataclass(frozen=True, slots=True)
class Adopted:
    slots: int
    empty: int
    """Slots that had folded nothing yet."""


async def adopt(settings: Settings, topic: str) -> Adopted:
    """Let every slot read the topic again from its first record. Raises `AdoptFailed`."""
    if topic not in SOURCES:
        raise AdoptFailed(f"{topic} is no topic that numbers are made of; those are {', '.join(SOURCES)}")
    try:
        slots = (await describe_topics(settings)).get(topic, 0)
        if not slots:
            raise AdoptFailed(f"{topic} is not there; `salesfloor topics create` makes it")
        first, ids = await _ask(settings.kafka, topic, slots)
    except (KafkaError, OSError) as error:
        raise AdoptFailed(f"Kafka at {settings.kafka.bootstrap} failed ({meaning_of(error)})") from error
    store = open_store(settings)
    known = KnownTopics(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
    try:
        adopted = await set_back(store, topic, first)
        # Last: were it the first, a worker would go on from where the old topic was read to.
        await known.accept(ids)
        return adopted
    except (StoreUnavailable, ForeignState) as error:
        raise AdoptFailed(str(error)) from error
    finally:
        await store.close()
        await known.close()


async def set_back(store: SlotStore, topic: str, first: Mapping[int, int]) -> Adopted:
    """Store these offsets, slot by slot, as the next ones to read of the topic."""
    empty = 0
    for slot, offset in sorted(first.items()):
        empty += not await _set_back_one(store, slot, topic, offset)
    return Adopted(len(first), empty)


async def _set_back_one(store: SlotStore, slot: int, topic: str, offset: int) -> bool:
    """Return False when the slot had folded nothing."""
    for _ in range(TRIES):
        claim = await store.claim(slot)
        if claim.seq == 0:
            return False
        offsets = {**claim.offsets, topic: offset}
        outcome = await store.commit(slot, Commit(claim.owner, claim.seq, offsets, {}, [], {}, []))
        if outcome in (Outcome.DONE, Outcome.ALREADY_DONE):
            before = claim.offsets.get(topic, 0)
            log.info(fields("topic adopted", topic=topic, slot=slot, was_at=before, reads_from=offset))
            return True
        await asyncio.sleep(TRY_SECONDS)
    raise AdoptFailed(f"slot {slot} changes hands again and again; wait until the workers are settled")


async def _ask(kafka: KafkaSettings, topic: str, slots: int) -> tuple[dict[int, int], dict[str, str]]:
    """Return where each partition begins, and the topic's id if it has one."""
    consumer = AIOKafkaConsumer(**client_options(kafka, client_id="salesfloor-adopt"), group_id=None)
    await consumer.start()
    try:
        found = await consumer.beginning_offsets([TopicPartition(topic, slot) for slot in range(slots)])
        ids = await topic_ids(consumer._client, (topic,))
    finally:
        await consumer.stop()
    return {partition.partition: offset for partition, offset in found.items()}, ids
