"""What every touch of the outside passes through: a delay, a trap, a freeze, or the end of the process."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from aiokafka.errors import KafkaConnectionError

from streams.stores.base import StoreUnavailable
from tests.simulation.faults import Hit

STEP_SECONDS_MAX = 0.05
SLOW_SECONDS_MAX = 30.0
_OF_STORE = frozenset({"announce", "claim", "claimed", "commit", "committed", "compare"})


@dataclass
class Trap:
    step: str
    hit: Hit
    passes: int = 0
    """How often the step goes well before."""


class Outside:
    """Between any two steps of the real code that touch the outside a process can be frozen or die.

    A dead one does nothing any more, not even on its way out.
    """

    def __init__(self, random: Random, hits: Counter[str]) -> None:
        self.random = random
        self.hits = hits
        self.dead = False
        self.trap: Trap | None = None
        self.slowness = 1.0
        self.on_hit: Callable[[Hit], None] = lambda _hit: None
        self._awake: asyncio.Event | None = None

    @property
    def frozen(self) -> bool:
        return self._awake is not None

    def freeze(self) -> None:
        if self._awake is None:
            self._awake = asyncio.Event()

    def thaw(self) -> None:
        awake, self._awake = self._awake, None
        if awake is not None:
            awake.set()

    def die(self) -> None:
        self.dead = True
        self.thaw()

    async def step(self, name: str, seconds_max: float = STEP_SECONDS_MAX) -> None:
        if self.dead:
            raise asyncio.CancelledError
        trap = self.trap
        if trap is not None and trap.step == name:
            if trap.passes:
                trap.passes -= 1
            else:
                self.trap = None
                await self._spring(trap)
        await asyncio.sleep(self.random.random() * seconds_max * self.slowness)
        while self._awake is not None:
            await self._awake.wait()
        if self.dead:
            raise asyncio.CancelledError

    async def _spring(self, trap: Trap) -> None:
        self.hits[f"{trap.hit} at {trap.step}"] += 1
        self.on_hit(trap.hit)
        match trap.hit:
            case "dies":
                raise asyncio.CancelledError
            case "is refused" if trap.step in _OF_STORE or trap.step.startswith("rebuild"):
                raise StoreUnavailable("refused, as told")
            case "is refused":
                raise KafkaConnectionError
            case "is slow":
                await asyncio.sleep(self.random.random() * SLOW_SECONDS_MAX)
            case "freezes":
                pass  # `on_hit` has frozen it
