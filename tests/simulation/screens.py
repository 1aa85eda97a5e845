"""A simulated metrics role: what it shows at any moment, and under which settings it takes it."""

import asyncio
from collections import Counter
from random import Random
from typing import cast

from streams.board import BoardFollower
from streams.deal_turns import DealTurns
from streams.metrics_role import FollowedService, LateReader, _follow
from streams.settings import Settings
from streams.stores.memory import MemoryStore
from streams.stores.redis import RedisStore
from tests.simulation.outside import Outside
from tests.simulation.stores import SlowStore


class Screen:
    """Stands where the snapshot service does: keeps what it is told to show."""

    def __init__(self, store: MemoryStore, settings: Settings, random: Random, hits: Counter[str]) -> None:
        self.refusal = ""
        self.follower: BoardFollower | None = None
        self.under = settings
        self.version = ""
        self._settings = settings
        self._hits = hits
        slow = SlowStore(store.with_version(settings.definition_version), Outside(random, hits), hits)
        following = _follow(
            cast(RedisStore, slow), settings, LateReader(), cast(FollowedService, self), DealTurns()
        )
        self.running = asyncio.create_task(following)

    def show(self, follower: BoardFollower, under: Settings, version: str) -> None:
        self.follower, self.under, self.version = follower, under, version
        self._hits["shown under other settings"] += under is not self._settings

    def note_changes(self) -> None:
        """What changed is read when it is checked."""

    def failure(self) -> BaseException | None:
        ended = self.running.done() and not self.running.cancelled()
        return self.running.exception() if ended else None
