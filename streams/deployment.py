"""One deployment at a time folds into a namespace of Redis: a group on a Kafka cluster in, who holds it out.

    {<namespace>}:deployment   string   the holder; expires `LEASE_SECONDS` after the last sign of life

Epochs keep two deployments from mixing their commits, but not from taking slots from each other for ever, nor
from folding the topics of two Kafka clusters into one state. So a second one waits, and says why.
"""

import asyncio
import logging

from aiokafka.errors import KafkaError

from streams.admin import cluster_id
from streams.logs import fields
from streams.redis_address import address_of
from streams.settings import Settings
from streams.stores.base import StoreUnavailable
from streams.stores.redis_client import connect, translated

log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
LOOK_SECONDS = 1.0
ASK_KAFKA_EVERY = 30
"""Looks: a broker that comes back empty is another cluster, and its workers are the same deployment still."""

# KEYS deployment   ARGV us, milliseconds to live, us under the name of before   -> the holder then
_HOLD = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""


class HeldByAnother(Exception):
    """Another deployment folds into the same namespace. The message names it, and the fix."""


class Deployment:
    def __init__(self, settings: Settings) -> None:
        url = settings.redis.url.get_secret_value()
        self._settings = settings
        self._key, self._address = f"{{{settings.redis.namespace}}}:deployment", address_of(url)
        self._redis = connect(url)
        self._hold = self._redis.register_script(_HOLD)
        self._name = self._before = ""

    async def until_held(self, stop: asyncio.Event) -> bool:
        """Wait while another deployment holds the namespace; False when stopped before.

        Learn the name before. Raises `StoreUnavailable`.
        """
        said = False
        while not stop.is_set():
            holder = await self._try()
            if holder == self._name:
                return True
            if not said:
                log.warning(fields("worker waits", cause=self._complaint(holder)))
                said = True
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
        return False

    async def while_held(self) -> None:
        """Give signs of life; raise `HeldByAnother` when another deployment has taken the namespace."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            looks += 1
            try:
                if looks % ASK_KAFKA_EVERY == 0:
                    await self.learn_name()
                if await self._try() == self._name:
                    continue
                await self.learn_name()
                if (holder := await self._try()) != self._name:
                    raise HeldByAnother(self._complaint(holder))
            except (StoreUnavailable, KafkaError, OSError):
                continue  # those whose work it is say so already

    async def close(self) -> None:
        await self._redis.aclose()

    async def learn_name(self) -> None:
        """Ask Kafka which cluster it is. Raises `KafkaError`."""
        kafka = self._settings.kafka
        name = f"group {kafka.group} on Kafka cluster {await cluster_id(kafka)}"
        if name != self._name:
            self._before, self._name = self._name, name

    async def _try(self) -> str:
        with translated(self._address):
            holder: bytes = await self._hold(
                keys=[self._key], args=[self._name, int(LEASE_SECONDS * 1000), self._before]
            )
        return holder.decode()

    def _complaint(self, holder: str) -> str:
        return (
            f"another deployment ({holder}) folds into the namespace {self._settings.redis.namespace} of "
            f"this Redis; give this one ({self._name}) a redis.namespace of its own, or stop the other"
        )
