"""What a scenario plays on: a floor under load, dice, and its faults, each with the time of its recovery.

A scenario is an async function of a `Stage`, declared with `@scenario`. It breaks things and asserts what
must be seen meanwhile. When it returns, the runner stops the load, waits for lag 0 and asks the judge.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.floor import Floor, until
from tests.chaos.judge import Judge
from tests.chaos.load import Load, Place

RECOVERY_SECONDS = 60.0
"""I5: lag is 0 again so soon after the end of any fault, unless the scenario says more."""

LATER_SECONDS = 0.5


@dataclass
class Fault:
    name: str
    recovery_seconds: float


@dataclass
class Stage:
    floor: Floor
    load: Load
    judge: Judge
    dice: Random
    long: bool
    minutes: float
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the report says beside the verdict: counters seen, answers given."""
    expect_lost: int = 0
    """Records truly gone, which the product must have counted."""
    say: Callable[[str], None] = lambda _text: None

    def amount(self, short: int, *, long: int) -> int:
        return long if self.long else short

    @asynccontextmanager
    async def fault(self, name: str, *, within_seconds: float = RECOVERY_SECONDS) -> AsyncIterator[None]:
        """The body injects the fault and ends it; how long lag then took to be 0 again is kept."""
        yield
        await self.recovered(name, within_seconds=within_seconds)

    async def recovered(self, name: str, *, within_seconds: float = RECOVERY_SECONDS) -> None:
        """Call it the moment a fault ends: waits until what was written up to a while later is committed.

        Only what comes after it shows a partition that nobody reads.
        """
        started = time.monotonic()
        await asyncio.sleep(LATER_SECONDS)
        await self.floor.until_stored(self.ends(), within_seconds)
        seconds = time.monotonic() - started
        self.faults.append(Fault(name, seconds))
        self.say(f"    {name}: lag 0 after {seconds:.1f} s")

    def ends(self) -> Counter[Place]:
        return Counter(self.load.ends)

    async def until(
        self, what: str, holds: Callable[..., Awaitable[bool]], *asked: object, seconds: float = 60.0
    ) -> None:
        """Ask `holds(*asked)` again and again until it is true; raise `TimeoutError` with `what` in it."""
        await until(what, lambda: holds(*asked), seconds)

    def note(self, text: str) -> None:
        self.notes.append(text)

    async def moment(self, low: float, high: float) -> None:
        """Let a random while pass: the moment is the fault."""
        await asyncio.sleep(self.dice.uniform(low, high))


Play = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    name: str
    rows: tuple[int, ...]
    """Rows of the fault matrix in docs/reliability.md."""
    holds: str
    play: Play
    workers: int
    short: bool
    """Part of CI's short form."""
    proxied: bool
    """Workers and metrics reach Kafka and Redis through the proxies."""
    fresh: bool
    """Begins on empty topics and an empty Redis, and the next one does too."""
    kafka: dict[str, str]
    """Broker settings; a scenario with its own has a broker of its own."""
    brokers: int
    """More than one: a cluster of its own, whose topics have a replica on each."""
    rate: float
    only_by_name: bool


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *,
    rows: tuple[int, ...],
    holds: str,
    workers: int = 2,
    short: bool = False,
    proxied: bool = False,
    fresh: bool = False,
    kafka: dict[str, str] | None = None,
    brokers: int = 1,
    rate: float = 1.0,
    only_by_name: bool = False,
) -> Callable[[Play], Play]:
    """Declare a scenario; its name is the function's. `rate` multiplies the run's load."""

    def declare(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(
            name,
            rows,
            holds,
            play,
            workers,
            short,
            proxied,
            fresh or kafka is not None or brokers > 1,
            kafka or {},
            brokers,
            rate,
            only_by_name,
        )
        return play

    return declare
